"""The states of the aggregations that the sweep has kernels for: the same bits as the kernels, and the laws of merge and remove.

The states are run as plain Python over numpy's int64, where a word that overflows is an error and not another number.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from features.definitions import authoring as make
from features.definitions.aggregations import AGGREGATIONS, counted, distinct, extremes, outermost, sums
from features.definitions.aggregations.aggregation import Ends, State
from features.definitions.entities import Entity
from features.definitions.features import Aggregate
from features.definitions.sources import Source, fields
from features.definitions.views import FeatureView, flat
from features.values import generic
from tests.engine import answers
from tests.properties import mutants_of_states
from tests.properties.agreement import differences
from tests.properties.registered import MUTANTS
from tests.properties.without_kernels import without_kernels
from tests.strategies import FLOATS, INTEGERS, NO_HEALTH_CHECK, Case, event_cases

KERNELS = [name for name, item in AGGREGATIONS.items() if item.kernel]
STATES: dict[str, State] = {name: AGGREGATIONS[name].state for name in KERNELS}
STATES |= {f"{name} of floats": floats for name in KERNELS if (floats := AGGREGATIONS[name].of_floats) is not None}
NEAR = ("sum of floats", "mean of floats")
"""Equal however rows are split only within what is declared."""

Row = tuple[int, Any]
SOME = settings(max_examples=60)


class Stretches(NamedTuple):
    """Rows in their order, where they are split, which of them leave, and the parameters."""

    rows: list[Row]
    at: list[int]
    leaving: list[int]
    chosen: tuple[int, ...]

    @property
    def parts(self) -> list[list[Row]]:
        edges = [0, *sorted(min(at, len(self.rows)) for at in self.at), len(self.rows)]
        return [self.rows[start:end] for start, end in pairwise(edges)]


def of_kind(name: str) -> st.SearchStrategy[Any]:
    """What add gets."""
    state = STATES[name]
    if state.value == "code":
        return st.integers(0, 3)
    if state.words == "float64":
        finite = [value for value in FLOATS if value is not None and math.isfinite(value)]
        return st.one_of(st.sampled_from(finite), st.floats(-1e18, 1e18)).map(lambda value: np.float64(value) + 0.0)
    hostile = st.sampled_from([value for value in INTEGERS if value is not None])
    return (hostile if state.value == "hash" else st.one_of(hostile, st.integers(-(2**63), 2**63 - 1))).map(np.int64)


@st.composite
def stretches(draw: st.DrawFn, name: str) -> Stretches:
    """Few rows, some of one instant and of one value."""
    times = sorted(draw(st.lists(st.integers(0, 20), max_size=10)))
    rows = [(time, draw(of_kind(name))) for time in times]
    leaving = draw(st.lists(st.sampled_from(range(len(rows))), unique=True)) if rows else []
    chosen = (draw(st.sampled_from([1, 2, 3, 2**31])),) if name == "distinct" else ()
    return Stretches(rows, draw(st.lists(st.integers(0, 10), max_size=3)), leaving, chosen)


def folded(state: State, rows: Sequence[Row], chosen: tuple[int, ...]) -> np.ndarray:
    """Of a state that held something else before; with room for ten values."""
    words = np.full(state.width(10, *chosen), 9, np.int64 if state.words == "int64" else np.float64)
    state.zero(words, *chosen)
    for time, value in rows:
        state.add(words, time, value, *chosen)
    return words


def merged(state: State, parts: Sequence[Sequence[Row]], chosen: tuple[int, ...]) -> np.ndarray:
    words = folded(state, [], chosen)
    for part in parts:
        state.merge(words, folded(state, part, chosen), *chosen)
    return words


def merge_fails(name: str, state: State, drawn: Stretches) -> bool:
    """Whether merging stretches gives another state than adding all rows."""
    whole, made = folded(state, drawn.rows, drawn.chosen), merged(state, drawn.parts, drawn.chosen)
    if name not in NEAR:
        return bool(whole.tolist() != made.tolist())
    room = 1e-9 * sum(abs(value) for _, value in drawn.rows)
    return bool(made[0] != whole[0] or abs(made[1] - whole[1]) > room)


def remove_fails(_: str, state: State, drawn: Stretches) -> bool:
    """Whether rows that leave, in whatever order, leave another state than never adding them."""
    made = folded(state, drawn.rows, drawn.chosen)
    assert state.remove is not None
    for place in drawn.leaving:
        state.remove(made, *drawn.rows[place], *drawn.chosen)
    kept = [row for place, row in enumerate(drawn.rows) if place not in drawn.leaving]
    return bool(made.tolist() != folded(state, kept, drawn.chosen).tolist())


# The values


@settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
@given(case=event_cases(), limit=st.sampled_from([None, 1, 3, 2**31]))
@pytest.mark.slow
def test_folding_gives_the_values_of_the_kernels_and_of_the_oracle(case: Case, limit: int | None) -> None:
    case = replace(case, view=replace(case.view, features=tuple(limited(part, limit) for part in case.view.features)))
    by_kernels = answers(case.view, case.raw, case.asks, case.batches)
    with pytest.MonkeyPatch.context() as patch:
        without_kernels(patch)
        assert differences(case) == []
        folds = answers(case.view, case.raw, case.asks, case.batches)
    assert repr(folds) == repr(by_kernels)  # of floats too: every bit, and the sign of 0


def limited(feature: Any, limit: int | None) -> Any:
    wanted = isinstance(feature, Aggregate) and feature.operation == "distinct" and limit is not None
    return replace(feature, limit=limit) if wanted else feature


def test_each_has_a_known_wrong_state_that_this_tells_from_the_right_one() -> None:
    known = [item.name for item in MUTANTS if item.patch.__module__ == mutants_of_states.__name__]
    assert len(KERNELS) == 11
    assert [name for name in KERNELS if not any(item.startswith(f"folded_{name}_") for item in known)] == []


@settings(max_examples=300)
@given(values=st.lists(of_kind("std"), min_size=1, max_size=7), doubled=st.sampled_from([0, 0, 1, 28]))
def test_integers_are_exact_up_to_two_to_the_31_rows(values: list[Any], doubled: int) -> None:
    made = {name: folded(STATES[name], [(0, value) for value in values], ()) for name in ("sum", "mean", "std")}
    for name, words in made.items():
        for _ in range(doubled):
            STATES[name].merge(words, words.copy())
    times = 2**doubled
    n, total, squares = (
        times * part for part in (len(values), sum(map(int, values)), sum(int(v) ** 2 for v in values))
    )
    found = {name: STATES[name].finish(words, Ends(0, 0, 0)) for name, words in made.items()}
    assert found["sum"] == ((total, True) if -(2**63) <= total < 2**63 else (0, False))
    assert found["mean"] == (float(total) / float(n), True)
    spread = math.sqrt(float(n * squares - total**2) / float(n * (n - 1))) if n > 1 else 0.0
    assert found["std"] == (spread, n > 1)


@pytest.mark.parametrize("near", [2**53 + 1, 2**60 + 2**7, 2**61 + 2**8, 2**62 + 2**9, 2**63 - 2**9])
@pytest.mark.parametrize("by", [-1, 0, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_mean_is_rounded_half_to_even_once(near: int, by: int, sign: int) -> None:
    """Beside numbers that lie half-way between two float64s, where rounding twice shows."""
    for many in range(1, 6):
        words = folded(STATES["mean"], [(0, np.int64(sign * (near + by)))] * many + [(0, np.int64(sign))], ())
        wanted = float(sign * ((near + by) * many + 1)) / float(many + 1)
        assert STATES["mean"].finish(words, Ends(0, 0, 0)) == (wanted, True)


# The laws


@pytest.mark.parametrize("name", STATES)
@SOME
@given(data=st.data())
def test_merged_stretches_are_all_rows_added(name: str, data: st.DataObject) -> None:
    assert not merge_fails(name, STATES[name], data.draw(stretches(name)))


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state.remove is not None])
@SOME
@given(data=st.data())
def test_rows_that_leave_were_never_there(name: str, data: st.DataObject) -> None:
    assert not remove_fails(name, STATES[name], data.draw(stretches(name)))


def test_remove_exists_for_counts_and_integer_sums_alone() -> None:
    assert {name for name, state in STATES.items() if state.remove is not None} == {"count", "sum", "mean", "std"}


def windows_of_one_state_fail(_: str, state: State, drawn: Stretches) -> bool:
    """Whether some window with the same end is not finished right from the state of all rows."""
    words = folded(state, drawn.rows, drawn.chosen)
    for lower in range(22):
        wanted = min(len({value for time, value in drawn.rows if time >= lower}), *drawn.chosen)
        if state.finish(words, Ends(21, lower, 21), *drawn.chosen) != (wanted, True):
            return True
    return False


@SOME
@given(drawn=stretches("distinct"))
def test_one_distinct_state_serves_every_window_with_its_end(drawn: Stretches) -> None:
    assert not windows_of_one_state_fail("distinct", STATES["distinct"], drawn)


def test_a_limit_takes_no_more_room_than_there_are_values() -> None:
    assert STATES["distinct"].width(10, 2**31) == STATES["distinct"].width(10, 10) == 21
    assert STATES["distinct"].width(10, 3) == 7


@pytest.mark.parametrize(("keys", "most"), [([], 0), ([0], 1), ([5, 5], 2), ([0, 0, 3, 3, 3, 7], 3), ([0, 1, 1], 2)])
def test_a_key_has_no_more_different_values_than_rows(keys: list[int], most: int) -> None:
    assert generic._longest(np.array(keys, np.int64)) == most


def test_a_number_is_given_only_as_its_column_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a float's largest would be cut to an integer, silently."""
    source = Source(
        name="s",
        table="raw.s",
        event_id="id",
        columns=(*fields("string", "id k"), *fields("float64", "f"), *fields("timestamp", "event_time")),
    )
    view = FeatureView(
        name="v", entity=Entity(name="e", keys=("k",)), source=source, features=flat((make.max_("f", "1h"),))
    )
    monkeypatch.setattr(generic, "AGGREGATIONS", {"max": replace(AGGREGATIONS["max"], of_floats=None)})
    without_kernels(monkeypatch)
    with pytest.raises(TypeError, match="max gives double and has a state of int64: give it one for each"):
        answers(view, {"s": []}, [(("x",), 0)])


