"""Reads of Redis from an event loop: one connection, on which the requests of many tasks are under way at once."""

import asyncio
import os
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, NamedTuple

import hiredis
import redis
from redis import asyncio as aioredis

from features.store.awake import Awake
from features.store.reads import Answer, Question
from features.store.redis_client import ERRORS, TIMEOUT_SECONDS
from features.store.redis_link import nonsense, refusal
from features.store.redis_store import RedisStore, after
from features.store.redis_trips import Trip, answers_of

__all__ = ["AsyncRedisStore"]


_NEW_ONES = 2
_ROOM = 1 << 16


class AsyncRedisStore:
    """As `RedisStore.ask`, of one event loop; no thread, and no command waits for another's answer."""

    def __init__(self, url: str) -> None:
        self._store, self._trips = RedisStore(url), _Trips(url)

    async def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """See `RedisStore.ask`.

        Raises:
            BusyError: Redis does not answer.
        """
        found = self.begun(questions)
        return await found if isinstance(found, Coroutine) else found

    def begun(self, questions: Sequence[Question]) -> Sequence[Answer] | Coroutine[Any, Any, Sequence[Answer]]:
        """The answers where they came at once, which saves going to sleep and waking up; else who waits for them. Errors as `ask` has them."""
        asking = self._store.asking(questions)
        try:
            packed = next(asking).packed()
            coming = self._trips.begun(*packed)
            if not isinstance(coming, list):
                return self._rest(asking, self._trips.execute(*packed, coming))
            step = after(asking, answers_of(coming))
            return self._rest(asking, self._trips.execute(*step.packed())) if isinstance(step, Trip) else step
        except ERRORS:
            with self._store.errors():
                raise

    async def _rest(
        self, asking: Generator[Trip, list[Any], Sequence[Answer]], coming: Coroutine[Any, Any, list[Any]]
    ) -> Sequence[Answer]:
        try:
            step = after(asking, await coming)
            while isinstance(step, Trip):
                step = after(asking, await self._trips.execute(*step.packed()))
            return step  # noqa: TRY300 - see RedisStore.ask
        except ERRORS:
            with self._store.errors():
                raise

    def close(self) -> None:
        """Ends the connections; what is under way fails."""
        self._trips.close()
        self._store.close()


class _Under(NamedTuple):
    """What is under way: who waits, for how many answers, and since when by the loop's clock."""

    future: "asyncio.Future[list[Any]]"
    answers: int
    since: float


class _Link(asyncio.Protocol):
    """A connection after its handshake: commands go out as they come, answers come back in their order."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer  # asyncio ends the transport of a writer that nobody holds
        writer.transport.set_protocol(self)
        self._reader = hiredis.Reader(replyError=refusal, protocolError=nonsense)
        self._under = deque[_Under]()
        self._found: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._descriptor = int(writer.get_extra_info("socket").fileno())
        # What is encrypted only the transport can read.
        self._awake = None if writer.get_extra_info("ssl_object") else Awake(self._descriptor)
        self.is_open = True

    def ask(self, packed: bytes, count: int) -> "list[Any] | asyncio.Future[list[Any]]":
        """All answers to commands that have so many: where nobody else waits they may be there at once."""
        transport, sent = self._writer.transport, 0
        # Its descriptor may be another's once it is closed.
        is_idle = not self._under and not transport.is_closing() and not transport.get_write_buffer_size()
        if is_idle and self._awake is not None:
            try:
                sent = os.write(self._descriptor, packed)
            except OSError:
                sent = 0  # the transport meets it as well, and says it
            if sent == len(packed) and self._came(self._awake, count):
                found, self._found = self._found, []
                if self._reader.has_data():
                    self.fail("it sent more than it was asked for")
                return found
        future = self._loop.create_future()
        self._under.append(_Under(future, count, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(TIMEOUT_SECONDS, self._look)
        if sent < len(packed):
            transport.write(packed[sent:])
        else:
            self._take()  # of what came already the reader may say only now that it is no answer
        return future

    def _came(self, awake: Awake, count: int) -> bool:
        """Whether all answers came while they were waited for awake, past the transport, which reads between two turns of the loop; what came of them is kept, and what went wrong is met again."""
        take = self._reader.gets
        while awake.comes():
            try:
                data = os.read(self._descriptor, _ROOM)
                self._reader.feed(data)
                while (one := take()) is not False:
                    self._found.append(one)
                    if len(self._found) == count:
                        return True
            except (OSError, redis.RedisError):
                return False
            if not data:
                return False
        return False

    def _look(self) -> None:
        """Ends it where whoever waits longest has waited too long: one timer for all, who seldom wait."""
        self._watch = None
        if not self._under:
            return
        left = self._under[0].since + TIMEOUT_SECONDS - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
            return
        why = f"no answer within {TIMEOUT_SECONDS} s"
        if not (future := self._under.popleft().future).done():
            future.set_exception(redis.TimeoutError(why))
        self.fail(why)

    def data_received(self, data: bytes) -> None:
        """Part of some answers."""
        self._reader.feed(data)
        self._take()

    def _take(self) -> None:
        """Gives whoever waits the answers that are whole."""
        try:
            while (one := self._reader.gets()) is not False:
                self._found.append(one)
                if len(self._found) == self._under[0].answers:
                    future, found, self._found = self._under.popleft().future, self._found, []
                    if not future.done():  # nobody waits any more
                        future.set_result(found)
        except (redis.RedisError, IndexError) as error:  # what is no protocol, or answers nobody
            self.fail(f"it sent what is no answer ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self.fail("the connection broke" + (f" ({exc})" if exc else ""))

    def fail(self, why: str) -> None:
        """Ends it."""
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._writer.transport.abort()
        while self._under:
            future = self._under.popleft().future
            if not future.done():
                future.set_exception(redis.ConnectionError(why))


class _Trips:
    """A connection that is opened when it is needed, and again when it broke."""

    def __init__(self, url: str) -> None:
        self._pool: Any = aioredis.ConnectionPool.from_url(url, socket_connect_timeout=TIMEOUT_SECONDS)
        self._link: _Link | None = None
        self._opening = asyncio.Lock()

    def begun(self, packed: bytes, count: int) -> "list[Any] | asyncio.Future[list[Any]] | None":
        """What a connection was asked; None where none is open."""
        link = self._link
        return link.ask(packed, count) if link is not None and link.is_open else None

    async def execute(
        self, packed: bytes, count: int, coming: "list[Any] | asyncio.Future[list[Any]] | None" = None
    ) -> list[Any]:
        """See `redis_trips.Trips.execute`; reads may be asked again, so where a connection breaks new ones do. One that breaks may be new itself. `coming`: what was `begun`."""
        left = _NEW_ONES
        while True:
            try:
                if coming is None:
                    coming = self.begun(packed, count) or (await self._opened()).ask(packed, count)
                return answers_of(coming if isinstance(coming, list) else await coming)
            except redis.ConnectionError:
                if not left:
                    raise
                left, coming = left - 1, None

    def close(self) -> None:
        if self._link is not None:
            self._link.fail("the reader was closed")

    async def _opened(self) -> _Link:
        async with self._opening:
            if self._link is None or not self._link.is_open:
                connection = self._pool.make_connection()
                await connection.connect()
                # redis-py knows how to connect, greet and encrypt; its reader of answers takes one command at a time.
                self._link = _Link(connection._writer)  # noqa: SLF001 - see above
                connection._reader = connection._writer = None  # noqa: SLF001 - ours now, and not its to close
            return self._link
