"""The algebra that every aggregation's functions obey, run as the plain Python that they are."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.aggregations.aggregation import Aggregation, Ends, State

KINDS = 4
STEP = 10
GIVEN: dict[str, tuple[Any, ...]] = {
    "distinct": (2,),
    "top_k": (2,),
    "last_k": (2,),
    "time_since_last_k": (3,),
    "quantile": (0.5, 0.1),
    "distinct_sketch": (4,),
    "runs": (2,),
    "decayed_count": (30,),
    "decayed_sum": (30,),
    "decayed_mean": (30,),
}
"""Parameters to test with, the step and the limit among them."""

NAMES = list(AGGREGATIONS)


def functions(name: str) -> tuple[Aggregation, State, tuple[Any, ...]]:
    aggregation = AGGREGATIONS[name]
    return aggregation, aggregation.state, GIVEN.get(name, (STEP,) if aggregation.stepped else ())


def empty(name: str) -> list[Any]:
    _, state, chosen = functions(name)
    made: list[Any] = [9] * state.width(KINDS, *chosen)
    state.zero(made, *chosen)
    return made


def rows(name: str, seed: int, count: int) -> list[tuple[int, Any]]:
    aggregation, state, _ = functions(name)
    draw = random.Random(seed)  # noqa: S311
    times = sorted(draw.choice([draw.randrange(-40, 200), draw.randrange(-4, 4) * STEP]) for _ in range(count))

    def value() -> Any:
        if name == "runs":
            return draw.choice([0, 1, 1, 1, 2])
        if state.value == "code":
            return draw.randrange(KINDS)
        if state.value == "hash":
            return draw.choice([0, 1, -1, 16, 2**63 - 1, -(2**63), 12345678901234567])
        numbers: list[float] = [0, 1, 2, -3, 40] if aggregation.kernel else [0.0, 1.0, 2.0, -3.5, 40.25]
        several = [draw.choice(numbers) for _ in aggregation.takes]
        return several if len(several) > 1 else several[0] if several else 0

    return [(time, value()) for time in times]


def folded(name: str, given: list[tuple[int, Any]]) -> list[Any]:
    _, state, chosen = functions(name)
    made = empty(name)
    for time, value in given:
        state.add(made, time, value, *chosen)
    return made


def finished(name: str, words: list[Any]) -> Any:
    _, state, chosen = functions(name)
    value, valid = state.finish(words, Ends(200, -40, 200), *chosen)
    return value if valid else None


def near(left: Any, right: Any) -> bool:
    return bool(left == right) if left is None or right is None else left == pytest.approx(right, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_the_empty_value(name: str) -> None:
    assert finished(name, empty(name)) == (0 if AGGREGATIONS[name].empty == "0" else None)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 12), at=st.lists(st.integers(0, 12), max_size=3))
def test_any_split_in_time_merges_to_the_whole(name: str, seed: int, count: int, at: list[int]) -> None:
    _, state, chosen = functions(name)
    given = rows(name, seed, count)
    made = empty(name)
    for start, end in pairwise([0, *sorted(at), len(given)]):
        state.merge(made, folded(name, given[start:end]), *chosen)
    assert near(finished(name, made), finished(name, folded(name, given)))
    assert made == pytest.approx(folded(name, given), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 12))
def test_merging_nothing_changes_nothing(name: str, seed: int, count: int) -> None:
    _, state, chosen = functions(name)
    whole = folded(name, rows(name, seed, count))
    made = list(whole)
    state.merge(made, empty(name), *chosen)
    assert made == whole
    nothing = empty(name)
    state.merge(nothing, whole, *chosen)
    assert nothing == whole


@pytest.mark.parametrize("name", [name for name in NAMES if AGGREGATIONS[name].removable])
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 12), first=st.integers(0, 12))
def test_remove_is_the_inverse_of_add(name: str, seed: int, count: int, first: int) -> None:
    _, state, chosen = functions(name)
    given = rows(name, seed, count)
    made = folded(name, given)
    assert state.remove is not None
    for time, value in given[:first]:
        state.remove(made, time, value, *chosen)
    assert made == folded(name, given[first:])


@pytest.mark.parametrize("count", [0, 1, 10, 100, 1_000, 20_000])
def test_a_sketch_is_near_the_truth_and_knows_no_order(count: int) -> None:
    draw = random.Random(count)  # noqa: S311
    hashes = [draw.getrandbits(64) - 2**63 for _ in range(count)]
    _, state, _ = functions("distinct_sketch")
    made = []
    for seed in (1, 2):
        words: list[Any] = [0] * state.width(0, 10)
        for value in random.Random(seed).sample(hashes, count) + hashes[:50]:  # noqa: S311
            state.add(words, 0, value, 10)
        made.append(state.finish(words, Ends(0, 0, 0), 10))
    assert made[0] == made[1]
    assert made[0][0] == pytest.approx(count, rel=0.1)
