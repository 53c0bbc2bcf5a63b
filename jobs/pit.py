"""The newest row at or before an instant, for many asks at once: as Spark's Python workers find it. Arrow in, Arrow out; no Spark, no Feast.

Rows travel between tasks as columns: each task cuts its rows by key into blobs (Arrow's own stream format), the blobs of one bucket meet in one task,
and that task sorts keys and instants alone. Only rows that are the answer to some ask have their other columns touched.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.values.hashing import hash64
from features.values.partition import codes_of
from features.values.sorting import order_by
from jobs.workers import settle

__all__ = [
    "ASKS",
    "BLOBS",
    "CREATED",
    "ROW",
    "TIME",
    "Batches",
    "Reading",
    "answers",
    "blob",
    "blobs",
    "brought",
    "created_of",
    "cut",
    "hashes",
    "join",
    "newest",
]

ROW, TIME, CREATED = "asof_row", "asof_time", "asof_created"
ASKS = 0
"""The number of the asks among the parts; sources count from 1."""

Array = np.ndarray
Batches = Iterable[pa.RecordBatch]
_FLUSH = 64 << 20
"""A task lets go of so many bytes at a time."""
_SLICE = 65_536
BLOBS = pa.schema([("bucket", pa.int32()), ("part", pa.int32()), ("place", pa.int64()), ("data", pa.binary())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one source is read by the asks of its keys."""

    part: int
    """1 or more."""

    columns: pa.Schema
    """Its columns, besides keys and instants, as they are called in the answer."""

    ttl_us: int
    """An answer is at most so old, in microseconds and inclusive; 0 or less: of any age."""

    created: bool
    """Rows have an `asof_created`: of rows of one key and instant the one created last counts, null before all."""

    known: bool
    """A row counts only for asks at or after its `asof_created`, never where that is null."""


def blobs(part: int, keys: int, buckets: int, task: Callable[[], int]) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow: rows (`k0` …, then anything) cut into blobs of one bucket each, in the order they came.

    Args:
        part: whose rows these are.
        keys: how many key columns there are; none of them holds nulls.
        buckets: all rows of one key are in one of them.
        task: the number of the running task; it orders rows that nothing else does.
    """

    def made(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        yield from cut(batches, part, keys, buckets, task())

    return made


def cut(batches: Batches, part: int, keys: int, buckets: int, task: int) -> Iterator[pa.RecordBatch]:
    """What `blobs` makes of one task's rows."""
    held, size, sent = list[pa.RecordBatch](), 0, 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _FLUSH:
            yield _cut(held, part, keys, buckets, (task << 32) + sent)
            held, size, sent = [], 0, sent + 1
    if sum(map(len, held)):
        yield _cut(held, part, keys, buckets, (task << 32) + sent)


def _cut(held: Sequence[pa.RecordBatch], part: int, keys: int, buckets: int, place: int) -> pa.RecordBatch:
    table = pa.Table.from_batches(held).combine_chunks()
    bucket = _buckets([table[f"k{n}"] for n in range(keys)], len(table), buckets)
    table = table.take(pa.array(np.argsort(bucket, kind="stable"))).combine_chunks()
    ends = np.cumsum(np.bincount(bucket, minlength=buckets))
    (batch,) = table.to_batches()
    bounds = [(n, low, high) for n, (low, high) in enumerate(zip([0, *ends[:-1]], ends, strict=True)) if high > low]
    data = [blob(batch.slice(low, high - low)) for _, low, high in bounds]
    numbers = [n for n, _, _ in bounds]
    return pa.RecordBatch.from_pydict(
        {"bucket": numbers, "part": [part] * len(data), "place": [place] * len(data), "data": data}, schema=BLOBS
    )


