"""A lookup from a state gives what the oracle counts from all that is known at the instant."""

import pytest
from hypothesis import given, settings

from tests.properties.agreement import agree, expected
from tests.states import kept_cases, looked_up
from tests.strategies import NO_HEALTH_CHECK, Case, attribute_cases

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=NO_HEALTH_CHECK)


def differences(case: Case) -> list[str]:
    """A line for each value or status that is not the oracle's."""
    found: list[str] = []
    types = case.view.types
    for (key, t), got, meant in zip(case.asks, looked_up(case), expected(case), strict=True):
        if got.status != meant.status:
            found.append(f"{key} at {t}: status {got.status}, meant {meant.status}")
        for name, value in meant.values.items():
            if not agree(case, types[name], name, key, t, got.values[name], value):
                found.append(f"{key} at {t}: {name} is {got.values[name]!r}, meant {value!r}")
    return found


@QUICK
@given(kept_cases())
def test_a_lookup_from_a_state_is_the_oracles(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=30)
@given(kept_cases(of_course=True))
def test_courses_from_a_state_are_the_oracles(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=30)
@given(attribute_cases().filter(lambda case: case.view.stateful))
def test_attributes_from_a_state_are_the_oracles(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(QUICK, max_examples=400)
@given(kept_cases())
def test_a_lookup_from_a_state_is_the_oracles_at_length(case: Case) -> None:
    assert differences(case) == []
