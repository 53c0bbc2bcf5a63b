"""Rows of sources and asks out of Parquet files, in the shape that `features.values.partition` finishes. Spark only names the files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.names import utc
from features.definitions.sources import Source
from features.settings import Settings
from features.values.hashing import hash64
from features.values.partition import ASK, EntityViews
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, RETRACT
from jobs import ledger
from jobs.files import open_system
from jobs.graph_state import refuse_changed
from jobs.known import newest_day, oldest_day, refuse_gaps
from jobs.listing import files_of_days
from jobs.rows import Shape

__all__ = [
    "ALWAYS", "Unit", "asked", "counting", "entity_schema", "filled", "hashes", "keyed", "pieces", "shaped", "source_files", "stored", "stored_schema", "travelling", "with_keys",
]  # fmt: skip

ALWAYS = -(2**63)
_AT_ONCE = 1 << 20
_OP, _KNOWN, _UNDOES, _FIRST = "asof_op", "asof_known_at", "asof_undoes", "asof_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is read of one part: a source, or the asks."""

    part: int
    paths: list[str]
    since: int | None = None
    """Only what happened from then on."""

    fresh: int = ALWAYS
    """Only what became known from then on."""

    before: int = 0
    """Only what is known by then; microseconds UTC, as the others."""

    only: str | None = None
    """A Parquet file of keys (k0, k1 and so on): rows of other keys stay behind, but for a few."""


def source_files(
    spark: SparkSession, settings: Settings, source: Source, *, before: int, since: int | None, fresh: int = ALWAYS
) -> list[str]:
    """Of the partitions that may hold what is asked for; instants as `Unit` has them.

    Raises:
        MissingError: a partition that is needed is not there.
    """
    refuse_gaps(source, ledger.partitions(settings, source.ingested_by), before)
    refuse_changed(settings, source, before)
    earliest = [""] if since is None else [oldest_day(source, since)]
    earliest += [] if fresh == ALWAYS else [str(utc(fresh).date())]
    return files_of_days(spark, settings, source, max(earliest), newest_day(before))


def pieces(group: EntityViews, unit: Unit, shape: Shape) -> Iterator[pa.Table]:
    """What a unit reads, in the shape of a part; a million rows at a time or a little more, so that no worker holds more, however large a file is."""
    if unit.part == ASK:
        with pq.ParquetFile(unit.paths[0]) as file:
            groups = (file.read_row_group(n, columns=_asked_columns(group)) for n in range(file.num_row_groups))
            yield from (_asked(group, found) for found in _gathered(groups))
        return
    source, schema = group.sources[unit.part], stored_schema(group, group.sources[unit.part], shape)
    keys = None if unit.only is None else pq.ParquetFile(unit.only).read()
    for found in _gathered(part for path in unit.paths for part in _groups(path, source, schema, unit)):
        rows = shaped(group, source, unit.part, found, shape)
        yield rows if keys is None else with_keys(rows, group, keys)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, none much larger than a million rows or the largest that is given."""
    some, rows = list[pa.Table](), 0
    for table in tables:
        some.append(table)
        rows += len(table)
        if rows >= _AT_ONCE:
            yield pa.concat_tables(some)
            some, rows = [], 0
    if rows:
        yield pa.concat_tables(some)


def asked(group: EntityViews, path: str) -> pa.Table:
    """The asks of a file whose columns are named as the entity's keys and the request fields; those without a key stay behind."""
    return _asked(group, pq.ParquetFile(path).read(columns=_asked_columns(group)))


def _asked_columns(group: EntityViews) -> list[str]:
    return list(dict.fromkeys([*group.views[0].keys, *group.request.values(), "event_timestamp", "asof_row"]))


def _asked(group: EntityViews, found: pa.Table) -> pa.Table:
    names, request = group.views[0].keys, group.request
    columns = {key: found[name] for key, name in zip(group.keys, names, strict=True)}
    columns |= {"asof_time": found["event_timestamp"].cast(pa.int64()), "asof_row": found["asof_row"]}
    return keyed(group, pa.table(columns | {column: travelling(found[name]) for column, name in request.items()}))


def keyed(group: EntityViews, asks: pa.Table) -> pa.Table:
    """The asks none of whose key columns is null."""
    if not any(asks[key].null_count for key in group.keys):
        return asks
    return asks.filter(reduce(pc.and_, [pc.is_valid(asks[key]) for key in group.keys]))