def blob(batch: pa.RecordBatch) -> bytes:
    """A batch as bytes, in Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _buckets(keys: Sequence[pa.ChunkedArray], rows: int, buckets: int) -> Array:
    if not keys:
        return np.zeros(rows, np.uint16)
    return (hashes(keys) % np.uint64(buckets)).astype(np.uint16)  # numpy sorts sixteen bits by their digits


def hashes(keys: Sequence[pa.ChunkedArray]) -> Array:
    """uint64 a row, of all its keys; none of them null."""
    made = np.zeros(len(keys[0]), np.uint64)
    for key in keys:
        made = (made * np.uint64(0x9E3779B97F4A7C15)) ^ hash64(key.combine_chunks())
    return made


def join(keys: int, readings: Sequence[Reading], *, packed: bool) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the blobs of whole buckets: `asof_row` and each reading's columns, one row an ask, null where nothing counts.

    Args:
        keys: how many key columns there are.
        readings: the sources.
        packed: one column `data` of blobs instead, for the driver to put together.
    """

    def answer(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        tables = brought(batches)
        if ASKS not in tables:
            return
        made = answers(tables, keys, readings)
        for batch in made.to_batches(max_chunksize=None if packed else _SLICE):
            yield pa.RecordBatch.from_pydict({"data": pa.array([blob(batch)], pa.binary())}) if packed else batch

    return answer


def brought(batches: Batches) -> dict[int, pa.Table]:
    """The rows of each part, out of blobs. What is left equal by key, instant and creation stays in the order of the tasks' rows."""
    found: dict[int, list[tuple[int, pa.Table]]] = {}
    for batch in batches:
        parts, places = batch["part"].to_pylist(), batch["place"].to_pylist()
        for part, place, data in zip(parts, places, batch["data"], strict=True):
            found.setdefault(part, []).append((place, pa.ipc.open_stream(data.as_buffer()).read_all()))
    return {
        part: pa.concat_tables([table for _, table in sorted(each, key=lambda item: item[0])]).combine_chunks()
        for part, each in found.items()
    }


def answers(tables: dict[int, pa.Table], keys: int, readings: Sequence[Reading]) -> pa.Table:
    """What `join` gives for the rows of one bucket."""
    asks = tables[ASKS]
    there = [reading for reading in readings if reading.part in tables]
    codes = _codes([asks, *(tables[reading.part] for reading in there)], keys)
    instants = _numbers(asks[TIME])
    columns = [asks[ROW]]
    for reading in readings:
        if reading not in there:
            columns += [pa.nulls(len(asks), field.type) for field in reading.columns]
            continue
        rows, code = tables[reading.part], codes[1 + there.index(reading)]
        created = created_of(rows[CREATED]) if reading.created else None
        at = newest(
            (code, _numbers(rows[TIME]), created), (codes[0], instants), ttl_us=reading.ttl_us, known=reading.known
        )
        index = pa.array(at, mask=at < 0)
        columns += [rows[name].take(index) for name in reading.columns.names]
    fields = [pa.field(ROW, pa.int64()), *(field for reading in readings for field in reading.columns)]
    kinds = [column.type for column in columns]  # an instant has the session's zone by name
    return pa.table(
        columns, schema=pa.schema([field.with_type(kind) for field, kind in zip(fields, kinds, strict=True)])
    )


def _codes(tables: Sequence[pa.Table], keys: int) -> list[Array]:
    """A number a row, equal in all tables where all keys are."""
    sizes = [len(table) for table in tables]
    if not keys:
        return [np.zeros(size, np.int64) for size in sizes]
    columns = [pa.chunked_array([c for table in tables for c in table[f"k{n}"].chunks]) for n in range(keys)]
    return np.split(codes_of(columns)[0], np.cumsum(sizes)[:-1])


def _numbers(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.combine_chunks()).astype(np.int64, copy=False)


def created_of(column: pa.ChunkedArray) -> Array:
    """Instants as int64, the least there is for null."""
    return np.asarray(pc.fill_null(column.combine_chunks(), _NEVER)).astype(np.int64, copy=False)


_NEVER = -(2**63)


def newest(
    rows: tuple[Array, Array, Array | None],
    asks: tuple[Array, Array],
    *,
    ttl_us: int = 0,
    known: bool = False,
    sorted_asks: bool = False,
) -> Array:
    """For each ask the place of the newest row of its key at or before its instant, -1 where there is none.

    >>> newest((np.array([0, 0, 1]), np.array([10, 20, 10]), None), (np.array([0, 1, 0]), np.array([25, 9, 10]))).tolist()
    [1, -1, 0]

    Args:
        rows: key codes (0 or more), instants, and when each was created or None. Of equal instants the one created last counts, of those the last.
        asks: key codes and instants.
        ttl_us: as in `Reading`.
        known: as in `Reading`; needs when rows were created, where the least int64 stands for null.
        sorted_asks: asks come in the order of (key, instant).
    """
    key, time, created = rows
    order = np.arange(len(key)) if created is None else np.argsort(created, kind="stable")
    order = order[order_by(key[order], time[order])]
    if known and created is not None:
        order = order[created[order] != _NEVER]
    asked = np.arange(len(asks[0])) if sorted_asks else order_by(*asks)
    at = _last(key[order], time[order], asks[0][asked], asks[1][asked])
    if known and created is not None:
        made = created[order]
        at = _known(at, made, _earlier(key[order], made), asks[1][asked])
    if not len(order):
        return np.full(len(asked), -1, np.int64)
    found = np.where(at >= 0, order[at], -1)
    if ttl_us > 0:
        found = np.where((found >= 0) & (asks[1][asked] - time[found] <= ttl_us), found, -1)
    places = np.empty(len(asked), np.int64)
    places[asked] = found
    return places


@njit(cache=True)
def _last(key: Array, time: Array, ask_key: Array, ask_time: Array) -> Array:
    """Both sides in the order of (key, instant)."""
    made = np.empty(len(ask_key), np.int64)
    at = 0
    for q in range(len(ask_key)):
        k, t = ask_key[q], ask_time[q]
        while at < len(key) and (key[at] < k or (key[at] == k and time[at] <= t)):
            at += 1
        made[q] = at - 1 if at and key[at - 1] == k else -1
    return made


@njit(cache=True)
def _earlier(key: Array, created: Array) -> Array:
    """For each row the last one of its key before it that was created before it; all between were created no earlier than it."""
    made = np.empty(len(key), np.int64)
    for i in range(len(key)):
        at = i - 1
        while at >= 0 and key[at] == key[i] and created[at] >= created[i]:
            at = made[at]
        made[i] = at if at >= 0 and key[at] == key[i] else -1
    return made


@njit(cache=True)
def _known(at: Array, created: Array, earlier: Array, ask_time: Array) -> Array:
    """From the newest row back to the first that was created by the ask's instant."""
    made = np.empty(len(at), np.int64)
    for q in range(len(at)):
        i = at[q]
        while i >= 0 and created[i] > ask_time[q]:
            i = earlier[i]
        made[q] = i
    return made
