"""The tiles of a view in Hive, kept up to date: what each cut newly knows, built in few passes and shown once complete."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import uuid4

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import DAY, duration
from features.definitions.names import cut_text, utc
from features.definitions.tiling import Tiling, tiling
from features.definitions.views import FeatureView
from features.errors import BusyError
from features.settings import Settings
from features.values.partition import entity_views
from features.values.tiles import build, key_names
from jobs import ledger, tables, tile_builds, tile_tasks
from jobs.exchange import Exchange, exchangeable
from jobs.files import write_record
from jobs.known import known_rows
from jobs.rows import shape_of
from jobs.sizing import buckets
from jobs.source_files import ALWAYS
from jobs.tile_builds import Build, begun

__all__ = ["build_tiles", "finish_build", "in_place", "missing", "seen", "show", "show_built", "up_to_date"]

_NOTHING: Mapping[str, Any] = {"days": {}, "replacing": 0, "oldest": None}
_WORTH_ALL = 4
"""Of cuts that are a quarter of all days there are, all rows are read, rather than looked for which tiles are replaced."""
_AT_ONCE = 32
"""Cuts in one pass over the source: a Python worker holds its share of what they newly know."""


def missing(settings: Settings, view: FeatureView, cuts: Sequence[int]) -> tuple[int, ...]:
    """The cuts without tiles by the current definition and the source as it is now."""
    there = tile_builds.newest(settings, view, _partitions(settings, view), cuts)
    return tuple(cut for cut in cuts if cut not in there)


def in_place(settings: Settings, view: FeatureView, cuts: Sequence[int]) -> Mapping[int, Build] | None:
    """The builds of all cuts; None where one is missing, or the records do not say that Hive shows it. Needs no Spark."""
    builds = tile_builds.newest(settings, view, _partitions(settings, view), cuts)
    said = tile_builds.shown(settings, view)
    there = all(cut in builds and said.get(cut_text(cut)) == builds[cut].run for cut in cuts)
    return builds if there else None


def up_to_date(spark: SparkSession, settings: Settings, view: FeatureView, cuts: Sequence[int]) -> Mapping[int, Build]:
    """The builds of all cuts, made where they are missing, and shown to readers. Running it again, or after a kill, is harmless.

    Raises:
        MissingError: partitions of the source that a cut needs are not there.
        BusyError: the source was ingested, held or released meanwhile.
    """
    for run in _runs(view, missing(settings, view, cuts)):
        build_tiles(spark, settings, view, run)
    return show_built(spark, settings, view, cuts, seen(spark, settings, view, cuts))


def show_built(
    spark: SparkSession, settings: Settings, view: FeatureView, cuts: Sequence[int], there: frozenset[tuple[str, str]]
) -> Mapping[int, Build]:
    """Shows the builds of cuts to readers; `there` is what `seen` said of them before.

    Raises:
        BusyError: a cut has none any more: the source was ingested, held or released meanwhile.
    """
    builds = tile_builds.newest(settings, view, _partitions(settings, view), cuts)
    if left := [cut for cut in cuts if cut not in builds]:
        msg = (
            f"Source {view.source.name!r} changed while tiles of view {view.name!r} were built ({cut_text(left[0])} among them); "
            "nothing was shown. Run the same command again."
        )
        raise BusyError(msg)
    show(spark, settings, view, builds, there)
    return builds


def seen(spark: SparkSession, settings: Settings, view: FeatureView, cuts: Sequence[int]) -> frozenset[tuple[str, str]]:
    """The cut and day of each partition of some cuts that readers see; the table is made where it is missing or of another definition."""
    tables.ensure_tiles(spark, settings, view)
    return tables.shown_tiles(spark, view, [cut_text(cut) for cut in cuts])


def _runs(view: FeatureView, cuts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Cuts that follow one another, so many at once."""
    period = view.schedule.period_us
    for _, numbered in groupby(enumerate(sorted(cuts)), key=lambda item: item[1] // period - item[0]):
        run = tuple(cut for _, cut in numbered)
        yield from (run[n : n + _AT_ONCE] for n in range(0, len(run), _AT_ONCE))


def _partitions(settings: Settings, view: FeatureView) -> tuple[ledger.Partition, ...]:
    return ledger.partitions(settings, view.source.ingested_by)


def build_tiles(spark: SparkSession, settings: Settings, view: FeatureView, cuts: Sequence[int]) -> str:
    """The location of a finished build of cuts that follow one another; readers do not see it yet."""
    started, location = time.monotonic(), tile_builds.new_location(settings, view)
    partitions = _partitions(settings, view)
    if (what := _in_buckets(settings, view, cuts, partitions)) is not None:
        built = tile_tasks.build(spark, settings, what, cuts, location)
        found = {cut: built.get(cut_text(cut), _NOTHING) for cut in cuts}
        oldest = {cut: _read_from(view, partitions, cut, item["oldest"]) for cut, item in found.items()}
        _finish(view, location, partitions, oldest, {cut_text(cut): item for cut, item in found.items()}, started)
        return location
    rows, oldest = _rows(spark, settings, view, cuts, partitions)
    made = (
        rows.repartition(*key_names(view), "asof_tile").drop("asof_tile").mapInArrow(build(view, cuts), _schema(view))
    )
    # Few files a folder, and no task that writes a whole day alone.
    made.hint("rebalance", "cut", "day").write.partitionBy("cut", "day").parquet(location)
    _finish(view, location, partitions, oldest, _counted(spark, location), started)
    return location


def _in_buckets(
    settings: Settings, view: FeatureView, cuts: Sequence[int], partitions: Sequence[ledger.Partition]
) -> Exchange | None:
    """What is shuffled where tiles follow from what is newly known alone, or from all rows there are; None where some older rows have a part in them."""
    first, last = min(cuts) - view.schedule.period_us, max(cuts)
    (group,) = entity_views([view])
    if not partitions or view.source.lag_us or not exchangeable(settings, group, last):
        return None
    before = max(last, begun(partitions) + DAY)  # of the first day alone, no partition is whole
    shape = shape_of(settings, group, before)
    anchor, fresh = before, first
    if shape.corrected and not tiling(view).removable:
        if len(cuts) * view.schedule.period_us * _WORTH_ALL < last - begun(partitions):
            return None
        anchor, fresh = begun(partitions) - 100 * 365 * DAY, ALWAYS  # rows of any age
    return Exchange(
        group=group, shape=shape, before=before, anchor=anchor, fresh=fresh, buckets=buckets(settings, group, before),
        folder=f"{settings.home}/cuts/{uuid4().hex[:12]}/rows",
    )  # fmt: skip


def finish_build(
    view: FeatureView,
    location: str,
    partitions: Sequence[ledger.Partition],
    cut: int,
    counted: Mapping[str, Any],
    reread: int | None,
    started: float,
) -> None:
    """Records the tiles of a cut that whoever computes it has built from what it newly knows.

    Args:
        view: its definition.
        location: where they are.
        partitions: the source's, as they were before it was read.
        cut: microseconds UTC.
        counted: `days`, day to rows, and `replacing`, how many of them replace.
        reread: the oldest tile among those, microseconds UTC; None: older rows had no part.
        started: by the monotonic clock.
    """
    since = _read_from(view, partitions, cut, reread)
    _finish(view, location, partitions, {cut: since}, {cut_text(cut): counted}, started)


def _read_from(view: FeatureView, partitions: Sequence[ledger.Partition], cut: int, reread: int | None) -> str:
    """The oldest partition that the tiles of a cut depend on; `reread`: the oldest tile that is replaced, if there is one."""
    since = tile_builds.first_day(view, partitions, cut)
    return since if reread is None else min(since, str(utc(reread - duration(view.source.max_future)).date()))


def _finish(
    view: FeatureView,
    location: str,
    partitions: Sequence[ledger.Partition],
    oldest: Mapping[int, str],
    counted: Mapping[str, Mapping[str, Any]],
    started: float,
) -> None:
    record = {
        cut_text(cut): {
            **{name: counted.get(cut_text(cut), _NOTHING)[name] for name in ("days", "replacing")},
            "read_from": since,
            "sources": tile_builds.source_state(view, partitions, cut, since),
        }
        for cut, since in oldest.items()
    }
    seconds = round(time.monotonic() - started, 1)
    write_record(f"{location}/_finished.json", {"finished_at": time.time(), "seconds": seconds, "cuts": record})


def _rows(
    spark: SparkSession,
    settings: Settings,
    view: FeatureView,
    cuts: Sequence[int],
    partitions: Sequence[ledger.Partition],
) -> tuple[DataFrame, dict[int, str]]:
    """What the cuts newly know and what they must read again, and the oldest partition that each depends on."""
    plan, period = tiling(view), view.schedule.period_us
    first, last = min(cuts) - period, max(cuts)
    oldest = {cut: tile_builds.first_day(view, partitions, cut) for cut in cuts}
    known = _known(view)
    # Of the first day alone, no partition is whole: the end of that day stands for cuts within it.
    before = max(last, begun(partitions) + DAY) if partitions else last
    rows = known_rows(spark, settings, view.source, before=before, first_day=min(oldest.values()))
    fresh = _read(rows, view, plan).where((known >= first) & (known < last))
    if plan.removable:
        return fresh, oldest
    begins = _floor(known, period, view.schedule.phase_us)
    hits = fresh.where(F.col("asof_retract") & (_delayed(view, _began()) < begins))
    tiles = hits.groupBy((begins + period).alias("cut")).agg(F.min("asof_tile"))
    reach = {int(cut): int(tile) - duration(view.source.max_future) for cut, tile in tiles.collect()}
    if not reach:
        return fresh, oldest
    oldest |= {cut: min(oldest[cut], str(utc(since).date())) for cut, since in reach.items()}
    again = known_rows(spark, settings, view.source, before=before, first_day=min(oldest.values()))
    places = [*key_names(view), "asof_tile"]
    # Both from one reading: around a held or released day a retraction and what it takes back are known as that reading has them.
    whole = _read(again, view, plan)
    older = whole.where(known < first).join(hits.select(*places).distinct(), places, "left_semi")
    return whole.where((known >= first) & (known < last)).unionByName(older), oldest


def _read(rows: DataFrame, view: FeatureView, plan: Tiling) -> DataFrame:
    """In the shape that `features.values.tiles` takes, with `asof_tile` for the shuffle."""
    source = view.source
    keys = source.key_columns(view.entity.name, view.entity.keys)
    time = F.unix_micros(source.event_time)
    columns = [
        (F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name)).alias(f"s_{name}") for name in plan.columns
    ]  # fmt: skip
    return rows.select(
        *(F.col(key).alias(name) for name, key in zip(key_names(view), keys, strict=True)), time.alias("asof_time"), "asof_known", "asof_undoes",
        (F.col("asof_op") == "retract").alias("asof_retract"), _floor(time, plan.grid_us, 0).alias("asof_tile"), *columns,
    ).dropna(subset=list(key_names(view)))  # fmt: skip


