"""What a lookup asks Redis in one round trip, packed by hand, and the connections on which it does."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

import redis

from features.store.redis_link import Link
from features.store.resp import bulk, command

__all__ = ["GET", "HGETALL", "HVALS", "Parsed", "Trip", "Trips", "Ways", "answers_of", "getranges", "hmgets"]

T = TypeVar("T")
_ANSWERS = frozenset({bytes, list, int, type(None)})
"""Types of what is no error."""


class Ways(Protocol):
    """How trips get to where they are answered."""

    def execute(self, trip: "Trip") -> list[Any]:
        """One answer a command of a trip.

        Raises:
            redis.RedisError: Redis does not answer, or not as it should.
        """
        ...

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        ...


class Trips:
    """Connections that lookups use again and again, by any number of threads: as redis-py's pool without its look at the socket before each use.

    A connection that the server closed meanwhile shows when it is used; reads may be asked twice, so a new one asks again.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see client_of
        self._pool = client.connection_pool
        self._idle: list[Link] = []
        self._process = os.getpid()
        self._awake = threading.Lock()

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def execute(self, trip: "Trip") -> list[Any]:
        """See `Ways.execute`. One thread at a time waits awake."""
        if self._process != os.getpid():  # a fork shares sockets, not their answers
            self._idle, self._process, self._awake = [], os.getpid(), threading.Lock()
        awake = self._awake.acquire(blocking=False)
        try:
            return self._execute(*trip.packed(), awake=awake)
        finally:
            if awake:
                self._awake.release()

    def _execute(self, packed: bytes, count: int, *, awake: bool) -> list[Any]:
        """The answers to a trip's commands; all in all so many."""
        try:
            link = self._idle.pop()
        except IndexError:
            return self._asked(self._opened(), packed, count, awake=awake)
        try:
            return self._asked(link, packed, count, awake=awake)
        except redis.ConnectionError:
            self.close()  # those that slept as long are closed as well
            return self._asked(self._opened(), packed, count, awake=awake)

    def _opened(self) -> Link:
        return Link(self._pool.make_connection())

    def _asked(self, link: Link, packed: bytes, count: int, *, awake: bool) -> list[Any]:
        found = link.ask(packed, count, awake=awake)
        self._idle.append(link)
        return answers_of(found)


def answers_of(found: Sequence[Any]) -> list[Any]:
    """What EXEC gave, the last of a trip's answers.

    Raises:
        redis.RedisError: one of them is an error, or EXEC gave none.
    """
    made = found[-1]
    if type(made) is list and _ANSWERS.issuperset(map(type, made)) and _ANSWERS.issuperset(map(type, found)):
        return made
    items = made if isinstance(made, list) else ()
    if any(issubclass(kind, redis.RedisError) for kind in {*map(type, found), *map(type, items)}):
        raise next(item for item in (*found, *items) if isinstance(item, redis.RedisError))
    if not isinstance(made, list):
        msg = f"EXEC gave {made!r}"
        raise redis.ResponseError(msg)
    return made


class Trip:
    """Reads that are answered together, as of one instant, in one round trip."""

    tagged = False
    """Whether the keys of a view's records are those of a cluster."""

    def __init__(self) -> None:
        self._commands: list[bytes] = [_MULTI]

    def hgetall(self, key: bytes) -> None:
        """All fields of a record, each before its value."""
        self._commands.append(_all_of(key))

    def hmget(self, keys: Iterable[bytes], fields: Sequence[bytes]) -> None:
        """The values of the same fields of some hashes, an answer a hash."""
        self._commands += hmgets(keys, fields)

    def getrange(self, keys: Iterable[bytes], first: int, end: int) -> None:
        """Of some strings the bytes from the first to the one before the end, an answer a string."""
        self._commands += getranges(keys, first, end)

    def mget(self, keys: Sequence[bytes]) -> None:
        """Some strings, one answer for all. A cluster has no such command."""
        self._commands.append(command(b"MGET", *keys))

    def hvals(self, keys: Iterable[bytes]) -> None:
        """All values of some hashes, an answer a hash."""
        self._commands += [b"%b$%d\r\n%b\r\n" % (HVALS, len(key), key) for key in keys]

    def get(self, key: bytes) -> None:
        """One value."""
        self._commands.append(GET + bulk(key))

    def packed(self) -> tuple[bytes, int]:
        """The commands between MULTI and EXEC, and how many answers come: each is queued first, and EXEC gives one a command."""
        return b"".join((*self._commands, _EXEC)), len(self._commands) + 1


def hmgets(keys: Iterable[bytes], fields: Sequence[bytes]) -> list[bytes]:
    """One packed HMGET a key, of the same fields."""
    head, tail = _hmget(tuple(fields))
    return [b"%b$%d\r\n%b\r\n%b" % (head, len(key), key, tail) for key in keys]


def getranges(keys: Iterable[bytes], first: int, end: int) -> list[bytes]:
    """One packed GETRANGE a key, of the same bytes."""
    tail = bulk(b"%d" % first) + bulk(b"%d" % (end - 1))
    return [b"*4\r\n$8\r\nGETRANGE\r\n$%d\r\n%b\r\n%b" % (len(key), key, tail) for key in keys]


@lru_cache(maxsize=1024)
def _hmget(fields: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """What comes before the key and after it."""
    return b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2), b"".join(map(bulk, fields))


_MULTI, _EXEC = command(b"MULTI"), command(b"EXEC")
HGETALL, HVALS, GET = (b"*2\r\n" + bulk(name) for name in (b"HGETALL", b"HVALS", b"GET"))
"""What comes before the key."""


@lru_cache(maxsize=4096)
def _all_of(key: bytes) -> bytes:
    return HGETALL + bulk(key)


class Parsed(Generic[T]):
    """What records say that seldom change: parsed anew only where a record differs from the one before."""

    def __init__(self, parse: Callable[[str, dict[bytes, bytes]], T]) -> None:
        self._parse = parse
        self._last: dict[str, tuple[list[bytes], T]] = {}

    def of(self, name: str, record: list[bytes]) -> T:
        """Of a hash as HGETALL answers it."""
        last = self._last.get(name)
        if last is not None and last[0] == record:
            return last[1]
        pairs = iter(record)
        made = self._parse(name, dict(zip(pairs, pairs, strict=True)))
        self._last[name] = (record, made)
        return made
