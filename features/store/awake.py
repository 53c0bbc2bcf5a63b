"""Waiting awake: for a moment what is to come is looked for again and again, which takes a processor but no time to wake up."""

import os
import select
import time

__all__ = ["AWAKE_SECONDS", "Awake", "Backoff"]

AWAKE_SECONDS = 150e-6
"""What a sleeper takes to wake up is about a third of this; what takes longer to come is not waited for awake."""
_ASLEEP = 64
"""So many times it is waited for asleep after it did not come in time, where it did not before either; after a first time once, then twice, four times and so on."""


class Backoff:
    """Whether to wait awake, by how it went before; never with a single processor, on which what is to come would wait for whoever waits."""

    def __init__(self) -> None:
        self._asleep, self._next = 0 if _processors() > 1 else -1, 1

    def is_awake(self) -> bool:
        """Whether to wait awake this time."""
        if self._asleep:
            self._asleep -= 1
            return False
        return True

    def came(self) -> None:
        """It came in time."""
        self._next = 1

    def missed(self) -> None:
        """It did not."""
        self._asleep, self._next = self._next, min(2 * self._next, _ASLEEP)


def _processors() -> int:
    """That this process may use; macOS cannot say."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return min(filter(None, (len(allowed), os.cpu_count())), default=1)


class Awake:
    """Waits for something to read.

    Args:
        descriptor: of the socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._poll, self._backoff = select.poll(), Backoff()
        self._poll.register(descriptor, select.POLLIN)

    def comes(self) -> bool:
        """Whether there is something to read; False where it did not come in time, or where one before did not: it is to be waited for asleep."""
        if not self._backoff.is_awake():
            return False
        ends, poll = time.perf_counter() + AWAKE_SECONDS, self._poll.poll
        while not poll(0):
            os.sched_yield()  # to Redis, where it is this processor that it waits for
            if time.perf_counter() > ends:
                self._backoff.missed()
                return False
        self._backoff.came()
        return True
