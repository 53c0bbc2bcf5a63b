"""Known-wrong engines: each a small patch of the right one, that a property must tell from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions.expressions import Expression
from features.definitions.features import Aggregate, Attribute, CohortRate
from features.definitions.freshness import EventFreshness, Freshness, Schedule
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.values import derived, exact, expressions, hashing, kernels, outcomes, sweep, timeline, versions
from features.values.sweep import Sweep
from features.values.timeline import FOREVER, Rows, Timeline
from tests import engine
from tests.properties.registered import Patch, mutant

__all__: list[str] = []

Array = np.ndarray

# Windows


def bounds(change: Callable[[Window, Array, int], tuple[Array, Array]]) -> Patch:
    """A patch of both edges."""
    return lambda patch: patch.setattr(sweep, "_bounds", change)


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


@mutant()
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

    patch.setattr(timeline, "_order", wrong)


# Versions


def with_ranks(patch: pytest.MonkeyPatch, change: Callable[[Array], Array]) -> None:
    """Other ranks decide who wins; what is a void stays one."""
    right = versions._winners
    patch.setattr(versions, "_winners", lambda ids, rank, *rest: right(ids, change(rank), *rest))


@mutant()
def void_outranked_by_a_redelivery(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: rank // 2)


@mutant()
def lower_version_known_later_wins(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: rank & 1)


@mutant()
def void_ignored(patch: pytest.MonkeyPatch) -> None:
    right = versions.resolve
    patch.setattr(versions, "resolve", lambda source, *rest: right(replace(source, void=None), *rest))


@mutant()
def void_outranks_larger_versions(patch: pytest.MonkeyPatch) -> None:
    with_ranks(patch, lambda rank: np.where(rank & 1, 1_000, rank))


@mutant()
def null_key_counted_as_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "encoded", lambda key: tuple(("" if part is None else part) for part in key))


@mutant()
def composite_keys_joined_without_lengths(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "encoded", lambda key: None if None in key else "".join(map(str, key)))


# Aggregations


def with_feature(patch: pytest.MonkeyPatch, method: str, change: Callable[[Any], Any]) -> None:
    """Lies to a method of the sweep about the feature it computes."""
    right = getattr(Sweep, method)
    patch.setattr(Sweep, method, lambda self, feature: right(self, change(feature)))


@mutant()
def distinct_limit_ignored(patch: pytest.MonkeyPatch) -> None:
    with_feature(patch, "aggregate", lambda feature: replace(feature, limit=10**9))


@mutant()
def where_ignored(patch: pytest.MonkeyPatch) -> None:
    with_feature(patch, "aggregate", lambda feature: replace(feature, where=None))


@mutant()
def population_std(patch: pytest.MonkeyPatch) -> None:
    right = exact.std
    patch.setattr(
        exact,
        "std",
        lambda sums, squares, count: (
            right(sums, squares, count) * np.sqrt(np.maximum(count - 1, 0) / np.maximum(count, 1))
        ),
    )


@mutant()
def std_by_floats(patch: pytest.MonkeyPatch) -> None:
    def wrong(sums: Array, squares: Array, count: Array) -> Array:
        total = sums[0] * 2.0**32 + sums[1]
        wide = sum(
            piece.astype(np.float64) * 2.0**weight
            for piece, weight in zip(squares, exact._SQUARE_WEIGHTS, strict=False)
        )
        n = np.maximum(count, 2).astype(np.float64)
        made: Array = np.sqrt(np.maximum((wide - total * total / n) / (n - 1), 0))
        return made

    patch.setattr(exact, "std", wrong)


@mutant()
def mean_by_float_sums(patch: pytest.MonkeyPatch) -> None:
    right = Sweep.sums

    def wrong(self: Sweep, feature: Aggregate, stream: Any) -> pa.Array:
        values = sweep.numbers(stream.rows.columns[feature.column or ""])
        if feature.operation != "mean" or values.dtype == np.float64:
            return right(self, feature, stream)
        lo, hi, _ = stream.span(feature.window)
        count = stream.count(feature.window)
        since, until, instant = stream.seen
        return pa.array(
            kernels.float_sums(values.astype(np.float64), since, until, instant, lo, hi) / np.maximum(count, 1),
            mask=count == 0,
        )

    patch.setattr(Sweep, "sums", wrong)


@mutant()
def sum_wraps_at_64_bits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exact, "total", lambda sums: ((sums[0] << 32) + sums[1], np.ones(sums.shape[1], bool)))


@mutant()
def infinities_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "_usable", lambda column: np.asarray(column.is_valid().to_numpy(zero_copy_only=False)))


@mutant()
def minus_zero_is_a_value_of_its_own(patch: pytest.MonkeyPatch) -> None:
    right = hashing.hash64
    patch.setattr(
        sweep,
        "hash64",
        lambda column: right(
            pa.array(column.to_numpy().view(np.int64)) if pa.types.is_floating(column.type) else column
        ),
    )


@mutant()
def rows_without_ids_in_order_of_arrival(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "_by_value", lambda line, _: line)


@mutant()
def never_seen_of_all_time(patch: pytest.MonkeyPatch) -> None:
    right = Sweep.values

    def wrong(self: Sweep) -> sweep.Values:
        of_all = right(Sweep(replace(self.view, remember="36500d"), self.lines, self.asks, self.anchor))
        return replace(right(self), status=of_all.status)

    patch.setattr(Sweep, "values", wrong)


# Rates


@mutant()
def outcomes_counted_twice(patch: pytest.MonkeyPatch) -> None:
    def wrong(lines: Timeline, ids: Array) -> dict[tuple[int, int], list[tuple[int, int]]]:
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for key, code, since, until in zip(
            lines.key.tolist(), ids.tolist(), lines.since.tolist(), lines.until.tolist(), strict=True
        ):
            found.setdefault((key, code), []).append((since, until))
        return found

    patch.setattr(outcomes, "_spans", wrong)


@mutant()
def outcome_taken_back_still_counts(patch: pytest.MonkeyPatch) -> None:
    right = outcomes._spans
    patch.setattr(outcomes, "_spans", lambda lines, ids: right(replace(lines, until=np.full(len(lines), FOREVER)), ids))


@mutant()
def outcome_counts_for_another_key(patch: pytest.MonkeyPatch) -> None:
    class OfAnyKey(dict[tuple[int, int], Any]):
        def get(self, key: tuple[int, int], default: Any = None) -> Any:
            return super().get((0, key[1]), default)

    right = outcomes._spans
    patch.setattr(
        outcomes, "_spans", lambda lines, ids: OfAnyKey(right(replace(lines, key=np.zeros(len(lines), np.int64)), ids))
    )


@mutant()
def rate_without_its_delay(patch: pytest.MonkeyPatch) -> None:
    with_feature(
        patch, "rate", lambda feature: replace(feature, window=Window(feature.window.length, "0", feature.window.step))
    )


@mutant()
def every_event_eligible(patch: pytest.MonkeyPatch) -> None:
    def change(feature: CohortRate) -> CohortRate:
        return replace(feature, eligible=None)

    with_feature(patch, "rate", change)


# Expressions and derived features


@mutant()
def null_condition_taken_as_true(patch: pytest.MonkeyPatch) -> None:
    def wrong(where: Expression | None, columns: Any, length: int) -> Array:
        if where is None:
            return np.ones(length, bool)
        return np.asarray(
            pc.fill_null(expressions._broadcast(expressions.evaluate(where, columns), length), True).to_numpy(
                zero_copy_only=False
            )
        )

    patch.setattr(sweep, "mask", wrong)


@mutant()
def integers_wrap_in_expressions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(expressions, "_CHECKED", {"+": pc.add, "-": pc.subtract, "*": pc.multiply})


@mutant()
def difference_wraps(patch: pytest.MonkeyPatch) -> None:
    right = derived._difference

    def wrong(minuend: pa.Array, subtrahend: pa.Array) -> tuple[pa.Array, Array]:
        if not (pa.types.is_int64(minuend.type) and pa.types.is_int64(subtrahend.type)):
            return right(minuend, subtrahend)
        return pc.subtract(minuend, subtrahend), np.zeros(len(minuend), bool)

    patch.setattr(derived, "_difference", wrong)


@mutant()
def ratio_of_nothing_is_zero(patch: pytest.MonkeyPatch) -> None:
    right = derived._divided

    def wrong(top: Array, bottom: Array, valid: Array) -> tuple[pa.Array, Array]:
        made, left = right(top, bottom, valid)
        return made.fill_null(0.0), left

    patch.setattr(derived, "_divided", wrong)


# Attributes


def with_attributes(patch: pytest.MonkeyPatch, change: Callable[[FeatureView], FeatureView]) -> None:
    """Lies to the attributes' part about the view."""
    right = sweep._attributes
    patch.setattr(sweep, "_attributes", lambda view, *rest: right(change(view), *rest))