def travelling(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as rows have it: instants as microseconds."""
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def with_keys(rows: pa.Table, group: EntityViews, wanted: pa.Table) -> pa.Table:
    """Rows of these keys, and a few of others: two keys of one hash are rare, and harmless to whoever takes those that were asked for."""
    chosen = np.isin(hashes([rows[key] for key in group.keys]), hashes([wanted[key] for key in group.keys]))
    return rows.filter(pa.array(chosen))


def shaped(group: EntityViews, source: Source, part: int, found: pa.Table, shape: Shape) -> pa.Table:
    """Stored rows (`stored_schema`) as the rows of a part; those without a key stay behind."""
    entity = group.views[0].entity
    keys = source.key_columns(entity.name, entity.keys)
    made = {key: found[name] for key, name in zip(group.keys, keys, strict=True)}
    made["asof_time"] = found[source.event_time].cast(pa.int64())
    if "asof_known" in shape.columns:
        made["asof_known"] = found[_KNOWN].cast(pa.int64())
    if shape.corrected:
        made["asof_undoes"] = pc.fill_null(found[_UNDOES].cast(pa.int64()), 0)
        made["asof_retract"] = pc.equal(found[_OP], RETRACT)
        made["asof_first"] = found[_FIRST]
    for name in group.reads(source, corrected=shape.corrected):
        column = found[name]
        made[f"s{part}_{name}"] = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    table = pa.table(made)
    for key in group.keys:
        table = table.filter(pc.is_valid(table[key])) if table[key].null_count else table
    return table


def stored_schema(group: EntityViews, source: Source, shape: Shape) -> pa.Schema:
    """The columns that are read of a source's files."""
    entity = group.views[0].entity
    reads = group.reads(source, corrected=shape.corrected)
    names = dict.fromkeys([*source.key_columns(entity.name, entity.keys), source.event_time, *reads])
    own = [_OP, _KNOWN, *([_UNDOES, _FIRST] if shape.corrected else [])]
    return pa.schema([
        *((name, ARROW_TYPES[source.types[name]]) for name in names), *((name, _own_type(name)) for name in own),
    ])  # fmt: skip


def stored(source: Source, schema: pa.Schema, unit: Unit) -> pa.Table:
    """What a unit reads of its files; `schema` has `asof_op` and `asof_known_at`, and `event_time` where only what happened since an instant counts."""
    return pa.concat_tables(
        [schema.empty_table(), *(part for path in unit.paths for part in _groups(path, source, schema, unit))]
    )


def _groups(path: str, source: Source, schema: pa.Schema, unit: Unit) -> Iterator[pa.Table]:
    """The rows of a file that are known and count, a row group at a time."""
    system, place = open_system(path)
    with system.open_input_file(place) as opened:
        file = pq.ParquetFile(opened)
        there = set(file.schema_arrow.names)
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, columns=[name for name in schema.names if name in there])
            for name in (name for name in schema.names if name not in there):  # a column that came later
                rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
            yield counting(rows, source, unit).select(schema.names).cast(schema)


def counting(rows: pa.Table, source: Source, unit: Unit) -> pa.Table:
    """Stored rows that a unit wants: additions and retractions within its instants."""
    known = rows[_KNOWN].cast(pa.int64())
    kept = pc.and_(pc.is_in(rows[_OP], pa.array([ADD, RETRACT])), pc.less(known, unit.before))
    if unit.fresh != ALWAYS:
        kept = pc.and_(kept, pc.greater_equal(known, unit.fresh))
    if unit.since is not None:
        kept = pc.and_(kept, pc.greater_equal(rows[source.event_time].cast(pa.int64()), unit.since))
    return rows if pc.all(kept).as_py() else rows.filter(kept)


def _own_type(name: str) -> pa.DataType:
    return pa.string() if name == _OP else pa.bool_() if name == _FIRST else ARROW_TYPES["timestamp"]


def hashes(keys: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """A 64-bit hash a row, of all key columns together."""
    made = np.zeros(len(keys[0]), np.uint64)
    for key in keys:
        made = (made * np.uint64(0x9E3779B97F4A7C15)) ^ hash64(key.combine_chunks())
    return made


def entity_schema(group: EntityViews, shape: Shape) -> pa.Schema:
    """Of events and asks together, as `features.values.partition` takes them."""
    keys = [(key, ARROW_TYPES[group.views[0].entity.type]) for key in group.keys]
    kinds = {"asof_known": pa.int64(), "asof_undoes": pa.int64(), "asof_retract": pa.bool_(), "asof_first": pa.bool_()}
    own = [
        ("asof_part", pa.int8()),
        ("asof_time", pa.int64()),
        ("asof_row", pa.int64()),
        *((name, kinds[name]) for name in shape.columns),
    ]
    reads = [
        (f"s{n}_{name}", pa.int64() if source.types[name] == "timestamp" else ARROW_TYPES[source.types[name]])
        for n, source in enumerate(group.sources) for name in group.reads(source, corrected=shape.corrected)
    ]  # fmt: skip
    return pa.schema([*keys, *own, *reads])


def filled(part: int, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a part in the schema of all; the columns that it does not have are null."""
    columns = [
        pa.array(np.full(len(batch), part, np.int8)) if field.name == "asof_part"
        else batch[field.name] if field.name in batch.schema.names
        else pa.nulls(len(batch), field.type)
        for field in schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=schema)
