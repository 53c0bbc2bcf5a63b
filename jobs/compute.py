"""Values as of a cut: for each entity one scan, one shuffle and one sweep; each view's rows go to a location of their own."""

import time
from collections.abc import Sequence
from functools import partial
from itertools import product

import pyarrow as pa
from pyspark.sql import SparkSession

from features.definitions.names import cut_text, tiles_table
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import EntityViews, entity_views, finish
from jobs import attempts, carried, ledger, tiles
from jobs.commands import Stage
from jobs.few import are_few, few_rows
from jobs.fits import fits_at
from jobs.rows import event_rows
from jobs.session import spark as session
from jobs.sizing import size
from jobs.stages import say, side_by_side, stage_views
from jobs.written import Unfinished, write_attempts

__all__ = ["compute", "computed", "run", "wants_tiles"]


def run(command: Stage, settings: Settings) -> int:
    """Computes every view of the cut that has no finished attempt by its current definition and the same sources, and tiles likewise."""
    _, views, cut = stage_views(command, settings)
    todo = tuple(view for view in views if not computed(settings, view, cut))
    for view in views:
        if view not in todo:
            say(f"{view.name} at {cut_text(cut)}: computed before, nothing to do.")
    if todo:
        spark = session(settings, "compute")
        for attempt in compute(spark, settings, todo, [cut]):
            record = attempt.record("finished") or {}
            how = " from the cut before" if record.get("follows") else ""
            say(f"{attempt.view} at {cut_text(cut)}: {record['rows']} keys in {record['seconds']} s{how}.")
    for view in (view for view in views if wants_tiles(settings, view, [cut])):
        tiles.up_to_date(session(settings, "compute"), settings, view, [cut])
        say(f"{view.name} at {cut_text(cut)}: tiles of what the cut newly knows are in {tiles_table(view)}.")
    return 0


def computed(settings: Settings, view: FeatureView, cut: int) -> bool:
    """Whether a finished attempt by the current definition and the sources as they are now is there."""
    attempt = attempts.finished(settings, view, cut)
    record = attempt.record("finished") if attempt else None
    return record is not None and record["sources"] == ledger.source_state(settings, view, cut)


def wants_tiles(settings: Settings, view: FeatureView, cuts: Sequence[int]) -> bool:
    """Whether tiles of a view that asks for them are missing; where its rows were few at the last cut it has none. Needs no Spark."""
    if not view.tiles or tiles.in_place(settings, view, cuts):
        return False
    attempt = attempts.finished(settings, view, max(cuts))
    return not ((attempt.record("finished") if attempt else None) or {}).get("few", False)


def compute(
    spark: SparkSession, settings: Settings, views: tuple[FeatureView, ...], cuts: Sequence[int]
) -> list[attempts.Attempt]:
    """A finished attempt a view and cut; rows are the keys ever seen within what the view remembers.

    Rows that are few are finished by this process, all views of an entity together. Of one cut, views with tiles that have more follow from the
    cut before where that is possible (see `jobs.carried`); all others are computed from all rows.

    Args:
        spark: the session.
        settings: where sources and attempts lie.
        views: each of them has all of the cuts.
        cuts: microseconds UTC; one pass over the sources for all of them.
    """
    last = max(cuts)
    found = carried.groups(settings, views, last)
    few = {group: are_few(spark, settings, group, before=last, anchor=last) for group in found}
    small = frozenset(view.name for group in found if few[group] for view in group.views)
    chains = [group for group in found if len(cuts) == 1 and not few[group]]
    followed = {view.name for group in chains for view in group.views}
    whole = entity_views(view for view in views if view.name not in followed)
    work = [
        *(partial(carried.carried, spark, settings, group, cuts[0]) for group in chains),
        *(partial(_compute_entity, spark, settings, group, cuts, small) for group in whole),
    ]
    return [attempt for made in side_by_side(lambda part: part(), work) for attempt in made]


def _compute_entity(
    spark: SparkSession, settings: Settings, group: EntityViews, cuts: Sequence[int], small: frozenset[str]
) -> list[attempts.Attempt]:
    """`small`: views whose own rows are few, though those of others of the entity may not be."""
    started = time.monotonic()
    # Before anything is read: what is held, released or ingested meanwhile makes the attempt one of the past, which nobody publishes.
    state = {(view.name, cut): ledger.source_state(settings, view, cut) for cut, view in product(cuts, group.views)}
    made = [attempts.new_attempt(settings, view, cut) for cut, view in product(cuts, group.views)]
    unfinished = _unfinished(spark, settings, group, cuts)
    rows, few = write_attempts(unfinished, group, cuts, made), isinstance(unfinished.rows, pa.Table)
    seconds = round(time.monotonic() - started, 1)
    for attempt in made:
        record = {"rows": rows[attempt.view, attempt.cut], "seconds": seconds, "finished_at": time.time()}
        record["few"] = few or attempt.view in small
        attempts.finish(attempt, {**record, "sources": state[attempt.view, attempt.cut]})
    return made


def _unfinished(spark: SparkSession, settings: Settings, group: EntityViews, cuts: Sequence[int]) -> Unfinished:
    before, anchor = max(cuts), min(cuts)
    finished = finish(group, cuts=cuts, fits=fits_at(spark, settings, group, cuts))
    if are_few(spark, settings, group, before=before, anchor=anchor, cuts=len(cuts)):
        rows = few_rows(spark, settings, group, before=before, anchor=anchor)
        if rows is not None:
            return Unfinished(rows=rows, finished=finished)
    rows = event_rows(spark, settings, group, before=before, anchor=anchor)
    count = size(settings, group, before=before, anchor=anchor).partitions
    return Unfinished(rows=rows.repartition(count, *group.keys), finished=finished)
