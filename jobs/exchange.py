"""A shuffle by Arrow files: tasks read the sources' Parquet files, cut their rows by key, and leave each cut where the task that finishes it finds it.

Spark's own shuffle makes rows of the columns, and columns of the rows again for the Python workers; that costs more than the sweep. Here Spark decides
which task runs where and again, and columns stay columns. It reads what ingest stored, so it serves as long as no gate holds or held what is read, and
tables are in folders that all tasks see.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.durations import duration
from features.definitions.names import utc
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.hashing import hash64
from features.values.partition import ASK, EntityViews, entity_views
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, RETRACT
from jobs import ledger, workers
from jobs.graph_state import refuse_changed
from jobs.known import refuse_gaps
from jobs.rows import Shape
from jobs.shares import Keep, Share, slicing
from jobs.sizing import reached
from jobs.tables import files_of, source_table

__all__ = [
    "Exchange",
    "Shuffled",
    "bucket_of",
    "bucket_rows",
    "bucket_schema",
    "bytes_read",
    "exchange",
    "exchangeable",
    "in_buckets",
]

log = logging.getLogger(__name__)

_OP, _KNOWN, _UNDOES, _FIRST = "asof_op", "asof_known_at", "asof_undoes", "asof_first"
_ALWAYS = -(2**63)
Told = tuple[int, str]
"""A part, and the file with its rows, a batch a bucket."""
_TOLD = "part int, path string, rows bigint, read bigint, written bigint, sizes array<bigint>"
_TOLD_TYPES = pa.schema([
    ("part", pa.int32()), ("path", pa.string()), ("rows", pa.int64()), ("read", pa.int64()), ("written", pa.int64()), ("sizes", pa.list_(pa.int64())),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """What one task reads of one part."""

    part: int
    paths: list[str]
    since: int | None = None
    fresh: int = _ALWAYS
    before: int = 0
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What is brought together."""

    group: EntityViews
    shape: Shape
    before: int
    """Only what is known by then; microseconds UTC."""

    anchor: int
    """No window ends before it."""

    folder: str
    """For the cuts; every task sees it."""

    buckets: int
    """All rows of a key are in one of them."""

    fresh: int = _ALWAYS
    """Only what became known from then on."""

    only: str | None = None
    """A Parquet file of keys (k0, k1 and so on): rows of other keys stay behind, but for a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffled:
    """What an exchange brought together."""

    files: tuple[Told, ...]
    rows: int
    read: int
    """Bytes that tasks read."""

    written: int
    """Bytes that tasks wrote, and other tasks read."""

    sizes: tuple[int, ...]
    """Rows of each bucket."""


def exchangeable(settings: Settings, group: EntityViews, before: int) -> bool:
    """Whether what is stored is what is known before an instant, and every task can read it."""
    if "://" in settings.tables_root:
        return False
    last = str(utc(before - 1).date())
    found = [item for source in group.sources for item in ledger.partitions(settings, source.ingested_by)]
    return not any(item.held_at is not None and item.ds <= last for item in found)


def exchange(spark: SparkSession, settings: Settings, what: Exchange, asks: str | None = None) -> Shuffled:
    """Cuts events, and the asks of a Parquet file (the views' key columns, `event_timestamp`, `asof_row`), into buckets by key.

    Raises:
        MissingError: a partition that is needed is not there.
    """
    group = what.group
    units = [] if asks is None else [_Unit(part=ASK, paths=[asks])]
    tasks = max(what.buckets, 2 * (os.cpu_count() or 1))
    for n, source in enumerate(group.sources):
        # Of what is newly known rows of any age are told of: tiles hold them too.
        since = reached(group, source, what.anchor) if what.fresh == _ALWAYS else None
        units += [
            _Unit(part=n, paths=paths, since=since, fresh=what.fresh, before=what.before, only=what.only)
            for paths in _spread(_files(spark, settings, source, what, since), tasks)
        ]
    Path(what.folder).mkdir(parents=True)
    if not units:
        return Shuffled(files=(), rows=0, read=0, written=0, sizes=(0,) * what.buckets)
    cut = spark.range(0, len(units), 1, workers.tasks(settings, len(units))).mapInArrow(_cut(what, units), _TOLD)
    # A task that is tried again writes another file; only what succeeded is told.
    told = [row for row in cut.collect() if row["rows"]]
    made = Shuffled(
        files=tuple((row["part"], row["path"]) for row in told), rows=sum(row["rows"] for row in told),
        read=sum(row["read"] for row in told), written=sum(row["written"] for row in told),
        sizes=tuple(np.sum([row["sizes"] for row in told], axis=0, initial=0).tolist()) if told else (0,) * what.buckets,
    )  # fmt: skip
    log.info("Shuffled %d rows, %d bytes.", made.rows, made.written)
    return made


def _files(spark: SparkSession, settings: Settings, source: Source, what: Exchange, since: int | None) -> list[str]:
    """Of the partitions that may hold what is asked for."""
    refuse_gaps(source, ledger.partitions(settings, source.ingested_by), what.before)
    refuse_changed(settings, source, what.before)
    rows = source_table(spark, source).where(F.col(source.partition) <= str(utc(what.before - 1).date()))
    earliest = [] if since is None else [str(utc(since - duration(source.max_future)).date())]
    earliest += [] if what.fresh == _ALWAYS else [str(utc(what.fresh).date())]
    if earliest:
        rows = rows.where(F.col(source.partition) >= max(earliest))
    return files_of(rows)


def _spread(paths: Sequence[str], count: int) -> list[list[str]]:
    """About equal bytes in each; large files first."""
    sizes = {path: Path(path).stat().st_size for path in paths}
    made: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for path in sorted(sizes, key=lambda path: -sizes[path]):
        least = loads.index(min(loads))
        made[least].append(path)
        loads[least] += sizes[path]
    return [paths for paths in made if paths]


def _cut(what: Exchange, units: Sequence[_Unit]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    shape, folder, buckets = what.shape, what.folder, what.buckets
    compiled = json.dumps(compile_definition(what.group.views))

    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        (here,) = entity_views(load_definition(item, FeatureView) for item in json.loads(compiled))
        workers.settle()
        for number in (number for batch in batches for number in batch["id"].to_pylist()):
            unit, before = units[number], bytes_read()
            rows = _asked(here, unit) if unit.part == ASK else _events(here, here.sources[unit.part], unit, shape)
            path = f"{folder}/{unit.part}-{uuid4().hex}.arrow"
            sizes = _write(rows, here.keys, path, buckets) if len(rows) else []
            written = Path(path).stat().st_size if len(rows) else 0
            told = {
                "part": unit.part, "path": path, "rows": len(rows), "read": bytes_read() - before, "written": written, "sizes": sizes,
            }  # fmt: skip
            yield pa.RecordBatch.from_pylist([told], _TOLD_TYPES)

    return cut


def bytes_read() -> int:
    """By this process so far, from files; the operating system says so on Linux alone."""
    try:
        return int(psutil.Process().io_counters().read_chars)
    except (AttributeError, psutil.Error):
        return 0


def _asked(group: EntityViews, unit: _Unit) -> pa.Table:
    names = group.views[0].keys
    found = pq.ParquetFile(unit.paths[0]).read(columns=[*names, "event_timestamp", "asof_row"])
    made = pa.table({key: found[name] for key, name in zip(group.keys, names, strict=True)})
    made = made.append_column("asof_time", found["event_timestamp"].cast(pa.int64()))
    return made.append_column("asof_row", found["asof_row"]).drop_null() if len(made) else made


def _events(group: EntityViews, source: Source, unit: _Unit, shape: Shape) -> pa.Table:
    """Rows as `jobs.rows` has them, without the columns of other sources."""
    entity = group.views[0].entity
    keys = source.key_columns(entity.name, entity.keys)
    reads = group.reads(source, corrected=shape.corrected)
    names = list(dict.fromkeys([*keys, source.event_time, *reads]))
    found = pa.concat_tables([part for path in unit.paths for part in _groups(path, source, names, unit, shape)])
    made = {key: found[name] for key, name in zip(group.keys, keys, strict=True)}
    made["asof_time"] = found[source.event_time].cast(pa.int64())
    if "asof_known" in shape.columns:
        made["asof_known"] = found[_KNOWN].cast(pa.int64())
    if shape.corrected:
        made["asof_undoes"] = pc.fill_null(found[_UNDOES].cast(pa.int64()), 0)
        made["asof_retract"] = pc.equal(found[_OP], RETRACT)
        made["asof_first"] = found[_FIRST]
    for name in reads:
        column = found[name]
        made[f"s{unit.part}_{name}"] = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    table = pa.table(made)
    for key in group.keys:
        table = table.filter(pc.is_valid(table[key])) if table[key].null_count else table
    if unit.only is None:
        return table
    wanted = pq.ParquetFile(unit.only).read()
    # Two keys of one hash are rare and harmless: whoever asked for some keys takes those.
    chosen = np.isin(_hashes([table[key] for key in group.keys]), _hashes([wanted[key] for key in group.keys]))
    return table.filter(pa.array(chosen))


def _groups(path: str, source: Source, names: Sequence[str], unit: _Unit, shape: Shape) -> Iterator[pa.Table]:
    """The rows of a file that are known and count, a row group at a time."""
    own = [_OP, _KNOWN, *([_UNDOES, _FIRST] if shape.corrected else [])]
    kinds = {name: ARROW_TYPES[source.types[name]] for name in names}
    file = pq.ParquetFile(path)
    there = set(file.schema_arrow.names)
    schema = pa.schema([*kinds.items(), *((name, _own_type(name)) for name in own)])
    yield schema.empty_table()
    for number in range(file.num_row_groups):
        rows = file.read_row_group(number, columns=[name for name in (*names, *own) if name in there])
        for name in (name for name in names if name not in there):  # a column that came later
            rows = rows.append_column(name, pa.nulls(len(rows), kinds[name]))
        kept = pc.is_in(rows[_OP], pa.array([ADD, RETRACT]))
        kept = pc.and_(kept, pc.less(rows[_KNOWN].cast(pa.int64()), unit.before))
        if unit.fresh != _ALWAYS:
            kept = pc.and_(kept, pc.greater_equal(rows[_KNOWN].cast(pa.int64()), unit.fresh))
        if unit.since is not None:
            kept = pc.and_(kept, pc.greater_equal(rows[source.event_time].cast(pa.int64()), unit.since))
        rows = rows if pc.all(kept).as_py() else rows.filter(kept)
        yield rows.select(schema.names).cast(schema)


def _own_type(name: str) -> pa.DataType:
    return pa.string() if name == _OP else pa.bool_() if name == _FIRST else ARROW_TYPES["timestamp"]


def _write(rows: pa.Table, keys: Sequence[str], path: str, buckets: int) -> list[int]:
    """One batch a bucket, in their order; gives their rows."""
    bucket = bucket_of([rows[key] for key in keys], buckets)
    order = np.argsort(bucket, kind="stable")
    ends = np.cumsum(np.bincount(bucket, minlength=buckets))
    rows = rows.combine_chunks().take(pa.array(order)).combine_chunks()
    (batch,) = rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        for low, high in zip([0, *ends[:-1]], ends, strict=True):
            writer.write_batch(batch.slice(low, high - low))
    return [int(count) for count in np.diff(ends, prepend=0)]


def _hashes(keys: Sequence[pa.ChunkedArray]) -> np.ndarray:
    made = np.zeros(len(keys[0]), np.uint64)
    for key in keys:
        made = (made * np.uint64(0x9E3779B97F4A7C15)) ^ hash64(key.combine_chunks())
    return made


def in_buckets(
    what: Exchange,
    told: Sequence[Told],
    tasks: Sequence[Share],
    then: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of tasks: what `then` makes of each one's rows."""
    compiled, schema = json.dumps(compile_definition(what.group.views)), bucket_schema(what.group, what.shape)

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        workers.settle()
        for share in (tasks[number] for batch in batches for number in batch["id"].to_pylist()):
            if share.of == 1:
                yield from then(_bucket(told, share.bucket, schema))
                continue
            (here,) = entity_views(load_definition(item, FeatureView) for item in json.loads(compiled))
            asked = [_batch(path, share.bucket)["asof_time"] for part, path in told if part == ASK]
            instants = np.concatenate([np.zeros(0, np.int64), *(np.asarray(each) for each in asked)])
            yield from then(_bucket(told, share.bucket, schema, slicing(here, share, instants)))

    return read


def bucket_rows(told: Sequence[Told], bucket: int, schema: pa.Schema) -> pa.Table:
    """All rows of a bucket, for tasks that do more than one thing with them; `schema` is `bucket_schema`."""
    return pa.Table.from_batches(_bucket(told, bucket, schema), schema).combine_chunks()


def bucket_of(keys: Sequence[pa.ChunkedArray], buckets: int) -> np.ndarray:
    """Where a row belongs."""
    return np.asarray(_hashes(keys) % np.uint64(buckets)).astype(np.uint16)


def bucket_schema(group: EntityViews, shape: Shape) -> pa.Schema:
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


def _batch(path: str, bucket: int) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(bucket)


def _bucket(told: Sequence[Told], bucket: int, schema: pa.Schema, keep: Keep | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a bucket, all parts; the columns that a part does not have are null."""
    for part, path in told:
        batch = _batch(path, bucket)
        batch = batch if keep is None or not len(batch) else keep(part, batch)
        if len(batch):
            columns = [
                pa.array(np.full(len(batch), part, np.int8)) if field.name == "asof_part"
                else batch[field.name] if field.name in batch.schema.names
                else pa.nulls(len(batch), field.type)
                for field in schema
            ]  # fmt: skip
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
