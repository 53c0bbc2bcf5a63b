"""Shows a validated attempt to readers: one metastore change a view. A held one changes nothing."""

from pyspark.sql import SparkSession

from features.definitions.names import cut_text, utc, view_table
from features.definitions.views import FeatureView
from features.errors import HeldError, MissingError
from features.settings import Settings
from jobs import attempts, ledger, tables
from jobs.commands import Publish
from jobs.session import spark as session
from jobs.stages import say, side_by_side, stage_views

__all__ = ["publish", "run", "validated"]


def run(command: Publish, settings: Settings) -> int:
    """Publishes every view of the cut that was not held.

    Raises:
        HeldError: all of them were.
        MissingError: a view was not computed, or not validated.
    """
    _, views, cut = stage_views(command, settings)
    chosen = {view.name: validated(settings, view, cut) for view in views}
    held = [name for name, attempt in chosen.items() if attempt is None]
    passed = [(view, attempt) for view in views if (attempt := chosen[view.name]) is not None]
    if passed:
        spark = session(settings, "publish")
        made = side_by_side(lambda pair: publish(spark, settings, *pair), passed)
        for (view, _), changed in zip(passed, made, strict=True):
            say(f"{view.name} at {cut_text(cut)}: {'published' if changed else 'published before, nothing to do'}.")
    for name in held:
        say(f"{name} at {cut_text(cut)}: held, not published; the last good cut stays.")
    if not passed:
        msg = f"Every view of the cut {cut_text(cut)} is held: {', '.join(held)}. `asof held --cut {utc(cut).isoformat()}` says why; the last good cut stays."
        raise HeldError(msg)
    return 0


def validated(settings: Settings, view: FeatureView, cut: int) -> attempts.Attempt | None:
    """The attempt to publish; None if it is held.

    Raises:
        MissingError: the view was not computed, not validated, or computed from sources that have changed since.
    """
    attempt = attempts.finished(settings, view, cut)
    remedy = f"--cut {utc(cut).isoformat()} --view {view.name}"
    if attempt is None:
        msg = f"View {view.name!r} has no finished attempt at {cut_text(cut)} by its current definition. Run `asof compute {remedy}`, then validate."
        raise MissingError(msg)
    verdict = attempt.record("verdict")
    if verdict is None:
        msg = f"The attempt at {cut_text(cut)} of view {view.name!r} was never validated. Run `asof validate {remedy}`."
        raise MissingError(msg)
    if verdict["verdict"] == "hold":
        return None
    if (attempt.record("finished") or {})["sources"] != ledger.source_state(settings, view, cut):
        msg = (
            f"The sources of view {view.name!r} changed since it was computed at {cut_text(cut)} (ingested anew, held or released). "
            f"Run `asof compute {remedy}`, then validate; nothing was published."
        )
        raise MissingError(msg)
    return attempt


def publish(spark: SparkSession, settings: Settings, view: FeatureView, attempt: attempts.Attempt) -> bool:
    """Points the cut's partition at the attempt. False where it pointed there already."""
    table, value = view_table(view), cut_text(attempt.cut)
    tables.ensure_table(spark, settings, table, tables.view_columns(view), "cut")
    place = tables.location(spark, table, "cut", value)
    changed = place != attempt.location
    if changed:
        tables.point_at(spark, table, "cut", {value: attempt.location}, there=() if place is None else (value,))
    if attempt.record("published") is None:  # what `asof status` shows; Hive alone decides what readers see
        attempt.write("published", {"at": settings.now().isoformat()})
    return changed
