"""A loop stays awake for a moment after an answer, where that paid before."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from features.serving.staying import Staying


def turning(
    monkeypatch: pytest.MonkeyPatch, steps: Callable[[Staying, Callable[[], int]], object], processors: int = 2
) -> None:
    """Runs it in a loop whose clock goes on by 100 us at each look; `told()` is how often it was looked at since the last time."""
    clock, looked = itertools.count(step=100e-6), list[float]()

    def now() -> float:
        looked.append(next(clock))
        return looked[-1]

    monkeypatch.setattr("features.serving.staying.time.perf_counter", now)
    monkeypatch.setattr("features.store.awake._processors", lambda: processors)

    def told() -> int:
        found = len(looked)
        looked.clear()
        return found

    async def run() -> None:
        result = steps(Staying(asyncio.get_running_loop()), told)
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(run())


async def rest() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_stays_awake_in_vain_sleeps_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(staying: Staying, told: Callable[[], int]) -> None:
        found = list[int]()
        for _ in range(11):
            staying.answered()
            await rest()
            found.append(told())
        awake = 3  # it looks when the moment ends, and twice whether it has ended
        assert found == [awake, 0, awake, 0, 0, awake, 0, 0, 0, 0, awake]

    turning(monkeypatch, steps)


def test_a_request_in_time_ends_the_moment_and_those_after_it_are_waited_for_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def steps(staying: Staying, told: Callable[[], int]) -> None:
        for _ in range(5):
            staying.answered()
            await asyncio.sleep(0)
            assert told() == 2
            staying.asked()
            await rest()
            assert told() == 1  # and does not wait for another
        for _ in range(3):  # one after the other, none of them late
            staying.answered()
            staying.asked()
        staying.answered()
        await rest()
        assert told() == 4 + 2
        staying.answered()
        await rest()
        assert told() == 0  # the last one was waited for in vain

    turning(monkeypatch, steps)


def test_who_was_asked_in_time_sleeps_as_shortly_as_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(staying: Staying, told: Callable[[], int]) -> None:
        found = list[int]()
        for number in range(12):
            staying.answered()
            if number == 5:
                staying.asked()
            await rest()
            found.append(told())
        vain, in_time = 3, 2
        assert found == [vain, 0, vain, 0, 0, in_time, vain, 0, vain, 0, 0, vain]

    turning(monkeypatch, steps)


def test_alone_on_a_processor_a_loop_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(staying: Staying, told: Callable[[], int]) -> None:
        for _ in range(200):
            staying.answered()
            await rest()
        assert told() == 0

    turning(monkeypatch, steps, processors=1)