# Each can fail


@dataclass(frozen=True)
class Wrong:
    """A copy of a state in which one function is wrong."""

    name: str
    what: str
    fails: Callable[[str, State, Stretches], bool]
    functions: dict[str, Callable[..., Any]]


def nothing(*_: Any) -> None:
    """Does nothing."""


def words_alone(*places: int) -> Callable[..., None]:
    """A merge that leaves out all other words."""

    def wrong(state: Any, later: Any) -> None:
        for place in places:
            state[place] += later[place]

    return wrong


def known_items_stay(state: Any, later: Any, limit: int) -> None:
    """A merge that does not move what is known already."""
    known = {state[distinct.ITEMS + distinct.SIZE * item] for item in range(state[distinct.KEPT])}
    for item in range(later[distinct.KEPT]):
        at = distinct.ITEMS + distinct.SIZE * item
        if later[at] not in known:
            distinct.add(state, later[at + distinct.TIME], later[at], limit)


def first_time_stays(state: Any, time: int, value: int, limit: int) -> None:
    """An add that keeps when an item was first seen."""
    if value not in state[distinct.ITEMS : distinct.ITEMS + distinct.SIZE * state[distinct.KEPT] : distinct.SIZE]:
        distinct.add(state, time, value, limit)


def later_alone(state: Any, later: Any) -> None:
    """A merge that forgets what was there."""
    state[:] = later


