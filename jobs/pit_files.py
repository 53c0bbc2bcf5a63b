"""As-of joins over Parquet files that tasks open themselves: keys and instants first, the columns of an answer only for the rows that are one. No Spark, no Feast.

Each row of a source is a file's number and a place in it until the join is done. Files are numbered in the order of their names, which is also the order
of rows that neither instant nor creation tells apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions.names import micros
from features.errors import InputError, MissingError
from jobs.pit import ASKS, CREATED, ROW, TIME, Batches, Reading, answers, blob, brought, cut, hashes
from jobs.workers import settle

__all__ = ["AT", "FILE", "Files", "fetched", "found", "given", "narrow", "narrowed", "runs", "taken", "winners"]

FILE, AT = "asof_file", "asof_at"
_PLACE = pa.schema([(FILE, pa.int32()), (AT, pa.int64())])
_WON = pa.schema([("bucket", pa.int32()), ("data", pa.binary())])
_FLUSH = 64 << 20
"""A task lets go of so many bytes at a time."""
_SLICE = 65_536
_US = pa.timestamp("us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A source as tasks read it. Names are those of its columns; the files' own may differ in case."""

    paths: tuple[str, ...]
    units: tuple[tuple[int, int], ...]
    """From which file to before which one: what one task reads."""

    keys: tuple[tuple[str, pa.DataType], ...]
    """With the type by which they meet others."""

    time: str
    created: str | None
    columns: pa.Schema
    """Of the answer, in the source's names and the answer's types."""

    names: tuple[str, ...]
    """As the answer calls them."""

    first: int | None
    """Rows before it count for nobody; microseconds UTC."""

    last: int
    """The same of rows after it."""


def narrow(files: Files, buckets: int, wanted: np.ndarray | None) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of units: keys and instants of their rows in blobs, as `jobs.pit.blobs` has them, part 1.

    Args:
        files: the source.
        buckets: all rows of one key are in one of them.
        wanted: hashes of keys, sorted; rows of other keys stay behind, but for a few. None: all rows.
    """

    def read(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        for unit in (number for batch in batches for number in batch["id"].to_pylist()):
            yield from cut(narrowed(files, unit, wanted), 1, len(files.keys), buckets, unit)

    return read


def narrowed(files: Files, unit: int, wanted: np.ndarray | None = None) -> Iterator[pa.RecordBatch]:
    """Keys, instants and places of a unit's rows in the span; `wanted` as in `narrow`."""
    names = [*(name for name, _ in files.keys), files.time, *([files.created] if files.created else [])]
    for number in range(*files.units[unit]):
        file = _open(files.paths[number])
        called = _called(file, names)
        start = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if not _outside(file, group, called.get(files.time), files):
                rows = file.read_row_group(group, columns=list(called.values()), use_threads=False)
                yield from _kept(files, rows, called, (number, start), wanted)
            start += size


def _kept(
    files: Files, rows: pa.Table, called: dict[str, str], place: tuple[int, int], wanted: np.ndarray | None
) -> list[pa.RecordBatch]:
    held = {name: rows[called[name]] if name in called else pa.nulls(len(rows), pa.int64()) for name in (*(key for key, _ in files.keys), files.time)}  # fmt: skip
    made = {f"k{n}": held[name].cast(kind) for n, (name, kind) in enumerate(files.keys)}
    made[TIME] = _micros(held[files.time])
    if files.created:
        made[CREATED] = _micros(rows[called[files.created]]) if files.created in called else pa.nulls(len(rows), pa.int64())  # fmt: skip
    number, start = place
    made[FILE] = pa.array(np.full(len(rows), number, np.int32))
    made[AT] = pa.array(np.arange(start, start + len(rows)))
    table = pa.table(made)
    kept = [pc.less_equal(table[TIME], files.last)]
    if files.first is not None:
        kept.append(pc.greater_equal(table[TIME], files.first))
    kept += [pc.is_valid(table[f"k{n}"]) for n in range(len(files.keys)) if table[f"k{n}"].null_count]
    chosen = pc.fill_null(reduce(pc.and_, kept), fill_value=False)
    table = table if pc.all(chosen).as_py() else table.filter(chosen)
    if wanted is not None and len(table):
        # Two keys of one hash are rare and harmless: the join tells them apart.
        table = table.filter(pa.array(np.isin(hashes([table[f"k{n}"] for n in range(len(files.keys))]), wanted)))
    return list(table.combine_chunks().to_batches())


