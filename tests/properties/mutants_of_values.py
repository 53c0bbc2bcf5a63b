"""Known-wrong engines of what is made of the rows: aggregations, rates, expressions, derived features, attributes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions.expressions import Expression
from features.definitions.features import Aggregate, Attribute, CohortRate
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.values import derived, exact, expressions, hashing, kernels, outcomes, streams, sweep
from features.values.columns import numbers
from features.values.sweep import Sweep
from features.values.timeline import FOREVER, Timeline
from tests.properties.registered import mutant

__all__: list[str] = []

Array = np.ndarray

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


@mutant(chunk=1)
def mean_by_float_sums(patch: pytest.MonkeyPatch) -> None:
    right = Sweep.sums

    def wrong(self: Sweep, feature: Aggregate, stream: Any) -> pa.Array:
        values = numbers(stream.rows.columns[feature.column or ""])
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
    patch.setattr(sweep, "usable", lambda column: np.asarray(column.is_valid().to_numpy(zero_copy_only=False)))


@mutant(chunk=1)
def minus_zero_is_a_value_of_its_own(patch: pytest.MonkeyPatch) -> None:
    right = hashing.hash64
    patch.setattr(
        streams,
        "hash64",
        lambda column: right(
            pa.array(column.to_numpy().view(np.int64)) if pa.types.is_floating(column.type) else column
        ),
    )


@mutant(chunk=1)
def rows_without_ids_in_order_of_arrival(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "_by_value", lambda line, _: line)


@mutant(chunk=2)
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


@mutant(chunk=1)
def outcome_taken_back_still_counts(patch: pytest.MonkeyPatch) -> None:
    right = outcomes._spans
    patch.setattr(outcomes, "_spans", lambda lines, ids: right(replace(lines, until=np.full(len(lines), FOREVER)), ids))


@mutant()
def outcome_counts_for_another_key(patch: pytest.MonkeyPatch) -> None:
    class OfAnyKey(dict[tuple[int, int], Any]):
        def get(self, key: tuple[int, int], default: Any = None) -> Any:
            return super().get((0, key[1]), default)

        def __getitem__(self, key: tuple[int, int]) -> Any:
            return super().__getitem__((0, key[1]))

    def blind(right: Any) -> Any:
        return lambda lines, ids: OfAnyKey(right(replace(lines, key=np.zeros(len(lines), np.int64)), ids))

    for name in ("_spans", "_arrivals"):
        patch.setattr(outcomes, name, blind(getattr(outcomes, name)))


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


@mutant(chunk=1)
def integers_wrap_in_expressions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(expressions, "_CHECKED", {"+": pc.add, "-": pc.subtract, "*": pc.multiply})


@mutant(chunk=2)
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
    right = sweep.attributes
    patch.setattr(sweep, "attributes", lambda view, *rest: right(change(view), *rest))


@mutant("attributes", chunk=8)
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
