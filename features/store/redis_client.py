"""What all that talks to Redis shares, one server or a cluster: the connection, and the lease that keeps two loads of a view apart."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol
from urllib.parse import urlsplit

import redis
from redis.crc import key_slot
from redis.exceptions import RedisClusterException

from features.errors import BusyError, SettingsError
from features.store.keys import Records, redis_records, redis_stamp
from features.store.redis_cluster import SCHEMES, Cluster
from features.store.redis_link import Link
from features.store.resp import Items, command

__all__ = [
    "ERRORS", "TIMEOUT_SECONDS", "Pipe", "client_of", "each", "keys_like", "piped", "records_of", "run", "stamped", "still_ours", "taken",
]  # fmt: skip

TIMEOUT_SECONDS = 30
ERRORS = (redis.RedisError, RedisClusterException)
"""What a client raises; the second is none of the first."""


def records_of(client: Any, view: str) -> Records:  # noqa: ANN401 - see client_of
    """The keys of what there is once a view."""
    return redis_records(view, tagged=isinstance(client, Cluster))


def stamped(client: Any, *keys: bytes) -> tuple[bytes, ...]:  # noqa: ANN401 - see client_of
    """The keys of a script that changes what a record says to readers: last the stamp, which it sets anew. A cluster has none."""
    return keys if isinstance(client, Cluster) else (*keys, redis_stamp())


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


def still_ours(client: Any, view: str, token: str) -> None:  # noqa: ANN401 - see client_of
    """Before each write of a load.

    Raises:
        BusyError: another load has taken over.
    """
    if client.get(records_of(client, view).lease) != token.encode():
        raise BusyError(taken(view))


class Pipe(Protocol):
    """A way for writers: commands go together, then their answers are read."""

    def ask(self, items: Items) -> list[Any]:
        """All answers, in the order of their commands.

        Raises:
            redis.RedisError: Redis does not answer, or refuses one of them.
        """
        ...


class _Pipe:
    """Over a connection to the one server."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def ask(self, items: Items) -> list[Any]:
        found = self._link.ask(b"".join([packed for _, packed, _ in items]), sum(count for _, _, count in items))
        if wrong := next((answer for answer in found if isinstance(answer, redis.RedisError)), None):
            raise wrong
        return found


class _Pipes:
    """Over those of a cluster."""

    def __init__(self, client: Cluster) -> None:
        self._client = client

    def ask(self, items: Items) -> list[Any]:
        return list(chain.from_iterable(self._client.ask(items)))


@contextmanager
def piped(client: Any) -> Iterator[Pipe]:  # noqa: ANN401 - see client_of
    """A connection of its own, which ends with the block; of a cluster those that it has."""
    if isinstance(client, Cluster):
        yield _Pipes(client)
        return
    link = Link(client.connection_pool.make_connection())
    try:
        yield _Pipe(link)
    finally:
        link.close()


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
    """Runs a script over items, which gives a list of an answer each, or none: all in one call on one server, those of each slot on a cluster.

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
    made = dict[int, Any]()
    for places, (found,) in zip(groups.values(), client.ask(asked), strict=True):
        made |= zip(places, found, strict=False)
    return [made[place] for place in sorted(made)]


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
