"""Known-wrong engines of aggregations with functions of their own: one function of a state replaced, run as plain Python."""

from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import Any

import pytest

from features.definitions.aggregations import (
    AGGREGATIONS,
    Aggregation,
    burst,
    decayed,
    gaps,
    pairs,
    runs,
    sketch,
    trend,
)
from features.definitions.aggregations.aggregation import Ends, State
from features.values import generic
from tests.properties.registered import mutant

__all__ = ["with_functions"]


def with_functions(patch: pytest.MonkeyPatch, operations: set[str], **functions: Callable[..., Any]) -> None:
    right = generic._compiled

    def wrong(aggregation: Aggregation, state: State) -> Callable[..., None]:
        if aggregation.name not in operations:
            return right(aggregation, state)
        state = replace(state, **functions)  # type: ignore[arg-type]
        names = {"Ends": Ends, "state_zero": state.zero, "state_add": state.add, "state_finish": state.finish}
        return FunctionType(generic._windows.__code__, names)

    patch.setattr(generic, "_compiled", wrong)


def finish(operation: str) -> Callable[..., Any]:
    return AGGREGATIONS[operation].state.finish


@mutant("courses")
def gap_mean_over_rows(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = finish("gap_mean")(state, ends)
        return value * (state[gaps.ROWS] - 1) / max(state[gaps.ROWS], 1), valid

    with_functions(patch, {"gap_mean"}, finish=wrong)


@mutant("courses")
def gap_cv_of_two_rows_is_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = finish("gap_cv")(state, ends)
        return value, valid or (state[gaps.ROWS] == 2 and state[gaps.LAST] > state[gaps.FIRST])

    with_functions(patch, {"gap_cv"}, finish=wrong)


@mutant("courses")
def gap_cv_of_the_population(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = finish("gap_cv")(state, ends)
        count = max(float(state[gaps.ROWS]) - 1, 1.0)
        return value * ((count - 1) / count) ** 0.5, valid

    with_functions(patch, {"gap_cv"}, finish=wrong)


@mutant("courses", chunk=1)
def burst_of_the_newest_step(patch: pytest.MonkeyPatch) -> None:
    with_functions(patch, {"burst"}, finish=lambda state, *_: (state[burst.IN_LAST], True))


@mutant("courses", chunk=1)
def burst_of_steps_toward_zero(patch: pytest.MonkeyPatch) -> None:
    with_functions(patch, {"burst"}, add=lambda state, time, _, step: burst.counted(state, -(-time // step), 1))


@mutant("courses")
def trend_with_the_running_step(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends, step: int) -> tuple[float, bool]:
        return finish("trend")(state, Ends(ends.anchor, ends.lower, ends.upper + step - 1), step)  # type: ignore[no-any-return]

    with_functions(patch, {"trend"}, finish=wrong)


@mutant("courses")
def trend_null_where_one_step_has_rows(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends, step: int) -> tuple[float, bool]:
        value, valid = finish("trend")(state, ends, step)
        return value, valid and state[trend.BEFORE] > 0

    with_functions(patch, {"trend"}, finish=wrong)


@mutant("courses", chunk=1)
def pairs_of_the_first_and_the_last(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: Ends) -> tuple[float, bool]:
        return abs(state[pairs.LAST + 1] - state[pairs.FIRST + 1]), state[pairs.PAIRS] > 0

    with_functions(patch, {"pairs_max"}, finish=wrong)


@mutant("courses")
def speed_in_km_a_second(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = finish("speed_max")(state, ends)
        return value / 3600, valid

    with_functions(patch, {"speed_max"}, finish=wrong)


@mutant("courses", chunk=2)
def run_of_exactly_so_many(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, time: int, value: int, at_least: int) -> None:
        before = state[runs.FOUND]
        longer = state[runs.TRAILING] > at_least
        runs.add(state, time, value, at_least)
        if longer:
            state[runs.FOUND] = before

    with_functions(patch, {"runs"}, add=wrong)


@mutant("courses", chunk=2)
def run_goes_on_over_other_rows(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, time: int, value: int, at_least: int) -> None:
        if value:
            runs.add(state, time, value, at_least)

    with_functions(patch, {"runs"}, add=wrong)


@mutant("courses")
def decay_ends_at_the_newest_row(patch: pytest.MonkeyPatch) -> None:
    with_functions(patch, {"decayed_count"}, finish=lambda state, *_: (state[decayed.WEIGHT], True))


@mutant("courses")
def decay_by_e(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends, half_life: int) -> tuple[float, bool]:
        return finish("decayed_count")(state, ends, half_life / 1.4427)  # type: ignore[no-any-return]

    with_functions(patch, {"decayed_count"}, finish=wrong)


@mutant("courses")
def entropy_in_bits(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends) -> tuple[float, bool]:
        value, valid = finish("entropy")(state, ends)
        return value / 0.6931471805599453, valid

    with_functions(patch, {"entropy"}, finish=wrong)


@mutant("courses")
def top_k_by_value_alone(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: Ends, rank: int) -> tuple[int, bool]:
        held = [code for code in range(len(state)) if state[code] > 0]
        return (held[rank - 1], True) if len(held) >= rank else (0, False)

    with_functions(patch, {"top_k"}, finish=wrong)


@mutant("courses")
def last_k_counts_from_the_newest_but_one(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, _: Ends, rank: int) -> tuple[int, bool]:
        return state[1 + (state[0] - 1) % rank], state[0] >= rank

    with_functions(patch, {"last_k"}, finish=wrong)


@mutant("courses")
def sketch_of_an_eighth_of_the_registers(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, time: int, value: int, precision: int) -> None:
        sketch.add(state, time, value & ~7, precision)

    with_functions(patch, {"distinct_sketch"}, add=wrong)


@mutant("courses")
def quantile_of_the_rank_above(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: Any, ends: Ends, q: float, accuracy: float) -> tuple[float, bool]:
        return finish("quantile")(state, ends, min(q + 0.4, 1.0), accuracy)  # type: ignore[no-any-return]

    with_functions(patch, {"quantile"}, finish=wrong)