@mutant("attributes")
def attribute_strictly_before_the_anchor(patch: pytest.MonkeyPatch) -> None:
    right = kernels.last_at_or_before
    patch.setattr(
        kernels,
        "last_at_or_before",
        lambda key, time, since, asked, anchor, instant: right(key, time, since, asked, anchor - 1, instant),
    )


@mutant("attributes")
def ttl_exclusive(patch: pytest.MonkeyPatch) -> None:
    def shorter(feature: Any) -> Any:
        return (
            replace(feature, ttl=f"{feature.ttl_us - 1}us")
            if isinstance(feature, Attribute) and feature.ttl_us
            else feature
        )

    with_attributes(patch, lambda view: replace(view, features=tuple(shorter(feature) for feature in view.features)))


@mutant("attributes")
def ttl_ignored(patch: pytest.MonkeyPatch) -> None:
    def endless(feature: Any) -> Any:
        return replace(feature, ttl=None) if isinstance(feature, Attribute) else feature

    with_attributes(patch, lambda view: replace(view, features=tuple(endless(feature) for feature in view.features)))


@mutant("attributes")
def deletion_ignored(patch: pytest.MonkeyPatch) -> None:
    with_attributes(patch, lambda view: replace(view, source=replace(view.source, deleted=None)))


@mutant("attributes")
def newest_known_instead_of_newest_valid(patch: pytest.MonkeyPatch) -> None:
    def wrong(key: Array, time: Array, since: Array, asked: Array, anchor: Array, instant: Array) -> Array:
        made = np.full(len(asked), -1, np.int64)
        for q in range(len(asked)):
            held = [
                n for n in range(len(key)) if key[n] == asked[q] and time[n] <= anchor[q] and since[n] <= instant[q]
            ]
            made[q] = max(held, key=lambda n: (since[n], n), default=-1)
        return made

    patch.setattr(kernels, "last_at_or_before", wrong)
