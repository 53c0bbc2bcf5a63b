"""What `jobs.known.known_rows` gives, as Arrow in this process: for rows that are few."""

from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.definitions.sources import Source
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from features.values.versions import RETRACT, STORED_FIELDS, stand
from jobs import ledger
from jobs.files import read_files
from jobs.graph_state import refuse_changed
from jobs.known import delayed, known_rows, newest_day, oldest_day, refuse_gaps
from jobs.ledger import Partition
from jobs.listing import day_of, files_of_days
from jobs.source_files import Unit, counting, stored

__all__ = ["known_files", "known_table"]


def known_files(
    spark: SparkSession, settings: Settings, source: Source, *, before: int, since: int | None = None
) -> list[str]:
    """The files that `known_table` reads.

    Raises:
        MissingError: a partition that is needed is not there.
    """
    partitions = ledger.partitions(settings, source.ingested_by)
    refuse_gaps(source, partitions, before)
    refuse_changed(settings, source, before)
    since = None if delayed(source, partitions, before=before, since=since) else since
    first = "" if since is None else oldest_day(source, since)
    return files_of_days(spark, settings, source, first, newest_day(before))


def known_table(
    spark: SparkSession,
    settings: Settings,
    source: Source,
    schema: pa.Schema,
    files: Sequence[str],
    *,
    before: int,
    since: int | None = None,
) -> pa.Table:
    """Additions and retractions known before an instant, as they are stored.

    Of events with a row in a held or released partition, versions are resolved anew without it, as `known_rows` does.

    Args:
        spark: reads snapshots of a full source of which something is held.
        settings: where tables are.
        source: whose rows.
        schema: columns of the source and of `STORED_FIELDS`, `asof_op` and `asof_known_at` among them.
        files: of `known_files`.
        before: microseconds UTC.
        since: only events from then on.
    """
    unit = Unit(part=0, paths=list(files), since=since, before=before)
    held = tuple(delayed(source, ledger.partitions(settings, source.ingested_by), before=before, since=since))
    if not held:
        return stored(source, schema, unit)
    if source.kind == "full":
        return _through_spark(spark, settings, source, schema, unit)
    return counting(_around(source, tuple(files), held), source, unit).select(schema.names).cast(schema)


def _through_spark(spark: SparkSession, settings: Settings, source: Source, schema: pa.Schema, unit: Unit) -> pa.Table:
    rows = known_rows(spark, settings, source, before=unit.before, since=unit.since)
    known = F.timestamp_micros("asof_known").alias("asof_known_at")
    undoes = F.timestamp_micros("asof_undoes").alias("asof_undoes")
    return (
        rows.select(*source.types, known, undoes, "asof_op", "asof_first").toArrow().select(schema.names).cast(schema)
    )


@lru_cache(maxsize=4)
def _around(source: Source, files: tuple[str, ...], held: tuple[Partition, ...]) -> pa.Table:
    """Rows of events that no delayed partition brought as they are stored, and the others as they stand without it."""
    schema = pa.schema([*((name, ARROW_TYPES[kind]) for name, kind in source.types.items()), *STORED_FIELDS])
    parts = [_dated(read_files([path], schema), day_of(path)) for path in files]
    rows = pa.concat_tables([_dated(schema.empty_table(), ""), *parts])
    if source.event_id is None:
        found = _raised(rows, held)
        place = found.schema.get_field_index("asof_known_at")
        return found.set_column(place, "asof_known_at", found["asof_from"].cast(ARROW_TYPES["timestamp"])).select(
            schema.names
        )
    there = pc.is_in(rows["ds"], pa.array([item.ds for item in held]))
    those = pc.is_in(rows[source.event_id], rows.filter(there)[source.event_id].combine_chunks().unique())
    untouched, touched = rows.filter(pc.invert(those)).select(schema.names), _raised(rows.filter(those), held)
    delivered = touched.filter(pc.not_equal(touched["asof_op"], RETRACT))
    stood = stand(source, delivered.select([*source.types, "asof_known_at", "asof_from"]))
    return pa.concat_tables([untouched, stood.select(schema.names).cast(schema)])


def _dated(rows: pa.Table, ds: str) -> pa.Table:
    return rows.append_column("ds", pa.array([ds] * len(rows), pa.string()))


def _raised(rows: pa.Table, held: Sequence[Partition]) -> pa.Table:
    """Without what is held; `asof_from` says from when each is known, microseconds: of what was released, from then on."""
    rows = rows.filter(pc.invert(pc.is_in(rows["ds"], pa.array([item.ds for item in held if item.held], pa.string()))))
    since = rows["asof_known_at"].cast(pa.int64())
    for item in held:
        if item.released_at is not None:
            later = pc.max_element_wise(since, item.released_at)
            since = pc.if_else(pc.equal(rows["ds"], item.ds), later, since)
    return rows.append_column("asof_from", since)