def winners(files: Files, reading: Reading) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the blobs of whole buckets: which row of which file answers an ask, in blobs of one unit each.

    Args:
        files: the source.
        reading: how it is read; its columns are `place`.
    """

    def won(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        tables = brought(batches)
        if ASKS not in tables or reading.part not in tables:
            return
        made = answers(tables, len(files.keys), [reading])
        made = made.filter(pc.is_valid(made[FILE]))
        unit = np.searchsorted([end for _, end in files.units], np.asarray(made[FILE]), side="right")
        order = np.argsort(unit.astype(np.uint16), kind="stable")
        made, unit = made.take(pa.array(order)).combine_chunks(), unit[order]
        for low, high in runs(unit):
            (batch,) = made.slice(low, high - low).combine_chunks().to_batches()
            yield pa.RecordBatch.from_pydict({"bucket": [int(unit[low])], "data": [blob(batch)]}, schema=_WON)

    return won


def found(part: int, *, ttl_us: int, created: bool, known: bool) -> Reading:
    """The reading of a source whose rows are places."""
    return Reading(part=part, columns=_PLACE, ttl_us=ttl_us, created=created, known=known)


def fetched(files: Files, *, packed: bool) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the blobs of `winners`, whole units: `asof_row` and the columns of the answer. Row groups without an answer are not read.

    Args:
        files: the source.
        packed: one column `data` of blobs instead, for the driver to put together.
    """

    def fetch(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        asked = [pa.ipc.open_stream(data.as_buffer()).read_all() for batch in batches for data in batch["data"]]
        if asked:
            yield from given(taken(files, pa.concat_tables(asked)), packed=packed)

    return fetch


def given(tables: Iterable[pa.Table], *, packed: bool) -> Iterator[pa.RecordBatch]:
    """Tables as a task lets go of them; `packed` as in `fetched`."""
    held, size = list[pa.Table](), 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= _FLUSH:
            yield from _given(held, packed=packed)
            held, size = [], 0
    if held:
        yield from _given(held, packed=packed)


def _given(held: Sequence[pa.Table], *, packed: bool) -> Iterator[pa.RecordBatch]:
    for batch in pa.concat_tables(held).combine_chunks().to_batches(max_chunksize=None if packed else _SLICE):
        yield pa.RecordBatch.from_pydict({"data": pa.array([blob(batch)], pa.binary())}) if packed else batch


def taken(files: Files, asked: pa.Table) -> Iterator[pa.Table]:
    """`asof_row` and the columns of the answer, of the rows that are asked for (`asof_row`, `asof_file`, `asof_at`)."""
    asked = asked.take(pa.array(np.lexsort((np.asarray(asked[AT]), np.asarray(asked[FILE]))))).combine_chunks()
    number, at = np.asarray(asked[FILE]), np.asarray(asked[AT])
    for low, high in runs(number):
        file = _open(files.paths[number[low]])
        called = _called(file, files.columns.names)
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            first, last = low + np.searchsorted(at[low:high], [start, end])
            if last > first:
                rows = file.read_row_group(group, columns=list(called.values()), use_threads=False)
                chosen = pa.array(at[first:last] - start)
                columns = [_column(field, rows, called, chosen) for field in files.columns]
                yield pa.table([asked[ROW].slice(first, last - first), *columns], names=[ROW, *files.names])
            start = end


def _column(field: pa.Field, rows: pa.Table, called: dict[str, str], chosen: pa.Array) -> pa.ChunkedArray:
    if field.name not in called:  # a column that came later
        return pa.chunked_array([pa.nulls(len(chosen), field.type)])
    column = rows[called[field.name]].take(chosen)
    if pa.types.is_timestamp(field.type):  # never by a zone's clock: INT96 and a table's own type say nothing of one
        return _micros(column).cast(field.type)
    return column.cast(field.type)


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=True, coerce_int96_timestamp_unit="us")
    except FileNotFoundError as error:
        msg = f"The source's file {path} is gone: it was written anew while it was read. Ask again."
        raise MissingError(msg) from error
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"The source's file {path} cannot be read as Parquet: {error}. Write it again, or take it out of the folder."
        raise InputError(msg) from error


def _called(file: pq.ParquetFile, names: Iterable[str]) -> dict[str, str]:
    """From the names that the file has to how it writes them: Spark's names have no case."""
    there = file.schema_arrow.names
    exact, lower = set(there), {name.lower(): name for name in there}
    return {name: name if name in exact else lower[name.lower()] for name in names if name.lower() in lower}


def _outside(file: pq.ParquetFile, group: int, time: str | None, files: Files) -> bool:
    """Whether the group's statistics say that none of its rows is in the span."""
    if time is None:
        return True
    held = file.metadata.row_group(group).column(file.schema_arrow.names.index(time)) if _flat(file) else None
    stats = held.statistics if held is not None else None
    if stats is None or not stats.has_min_max or not isinstance(stats.min, datetime):
        return False
    least, most = (micros(each if each.tzinfo else each.replace(tzinfo=UTC)) for each in (stats.min, stats.max))
    return least > files.last or (files.first is not None and most < files.first)


def _flat(file: pq.ParquetFile) -> bool:
    """Whether its columns are numbered as its fields are."""
    return bool(file.metadata.num_columns == len(file.schema_arrow.names))


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Instants as microseconds UTC; times without a zone, and dates, are UTC."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_date(kind):
        column = column.cast(_US)
    return column.cast(pa.int64())


def runs(numbers: np.ndarray) -> list[tuple[int, int]]:
    """From where to before where each run of equal numbers goes."""
    if not len(numbers):
        return []
    return list(pairwise([0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]))
