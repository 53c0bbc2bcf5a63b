"""The engine gives what the oracle gives, on cases biased to edges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.agreement import differences
from tests.strategies import NO_HEALTH_CHECK, Case, attribute_cases, event_cases

QUICK = settings(max_examples=200, suppress_health_check=NO_HEALTH_CHECK)
SLOW = settings(QUICK, max_examples=3_000)


@QUICK
@given(event_cases())
def test_events(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=150)
@given(event_cases(of_course=True))
def test_courses_of_events(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=150)
@given(attribute_cases())
def test_attributes(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@QUICK
@given(event_cases(held=True))
def test_events_some_of_which_are_held(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@QUICK
@given(event_cases(late=True))
def test_events_some_of_which_landed_late(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.slow
@settings(QUICK, max_examples=100)
@given(event_cases(late=True, held=True))
def test_events_some_of_which_landed_late_and_some_of_which_are_held(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=100)
@given(attribute_cases(held=True))
def test_attributes_some_of_which_are_held(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(SLOW, max_examples=600)
@given(event_cases(held=True))
def test_events_some_of_which_are_held_at_length(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(SLOW, max_examples=300)
@given(st.one_of(event_cases(late=True), event_cases(late=True, held=True)))
def test_events_some_of_which_landed_late_at_length(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@SLOW
@given(event_cases())
def test_events_at_length(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(SLOW, max_examples=1_000)
@given(event_cases(of_course=True))
def test_courses_of_events_at_length(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(SLOW, max_examples=1_000)
@given(attribute_cases())
def test_attributes_at_length(case: Case) -> None:
    assert differences(case) == []
