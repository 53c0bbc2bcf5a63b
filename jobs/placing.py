"""Children take their parents' columns (semantics 4, enrich); those whose parent is not known yet wait for it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import micros, waiting_of
from features.definitions.sources import Enrich, Source
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from features.values.versions import RETRACT
from jobs import ledger, tables
from jobs.known import known_rows
from jobs.parents import enrich, keep, parented

__all__ = ["ROLES", "joined", "placed", "stored_children", "waiting_day"]

ROLES = {"child": 0, "parent": 1, "stored": 2}
"""The `asof_role` of rows that are brought together."""


def placed(
    spark: SparkSession, settings: Settings, source: Source, good: DataFrame, days: list[str]
) -> tuple[DataFrame, DataFrame | None]:
    """Good rows with their parent's columns, and those that wait for a parent at the end of each day, with its ds (None: the source has no parent).

    A parent that a gate holds is not known; one that was held is known from its release on. Children that are stored on these days already keep
    what they took of a parent before it was held.
    """
    if source.enriched is None:
        return good, None
    rows = _enriched(spark, settings, source, source.enriched, good, days)
    # A parent that was mended may have been known on a day whose children are stored already.
    start = F.lit(days[0]).cast("timestamp")
    rows = rows.withColumn(
        "asof_known_at", F.when(F.col("asof_known_at") < start, start).otherwise(F.col("asof_known_at"))
    ).persist()
    own = [c.name for c in source.columns]
    listed = spark.createDataFrame([(ds,) for ds in days], "ds string")
    came = F.date_format("asof_waits", "yyyy-MM-dd") <= F.col("ds")
    left = F.col("asof_known_at").isNull() | (F.date_format("asof_known_at", "yyyy-MM-dd") > F.col("ds"))
    waiting = rows.crossJoin(F.broadcast(listed)).where(came & left)
    waiting = waiting.select(*own, F.col("asof_waits").alias("asof_known_at"), "ds")
    return rows.where(F.col("asof_known_at").isNotNull()).drop("asof_waits"), waiting


def _enriched(
    spark: SparkSession, settings: Settings, source: Source, link: Enrich, good: DataFrame, days: list[str]
) -> DataFrame:
    """Children with their parent's columns, their own known_at in `asof_waits`; those without a parent have a null asof_known_at."""
    end = micros(datetime.fromisoformat(days[-1]).replace(tzinfo=UTC) + timedelta(days=1))
    good = good.unionByName(_waiting(spark, source, days[0])) if spark.catalog.tableExists(waiting_of(source)) else good
    ids = good.select(F.col(link.on).alias("asof_id")).distinct()
    parents = known_rows(spark, settings, link.parent, before=end)
    parents = parents.join(ids, parents[link.parent.event_id or ""] == ids["asof_id"], "left_semi")
    columns = [
        name for name in link.parent.types if name in {*link.columns, link.parent.event_id, link.parent.event_time}
    ]
    taken = parents.select(
        *(F.col(name).alias(f"p_{name}") for name in columns),
        F.timestamp_micros("asof_known").alias("asof_known_at"),
        F.col("asof_op").alias("p_op"),
    )
    both = good.withColumn("asof_role", F.lit(ROLES["child"])).withColumn("asof_id", F.col(link.on).cast("string"))
    taken = taken.withColumn("asof_role", F.lit(ROLES["parent"])).withColumn(
        "asof_id", F.col(f"p_{link.parent.event_id}").cast("string")
    )
    compiled = compile_definition(source)

    def together(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        found = list(batches)
        if found and here.enriched is not None:
            yield from joined(here, here.enriched, pa.Table.from_batches(found), columns)

    schema = ", ".join(f"`{name}` {tables.HIVE_TYPES[kind]}" for name, kind in source.types.items())
    union = both.unionByName(taken, allowMissingColumns=True)
    if (kept := stored_children(spark, settings, source, link, days)) is not None:
        union = union.unionByName(kept, allowMissingColumns=True)
    return union.repartition("asof_id").mapInArrow(together, f"{schema}, asof_known_at timestamp, asof_waits timestamp")


def joined(source: Source, link: Enrich, table: pa.Table, columns: list[str]) -> Iterable[pa.RecordBatch]:
    """Children of some ids with the columns of their parents, `asof_known_at` null where there is none, and their own known_at in `asof_waits`.

    Args:
        source: the children's.
        link: what they take of whom.
        table: children, parents (columns `p_…`) and stored children (taken columns `t_…`), told apart by their `asof_role`.
        columns: the parent's that are there.
    """
    own = [c.name for c in source.columns]
    children = table.filter(pc.equal(table["asof_role"], ROLES["child"])).select([*own, "asof_known_at"])
    stored = table.filter(pc.equal(table["asof_role"], ROLES["stored"]))
    if len(stored):
        kept, children = keep(source, link, children, stored)
        yield from kept.combine_chunks().to_batches()
    those = table.filter(pc.equal(table["asof_role"], ROLES["parent"]))
    parent = pa.table({name: those[f"p_{name}"] for name in columns})
    parent = parent.append_column("asof_known_at", those["asof_known_at"]).append_column("asof_op", those["p_op"])
    found, without = enrich(source, link, children, parent)
    nothing = ARROW_TYPES["timestamp"]
    came = children.filter(parented(link, children, parent))["asof_known_at"]
    yield from found.append_column("asof_waits", came).combine_chunks().to_batches()
    padded = {
        name: without[name] if name in own else pa.nulls(len(without), ARROW_TYPES[kind])
        for name, kind in source.types.items()
    }
    padded |= {"asof_known_at": pa.nulls(len(without), nothing), "asof_waits": without["asof_known_at"]}
    yield from pa.table(padded).combine_chunks().to_batches()


def stored_children(
    spark: SparkSession, settings: Settings, source: Source, link: Enrich, days: list[str]
) -> DataFrame | None:
    """Children stored on these days, of parents of which a gate holds or held something; None where it never did, or nothing is stored."""
    parent = link.parent
    held = [item.ds for item in ledger.partitions(settings, parent.ingested_by) if item.held_at is not None]
    if not held or not spark.catalog.tableExists(source.table):
        return None
    rows = tables.source_table(spark, parent).where(F.col(parent.partition).isin(held))
    ids = rows.select(F.col(parent.event_id or "").cast("string").alias("asof_id")).distinct()
    stored = tables.source_table(spark, source).where(F.col(source.partition).isin(days))
    stored = stored.where(F.col("asof_op") != RETRACT).withColumn("asof_id", F.col(link.on).cast("string"))
    taken = [name for name in source.types if name not in {c.name for c in source.columns}]
    return stored.join(ids, "asof_id", "left_semi").select(
        *(c.name for c in source.columns),
        *(F.col(name).alias(f"t_{name}") for name in taken),
        "asof_known_at",
        "asof_id",
        F.lit(ROLES["stored"]).alias("asof_role"),
    )


def _waiting(spark: SparkSession, source: Source, before: str) -> DataFrame:
    """Children that found no parent up to the newest partition before a day."""
    rows = spark.table(waiting_of(source)).where(F.col("ds") == (waiting_day(spark, source, before) or ""))
    return rows.select(*(c.name for c in source.columns), "asof_known_at")


def waiting_day(spark: SparkSession, source: Source, before: str) -> str | None:
    """The newest day before another whose waiting children are stored; None where there is none."""
    return max((ds for ds in tables.partition_values(spark, waiting_of(source)) if ds < before), default=None)
