"""Known-wrong states of the aggregations that the sweep has kernels for, run without these: one function of a state replaced."""

import math
from typing import Any

import pytest

from features.definitions.aggregations import counted, distinct, extremes, outermost, sums
from features.definitions.aggregations.aggregation import Ends
from tests.properties.mutants_of_course import with_functions
from tests.properties.registered import mutant
from tests.properties.without_kernels import without_kernels

__all__: list[str] = []


def wrong_state(patch: pytest.MonkeyPatch, operation: str, **functions: Any) -> None:
    without_kernels(patch)
    with_functions(patch, {operation}, **functions)


def wide(state: Any) -> int:
    return sum(int(state[sums.SUMMED + place]) << sums.BITS * place for place in range(3))


@mutant()
def folded_count_from_one(patch: pytest.MonkeyPatch) -> None:
    wrong_state(patch, "count", finish=lambda state, _: (max(state[counted.ROWS], 1), True))


@mutant()
def folded_sum_wraps(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        if len(state) == sums.WIDTH_OF_FLOATS:
            return sums.total_of_floats(state, ends)
        return (wide(state) + 2**63) % 2**64 - 2**63, True

    wrong_state(patch, "sum", finish=wrong)


@mutant()
def folded_sum_saturates(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        if len(state) == sums.WIDTH_OF_FLOATS:
            return sums.total_of_floats(state, ends)
        return min(max(wide(state), -(2**63)), 2**63 - 1), True

    wrong_state(patch, "sum", finish=wrong)


@mutant()
def folded_mean_rounded_piece_by_piece(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        if len(state) == sums.WIDTH_OF_FLOATS:
            return sums.mean_of_floats(state, ends)
        parts = [float(state[sums.SUMMED + place]) * 2.0 ** (sums.BITS * place) for place in range(3)]
        return (parts[2] + (parts[1] + parts[0])) / float(max(state[0], 1)), state[0] > 0

    wrong_state(patch, "mean", finish=wrong)


@mutant()
def folded_mean_cut_off_instead_of_rounded(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        if len(state) == sums.WIDTH_OF_FLOATS:
            return sums.mean_of_floats(state, ends)
        size = abs(wide(state))
        over = max(size.bit_length() - 53, 0)
        made = math.copysign(float(size >> over << over), wide(state)) if size else 0.0
        return made / float(max(state[0], 1)), state[0] > 0

    wrong_state(patch, "mean", finish=wrong)


@mutant()
def folded_std_of_the_population(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = sums.std(state, ends)
        rows = max(float(state[0]), 1.0)
        return value * math.sqrt((rows - 1.0) / rows), valid

    wrong_state(patch, "std", finish=wrong)


@mutant()
def folded_std_without_mixed_products(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: int, value: int) -> None:
        sums.counted(state, value, 1)
        sums.squared(state, value & sums.LOW, 1)
        sums.squared(state, value - (value & sums.LOW), 1)

    wrong_state(patch, "std", add=wrong)


@mutant()
def folded_std_of_one_value_is_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        return sums.std(state, ends)[0], state[0] > 0

    wrong_state(patch, "std", finish=wrong)


@mutant()
def folded_min_not_above_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: int, value: float) -> None:
        state[extremes.VALUE] = min(state[extremes.VALUE], value)
        state[extremes.SEEN] = 1

    wrong_state(patch, "min", add=wrong)


@mutant()
def folded_max_not_below_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: int, value: float) -> None:
        state[extremes.VALUE] = max(state[extremes.VALUE], value)
        state[extremes.SEEN] = 1

    wrong_state(patch, "max", add=wrong)


@mutant()
def folded_max_is_the_last(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: int, value: float) -> None:
        state[extremes.VALUE] = value
        state[extremes.SEEN] = 1

    wrong_state(patch, "max", add=wrong)


@mutant()
def folded_first_is_the_last(patch: pytest.MonkeyPatch) -> None:
    wrong_state(patch, "first", add=outermost.add_last)


@mutant()
def folded_last_is_the_first(patch: pytest.MonkeyPatch) -> None:
    wrong_state(patch, "last", add=outermost.add_first)


@mutant()
def folded_distinct_counts_rows(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _time: int, _value: int, limit: int) -> None:
        state[distinct.KEPT] = min(state[distinct.KEPT] + 1, limit)

    def all_kept(state: Any, *_: Any) -> tuple[int, bool]:
        return state[distinct.KEPT], True

    wrong_state(patch, "distinct", add=wrong, finish=all_kept)


@mutant()
def folded_distinct_saturates_one_too_early(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, time: int, value: int, limit: int) -> None:
        distinct.add(state, time, value, max(limit - 1, 1))

    wrong_state(patch, "distinct", add=wrong)


@mutant()
def folded_time_since_first_is_since_last(patch: pytest.MonkeyPatch) -> None:
    wrong_state(patch, "time_since_first", add=counted.add_last)


@mutant(chunk=1)
def folded_time_since_last_is_since_first(patch: pytest.MonkeyPatch) -> None:
    wrong_state(patch, "time_since_last", add=counted.add_first)
