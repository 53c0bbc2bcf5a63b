"""Work that takes too long is cancelled, and nothing else is."""

import asyncio

import pytest

from features.serving.deadlines import Deadlines


async def after(seconds: float, value: int) -> int:
    await asyncio.sleep(seconds)
    return value


async def ended(deadlines: Deadlines, seconds: float, value: int) -> int | str:
    try:
        return await deadlines.within(after(seconds, value))
    except TimeoutError:
        return "late"


def test_what_is_in_time_is_given_and_what_is_late_is_cancelled() -> None:
    async def run() -> None:
        deadlines = Deadlines(0.2)
        for _ in range(2):  # the second time after all timers have ended
            found = await asyncio.gather(*(ended(deadlines, 5 if n % 3 == 0 else 0.01, n) for n in range(30)))
            assert found == ["late" if n % 3 == 0 else n for n in range(30)]
            await asyncio.sleep(0.25)
        deadlines.close()

    asyncio.run(run())


def test_who_began_later_has_time_from_then_on() -> None:
    async def run() -> None:
        deadlines = Deadlines(0.3)
        first = asyncio.create_task(ended(deadlines, 5, 1))
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        assert await ended(deadlines, 5, 2) == "late"
        assert 0.29 < asyncio.get_running_loop().time() - began < 1
        assert await first == "late"

    asyncio.run(run())


def test_who_is_cancelled_by_another_is_not_late() -> None:
    async def run() -> None:
        deadlines = Deadlines(5)
        task = asyncio.create_task(deadlines.within(after(5, 1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_whatever_goes_wrong_is_raised_as_it_is() -> None:
    async def wrong() -> int:
        raise KeyError("x")

    async def stubborn() -> int:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return 7
        return 0

    async def run() -> None:
        deadlines = Deadlines(0.05)
        with pytest.raises(KeyError):
            await deadlines.within(wrong())
        assert await deadlines.within(stubborn()) == 7
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())
