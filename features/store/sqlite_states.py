"""States in SQLite: a load is one transaction, and adds a generation beside those that are there."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from features.definitions.names import STATE
from features.errors import InputError
from features.store import sqlite_tails
from features.store.generations import dropped, from_text, next_number, serving, settled_states, to_text
from features.store.heads import Head, Layout, Loaded, twice
from features.store.keys import entity_keys
from features.store.reads import Answer, Question

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["answer_states", "forget_states", "generations", "load_states", "roll_back"]

_KEYS_AT_ONCE = 10_000
_TABLES = (
    "CREATE TABLE IF NOT EXISTS asof_generations (view TEXT, generation INTEGER, record TEXT, PRIMARY KEY (view, generation)) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS asof_states (view TEXT, generation INTEGER, entity_key BLOB, state BLOB,
    PRIMARY KEY (view, generation, entity_key)) WITHOUT ROWID""",
)


def generations(db: sqlite3.Connection, view: str) -> tuple[Head, ...]:
    """Those that may be read, the oldest first."""
    return tuple(head for _, head in _records(db, view) if head is not None)


def _records(db: sqlite3.Connection, view: str) -> Iterator[tuple[int, Head | None]]:
    """Every number that was ever used, and its record; None of one that was rolled back."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='asof_generations'").fetchone() is None:
        return
    rows = db.execute("SELECT generation, record FROM asof_generations WHERE view = ? ORDER BY generation", (view,))
    yield from ((number, None if record is None else from_text(record)) for number, record in rows.fetchall())


def load_states(db: sqlite3.Connection, layout: Layout, batches: Iterable[pa.RecordBatch], now: int) -> Loaded:
    """Adds a generation, within a transaction of the caller's.

    Raises:
        InputError: a key comes twice or is null.
    """
    for statement in _TABLES:
        db.execute(statement)
    records = dict(_records(db, layout.view))
    heads = tuple(head for head in records.values() if head is not None)
    if (done := settled_states(heads, layout)) is not None:
        return done
    number = next_number(heads, max(records, default=0))
    rows = sum(_insert(db, layout, number, batch) for batch in batches)
    head = layout.head(generation=number, rows=rows, loaded_at=now)
    db.execute("INSERT INTO asof_generations VALUES (?, ?, ?)", (layout.view, number, to_text(head)))
    gone = dropped((*heads, head), now)
    for old in gone:
        _drop(db, layout.view, old.generation)
    return Loaded(head=head, written=rows, removed=sum(old.rows for old in gone))


def _insert(db: sqlite3.Connection, layout: Layout, number: int, batch: pa.RecordBatch) -> int:
    keys = entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
    rows = sorted(zip(keys, batch.column(STATE).to_pylist(), strict=True))
    try:
        db.executemany(
            "INSERT INTO asof_states VALUES (?, ?, ?, ?)",
            (
                (view, generation, key, state)
                for view, generation, (key, state) in zip(repeat(layout.view), repeat(number), rows, strict=False)
            ),
        )
    except sqlite3.IntegrityError as error:
        raise InputError(twice(layout)) from error
    return len(rows)


def _drop(db: sqlite3.Connection, view: str, generation: int) -> None:
    db.execute("DELETE FROM asof_states WHERE view = ? AND generation = ?", (view, generation))
    db.execute("DELETE FROM asof_generations WHERE view = ? AND generation = ?", (view, generation))


def roll_back(db: sqlite3.Connection, view: str, generation: int) -> None:
    """Takes a generation out of what may be read; its number is never used again."""
    db.execute("UPDATE asof_generations SET record = NULL WHERE view = ? AND generation = ?", (view, generation))
    db.execute("DELETE FROM asof_states WHERE view = ? AND generation = ?", (view, generation))


def forget_states(db: sqlite3.Connection, view: str) -> None:
    """Drops all generations of a view that is no longer defined."""
    for statement in _TABLES:
        db.execute(statement)
    db.execute("DELETE FROM asof_states WHERE view = ?", (view,))
    db.execute("DELETE FROM asof_generations WHERE view = ?", (view,))


def answer_states(db: sqlite3.Connection, question: Question) -> Answer:
    """The states of the generation that is valid at the instant, within a transaction of the caller's."""
    heads = generations(db, question.view)
    head = serving(heads, question.at) or (heads[0] if heads else None)
    if head is None:
        return Answer(head=None)
    states: dict[bytes, bytes] = {}
    for start in range(0, len(question.keys), _KEYS_AT_ONCE):
        keys = question.keys[start : start + _KEYS_AT_ONCE]
        marks = ", ".join("?" * len(keys))
        states |= db.execute(
            f"SELECT entity_key, state FROM asof_states WHERE view = ? AND generation = ? AND entity_key IN ({marks})",  # noqa: S608 - marks alone
            (question.view, head.generation, *keys),
        ).fetchall()
    found = sqlite_tails.tails(db, question.tail, question.keys) if question.tail else {}
    told = sqlite_tails.watermark(db, question.tail) if question.tail else None
    return Answer(head=head, states=states, tails=found, watermark=told)
