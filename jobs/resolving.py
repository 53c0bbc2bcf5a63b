"""Good rows become stored rows, beside what is stored already: versions of events, changes of whole snapshots. One shuffle by event id."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.durations import duration
from features.definitions.names import micros
from features.definitions.sources import Source
from features.values.snapshots import Snapshot, changes
from features.values.versions import RETRACT, STORED_FIELDS, resolve
from jobs import tables

__all__ = ["to_stored"]


def to_stored(
    spark: SparkSession, source: Source, good: DataFrame, snapshots: tuple[Snapshot, ...], first: str
) -> DataFrame:
    """Additions, retractions and tombstones of the good rows, each with its ds.

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
    return _by_event(source, good, standing, snapshots).withColumn("ds", F.date_format("asof_known_at", "yyyy-MM-dd"))


def _standing(spark: SparkSession, source: Source, good: DataFrame, start: int) -> DataFrame:
    """The newest addition or tombstone, stored before `start`, of each event among the good rows; of a full source, of every row."""
    event_id = source.event_id or ""
    rows = tables.stored_rows(spark, source, before=start).where(F.col("asof_op") != RETRACT)
    if source.kind != "full":
        oldest = datetime.fromtimestamp((start - duration(source.correctable)) / 1e6, UTC).date()
        rows = rows.where(F.col("ds") >= str(oldest)).join(good.select(event_id).distinct(), event_id, "left_semi")
    newest = Window.partitionBy(event_id).orderBy(F.col("asof_known_at").desc())
    return (
        rows.withColumn("asof_n", F.row_number().over(newest))
        .where("asof_n = 1")
        .select(*source.types, "asof_known_at")
    )


def _by_event(
    source: Source, good: DataFrame, standing: DataFrame | None, snapshots: tuple[Snapshot, ...]
) -> DataFrame:
    rows = good.select(*source.types, "asof_known_at").withColumn("asof_stands", F.lit(False))
    if standing is not None:
        rows = rows.unionByName(standing.withColumn("asof_stands", F.lit(True)))
    compiled = compile_definition(source)

    def resolved(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        found = list(batches)
        if found:
            table = pa.Table.from_batches(found)
            stands = table["asof_stands"]
            table = table.drop_columns(["asof_stands"])
            old, new = table.filter(stands), table.filter(pc.invert(stands))
            made = changes(here, new, old, snapshots) if here.kind == "full" else resolve(here, new, old).rows
            yield from made.combine_chunks().to_batches()

    order = [
        *(f"`{name}` {tables.HIVE_TYPES[kind]}" for name, kind in source.types.items()),
        *(f"{field.name} {tables.STORED_COLUMNS[field.name]}" for field in STORED_FIELDS),
    ]
    # No event id: nothing to bring together.
    return (rows.repartition(source.event_id) if source.event_id else rows).mapInArrow(resolved, ", ".join(order))
