"""A shuffle by Arrow files: tasks read the sources' Parquet files, cut their rows by key, and leave each cut where the task that finishes it finds it.

Spark's own shuffle makes rows of the columns, and columns of the rows again for the Python workers; that costs more than the sweep. Here Spark decides
which task runs where and again, and columns stay columns. It reads what ingest stored, so it serves as long as no gate holds or held what is read, and
tables are in folders that all tasks see.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psutil
import pyarrow as pa
from pyspark.sql import SparkSession

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import ASK, EntityViews, entity_views
from jobs import ledger, workers
from jobs.rows import Shape
from jobs.shares import Keep, Share, slicing
from jobs.sizing import reached
from jobs.source_files import ALWAYS, Unit, entity_schema, filled, hashes, pieces, source_files

__all__ = [
    "Exchange",
    "Shuffled",
    "bucket_of",
    "bucket_rows",
    "bytes_read",
    "exchange",
    "exchangeable",
    "in_buckets",
]

log = logging.getLogger(__name__)

Task = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]
Told = tuple[int, str]
"""A part, and the file with its rows, a batch a bucket."""
_TOLD = "part int, path string, rows bigint, read bigint, written bigint, sizes array<bigint>"
_TOLD_TYPES = pa.schema([
    ("part", pa.int32()), ("path", pa.string()), ("rows", pa.int64()), ("read", pa.int64()), ("written", pa.int64()), ("sizes", pa.list_(pa.int64())),
])  # fmt: skip


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

    fresh: int = ALWAYS
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
    units = [] if asks is None else [Unit(part=ASK, paths=[asks])]
    tasks = max(what.buckets, 2 * (os.cpu_count() or 1))
    for n, source in enumerate(group.sources):
        # Of what is newly known rows of any age are told of: tiles hold them too.
        since = reached(group, source, what.anchor) if what.fresh == ALWAYS else None
        units += [
            Unit(part=n, paths=paths, since=since, fresh=what.fresh, before=what.before, only=what.only)
            for paths in _spread(
                source_files(spark, settings, source, before=what.before, since=since, fresh=what.fresh), tasks
            )
        ]
    Path(what.folder).mkdir(parents=True)
    if not units:
        return Shuffled(files=(), rows=0, read=0, written=0, sizes=(0,) * what.buckets)
    # A task that is tried again writes another file; only what succeeded is told.
    told = [row for row in _told(spark, settings, what, units) if row["rows"]]
    made = Shuffled(
        files=tuple((row["part"], row["path"]) for row in told), rows=sum(row["rows"] for row in told),
        read=sum(row["read"] for row in told), written=sum(row["written"] for row in told),
        sizes=tuple(np.sum([row["sizes"] for row in told], axis=0, initial=0).tolist()) if told else (0,) * what.buckets,
    )  # fmt: skip
    log.info("Shuffled %d rows, %d bytes.", made.rows, made.written)
    return made


def _told(spark: SparkSession, settings: Settings, what: Exchange, units: Sequence[Unit]) -> list[Mapping[str, Any]]:
    """What tasks tell of the files that they cut; a few small ones are cut by this process, which takes less than starting tasks."""
    cut, paths = _cut(what, units), [path for unit in units for path in unit.paths]
    if sum(Path(path).stat().st_size for path in paths) <= settings.spark.few_bytes:
        numbers = pa.RecordBatch.from_pydict({"id": pa.array(range(len(units)), pa.int64())})
        return [row for batch in cut([numbers]) for row in batch.to_pylist()]
    rows = spark.range(0, len(units), 1, workers.tasks(settings, len(units))).mapInArrow(_by_worker(cut), _TOLD)
    return [row.asDict() for row in rows.collect()]


def _by_worker(cut: Task) -> Task:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        workers.settle()
        return cut(batches)

    return run


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


def _cut(what: Exchange, units: Sequence[Unit]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    shape, folder, buckets = what.shape, what.folder, what.buckets
    compiled = json.dumps(compile_definition(what.group.views))

    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        (here,) = entity_views(load_definition(item, FeatureView) for item in json.loads(compiled))
        for number in (number for batch in batches for number in batch["id"].to_pylist()):
            part, before = units[number].part, bytes_read()
            for rows in pieces(here, units[number], shape):
                path = f"{folder}/{part}-{uuid4().hex}.arrow"
                sizes = _write(rows, here.keys, path, buckets) if len(rows) else []
                written = Path(path).stat().st_size if len(rows) else 0
                told = {
                    "part": part, "path": path, "rows": len(rows), "read": bytes_read() - before, "written": written, "sizes": sizes,
                }  # fmt: skip
                before = bytes_read()
                yield pa.RecordBatch.from_pylist([told], _TOLD_TYPES)

    return cut


def bytes_read() -> int:
    """By this process so far, from files; the operating system says so on Linux alone."""
    try:
        return int(psutil.Process().io_counters().read_chars)
    except (AttributeError, psutil.Error):
        return 0


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


def in_buckets(
    what: Exchange,
    told: Sequence[Told],
    tasks: Sequence[Share],
    then: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of tasks: what `then` makes of each one's rows."""
    compiled, schema = json.dumps(compile_definition(what.group.views)), entity_schema(what.group, what.shape)

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
    """All rows of a bucket, for tasks that do more than one thing with them; `schema` is `entity_schema`."""
    return pa.Table.from_batches(_bucket(told, bucket, schema), schema).combine_chunks()


def bucket_of(keys: Sequence[pa.ChunkedArray], buckets: int) -> np.ndarray:
    """Where a row belongs."""
    return np.asarray(hashes(keys) % np.uint64(buckets)).astype(np.uint16)


def _batch(path: str, bucket: int) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(bucket)


def _bucket(told: Sequence[Told], bucket: int, schema: pa.Schema, keep: Keep | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a bucket, all parts; the columns that a part does not have are null."""
    for part, path in told:
        batch = _batch(path, bucket)
        batch = batch if keep is None or not len(batch) else keep(part, batch)
        if len(batch):
            yield filled(part, batch, schema)
