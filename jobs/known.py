"""What engines may see of a source: no tombstones, nothing that a gate holds, and of what was held and released only what is known by then."""

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import duration
from features.definitions.names import snapshots_of, utc
from features.definitions.sources import Source
from features.errors import MissingError
from features.settings import Settings
from features.values.snapshots import Snapshot, standing_snapshots
from features.values.versions import ADD, RETRACT, stand
from jobs import ledger, tables
from jobs.graph_state import refuse_changed
from jobs.ledger import Partition
from jobs.resolving import by_event, changes_of, newest_of

__all__ = ["delayed", "known_rows", "newest_day", "oldest_day", "refuse_gaps"]


def known_rows(
    spark: SparkSession,
    settings: Settings,
    source: Source,
    *,
    before: int,
    since: int | None = None,
    first_day: str | None = None,
) -> DataFrame:
    """Additions and retractions known before an instant, in microseconds UTC.

    Ingest resolved versions as if no gate held anything; of events with a row in a held or released partition that is done anew here.

    With `since` only events from that instant on, and only partitions that can hold such; with `first_day` only what is known from that day on.

    Columns: the source's, `asof_known` and `asof_undoes` (microseconds; null where it undoes nothing), `asof_op`, `asof_first`.

    Raises:
        MissingError: a partition between the first one and `before` is not there.
    """
    partitions = ledger.partitions(settings, source.ingested_by)
    refuse_gaps(source, partitions, before)
    refuse_changed(settings, source, before)
    last, oldest = newest_day(before), first_day or ("" if since is None else oldest_day(source, since))
    held = delayed(source, partitions, before=before, since=since, first_day=first_day)
    stored = tables.source_table(spark, source).where(F.col(source.partition) <= last)
    rows = stored.where(F.col(source.partition) >= oldest) if oldest else stored
    made = _shaped(rows, source) if not held else _around(spark, source, stored, rows, partitions, held)
    if since is not None:
        made = made.where(F.unix_micros(source.event_time) >= since)
    return made.where(F.col("asof_known") < before)


def delayed(
    source: Source,
    partitions: Sequence[Partition],
    *,
    before: int,
    since: int | None = None,
    first_day: str | None = None,
) -> list[Partition]:
    """Partitions that are or were held, whose rows may therefore be known otherwise than they are stored; instants and days as `known_rows` has them."""
    last, oldest = newest_day(before), first_day or ("" if since is None else oldest_day(source, since))
    return [item for item in partitions if item.ds <= last and _matters(source, item, oldest)]


def newest_day(before: int) -> str:
    """The last day whose partition may hold what is known before an instant."""
    return str((utc(before) - timedelta(microseconds=1)).date())


def oldest_day(source: Source, since: int) -> str:
    """The first day whose partition may hold events from an instant on: known_at may be earlier than event_time, by max_future at most."""
    return str(utc(since - duration(source.max_future)).date())


def _matters(source: Source, item: Partition, oldest: str) -> bool:
    """Whether a partition's hold may change what is known of rows from a day on: they were known while it was held."""
    if item.held_at is None:
        return False
    if source.kind == "full" or not oldest:
        return True
    if item.released_at is not None:
        return str(utc(item.released_at).date()) >= oldest
    reach = timedelta(microseconds=duration(source.correctable))
    return str((utc(0).fromisoformat(item.ds) + reach).date()) >= oldest


def _shaped(rows: DataFrame, source: Source) -> DataFrame:
    """Rows in the columns that engines see."""
    known, undoes = F.unix_micros("asof_known_at"), F.unix_micros("asof_undoes")
    return rows.where(F.col("asof_op").isin(ADD, RETRACT)).select(
        *source.types, known.alias("asof_known"), undoes.alias("asof_undoes"), "asof_op", "asof_first"
    )