def _floor(instant: Column, step: int, phase: int) -> Column:
    return instant - F.pmod(instant - F.lit(phase), F.lit(step))


def _began() -> Column:
    return F.coalesce("asof_undoes", "asof_known")


def _delayed(view: FeatureView, instant: Column) -> Column:
    lag = view.source.lag_us
    return F.greatest(instant, F.col("asof_time") + F.lit(lag)) if lag else instant


def _known(view: FeatureView) -> Column:
    """When a row counts, as `features.values.tiles` has it: here it only prunes."""
    return F.greatest("asof_known", _delayed(view, _began()))


def _schema(view: FeatureView) -> str:
    columns = tables.tile_columns(view) | {"cut": "string", "day": "string"}
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def _counted(spark: SparkSession, location: str) -> dict[str, dict[str, Any]]:
    """What was written, by cut."""
    made: dict[str, dict[str, Any]] = {}
    written = spark.read.schema("asof_replaces boolean, cut string, day string").parquet(location)
    counts = written.groupBy("cut", "day").agg(F.count(F.lit(1)), F.count_if("asof_replaces")).collect()
    for cut, day, rows, replacing in sorted(counts):
        item = made.setdefault(cut, {"days": {}, "replacing": 0})
        item["days"][day] = rows
        item["replacing"] += replacing
    return made


def show(
    spark: SparkSession,
    settings: Settings,
    view: FeatureView,
    builds: Mapping[int, Build],
    there: frozenset[tuple[str, str]],
) -> None:
    """Points Hive at these builds; `there` is what `seen` said. Cuts that show them already are left alone."""
    folders, said = tile_builds.folders_of(builds), tile_builds.shown(settings, view)
    days = {cut: {pair for pair in there if pair[0] == cut_text(cut)} for cut in builds}
    wanted = {cut: {pair for pair in folders if pair[0] == cut_text(cut)} for cut in builds}
    changed = {
        cut: build for cut, build in builds.items() if said.get(cut_text(cut)) != build.run or days[cut] != wanted[cut]
    }
    if changed:
        names = [cut_text(cut) for cut in changed]
        tile_builds.mark_shown(settings, view, {}, unsure=names)
        tables.show_tiles(spark, view, there, names, tile_builds.folders_of(changed))
        tile_builds.mark_shown(settings, view, {cut_text(cut): build.run for cut, build in changed.items()})
