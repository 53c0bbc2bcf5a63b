"""Cuts that follow from one another give what the oracle counts from all that is known, wherever the first of them began."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from features import Entity, FeatureView, Schedule, Source, count, distinct, fields, flat, max_, min_
from features.definitions.tiling import grid_of
from features.values import carrying, kept
from features.values.kept import tiled
from tests.chains import CarriedCase, carried_cases, shuffled, walked
from tests.engine import stored
from tests.properties.drawing import drawn
from tests.strategies import NO_HEALTH_CHECK, Case

QUICK = settings(max_examples=50, suppress_health_check=NO_HEALTH_CHECK)
CHUNK, CHUNKS = 40, 10


@pytest.mark.slow
@QUICK
@given(carried_cases())
def test_cuts_that_follow_from_one_another_are_the_oracles(case: CarriedCase) -> None:
    assert walked(case) == []


@pytest.mark.slow
@settings(QUICK, max_examples=25)
@given(carried_cases(of_course=True))
def test_courses_of_cuts_that_follow_from_one_another_are_the_oracles(case: CarriedCase) -> None:
    assert walked(case) == []


SECOND = 1_000_000
SALES = Source(
    name="s", table="raw.s", columns=(*fields("string", "card shop"), *fields("int64", "amount"), *fields("timestamp", "event_time")),
)  # fmt: skip
BY_TILE = FeatureView(
    name="v", entity=Entity(name="card", keys=("card",)), source=SALES, freshness=Schedule(period="10s", publish_lag="0"), remember="1d", tiles=True,
    features=flat((count("20s"), max_("amount", "20s 30s 1m"), min_("amount", "20s 30s 1m"), distinct("shop", "20s 30s 1m", limit=3))),
)  # fmt: skip


def by_tile(of: Callable[[int], int], first: int) -> CarriedCase:
    """A sale every other second for a minute and a half, of amounts that say which stay; nothing is ever corrected."""
    rows = [
        {"card": "c", "shop": f"s{of(n) % 5}", "amount": of(n), "event_time": n * SECOND + n % 3 - 1}
        for n in range(1, 90, 2)
    ]
    case = Case(view=BY_TILE, raw={"s": rows}, asks=[])
    return CarriedCase(case, shuffled(BY_TILE, stored(SALES, rows), corrected=False), first * SECOND)


RISING_AND_FALLING = [
    by_tile(of, first) for of in (lambda n: n, lambda n: -n, lambda n: 37 * n % 29) for first in range(10, 90, 10)
]


def test_of_rows_at_the_start_of_their_tile_cuts_are_the_oracles() -> None:
    assert all(tiled(case.case.view) == 10 * SECOND for case in RISING_AND_FALLING)
    assert [walked(case) for case in RISING_AND_FALLING] == [[]] * len(RISING_AND_FALLING)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(QUICK, max_examples=100)
@given(carried_cases())
def test_cuts_that_follow_from_one_another_are_the_oracles_at_length(case: CarriedCase) -> None:
    assert walked(case) == []


def of_rule(operation: str, wrong: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A wrong rule for what a later cut may need of an operation's rows."""
    return lambda patch: patch.setitem(kept._RULES, operation, wrong)


def no_gap_is_seen(patch: pytest.MonkeyPatch) -> None:
    """What a row that was taken back had outdone is forgotten."""
    patch.setattr(carrying, "_gaps", lambda *_: set())


def nothing_leaves(patch: pytest.MonkeyPatch) -> None:
    right = carrying._moves

    def wrong(*given: Any) -> Any:
        moves = right(*given)
        return type(moves)(anew=moves.anew, window=moves.window, entering=moves.entering, leaving=(0, 0))

    patch.setattr(carrying, "_moves", wrong)


def nothing_known_before_enters(patch: pytest.MonkeyPatch) -> None:
    """Events of the future, and those that an offset kept out, are counted by no later cut."""
    right = carrying._moves

    def wrong(*given: Any) -> Any:
        moves = right(*given)
        return type(moves)(anew=moves.anew, window=moves.window, entering=(0, 0), leaving=moves.leaving)

    patch.setattr(carrying, "_moves", wrong)


def rows_that_wait_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    right = kept.kept
    patch.setattr(
        carrying, "kept",
        lambda view, line, cut: right(view, line, cut) & (line.since <= cut + view.schedule.lag_us),
    )  # fmt: skip


def tiles_are_twice_as_long(patch: pytest.MonkeyPatch) -> None:
    """A row leaves a window with its tile, and not before."""
    right = carrying._tiled
    patch.setattr(carrying, "_tiled", lambda rows, grid, counts: right(rows, 2 * grid, counts))


def no_value_depends_on_instants(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(carrying, "tiled", grid_of)


WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "gaps": no_gap_is_seen,
    "leaving": nothing_leaves,
    "entering": nothing_known_before_enters,
    "waiting": rows_that_wait_are_forgotten,
    "twice as long": tiles_are_twice_as_long,
    "instants": no_value_depends_on_instants,
    "only the largest": of_rule("max", lambda line, places, need: kept._largest(line, places, need) & _once(line.key[places])),
    "oldest of values": of_rule("distinct", lambda line, places, need: ~kept._newest_of_values(line, places, need)),
    "newest but one": of_rule("last", lambda line, places, _: ~kept._at_edge(line.key[places], line.time[places], last=True)),
}  # fmt: skip


def _once(key: np.ndarray) -> np.ndarray:
    """The first of each run of equal keys: all that a window holds, but what stays when it has moved on."""
    made = np.ones(len(key), dtype=bool)
    made[1:] = key[1:] != key[:-1]
    return made


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_way_to_follow_is_told_from_the_right_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WRONG[name](monkeypatch)
    hostile = (case for number in range(CHUNKS) for case in drawn(carried_cases, number, CHUNK))
    assert any(walked(case) for case in chain(RISING_AND_FALLING, hostile))
