"""Asks that bring request fields: in frames and in lookups each counts as an event of its key, as the oracle says."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings

from features.values import requests, sweep
from features.values.state import finish
from features.values.timeline import Timeline
from tests.properties.agreement import differences
from tests.properties.drawing import drawn
from tests.properties.test_states import differences as differences_of_lookups
from tests.request_cases import request_cases
from tests.strategies import DAY, NO_HEALTH_CHECK, Case

QUICK = settings(max_examples=80, suppress_health_check=NO_HEALTH_CHECK)


@pytest.mark.slow
@QUICK
@given(request_cases())
def test_a_frame_counts_the_ask_itself(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@settings(QUICK, max_examples=30)
@given(request_cases(of_course=True))
def test_courses_of_a_frame_go_on_to_the_ask(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@QUICK
@given(request_cases())
def test_a_lookup_counts_the_ask_itself(case: Case) -> None:
    assert differences_of_lookups(case) == []


@pytest.mark.slow
@settings(QUICK, max_examples=30)
@given(request_cases(of_course=True))
def test_courses_of_a_lookup_go_on_to_the_ask(case: Case) -> None:
    assert differences_of_lookups(case) == []


CHUNK, CHUNKS = 60, 6


def the_ask_is_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Timeline, "behind_own", lambda _, __, end, ___: end)


def all_of_the_instant_counts(patch: pytest.MonkeyPatch) -> None:
    """Rows of the asked instant count beside the ask."""
    patch.setattr(finish, "before_asks", lambda rows, _: rows)


def its_first_version_counts_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(finish, "unreplaced", lambda _, tail, *__: tail)


def its_first_version_counts_too_in_frames(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requests, "_hidden", lambda _, line, *__: line)


def asks_of_one_instant_see_one_another(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "rounds", lambda asks: [np.ones(len(asks.key), bool)])


def the_filter_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requests, "counting_asks", lambda _, __, count: np.ones(count, bool))


def what_a_cut_knows_is_replaced(patch: pytest.MonkeyPatch) -> None:
    """No store could: a state has no ids."""
    patch.setattr(requests, "anchors", lambda instant, _: instant - DAY)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "mutant",
    [
        the_ask_is_left_out, all_of_the_instant_counts, its_first_version_counts_too, its_first_version_counts_too_in_frames,
        asks_of_one_instant_see_one_another, the_filter_is_forgotten, what_a_cut_knows_is_replaced,
    ],
)  # fmt: skip
def test_a_wrong_engine_is_told_from_the_right_one(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    cases = (case for number in range(CHUNKS) for case in drawn(request_cases, number, CHUNK))
    assert any(differences(case) or differences_of_lookups(case) for case in cases)
