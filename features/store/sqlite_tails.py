"""Tails in SQLite: one row an event and entity; which version of an event was known first is decided within a transaction."""

import sqlite3
from collections.abc import Sequence

from features.definitions.sources import Source
from features.store.tail_folds import Step, steps
from features.store.tail_rows import gone, is_gone, known_of, rows_in
from features.store.tails import Pushed

__all__ = ["fold", "long_tails", "push", "tails", "trim", "watermark"]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS asof_pushed (source TEXT, event_id BLOB, first TEXT, known INTEGER, PRIMARY KEY (source, event_id)) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS asof_tails (source TEXT, entity_key BLOB, event_id BLOB, known INTEGER, entry BLOB,
    PRIMARY KEY (source, entity_key, event_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS asof_tails_of_events ON asof_tails (source, event_id)",
    # Of events whose entries are in blocks: the entities, so that an earlier version finds them.
    """CREATE TABLE IF NOT EXISTS asof_folded (source TEXT, event_id BLOB, entity_key BLOB, known INTEGER,
    PRIMARY KEY (source, event_id, entity_key)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS asof_watermarks (source TEXT PRIMARY KEY, known INTEGER)",
)
_KEYS_AT_ONCE = 10_000
_NEVER = (1 << 63) - 1
"""When a mark that blocks' rows count no more is old: once its entity has no block."""
_DELETE_MARKS = """DELETE FROM asof_tails AS mark WHERE source = ? AND known = ? AND NOT EXISTS (SELECT 1 FROM asof_tails AS block
    WHERE block.source = mark.source AND block.entity_key = mark.entity_key AND block.event_id >= x'FFFF' AND length(block.event_id) > 8)"""


def push(db: sqlite3.Connection, source: str, events: Sequence[Pushed], told: int) -> int:
    """Takes events in, within a transaction of the caller's; how many were not known before. `told`: all known before it was pushed."""
    for statement in _TABLES:
        db.execute(statement)
    new = sum(_one(db, source, event) for event in events)
    db.execute(
        "INSERT INTO asof_watermarks VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET known = max(known, excluded.known)",
        (source, told),
    )
    return new


def _one(db: sqlite3.Connection, source: str, event: Pushed) -> bool:
    row = db.execute(
        "SELECT first FROM asof_pushed WHERE source = ? AND event_id = ?", (source, event.event_id)
    ).fetchone()
    if row is not None and row[0] <= event.order:
        return False
    if row is not None:  # a version that was known earlier comes later: it is the one that counts
        db.execute("DELETE FROM asof_tails WHERE source = ? AND event_id = ?", (source, event.event_id))
        _mark(db, source, event.event_id)
    db.execute(
        "INSERT OR REPLACE INTO asof_pushed VALUES (?, ?, ?, ?)", (source, event.event_id, event.order, event.known)
    )
    if event.entry is not None:
        db.executemany(
            "INSERT OR REPLACE INTO asof_tails VALUES (?, ?, ?, ?, ?)",
            [(source, key, event.event_id, event.known, event.entry) for key in event.keys],
        )
    return row is None


def _mark(db: sqlite3.Connection, source: str, event_id: bytes) -> None:
    """What blocks have of an event counts no more."""
    found = db.execute("SELECT entity_key FROM asof_folded WHERE source = ? AND event_id = ?", (source, event_id))
    db.executemany(
        "INSERT OR REPLACE INTO asof_tails VALUES (?, ?, ?, ?, ?)",
        [(source, key, event_id, _NEVER, gone(event_id)) for (key,) in found.fetchall()],
    )


def long_tails(db: sqlite3.Connection, source: str, keys: Sequence[bytes], bound: int) -> list[bytes]:
    """Those of these entities whose tails have more rows than the bound; none in a file that nothing was pushed to."""
    if not _there(db):
        return []
    counted = "SELECT count(*) FROM (SELECT 1 FROM asof_tails WHERE source = ? AND entity_key = ? LIMIT ?)"
    return [key for key in dict.fromkeys(keys) if db.execute(counted, (source, key, bound + 1)).fetchone()[0] > bound]


def fold(db: sqlite3.Connection, source: Source, keys: Sequence[bytes], bound: int) -> int:
    """Folds those tails that have more rows than the bound, within a transaction of the caller's; how many entries went into blocks."""
    for statement in _TABLES:  # those of a file that was made before there were folds
        db.execute(statement)
    folded = 0
    for key in long_tails(db, source.name, keys, bound):
        found = db.execute(
            "SELECT event_id, entry FROM asof_tails WHERE source = ? AND entity_key = ?", (source.name, key)
        )
        for step in steps(source, dict(found.fetchall())):
            _take(db, source.name, key, step)
            folded += len(step.taken)
    return folded


def _take(db: sqlite3.Connection, source: str, key: bytes, step: Step) -> None:
    names = (*step.dropped, *(name for name, _ in step.taken))
    db.executemany(
        "DELETE FROM asof_tails WHERE source = ? AND entity_key = ? AND event_id = ?",
        [(source, key, name) for name in names],
    )
    db.executemany(
        "INSERT OR REPLACE INTO asof_folded VALUES (?, ?, ?, ?)",
        [(source, name, key, known_of(entry)) for name, entry in step.taken if not is_gone(entry)],
    )
    db.executemany(
        "INSERT OR REPLACE INTO asof_tails VALUES (?, ?, ?, ?, ?)",
        [(source, key, name, known_of(block), block) for name, block in step.puts.items()],
    )


def tails(db: sqlite3.Connection, source: str, keys: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """Key to its entries."""
    found: dict[bytes, list[bytes]] = {}
    if not _there(db):
        return found
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        marks = ", ".join("?" * len(some))
        for key, entry in db.execute(
            f"SELECT entity_key, entry FROM asof_tails WHERE source = ? AND entity_key IN ({marks})",  # noqa: S608 - marks alone
            (source, *some),
        ):
            found.setdefault(key, []).append(entry)
    return found


def watermark(db: sqlite3.Connection, source: str) -> int | None:
    """Up to when all that was known has been pushed; None where nothing ever was."""
    if not _there(db):
        return None
    row = db.execute("SELECT known FROM asof_watermarks WHERE source = ?", (source,)).fetchone()
    return None if row is None else int(row[0])


def trim(db: sqlite3.Connection, source: str, before: int) -> int:
    """Drops what became known before an instant, within a transaction of the caller's; how many entries that were."""
    if not _there(db):
        return 0
    for statement in _TABLES:
        db.execute(statement)
    db.execute("DELETE FROM asof_pushed WHERE source = ? AND known < ?", (source, before))
    db.execute("DELETE FROM asof_folded WHERE source = ? AND known < ?", (source, before))
    old = "FROM asof_tails WHERE source = ? AND known < ?"
    removed = sum(rows_in(entry) for (entry,) in db.execute(f"SELECT entry {old}", (source, before)))
    db.execute(f"DELETE {old}", (source, before))
    db.execute(_DELETE_MARKS, (source, _NEVER))
    return removed


def _there(db: sqlite3.Connection) -> bool:
    return (
        db.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='asof_watermarks'").fetchone() is not None
    )
