"""What all that talks to Redis shares, one server or a cluster: the connection, and the lease that keeps two loads of a view apart."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import redis
from redis.crc import key_slot
from redis.exceptions import RedisClusterException

from features.errors import BusyError, SettingsError
from features.store.keys import Records, redis_records
from features.store.redis_cluster import SCHEMES, Cluster
from features.store.resp import Items, bulk, command

__all__ = [
    "ERRORS", "GET", "HGETALL", "HVALS", "TIMEOUT_SECONDS", "Parsed", "Pipe", "Trip", "Trips", "Ways", "answers_of", "client_of", "each", "hmgets", "keys_like", "piped", "records_of", "run",
    "still_ours", "taken",
]  # fmt: skip

TIMEOUT_SECONDS = 30
ERRORS = (redis.RedisError, RedisClusterException)
"""What a client raises; the second is none of the first."""
T = TypeVar("T")


def records_of(client: Any, view: str) -> Records:  # noqa: ANN401 - see client_of
    """The keys of what there is once a view."""
    return redis_records(view, tagged=isinstance(client, Cluster))


def taken(view: str) -> str:
    """What a load says that has lost its lease."""
    return f"Another load of view {view!r} took over while this one stood still. Nothing is lost: run the same command again."


def client_of(url: str) -> Any:  # noqa: ANN401 - redis-py's own hints know no keys of bytes
    """A connection to one server; to a cluster where the URL's scheme says so, whose nodes are asked at once where they are.

    Raises:
        SettingsError: the URL is none, or names a database that a cluster does not have.
        redis.exceptions.RedisClusterException: no node of the cluster answers.
    """
    try:
        if url.startswith(SCHEMES):
            _refuse_numbered(url)
            return Cluster(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
        return redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
    except ValueError as error:  # its text may hold parts of the URL, and so of a password
        msg = "The setting online.url is no Redis URL. Write redis://[:password@]host:port/db (rediss:// for TLS) into ASOF_ONLINE__URL."
        raise SettingsError(msg) from error


def _refuse_numbered(url: str) -> None:
    number = urlsplit(url).path.strip("/")
    if number not in ("", "0"):
        msg = f"The setting online.url names database {number}, but a Redis Cluster has database 0 alone. Leave it out."
        raise SettingsError(msg)


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
        self._idle: list[Any] = []
        self._process = os.getpid()

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        while self._idle:
            self._idle.pop().disconnect()

    def execute(self, trip: "Trip") -> list[Any]:
        """See `Ways.execute`."""
        return self._execute(*trip.packed())

    def _execute(self, packed: bytes, count: int) -> list[Any]:
        """The answers to a trip's commands; all in all so many."""
        if self._process != os.getpid():  # a fork shares sockets, not their answers
            self._idle, self._process = [], os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._asked(self._pool.make_connection(), packed, count)
        try:
            return self._asked(connection, packed, count)
        except redis.ConnectionError:
            self.close()  # those that slept as long are closed as well
            return self._asked(self._pool.make_connection(), packed, count)

    def _asked(self, connection: Any, packed: bytes, count: int) -> list[Any]:  # noqa: ANN401 - redis-py's
        try:
            connection.connect()
            connection.send_packed_command([packed])
            # Connection.read_response costs ten times what its parser takes, and MULTI has an answer for each command.
            read = connection._parser.read_response  # noqa: SLF001 - see above
            found = [read() for _ in range(count)]
        except OSError as error:  # the parser passes on what the socket says
            connection.disconnect()
            msg = f"the connection broke ({error})"
            raise redis.ConnectionError(msg) from error
        except BaseException:
            connection.disconnect()  # what was not read must not be another's answer
            raise
        self._idle.append(connection)
        return answers_of(found)


def answers_of(found: Sequence[Any]) -> list[Any]:
    """What EXEC gave, the last of a trip's answers.

    Raises:
        redis.RedisError: one of them is an error, or EXEC gave none.
    """
    made = found[-1]
    items = made if isinstance(made, list) else ()
    if wrong := next((item for item in (*found, *items) if isinstance(item, redis.RedisError)), None):
        raise wrong
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
        """All fields of a hash, each before its value."""
        self._commands.append(HGETALL + bulk(key))

    def hmget(self, keys: Iterable[bytes], fields: Sequence[bytes]) -> None:
        """The values of the same fields of some hashes, an answer a hash."""
        self._commands += hmgets(keys, fields)

    def hvals(self, key: bytes) -> None:
        """All values of a hash."""
        self._commands.append(HVALS + bulk(key))

    def get(self, key: bytes) -> None:
        """One value."""
        self._commands.append(GET + bulk(key))

    def packed(self) -> tuple[bytes, int]:
        """The commands between MULTI and EXEC, and how many answers come: each is queued first, and EXEC gives one a command."""
        return b"".join((*self._commands, _EXEC)), len(self._commands) + 1


