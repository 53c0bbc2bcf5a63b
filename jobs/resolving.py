"""Good rows become stored rows, beside what is stored already: versions of events, changes of whole snapshots. One shuffle by event id."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import micros
from features.definitions.sources import Source
from features.values.snapshots import Snapshot, changes
from features.values.versions import ADD, RETRACT, STORED_FIELDS, VOID, resolve, with_stored_fields
from jobs import tables

__all__ = ["LATE", "by_event", "changes_of", "newest_of", "resolved", "stored_columns", "to_stored"]

LATE = "late"
"""The `asof_op` of a row that comes too late to correct anything: it goes to quarantine, `asof_undoes` says when its event was last heard of."""


def to_stored(
    spark: SparkSession, source: Source, good: DataFrame, snapshots: tuple[Snapshot, ...], first: str
) -> DataFrame:
    """What to store of the good rows, each with its ds, and those that are refused, with the op LATE.

    Args:
        spark: the session.
        source: a row of it is told from the others by its event_id.
        good: its columns, and `asof_known_at`.
        snapshots: of a full source, those that the good rows are of.
        first: the first of the days whose partitions are written; what is stored before it stands.
    """
    standing = None
    if source.event_id is not None and spark.catalog.tableExists(source.table):
        standing = _standing(spark, source, good, micros(datetime.fromisoformat(first).replace(tzinfo=UTC)))
    made = changes_of(source, good, standing, snapshots) if source.kind == "full" else _versions(source, good, standing)
    return made.withColumn("ds", F.date_format("asof_known_at", "yyyy-MM-dd"))


def _standing(spark: SparkSession, source: Source, good: DataFrame, start: int) -> DataFrame:
    """The newest addition or tombstone, stored before `start`, of each event among the good rows; of a full source, of every row.

    Of events `asof_heard` is when anything of the event became known last, `asof_received` when anything of that very version was received last.
    """
    rows = tables.stored_rows(spark, source, before=start).where(F.col("asof_op") != RETRACT)
    if source.kind == "full":
        return newest_of(source, rows)
    event_id = source.event_id or ""
    ids = good.select(event_id).distinct()
    # The ids of all that is stored are read, of other columns only those partitions that know one of them.
    days = [row[0] for row in rows.join(ids, event_id, "left_semi").select(source.partition).distinct().collect()]
    found = rows.where(F.col(source.partition).isin(days)).join(ids, event_id, "left_semi")
    heard = F.max("asof_known_at").over(Window.partitionBy(event_id))
    received = F.max(source.known_at or "asof_known_at").over(Window.partitionBy(event_id, *_rank(source)))
    found = found.withColumn("asof_heard", heard).withColumn("asof_received", received)
    return newest_of(source, found, "asof_heard", "asof_received")


def _rank(source: Source) -> list[Column]:
    """What decides first between the versions of an event."""
    version = [] if source.version is None else [F.coalesce(source.version, F.lit(0))]
    return version + ([] if source.void is None else [F.coalesce(source.void, F.lit(False))])


def newest_of(source: Source, rows: DataFrame, *more: str) -> DataFrame:
    """The newest addition or tombstone of each event: the source's columns, `asof_known_at` and those named."""
    newest = Window.partitionBy(source.event_id or "").orderBy(F.col("asof_known_at").desc())
    rows = rows.where(F.col("asof_op").isin(ADD, VOID)).withColumn("asof_n", F.row_number().over(newest))
    return rows.where("asof_n = 1").select(*source.types, "asof_known_at", *more)


def changes_of(
    source: Source, statements: DataFrame, standing: DataFrame | None, snapshots: tuple[Snapshot, ...]
) -> DataFrame:
    """Of a full source: what its snapshots say that what stood before them did not. Columns as stored."""

    def made(here: Source, new: pa.Table, old: pa.Table) -> pa.Table:
        return changes(here, new, old, snapshots)

    return _beside(source, statements, standing, made)


def resolved(source: Source, new: pa.Table, old: pa.Table | None) -> pa.Table:
    """What to store of versions that arrive beside those that stand, and those that are refused, with the op LATE; see `features.values.versions.resolve`."""
    found = resolve(source, new, old)
    late = with_stored_fields(found.late.drop_columns(["asof_heard"]), LATE, None, np.zeros(len(found.late), bool))
    heard = late.schema.get_field_index("asof_undoes")
    return pa.concat_tables([found.rows, late.set_column(heard, late.schema.field(heard), found.late["asof_heard"])])


def _versions(source: Source, good: DataFrame, standing: DataFrame | None) -> DataFrame:
    def made(here: Source, new: pa.Table, old: pa.Table) -> pa.Table:
        return resolved(here, new.drop_columns(["asof_heard", "asof_received"]), old)

    nothing = F.lit(None).cast("timestamp")
    good = good.withColumn("asof_heard", nothing).withColumn("asof_received", nothing)
    return _beside(source, good, standing, made)


def _beside(
    source: Source,
    good: DataFrame,
    standing: DataFrame | None,
    made: Callable[[Source, pa.Table, pa.Table], pa.Table],
) -> DataFrame:
    """New rows beside what stands of the same events."""
    columns = [name for name in good.columns if name in {*source.types, "asof_known_at", "asof_heard", "asof_received"}]
    rows = good.select(*columns).withColumn("asof_stands", F.lit(False))
    if standing is not None:
        rows = rows.unionByName(standing.withColumn("asof_stands", F.lit(True)))

    def both(here: Source, table: pa.Table) -> pa.Table:
        stands = table["asof_stands"]
        table = table.drop_columns(["asof_stands"])
        return made(here, table.filter(pc.invert(stands)), table.filter(stands))

    return by_event(source, rows, both)


def by_event(source: Source, rows: DataFrame, made: Callable[[Source, pa.Table], pa.Table]) -> DataFrame:
    """Stored rows of all rows of some events, brought together. Without event ids there is nothing to bring together."""
    compiled = compile_definition(source)

    def resolved(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        found = list(batches)
        if found:
            yield from made(here, pa.Table.from_batches(found)).combine_chunks().to_batches()

    return (rows.repartition(source.event_id) if source.event_id else rows).mapInArrow(resolved, stored_columns(source))


def stored_columns(source: Source) -> str:
    """Spark schema of stored rows, without the partition."""
    return ", ".join([
        *(f"`{name}` {tables.HIVE_TYPES[kind]}" for name, kind in source.types.items()),
        *(f"{field.name} {tables.STORED_COLUMNS[field.name]}" for field in STORED_FIELDS),
    ])  # fmt: skip
