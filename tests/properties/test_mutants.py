"""The properties must tell each known-wrong engine from the right one, within a bounded number of cases."""

from functools import cache

import pytest
from hypothesis import Phase, given, seed, settings

from tests.oracle import Answer
from tests.properties import (  # each puts its own onto the list
    mutants_of_course,
    mutants_of_holds,
    mutants_of_rates,
    mutants_of_rows,
    mutants_of_states,
    mutants_of_values,
)
from tests.properties.agreement import differences, expected
from tests.properties.registered import MUTANTS, Mutant
from tests.properties.test_rates import late_cases
from tests.strategies import NO_HEALTH_CHECK, Case, attribute_cases, event_cases

MODULES = (mutants_of_course, mutants_of_holds, mutants_of_rates, mutants_of_rows, mutants_of_states, mutants_of_values)
assert {module.__name__ for module in MODULES} == {item.patch.__module__ for item in MUTANTS}
CHUNK, CHUNKS = 80, 12
STRATEGIES = {
    "events": event_cases(), "courses": event_cases(of_course=True), "late": event_cases(late=True), "held": event_cases(held=True), "attributes": attribute_cases(),
    "rates": late_cases(),
}  # fmt: skip


@cache
def drawn(kind: str, number: int) -> list[tuple[Case, list[Answer]]]:
    """The same cases in every run, drawn a chunk at a time, with what the oracle says of them."""
    found: list[tuple[Case, list[Answer]]] = []

    @seed(number)
    @settings(
        max_examples=CHUNK,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=NO_HEALTH_CHECK,
    )
    @given(STRATEGIES[kind])
    def draw(case: Case) -> None:
        found.append((case, expected(case)))

    draw()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=mutant.name) for mutant in MUTANTS])
def test_the_properties_kill(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    numbers = (number % CHUNKS for number in range(mutant.chunk, mutant.chunk + CHUNKS))
    killed = any(differences(case, want) for number in numbers for case, want in drawn(mutant.kind, number))
    assert killed, f"{mutant.name} gives the right values in {CHUNK * CHUNKS} cases"


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_right_engine_lives(kind: str) -> None:
    assert [line for case, want in drawn(kind, 0) for line in differences(case, want)] == []


def test_no_mutant_is_there_twice() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 20
