"""Many cuts of some views in few passes over the sources: audited, computed, validated and published as daily runs would have.

A killed backfill is run again: what was computed stands, what was published is said so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, islice

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import Progress

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.durations import DAY
from features.definitions.names import cut_text, micros, utc
from features.definitions.views import FeatureView
from features.errors import HeldError, InputError, MissingError
from features.settings import Settings
from jobs import audits, ledger, tiles
from jobs.commands import Backfill
from jobs.compute import compute, computed, wants_tiles
from jobs.publish import publish, validated
from jobs.session import spark as session
from jobs.stages import say
from jobs.validate import Held, audit_attempts, audit_sources

__all__ = ["Plan", "backfill", "missing_days", "plan", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Views that share their cuts, and those cuts, oldest first."""

    views: tuple[FeatureView, ...]
    cuts: tuple[int, ...]
    """Microseconds UTC."""


def run(command: Backfill, settings: Settings) -> int:
    """Publishes every cut in `[start, end)` that is not held.

    Raises:
        MissingError: a view does not exist, or source partitions are missing; all of them are named.
        InputError: a view has no table, or no view has a cut in that time.
        HeldError: at the end, if a cut of a view was held.
    """
    catalog = load_catalog(settings.catalog)
    plans = plan(catalog, command.views, micros(command.start), micros(command.end))
    if gaps := missing_days(settings, plans):
        listed = "\n".join(f"  {name}: {_spans(days)}" for name, days in gaps.items())
        name = next(iter(gaps))
        msg = (
            f"Source partitions that these cuts need are missing; nothing was computed:\n{listed}\n"
            f"Load them (`asof ingest --source {name} --input … --ds {gaps[name][0]}`), or backfill another span."
        )
        raise MissingError(msg)
    spark = session(settings, "backfill")
    held: list[str] = []
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task("Backfill", total=sum(len(each.cuts) for each in plans))
        for each in plans:
            for cut, stopped in backfill(spark, settings, catalog, each, at_once=command.at_once):
                held += [f"{name} at {cut_text(cut)}" for name in stopped]
                progress.advance(task)
                left = progress.tasks[0].time_remaining
                done = f"{progress.tasks[0].completed:.0f} of {progress.tasks[0].total:.0f} cuts"
                say(f"{cut_text(cut)}: {done}{'' if left is None else f', about {left / 60:.0f} min left'}.")
    if held:
        msg = f"{len(held)} attempt(s) are held and were not published: {', '.join(held)}. `asof held --cut CUT` says why."
        raise HeldError(msg)
    return 0


def plan(catalog: Catalog, names: Sequence[str], start: int, end: int) -> tuple[Plan, ...]:
    """The cuts in `[start, end)` of the named views, or of all that have a table; microseconds UTC."""
    views = tuple(catalog.view(name) for name in names) or tuple(view for view in catalog.views if view.tabled)
    if tableless := [view for view in views if not view.tabled]:
        msg = (
            f"View {tableless[0].name!r} has no table to backfill: {tableless[0].unkept}. `asof frame` gives its values at any instant; "
            "a view with Schedule(anchor='cut') is published at cuts."
        )
        raise InputError(msg)
    grids: dict[tuple[int, int], list[FeatureView]] = {}
    for view in views:
        grids.setdefault((view.schedule.period_us, view.schedule.phase_us), []).append(view)
    made = []
    for (period, _), group in grids.items():
        first = group[0].schedule.cut_before(start - 1) + period
        cuts = tuple(range(first, end, period))
        if cuts:
            made.append(Plan(views=tuple(group), cuts=cuts))
    if not made:
        msg = f"No view has a cut from {utc(start).isoformat()} to before {utc(end).isoformat()}. Daily cuts are at midnight UTC; --end is not included."
        raise InputError(msg)
    return tuple(made)


def missing_days(settings: Settings, plans: Sequence[Plan]) -> Mapping[str, tuple[str, ...]]:
    """Source to the days it lacks: from its first partition, or the day before the first cut, to the last cut."""
    made: dict[str, set[str]] = {}
    for each in plans:
        before_first, last = (utc(cut - 1).date() for cut in (each.cuts[0], each.cuts[-1]))
        for name in {source.ingested_by for view in each.views for source in view.sources}:
            there = {item.ds for item in ledger.partitions(settings, name)}
            first = min(before_first, date.fromisoformat(min(there))) if there else before_first
            wanted = {str(first + timedelta(days=n)) for n in range((last - first).days + 1)}
            made.setdefault(name, set()).update(wanted - there)
    return {name: tuple(sorted(days)) for name, days in sorted(made.items()) if days}


def backfill(
    spark: SparkSession, settings: Settings, catalog: Catalog, what: Plan, *, at_once: int
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each cut once it is through, with the views that are held at it.

    All source partitions are audited first, so that a bad one is known to no cut after it, as in daily runs.

    Args:
        spark: the session.
        settings: where everything lies.
        catalog: the views' own.
        what: views and cuts.
        at_once: cuts in one pass over the sources; a Python worker holds one value a key, feature and cut of its share.
    """
    sources = audits.sources_of(catalog, what.views)
    bad: dict[int, Held] = {}
    for cut in what.cuts:
        bad[cut] = audit_sources(settings, spark, sources, cut).held
    cuts = iter(what.cuts)
    while part := tuple(islice(cuts, at_once)):
        _compute(spark, settings, what.views, part)
        for cut in part:
            audit_attempts(settings, spark, what.views, cut, bad[cut])
            passed = [(view, attempt) for view in what.views if (attempt := validated(settings, view, cut)) is not None]
            for view, attempt in passed:
                publish(spark, settings, view, attempt)
            names = {view.name for view, _ in passed}
            yield cut, tuple(view.name for view in what.views if view.name not in names)


def _compute(spark: SparkSession, settings: Settings, views: tuple[FeatureView, ...], cuts: tuple[int, ...]) -> None:
    """What is not there yet, views that lack the same cuts together; and tiles of the views that have them, where rows are not few."""
    todo = {view: tuple(cut for cut in cuts if not computed(settings, view, cut)) for view in views}
    for wanted, group in groupby(sorted(views, key=lambda view: todo[view]), key=lambda view: todo[view]):
        if wanted:
            compute(spark, settings, tuple(group), wanted)
    for view in (view for view in views if wants_tiles(settings, view, cuts)):
        tiles.up_to_date(spark, settings, view, cuts)


def _spans(days: Sequence[str]) -> str:
    """`2026-01-05 … 2026-01-09, 2026-01-12`: every day, runs of them in short."""
    numbered = [micros(utc(0).fromisoformat(f"{day}T00:00:00+00:00")) // DAY - n for n, day in enumerate(days)]
    runs = [[day for _, day in run] for _, run in groupby(zip(numbered, days, strict=True), key=lambda item: item[0])]
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} … {run[-1]}" for run in runs)
