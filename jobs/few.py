"""An entity's rows in this process, where they are few: out of the files of its sources. A Spark job over few rows takes longer than all that is done with them."""

import pyarrow as pa
from pyspark.sql import SparkSession

from features.settings import Settings
from features.values.partition import ASK, EntityViews
from jobs.files import bytes_of
from jobs.known_files import known_files, known_table
from jobs.rows import shape_of
from jobs.sizing import reached, size
from jobs.source_files import entity_schema, filled, shaped, stored_schema, with_keys

__all__ = ["are_few", "few_rows"]

_ROWS = 4_000_000
"""Rows times cuts that this process finishes by itself at the most: what it makes of them must fit into it."""

_PACKED = 32
"""Parquet packs so many bytes into one at the most, about: what is far larger is not looked at file by file."""


def are_few(
    spark: SparkSession, settings: Settings, group: EntityViews, *, before: int, anchor: int, cuts: int = 1
) -> bool:
    """Whether this process computes so many cuts of the views by itself: their rows are few, as `few_rows` says, and so are rows times cuts."""
    left, about = settings.spark.few_bytes, size(settings, group, before=before, anchor=anchor)
    if about.rows * cuts > _ROWS or about.bytes > _PACKED * left or not left:
        return False
    for source in group.sources:
        left -= bytes_of(known_files(spark, settings, source, before=before, since=reached(group, source, anchor)))
    return left > 0


def few_rows(
    spark: SparkSession,
    settings: Settings,
    group: EntityViews,
    *,
    before: int,
    anchor: int,
    asks: pa.Table | None = None,
) -> pa.Table | None:
    """Every row of the entity's sources known before an instant, keys not null, and asks, in the shape that `features.values.partition` finishes.

    None where their files have more than `spark.few_bytes` together: they are Spark's.

    Args:
        spark: names the files.
        settings: where tables are.
        group: the views.
        before: microseconds UTC.
        anchor: the earliest instant at which a window ends; events that no window reaches stay behind.
        asks: k0…, asof_time in microseconds UTC, and asof_row, keys not null. Rows of other keys stay behind.

    Raises:
        MissingError: a partition that is needed is not there.
    """
    left, parts = settings.spark.few_bytes, [] if asks is None else [(ASK, asks)]
    if size(settings, group, before=before, anchor=anchor).bytes > _PACKED * left:
        return None
    shape = shape_of(settings, group, before)
    for n, source in enumerate(group.sources):
        since = reached(group, source, anchor)
        files = known_files(spark, settings, source, before=before, since=since) if left > 0 else []
        left -= bytes_of(files)
        if left <= 0:
            return None
        schema = stored_schema(group, source, shape)
        found = known_table(spark, settings, source, schema, files, before=before, since=since)
        rows = shaped(group, source, n, found, shape)
        parts.append((n, rows if asks is None else with_keys(rows, group, asks)))
    schema = entity_schema(group, shape)
    batches = [filled(part, batch, schema) for part, rows in parts for batch in rows.to_batches() if len(batch)]
    return pa.Table.from_batches(batches, schema)
