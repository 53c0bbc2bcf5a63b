"""Waits for the next request awake."""

import asyncio
import os
import time

from features.store.awake import AWAKE_SECONDS, Backoff

__all__ = ["Staying"]


class Staying:
    """Keeps an event loop turning for a moment after an answer: who asks one request after the other sends the next one then, and a loop that sleeps takes as long to wake up as half a lookup takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._backoff = loop, Backoff()
        self._ends, self._turns = 0.0, False

    def answered(self) -> None:
        """An answer went out."""
        if self._backoff.is_awake():
            self._ends = time.perf_counter() + AWAKE_SECONDS
            if not self._turns:
                self._turns = True
                self._loop.call_soon(self._turn)

    def asked(self) -> None:
        """A request came."""
        if self._turns:
            self._backoff.came()
            self._ends = 0.0

    def _turn(self) -> None:
        if time.perf_counter() < self._ends:
            os.sched_yield()  # to whoever asks, where it is this processor that they wait for
            self._loop.call_soon(self._turn)
            return
        self._turns = False
        if self._ends:
            self._backoff.missed()
