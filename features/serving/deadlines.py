"""One time that much work may take: a single timer for all of it, since most work ends long before and a timer each costs more than it does."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

__all__ = ["Deadlines"]

T = TypeVar("T")


class _Under:
    """Work under way."""

    __slots__ = ("ends", "is_late", "task")

    def __init__(self, ends: float, task: "asyncio.Task[Any] | None") -> None:
        self.ends, self.task, self.is_late = ends, task, False


class Deadlines:
    """Of one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._under = deque[_Under]()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[T]) -> T:
        """What the work gives; as `asyncio.timeout`, it is cancelled where it takes longer.

        Raises:
            TimeoutError: it did.
        """
        task, loop = cast("asyncio.Task[Any]", asyncio.current_task()), asyncio.get_running_loop()
        under, others = _Under(loop.time() + self._seconds, task), task.cancelling()
        self._under.append(under)
        if self._timer is None:
            self._timer = loop.call_at(under.ends, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError as error:
            if under.is_late and task.cancelling() - 1 <= others:
                raise TimeoutError from error
            raise
        finally:
            under.task = None
            if under.is_late:
                task.uncancel()

    def close(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancels what is late, and comes again when the next may be."""
        under, now = self._under, loop.time()
        while under and (under[0].task is None or under[0].ends <= now):
            late = under.popleft()
            if late.task is not None:
                late.is_late = True
                late.task.cancel()
        self._timer = loop.call_at(under[0].ends, self._look, loop) if under else None
