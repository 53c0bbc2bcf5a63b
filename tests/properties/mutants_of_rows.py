"""Known-wrong engines of which rows count: edges of windows, what is known and when, versions and keys. Each a small patch of the right one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.definitions.freshness import EventFreshness, Freshness, Schedule
from features.definitions.sources import Source
from features.definitions.windows import Window
from features.values import streams, sweep, timeline, versions
from features.values.timeline import Rows
from tests import engine
from tests.properties.registered import Patch, mutant

__all__: list[str] = []

Array = np.ndarray

# Windows


def bounds(change: Callable[[Window, Array, int], tuple[Array, Array]]) -> Patch:
    """A patch of both edges."""

    def wrong(patch: pytest.MonkeyPatch) -> None:
        for module in (streams, sweep):
            patch.setattr(module, "bounds", change)

    return wrong


def edges(window: Window, anchor: Array, remember: int) -> tuple[Array, Array, Array, int]:
    """Length before the floor, upper before it, both right edges' floor, and the step."""
    upper, step = anchor - window.offset_us, window.step_us
    lower = upper - (window.length_us or remember)
    return lower, upper, upper // step * step if window.offset_us else upper, step


@mutant()
def lower_edge_not_floored(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, _, upper, _ = edges(window, anchor, remember)
        return lower, upper

    bounds(wrong)(patch)


@mutant()
def lower_edge_truncated_toward_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, _, upper, step = edges(window, anchor, remember)
        return np.where(lower < 0, -(-lower // step), lower // step) * step, upper

    bounds(wrong)(patch)


@mutant()
def upper_edge_floored_without_offset(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, upper, _, step = edges(window, anchor, remember)
        return lower // step * step, upper // step * step

    bounds(wrong)(patch)


@mutant()
def upper_edge_not_floored_with_offset(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, upper, _, step = edges(window, anchor, remember)
        return lower // step * step, upper

    bounds(wrong)(patch)


@mutant()
def upper_edge_inclusive(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, _, upper, step = edges(window, anchor, remember)
        return lower // step * step, upper + 1

    bounds(wrong)(patch)


@mutant()
def lower_edge_exclusive(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        lower, _, upper, step = edges(window, anchor, remember)
        return lower // step * step + 1, upper

    bounds(wrong)(patch)


@mutant()
def offset_ignored(patch: pytest.MonkeyPatch) -> None:
    def wrong(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
        step = window.step_us
        return (anchor - (window.length_us or remember)) // step * step, anchor

    bounds(wrong)(patch)


# What is known, and when it counts


def at_cut(known: Array, schedule: Schedule, *, strict: bool = True, lag: bool = True) -> Array:
    """`visible_at_cut` again, with its two choices open."""
    since_cut = (known - schedule.phase_us - (0 if strict else 1)) // schedule.period_us + 1
    return since_cut * schedule.period_us + schedule.phase_us + (schedule.lag_us if lag else 0)


@mutant()
def known_at_the_cut_itself_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(timeline, "visible_at_cut", lambda known, schedule: at_cut(known, schedule, strict=False))


@mutant()
def visible_at_the_cut_before_it_is_published(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(timeline, "visible_at_cut", lambda known, schedule: at_cut(known, schedule, lag=False))


@mutant()
def publish_lag_ignored(patch: pytest.MonkeyPatch) -> None:
    right = timeline.anchors
    visible_at_the_cut_before_it_is_published(patch)
    patch.setattr(
        sweep,
        "anchors",
        lambda instant, fresh: right(
            instant, replace(fresh, publish_lag="0") if isinstance(fresh, Schedule) else fresh
        ),
    )


@mutant(chunk=2)
def phase_ignored(patch: pytest.MonkeyPatch) -> None:
    with_line(
        patch,
        lambda rows, source, fresh: (rows, source, replace(fresh, phase="0") if isinstance(fresh, Schedule) else fresh),
    )


@mutant()
def anchored_at_the_ask_instead_of_the_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "anchors", lambda instant, _: instant)


def with_line(
    patch: pytest.MonkeyPatch, change: Callable[[Rows, Source, Freshness], tuple[Rows, Source, Freshness]]
) -> None:
    """Lies to `timeline` about its input."""
    right = timeline.timeline
    patch.setattr(sweep, "timeline", lambda rows, source, fresh: right(*change(rows, source, fresh)))


def with_event_freshness(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Lies to `timeline` about an event view's freshness."""
    with_line(
        patch,
        lambda rows, source, fresh: (
            rows,
            source,
            replace(fresh, **changes) if isinstance(fresh, EventFreshness) else fresh,
        ),
    )


@mutant()
def event_lag_ignored(patch: pytest.MonkeyPatch) -> None:
    with_event_freshness(patch, lag="0")


@mutant()
def lateness_ignored(patch: pytest.MonkeyPatch) -> None:
    with_event_freshness(patch, lateness="3650d")


@mutant()
def later_versions_count_at_once(patch: pytest.MonkeyPatch) -> None:
    with_line(patch, lambda rows, source, fresh: (replace(rows, first=np.ones(len(rows), bool)), source, fresh))


@mutant()
def first_versions_wait_for_a_cut(patch: pytest.MonkeyPatch) -> None:
    with_line(patch, lambda rows, source, fresh: (replace(rows, first=np.zeros(len(rows), bool)), source, fresh))


@mutant()
def lag_of_the_source_ignored(patch: pytest.MonkeyPatch) -> None:
    with_line(patch, lambda rows, source, fresh: (rows, replace(source, lag="0"), fresh))


@mutant()
def filter_ignored(patch: pytest.MonkeyPatch) -> None:
    with_line(patch, lambda rows, source, fresh: (rows, replace(source, filter=None), fresh))


@mutant()
def retractions_ignored(patch: pytest.MonkeyPatch) -> None:
    with_line(patch, lambda rows, source, fresh: (replace(rows, undoes=rows.undoes + 1), source, fresh))


@mutant()
def ties_unsorted(patch: pytest.MonkeyPatch) -> None:
    def wrong(rows: Rows, source: Source) -> Array:
        """By event id descending, so that retractions still find what they take back."""
        ids = (
            np.zeros(len(rows), np.int64)
            if source.event_id is None
            else -timeline._ranks(rows.columns[source.event_id]).astype(np.int64)
        )
        return np.lexsort((rows.retract, np.where(rows.retract, rows.undoes, rows.known), ids, rows.time, rows.key))

    patch.setattr(timeline, "in_order", wrong)


# Versions


def with_ranks(patch: pytest.MonkeyPatch, change: Callable[[Array], Array]) -> None:
    """Other ranks decide who wins; what is a void stays one."""
    right = versions._winners
    patch.setattr(versions, "_winners", lambda ids, rank, *rest: right(ids, change(rank), *rest))


@mutant(chunk=1)
def void_outranked_by_a_redelivery(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: rank // 2)


@mutant()
def lower_version_known_later_wins(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: rank & 1)


@mutant()
def void_ignored(patch: pytest.MonkeyPatch) -> None:
    right = versions.resolve
    patch.setattr(versions, "resolve", lambda source, *rest: right(replace(source, void=None), *rest))


@mutant(chunk=1)
def void_outranks_larger_versions(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: np.where(rank & 1, 1_000, rank))


@mutant()
def null_key_counted_as_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "encoded", lambda key: tuple(("" if part is None else part) for part in key))


@mutant()
def composite_keys_joined_without_lengths(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "encoded", lambda key: None if None in key else "".join(map(str, key)))


@mutant("late")
def what_lands_later_was_received_later(patch: pytest.MonkeyPatch) -> None:
    right = versions._resolved

    def wrong(source: Source, table: pa.Table, old: int, _: Array, *rest: Any) -> versions.Resolved:
        return right(source, table, old, versions._micros(table, "asof_known_at"), *rest)

    patch.setattr(versions, "_resolved", wrong)


@mutant("late", chunk=3)
def content_does_not_decide_where_versions_landed_apart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(versions, "_places", lambda *given: given[4])