def hmgets(keys: Iterable[bytes], fields: Sequence[bytes]) -> list[bytes]:
    """One packed HMGET a key, of the same fields."""
    head, tail = b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2), b"".join(map(bulk, fields))
    return [b"%b$%d\r\n%b\r\n%b" % (head, len(key), key, tail) for key in keys]


_MULTI, _EXEC = command(b"MULTI"), command(b"EXEC")
HGETALL, HVALS, GET = (b"*2\r\n" + bulk(name) for name in (b"HGETALL", b"HVALS", b"GET"))
"""What comes before the key."""


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


def still_ours(client: Any, view: str, token: str) -> None:  # noqa: ANN401 - see client_of
    """Before each write of a load.

    Raises:
        BusyError: another load has taken over.
    """
    if client.get(records_of(client, view).lease) != token.encode():
        raise BusyError(taken(view))


class Pipe(Protocol):
    """A way for writers: commands go together, then their answers are read."""

    def ask(self, items: Items) -> object:
        """What came back.

        Raises:
            redis.RedisError: Redis does not answer, or refuses one of them.
        """
        ...


class _Pipe:
    """Over a connection to the one server."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's
        self._connection = connection

    def ask(self, items: Items) -> object:
        self._connection.send_packed_command([b"".join([packed for _, packed, _ in items])])
        read = self._connection._parser.read_response  # noqa: SLF001 - see Trips
        try:
            found = [read() for _ in range(sum(count for _, _, count in items))]
        except OSError as error:  # the parser passes on what the socket says
            msg = f"the connection broke ({error})"
            raise redis.ConnectionError(msg) from error
        if wrong := next((answer for answer in found if isinstance(answer, redis.RedisError)), None):
            raise wrong
        return found


@contextmanager
def piped(client: Any) -> Iterator[Pipe]:  # noqa: ANN401 - see client_of
    """A connection of its own, which ends with the block; of a cluster those that it has."""
    if isinstance(client, Cluster):
        yield client
        return
    connection = client.connection_pool.make_connection()
    try:
        connection.connect()
        yield _Pipe(connection)
    finally:
        connection.disconnect()


def each(client: Any, commands: Iterable[tuple[bytes, ...]]) -> list[Any]:  # noqa: ANN401 - see client_of
    """The answers to commands whose second word is their key, which go together."""
    if isinstance(client, Cluster):
        return [one for (one,) in client.ask([(words[1], command(*words), 1) for words in commands])]
    with client.pipeline(transaction=False) as pipe:
        for words in commands:
            pipe.execute_command(*words)
        return list(pipe.execute())


def run(
    client: Any,  # noqa: ANN401 - see client_of
    script: str,
    items: Sequence[tuple[Sequence[bytes], Sequence[object]]],
    *common: object,
) -> list[Any]:
    """Runs a script over items, which gives a list of an answer each: all in one call on one server, those of each slot on a cluster.

    Args:
        client: see `client_of`.
        script: its arguments are the common ones, then those of each item.
        items: of each its keys, of one slot, and its arguments; of all as many.
        common: arguments.
    """
    if not isinstance(client, Cluster):
        keys = [key for some, _ in items for key in some]
        found = client.eval(script, len(keys), *keys, *common, *chain.from_iterable(given for _, given in items))
        return list(found)
    groups: dict[int, list[int]] = {}
    for place, (own, _) in enumerate(items):
        groups.setdefault(key_slot(own[0]), []).append(place)
    asked = [_packed_run(script, [items[place] for place in places], common) for places in groups.values()]
    made: list[Any] = [None] * len(items)
    for places, (found,) in zip(groups.values(), client.ask(asked), strict=True):
        for place, one in zip(places, found, strict=True):
            made[place] = one
    return made


def _packed_run(
    script: str, items: Sequence[tuple[Sequence[bytes], Sequence[object]]], common: Sequence[object]
) -> tuple[bytes, bytes, int]:
    keys = [key for some, _ in items for key in some]
    given = [*common, *chain.from_iterable(more for _, more in items)]
    words = [word if isinstance(word, bytes) else str(word).encode() for word in (script, len(keys), *keys, *given)]
    return keys[0], command(b"EVAL", *words), 1


def keys_like(client: Any, pattern: bytes) -> Iterator[bytes]:  # noqa: ANN401 - see client_of
    """All keys of a pattern.

    Raises:
        BusyError: slots of the cluster are being moved, so that a key could be missed.
    """
    return client.scanned(pattern) if isinstance(client, Cluster) else client.scan_iter(match=pattern, count=5000)