def _around(
    spark: SparkSession,
    source: Source,
    stored: DataFrame,
    rows: DataFrame,
    partitions: Sequence[Partition],
    delayed: Sequence[Partition],
) -> DataFrame:
    """Rows of events that no delayed partition brought as they are stored, and the others as they stand without it."""
    there = F.col(source.partition).isin([item.ds for item in delayed])
    if source.event_id is None:
        return _shaped(_raised(rows, source, delayed), source)
    ids = stored.where(there).select(source.event_id).distinct()
    untouched = rows.join(ids, source.event_id, "left_anti")
    those = stored.join(ids, source.event_id, "left_semi")
    if source.kind == "full":
        stood = _restated(spark, source, those, ids, partitions, delayed)
    else:
        delivered = _raised(those, source, delayed).where(F.col("asof_op") != RETRACT)
        delivered = delivered.select(*source.types, F.col("asof_received").alias("asof_known_at"), F.unix_micros("asof_known_at").alias("asof_from"))  # fmt: skip
        stood = by_event(source, delivered, _stood)
    return _shaped(untouched, source).unionByName(_shaped(stood, source))


def _stood(source: Source, rows: pa.Table) -> pa.Table:
    return stand(source, rows)


def _raised(rows: DataFrame, source: Source, delayed: Sequence[Partition]) -> DataFrame:
    """Without what is held; what was released is known from then on, and `asof_received` says from when it would have been."""
    held = [item.ds for item in delayed if item.held]
    known: Column = F.col("asof_known_at")
    for item in delayed:
        if item.released_at is not None:
            later = F.greatest(F.col("asof_known_at"), F.timestamp_micros(F.lit(item.released_at)))
            known = F.when(F.col(source.partition) == item.ds, later).otherwise(known)
    rows = rows.where(~F.col(source.partition).isin(held)) if held else rows
    return rows.withColumn("asof_received", F.col("asof_known_at")).withColumn("asof_known_at", known)


def _restated(
    spark: SparkSession,
    source: Source,
    those: DataFrame,
    ids: DataFrame,
    partitions: Sequence[Partition],
    delayed: Sequence[Partition],
) -> DataFrame:
    """Changes of some rows of a full source: as stored before the first delayed snapshot, from there on by the snapshots that were not held."""
    first = delayed[0].ds
    taken = [item for item in partitions if item.ds >= first and item.snapshot_at is not None and not item.held]
    snapshots = standing_snapshots(
        Snapshot(max(item.snapshot_at or 0, item.released_at or 0), item.whole, item.snapshot_at or 0) for item in taken
    )
    before = those.where(F.col(source.partition) < first)
    days = [str(utc(snapshot.taken_at).date()) for snapshot in snapshots]
    told = spark.table(snapshots_of(source)).where(F.col("ds").isin(days)).join(ids, source.event_id or "", "left_semi")
    made = changes_of(source, told, newest_of(source, before), snapshots)
    return before.select(*made.columns).unionByName(made)


def refuse_gaps(source: Source, partitions: Sequence[Partition], before: int) -> None:
    """Every day from the first partition to the last whole day before an instant must be there."""
    days = {item.ds for item in partitions}
    end = utc(before).date()
    derive = None if source.graph is None else f"`asof graph --cut {end}`"
    if not days or min(days) >= str(end):
        msg = (
            f"Source {source.name!r} has no partition before {end}. Load it: {derive or f'`asof ingest --source {source.ingested_by} --input …`'}, "
            f"or ask for an instant after {min(days, default='its first partition')}."
        )
        raise MissingError(msg)
    first = utc(0).fromisoformat(min(days)).date()
    wanted = (str(first + timedelta(days=n)) for n in range((end - first).days))
    if gaps := [day for day in wanted if day not in days]:
        shown = ", ".join(gaps[:5]) + (" …" if len(gaps) > 5 else "")  # noqa: PLR2004
        msg = (
            f"Source {source.name!r}: {len(gaps)} partition(s) of {source.table} before {end} are missing: {shown}. "
            f"Load them: {derive or f'`asof ingest --source {source.ingested_by} --input … --ds {gaps[0]}`'}."
        )
        raise MissingError(msg)
