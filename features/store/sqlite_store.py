"""Feast's SQLite layout: a load is one transaction, so a reader sees the old generation or the new one, never a mixture."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from features.definitions.sources import Source
from features.errors import BusyError, InputError
from features.store import sqlite_tails
from features.store.heads import Head, Layout, Loaded, refuse_early, settled, twice
from features.store.keys import entity_keys, sqlite_table
from features.store.packed import Packing
from features.store.reads import Answer, Question
from features.store.sqlite_states import answer_states, forget_states, generations, load_states, roll_back
from features.store.tails import Pushed
from features.store.values import encode, texts

if TYPE_CHECKING:
    from features.definitions.entities import KeyType
    from features.definitions.expressions import ColumnType

__all__ = ["SqliteStore"]

_WAIT_SECONDS = 120
_KEYS_AT_ONCE = 10_000  # SQLite takes at most 32,766 parameters
_HEADS = """CREATE TABLE IF NOT EXISTS asof_heads (view TEXT PRIMARY KEY, generation INTEGER, cut INTEGER, valid_from INTEGER,
    horizon INTEGER, definition TEXT, "rows" INTEGER, loaded_at INTEGER)"""
_HEAD_COLUMNS = 'view, generation, cut, valid_from, horizon, definition, "rows", loaded_at'
_ROWS = "CREATE TABLE IF NOT EXISTS asof_rows (view TEXT, entity_key BLOB, row BLOB, PRIMARY KEY (view, entity_key)) WITHOUT ROWID"
# The very statements of feast.infra.online_stores.sqlite, so that either may come first.
_TABLE = """CREATE TABLE IF NOT EXISTS "{0}" (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT,  vector_value BLOB,
    event_ts timestamp, created_ts timestamp,  PRIMARY KEY(entity_key, feature_name))"""
_INDEX = 'CREATE INDEX IF NOT EXISTS "{0}_ek" ON "{0}" (entity_key)'
_INSERT = 'INSERT INTO "{0}" (entity_key, feature_name, value, value_text, event_ts) VALUES (?, ?, ?, ?, ?)'


class SqliteStore:
    """One file for all views; the default online store. Many readers, one writer at a time."""

    def __init__(self, path: Path, *, writable: bool = True, max_bytes: int | None = None) -> None:
        """Opens the file, which a writer makes where it is missing; `max_bytes` bounds its size.

        Raises:
            BusyError: the file cannot be opened.
        """
        self._path = path
        with self._errors("opened"):
            if not writable and not path.exists():
                # A lookup leaves nothing behind: it reads an empty store.
                self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA cache_size=-65536")
            if writable:
                self._db.execute("PRAGMA journal_mode=WAL")
            if max_bytes is not None:
                size = self._db.execute("PRAGMA page_size").fetchone()[0]
                self._db.execute(f"PRAGMA max_page_count={max(1, max_bytes // size)}")

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def head(self, view: str) -> Head | None:
        """The live generation; None where no load was ever completed."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='asof_heads'").fetchone() is None:
            return None
        row = self._db.execute(f"SELECT {_HEAD_COLUMNS} FROM asof_heads WHERE view = ?", (view,)).fetchone()  # noqa: S608 - a constant
        names = ("view", "generation", "cut", "valid_from", "horizon", "definition", "rows", "loaded_at")
        return None if row is None else Head(**dict(zip(names, row, strict=True)))

    def load(self, layout: Layout, batches: Iterable[pa.RecordBatch], now: int) -> Loaded:
        """Replaces the view's rows by those of a cut, unless it or a newer one is live; adds a generation of states. `now` in microseconds UTC.

        Raises:
            BusyError: plain values' valid_from is after `now`, the disk is full, or another load holds the file too long. The old values stay.
            InputError: a key comes twice or is null. The old values stay.
        """
        if layout.stateful:
            with self._errors("loaded"), self._transaction("IMMEDIATE"):
                return load_states(self._db, layout, batches, now)
        refuse_early(layout, now)
        with self._errors("loaded"), self._transaction("IMMEDIATE"):
            old = self.head(layout.view)
            if (done := settled(old, layout)) is not None:
                return done
            before = self._emptied(layout.view)
            rows = 0
            for batch in batches:
                rows += self._insert(layout, batch, before)
            self._db.execute(_INDEX.format(sqlite_table(layout.view)))
            head = layout.head(generation=1 + (old.generation if old else 0), rows=rows, loaded_at=now)
            self._write_head(head)
        return Loaded(head=head, written=rows, removed=len(before))

    def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """One SELECT a view inside one read transaction.

        Raises:
            BusyError: the file cannot be read.
        """
        with self._errors("read"), self._transaction("DEFERRED"):
            return [
                answer_states(self._db, question) if question.states else self._answer(question)
                for question in questions
            ]

    def generations(self, view: str) -> tuple[Head, ...]:
        """Of a view's states: those that may be read, the oldest first.

        Raises:
            BusyError: the file cannot be read.
        """
        with self._errors("read"):
            return generations(self._db, view)

    def roll_back(self, view: str, generation: int) -> None:
        """Takes a generation of states out of what may be read.

        Raises:
            BusyError: the file cannot be changed.
        """
        with self._errors("changed"), self._transaction("IMMEDIATE"):
            roll_back(self._db, view, generation)

    def push(self, source: str, events: Sequence[Pushed], told: int, lasting_ms: int) -> int:  # noqa: ARG002 - `trim` ends what lasts here
        """Takes events into the tails, in one transaction; how many were not known before. `told`: all known before it was pushed.

        Raises:
            BusyError: the file cannot be changed; nothing was taken in.
        """
        with self._errors("changed"), self._transaction("IMMEDIATE"):
            return sqlite_tails.push(self._db, source, events, told)

    def fold(self, source: Source, keys: Sequence[bytes], bound: int) -> int:
        """Folds those of these entities' tails that have more than so many entries, in one transaction; how many went into blocks.

        Raises:
            BusyError: the file cannot be changed; what was pushed stays.
        """
        with self._errors("changed"):
            with self._transaction("DEFERRED"):  # no writer waits for it
                long = sqlite_tails.long_tails(self._db, source.name, keys, bound)
            if not long:
                return 0
            with self._transaction("IMMEDIATE"):
                return sqlite_tails.fold(self._db, source, long, bound)

    def trim(self, source: str, before: int) -> int:
        """Drops what became known before an instant from a source's tails; how many entries that were.

        Raises:
            BusyError: the file cannot be changed.
        """
        with self._errors("changed"), self._transaction("IMMEDIATE"):
            return sqlite_tails.trim(self._db, source, before)

    def forget(self, view: str) -> None:
        """Drops the view's head and rows."""
        with self._errors("changed"), self._transaction("IMMEDIATE"):
            self._db.execute(_HEADS)
            self._db.execute(_ROWS)
            self._db.execute("DELETE FROM asof_heads WHERE view = ?", (view,))
            self._db.execute("DELETE FROM asof_rows WHERE view = ?", (view,))
            self._db.execute(f'DROP TABLE IF EXISTS "{sqlite_table(view)}"')
            forget_states(self._db, view)

    def _answer(self, question: Question) -> Answer:
        head = self.head(question.view)
        if head is None:
            return Answer(head=None, rows={})
        rows: dict[bytes, bytes] = {}
        for start in range(0, len(question.keys), _KEYS_AT_ONCE):
            keys = question.keys[start : start + _KEYS_AT_ONCE]
            marks = ", ".join("?" * len(keys))
            found = self._db.execute(
                f"SELECT entity_key, row FROM asof_rows WHERE view = ? AND entity_key IN ({marks})",  # noqa: S608 - question marks
                (question.view, *keys),
            )
            rows.update(found)
        return Answer(head=head, rows=rows)

    def _emptied(self, view: str) -> set[bytes]:
        """Empties the table, or makes it; the keys it had."""
        table = sqlite_table(view)
        self._db.execute(_HEADS)
        self._db.execute(_TABLE.format(table))
        self._db.execute(_ROWS)
        before = {key for (key,) in self._db.execute("SELECT entity_key FROM asof_rows WHERE view = ?", (view,))}
        self._db.execute("DELETE FROM asof_rows WHERE view = ?", (view,))
        # Without a condition SQLite drops whole pages; the second index is built anew once the rows are there.
        self._db.execute(f'DELETE FROM "{table}"')  # noqa: S608
        self._db.execute(f'DROP INDEX IF EXISTS "{table}_ek"')
        return before

    def _insert(self, layout: Layout, batch: pa.RecordBatch, before: set[bytes]) -> int:
        """Writes one batch and takes its keys out of `before`; how many rows it had."""
        keys = entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
        before.difference_update(keys)
        try:
            if layout.feast_layout:
                self._insert_cells(layout, batch, keys)
            packed = zip(
                keys, Packing(dict(layout.features), layout.definition).pack(batch, layout.valid_from), strict=True
            )
            self._db.executemany("INSERT INTO asof_rows VALUES (?, ?, ?)", ((layout.view, *row) for row in packed))
        except sqlite3.IntegrityError as error:
            raise InputError(twice(layout)) from error
        return len(keys)

    def _insert_cells(self, layout: Layout, batch: pa.RecordBatch, keys: Sequence[bytes]) -> None:
        """In Feast's own table, a row a feature."""
        # In the order of the primary key pages fill one after the other.
        order = pa.array(sorted(range(len(keys)), key=keys.__getitem__), pa.int64())
        columns: list[tuple[pa.Array, ColumnType]] = [
            (batch.column(name).take(order), kind) for name, kind in layout.features
        ]
        names = [name for name, _ in layout.features]
        cells = zip(
            chain.from_iterable(repeat(keys[row], len(names)) for row in order.to_pylist()),
            cycle(names),
            chain.from_iterable(zip(*(encode(column, kind) for column, kind in columns), strict=True)),
            chain.from_iterable(zip(*(texts(column, kind) for column, kind in columns), strict=True)),
            repeat(layout.valid_from // 1_000_000),
            strict=False,
        )
        self._db.executemany(_INSERT.format(sqlite_table(layout.view)), cells)

    def _write_head(self, head: Head) -> None:
        values = (
            head.view,
            head.generation,
            head.cut,
            head.valid_from,
            head.horizon,
            head.definition,
            head.rows,
            head.loaded_at,
        )
        self._db.execute(f"INSERT OR REPLACE INTO asof_heads ({_HEAD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - a constant

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            # A full disk has ended the transaction already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            broken = any(word in str(error) for word in ("not a database", "malformed"))
            remedy = (
                "Move the file away and run `asof materialize` for the newest cut: what is published fills a new one."
                if broken
                else "The values it held stay. Make room, or wait for the other load to end, and run the same command again."
            )
            msg = f"The online store {self._path} cannot be {doing}: {error}. {remedy}"
            raise BusyError(msg) from error
