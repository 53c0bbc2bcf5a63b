"""All rows of one entity in one DataFrame, in the shape that `features.values.partition` finishes: one shuffle, one sort, one sweep."""

from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.names import status_column, utc
from features.definitions.sources import Source
from features.settings import Settings
from features.values.partition import ASK, EntityViews
from jobs import ledger
from jobs.known import known_rows
from jobs.sizing import reached
from jobs.tables import HIVE_TYPES

__all__ = ["Shape", "ask_rows", "event_rows", "output_schema", "passed", "shape_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which columns would tell nothing new, and stay behind."""

    corrected: bool
    """A row takes another back, or follows one: three columns say which."""

    later: bool
    """A row is known at another instant than it happened."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that stay, of asof_known, asof_undoes, asof_retract and asof_first."""
        corrected = ("asof_undoes", "asof_retract", "asof_first")
        return (("asof_known",) if self.later or self.corrected else ()) + (corrected if self.corrected else ())


def event_rows(
    spark: SparkSession,
    settings: Settings,
    group: EntityViews,
    *,
    before: int,
    anchor: int | None = None,
    shape: Shape | None = None,
) -> DataFrame:
    """Every row of the entity's sources known before an instant, keys not null, as one DataFrame.

    With `anchor`, the earliest at which a window ends, without events that no window reaches; with `shape`, in that one.
    """
    entity = group.views[0].entity
    shape = shape or shape_of(settings, group, before)
    reads = [group.reads(source, corrected=shape.corrected) for source in group.sources]
    kinds = {f"s{n}_{name}": passed(source.types[name]) for n, source in enumerate(group.sources) for name in reads[n]}
    parts = []
    for n, source in enumerate(group.sources):
        since = None if anchor is None else reached(group, source, anchor)
        rows = known_rows(spark, settings, source, before=before, since=since)
        keys = [F.col(name).alias(f"k{i}") for i, name in enumerate(source.key_columns(entity.name, entity.keys))]
        own = {f"s{n}_{name}": name for name in reads[n]}
        columns = [
            (_column(own[name], source) if name in own else F.lit(None)).cast(kind).alias(name) for name, kind in kinds.items()
        ]  # fmt: skip
        part = F.lit(n).cast("tinyint").alias("asof_part")
        made = rows.select(*keys, part, F.unix_micros(source.event_time).alias("asof_time"), *_known(shape), *columns)
        parts.append(made.dropna(subset=list(group.keys)))
    return reduce(lambda left, right: left.unionByName(right), parts)


def shape_of(settings: Settings, group: EntityViews, before: int) -> Shape:
    """From what ingest counted; a partition that it did not count may hold anything."""
    last = str((utc(before) - timedelta(microseconds=1)).date())
    found = [
        item for source in group.sources for item in ledger.partitions(settings, source.ingested_by) if item.ds <= last
    ]
    # Another reading of a table does not know the lag that the table was written with.
    stamped = any(source.known_at or source.enriched or source.reads for source in group.sources)
    return Shape(
        # Without a held partition, or once it is released, versions follow others than those that ingest saw.
        corrected=any(item.changed != 0 or item.held_at is not None for item in found)
        or any(source.kind != "events" for source in group.sources),
        later=bool(stamped) or any(item.raised != 0 or item.released_at is not None for item in found),
    )


def _known(shape: Shape) -> list[Column]:
    corrected = [
        F.coalesce("asof_undoes", F.lit(0)).alias("asof_undoes"),
        (F.col("asof_op") == "retract").alias("asof_retract"),
        F.col("asof_first"),
    ]
    return [F.col("asof_known")] * (shape.later or shape.corrected) + corrected * shape.corrected


def ask_rows(asks: DataFrame, group: EntityViews, like: DataFrame) -> DataFrame:
    """Asks (columns k0…, asof_row, asof_time, request fields as `EntityViews.request` names them) in the shape of `event_rows` with an `asof_row`."""
    given = {*group.keys, "asof_row", "asof_time", *group.request}
    columns = [
        F.col(field.name) if field.name in given
        else F.lit(ASK).cast("tinyint").alias("asof_part") if field.name == "asof_part"
        else F.lit(None).cast(field.dataType).alias(field.name)
        for field in like.schema.fields
    ]  # fmt: skip
    return asks.select(*columns).dropna(subset=list(group.keys))


def passed(kind: str) -> str:
    """Instants travel as microseconds, so that no session zone can touch them."""
    return "bigint" if kind == "timestamp" else HIVE_TYPES[kind]


def _column(name: str, source: Source) -> Any:  # noqa: ANN401
    return F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name)


def output_schema(group: EntityViews) -> str:
    """Spark schema of what `finish` yields of asks: asof_row, then each view's values and status."""
    values = [f"{view.name}__{name} {HIVE_TYPES[kind]}" for view in group.views for name, kind in view.types.items()]
    return ", ".join(["asof_row bigint", *values, *(f"{status_column(view)} string" for view in group.views)])
