"""A Redis Cluster: one pipeline to each node that is asked, all nodes at once, and whatever moved meanwhile asked again where it is.

redis-py finds the nodes, follows what a cluster redirects and says when to give up; commands of lookups and loads are packed by hand, as for one server.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ClusterError, MovedError, TryAgainError

from features.errors import BusyError
from features.store.resp import Items, commands_in

__all__ = ["SCHEMES", "Cluster", "hosts"]

SCHEMES = ("redis+cluster", "rediss+cluster")
"""Of a cluster's URL within Asof, so that it says what it is of wherever it goes."""

_ROUNDS = 2
_REDIRECTS = (AskError, TryAgainError, ClusterDownError)  # a MovedError is an AskError
_SCANS, _SCAN_AGAIN_SECONDS = 5, 1.0
_PATIENCE_SECONDS, _SLOT_AGAIN_SECONDS = 10.0, 0.05


def hosts(url: str) -> list[str]:
    """The nodes that a URL names, each `host:port`.

    >>> hosts("redis://:secret@a:7001,b")
    ['a:7001', 'b:6379']
    """
    places = urlsplit(url).netloc.rpartition("@")[2].split(",")
    return [place if ":" in place.rpartition("]")[2] else f"{place}:6379" for place in places]


class Cluster(RedisCluster):
    """redis-py's client, for any number of threads; the URL is `redis+cluster://[:password@]host:port[,host:port …]`."""

    def __init__(self, url: str, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        self._links: dict[str, list[Any]] = {}
        self._process = os.getpid()
        first, *others = hosts(url)
        parts = urlsplit(url)
        who, at, _ = parts.netloc.rpartition("@")
        one = parts._replace(scheme=parts.scheme.removesuffix("+cluster"), netloc=f"{who}{at}{first}").geturl()
        super().__init__(url=one, startup_nodes=[_node(place) for place in others], **options)

    def close(self) -> None:
        """Ends the connections."""
        while self._links:
            for link in self._links.popitem()[1]:
                link.disconnect()
        super().close()

    def get_node(self, host: Any = None, port: Any = None, node_name: Any = None) -> Any:  # noqa: ANN401 - redis-py's
        """As redis-py has it; and a node that has no slots yet, to which the first ones are being moved."""
        library: Any = super()
        found = library.get_node(host, port, node_name)
        if found is None and node_name:
            return _node(node_name)
        return found

    @property
    def _library(self) -> Any:  # noqa: ANN401 - redis-py's own methods have no types
        return self

    def execute_command(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """As redis-py has it, with more patience: a script that sees two keys of a slot is refused until the slot is where it goes."""
        library: Any = super()
        ends = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return library.execute_command(*arguments, **options)
            except ClusterError as error:
                if isinstance(error, ClusterDownError) or time.monotonic() > ends:
                    raise
                time.sleep(_SLOT_AGAIN_SECONDS)

    def ask(self, items: Items) -> list[list[Any]]:
        """The answers to each item's commands, which may be given twice.

        Commands of one slot are executed in their order; if one of them has to be asked again, so are the others of its slot.

        Raises:
            redis.RedisError, RedisClusterException: a node does not answer, or not as it should.
        """
        if self._process != os.getpid():  # a fork shares sockets, not their answers
            self._links, self._process = {}, os.getpid()
        found: list[list[Any]] = [[] for _ in items]
        slots = [key_slot(key) for key, _, _ in items]
        left: Sequence[int] = range(len(items))
        for _ in range(_ROUNDS):
            left = self._round(items, slots, left, found)
            if not left:
                return found
        for place in left:  # a slot on its way, or a node that is gone: one after the other, by redis-py
            found[place] = [self._followed(arguments) for arguments in commands_in(items[place][1])]
        return found

    def scanned(self, pattern: bytes) -> Iterator[bytes]:
        """All keys, some of them perhaps twice.

        Raises:
            BusyError: slots are being moved, so that a key could be missed.
        """
        for _ in range(_SCANS):
            self.nodes_manager.initialize()
            before = self._places()
            yield from self.scan_iter(match=pattern, count=5000)
            if before is not None and before == self._places():
                return
            time.sleep(_SCAN_AGAIN_SECONDS)
        msg = (
            "Slots of the Redis Cluster are being moved from node to node, so that a look at all of its keys could miss some. "
            "Nothing is lost: run the same command again once they are where they belong (redis-cli --cluster check)."
        )
        raise BusyError(msg)

    def _round(self, items: Items, slots: Sequence[int], places: Sequence[int], found: list[list[Any]]) -> list[int]:
        """One pipeline a node; the places of what is to be asked again."""
        groups, again = dict[Any, list[int]](), set[int]()
        for place in places:
            groups.setdefault(self.nodes_manager.get_node_from_slot(slots[place]), []).append(place)
        answers = self._exchanged({node: [items[place] for place in some] for node, some in groups.items()})
        for node, some in groups.items():
            if node not in answers:
                again.update(slots[place] for place in some)
                continue
            rest = iter(answers[node])
            for place in some:
                found[place] = list(islice(rest, items[place][2]))
            again |= self._redirected(some, slots, found)
        if len(answers) < len(groups):
            self.nodes_manager.initialize()
        return [place for place in places if slots[place] in again] if again else []

    def _exchanged(self, groups: Mapping[Any, Items]) -> dict[Any, list[Any]]:
        """All answers of each node; none of one whose connection broke."""
        under, found = dict[Any, Any](), dict[Any, list[Any]]()
        try:
            for node, some in groups.items():
                link = self._link(node)
                under[node] = link
                if not _sent(link, b"".join([packed for _, packed, _ in some])):
                    self._drop(node, under)
            for node, link in tuple(under.items()):
                answers = _read(link, sum(count for _, _, count in groups[node]))
                if answers is None:
                    self._drop(node, under)
                else:
                    found[node] = answers
                    self._links.setdefault(node.name, []).append(under.pop(node))
        finally:
            for link in under.values():
                link.disconnect()  # what was not read must not be another's answer
        return found

    def _drop(self, node: Any, under: dict[Any, Any]) -> None:  # noqa: ANN401 - redis-py's
        """Ends a connection, and those that slept as long."""
        under.pop(node).disconnect()
        for link in self._links.pop(node.name, ()):
            link.disconnect()

    def _redirected(self, places: Sequence[int], slots: Sequence[int], found: Sequence[list[Any]]) -> set[int]:
        """Slots that are elsewhere, or on their way; raises what is wrong with any other answer."""
        made = set[int]()
        for place in places:
            for answer in found[place]:
                if isinstance(answer, redis.RedisError):
                    if not isinstance(answer, _REDIRECTS):
                        raise answer
                    if isinstance(answer, MovedError):
                        self.nodes_manager.move_slot(answer)
                    made.add(slots[place])
        return made

    def _followed(self, arguments: Sequence[bytes]) -> Any:  # noqa: ANN401 - any answer
        found = self._library.execute_command(arguments[0].decode(), *arguments[1:])
        return list(chain.from_iterable(found.items())) if isinstance(found, dict) else found

    def _places(self) -> list[tuple[str, Any]] | None:
        """Which slots each primary says that it has; None while one of them is on its way."""
        made = list[tuple[str, Any]]()
        for node in self._library.get_primaries():
            told = self._library.execute_command("CLUSTER NODES", target_nodes=node)
            own = next(each for each in told.values() if "myself" in each["flags"])
            if own["migrations"]:
                return None
            made.append((own["node_id"], own["slots"]))
        return sorted(made)

    def _link(self, node: Any) -> Any:  # noqa: ANN401 - redis-py's
        """A connection to a node that nobody else uses meanwhile."""
        try:
            return self._links[node.name].pop()
        except (KeyError, IndexError):
            return self.get_redis_connection(node).connection_pool.make_connection()


def _node(place: str) -> Any:  # noqa: ANN401 - redis-py's
    library: Any = ClusterNode
    host, _, port = place.rpartition(":")
    return library(host, int(port), "primary")


def _sent(link: Any, packed: bytes) -> bool:  # noqa: ANN401 - redis-py's
    """Whether a node took it; a timeout is raised, as waiting again would take as long."""
    try:
        link.connect()
        link.send_packed_command([packed])
    except redis.ConnectionError:
        return False
    return True


def _read(link: Any, count: int) -> list[Any] | None:  # noqa: ANN401 - redis-py's
    """So many answers; None where the connection broke."""
    read = link._parser.read_response  # noqa: SLF001 - see redis_trips.Trips
    try:
        return [read() for _ in range(count)]
    except TimeoutError as error:
        msg = f"no answer from {link.host}:{link.port} ({error})"
        raise redis.TimeoutError(msg) from error
    except (redis.ConnectionError, OSError):
        return None
