"""What must not matter does not matter: said of the engine alone, without the oracle."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.definitions.freshness import Schedule
from tests.engine import answers
from tests.oracle import Answer
from tests.strategies import DAY, NO_HEALTH_CHECK, Case, cases, event_cases

WEEK = 7 * DAY
SOME = settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
INSTANTS = ("event_time", "known", "w")


def run(case: Case) -> list[tuple[dict[str, str], str]]:
    """Answers as text, which knows NaN from nothing and 0 from 0.0."""
    return [shown(answer) for answer in answers(case.view, case.raw, case.asks, case.batches)]


def shown(answer: Answer) -> tuple[dict[str, str], str]:
    return {name: repr(value) for name, value in answer.values.items()}, answer.status


@SOME
@given(cases(), st.sampled_from([-3 * WEEK, WEEK, 52 * WEEK]))
def test_shifting_every_instant_by_whole_weeks_shifts_nothing_else(case: Case, by: int) -> None:
    """A week is a multiple of every step, period and day that the cases use."""

    def moved(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value + by if name in INSTANTS and value is not None else value for name, value in row.items()}

    later = replace(
        case,
        raw={name: [moved(row) for row in rows] for name, rows in case.raw.items()},
        asks=[(key, t + by) for key, t in case.asks],
    )
    instants = {name for name, kind in case.view.types.items() if kind == "timestamp"}
    back = [
        shown(Answer({name: value - by if name in instants and value is not None else value for name, value in answer.values.items()}, answer.status))
        for answer in answers(later.view, later.raw, later.asks, later.batches)
    ]  # fmt: skip
    assert back == run(case)


@SOME
@given(cases(), st.integers(0, 2**32))
def test_the_order_of_the_input_does_not_matter(case: Case, number: int) -> None:
    raw = {name: random.Random(number).sample(rows, len(rows)) for name, rows in case.raw.items()}  # noqa: S311
    assert run(replace(case, raw=raw)) == run(case)


@pytest.mark.slow
@SOME
@given(cases())
def test_batches_of_ingest_do_not_matter(case: Case) -> None:
    assert run(replace(case, batches=1)) == run(replace(case, batches=2)) == run(replace(case, batches=4))


@SOME
@given(event_cases())
def test_redelivering_everything_changes_nothing(case: Case) -> None:
    assume(case.view.source.event_id is not None)
    twice = replace(case, raw={name: rows + [dict(row) for row in rows] for name, rows in case.raw.items()})
    assert run(twice) == run(case)


@SOME
@given(cases(), st.integers(1, 3))
def test_what_becomes_known_after_the_ask_changes_nothing(case: Case, later: int) -> None:
    after = max(t for _, t in case.asks) + later
    raw = {
        name: rows + [{**row, "known": after, "event_time": after if case.view.source.known_at is None else row["event_time"], "n": 77} for row in rows]
        for name, rows in case.raw.items()
    }  # fmt: skip
    assert run(replace(case, raw=raw)) == run(case)


@SOME
@given(cases())
def test_a_value_anchored_at_its_cut_is_constant_until_the_next(case: Case) -> None:
    """What a snapshot of cut c holds is what frames give in [c + P, c + P + period)."""
    fresh = case.view.freshness
    assume(isinstance(fresh, Schedule) and fresh.anchor == "cut")
    assert isinstance(fresh, Schedule)
    starts = [fresh.cut_served(t) + fresh.lag_us for _, t in case.asks]
    first = replace(case, asks=[(key, start) for (key, _), start in zip(case.asks, starts, strict=True)])
    last = replace(
        case, asks=[(key, start + fresh.period_us - 1) for (key, _), start in zip(case.asks, starts, strict=True)]
    )
    assert run(first) == run(case) == run(last)
