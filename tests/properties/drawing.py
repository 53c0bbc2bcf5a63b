"""The same cases in every run, for tests that tell wrong engines from the right one."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from tests.strategies import NO_HEALTH_CHECK

__all__ = ["drawn"]

T = TypeVar("T")


@cache
def drawn(of: Callable[[], st.SearchStrategy[T]], number: int, count: int) -> list[T]:
    """A chunk of so many, the one of a number."""
    found: list[T] = []

    @seed(number)
    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=NO_HEALTH_CHECK)
    @given(of())
    def draw(case: T) -> None:
        found.append(case)

    draw()
    return found