WRONG = [
    *(Wrong(name, "nothing merged", merge_fails, {"merge": nothing}) for name in STATES),
    *(Wrong(name, "later alone", merge_fails, {"merge": later_alone}) for name in STATES if name != "distinct"),
    *(Wrong(name, "nothing removed", remove_fails, {"remove": nothing}) for name in ("count", "sum", "mean", "std")),
    *(Wrong(name, "upper piece lost", merge_fails, {"merge": words_alone(0, 1, 2)}) for name in ("sum", "mean")),
    Wrong("std", "squares not merged", merge_fails, {"merge": words_alone(0, 1, 2, 3)}),
    Wrong("std", "squares not removed", remove_fails, {"remove": sums.remove}),
    Wrong("sum", "one row too few leaves", remove_fails, {"remove": counted.remove}),
    Wrong("min", "of an empty stretch", merge_fails, {"merge": lambda state, later: extremes.add_smaller(state, 0, later[1])}),
    Wrong("max", "the smaller", merge_fails, {"merge": extremes.merge_smaller}),
    Wrong("first", "of the later rows", merge_fails, {"merge": outermost.merge_last}),
    Wrong("last", "of the earlier rows", merge_fails, {"merge": outermost.merge_first}),
    Wrong("time_since_first", "of the later rows", merge_fails, {"merge": counted.merge_last}),
    Wrong("time_since_last", "of the earlier rows", merge_fails, {"merge": counted.merge_first}),
    Wrong("distinct", "known items stay", merge_fails, {"merge": known_items_stay}),
    Wrong("distinct", "first time", windows_of_one_state_fail, {"add": first_time_stays}),
    Wrong("distinct", "all time", windows_of_one_state_fail, {"finish": lambda state, *_: (state[distinct.KEPT], True)}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=f"{wrong.name}: {wrong.what}") for wrong in WRONG])
def test_a_wrong_state_breaks_its_law(wrong: Wrong) -> None:
    state, found = replace(STATES[wrong.name], **wrong.functions), []  # type: ignore[arg-type]

    @seed(1)
    @settings(max_examples=100, phases=[Phase.generate], database=None)
    @given(stretches(wrong.name))
    def draw(drawn: Stretches) -> None:
        found.append(wrong.fails(wrong.name, state, drawn))

    draw()
    assert any(found), f"{wrong.what} keeps the law in {len(found)} cases"
