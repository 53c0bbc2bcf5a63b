"""A Redis Cluster for all views: loads and pushes as on one server, and lookups in two steps, since no command sees two slots.

First the records and watermarks are read, then what belongs to entities (decision 31). Of an entity and view nothing is ever mixed.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from features.errors import BusyError
from features.store.keys import redis_records
from features.store.reads import Answer, Question
from features.store.redis_cluster import Cluster, hosts
from features.store.redis_store import RedisStore
from features.store.redis_trips import GET, HGETALL, HVALS, Trip, Ways, getranges, hmgets
from features.store.resp import bulk

__all__ = ["ClusterStore"]

_TRIES = 3


class ClusterTrip(Trip):
    """Reads in two steps: records of views and sources, then what belongs to entities, each slot's in their order."""

    tagged = True

    def __init__(self) -> None:
        self._first: list[int] = []
        self._items: list[tuple[bytes, bytes, int]] = []

    def hgetall(self, key: bytes) -> None:
        """All fields of a record, in the first step."""
        self._first.append(len(self._items))
        self._items.append((key, HGETALL + bulk(key), 1))

    def get(self, key: bytes) -> None:
        """One value, in the first step: what a watermark says must be in tails that are read later."""
        self._first.append(len(self._items))
        self._items.append((key, GET + bulk(key), 1))

    def hmget(self, keys: Iterable[bytes], fields: Sequence[bytes]) -> None:
        """The values of the same fields of entities' hashes."""
        named = list(keys)
        self._items += ((key, packed, 1) for key, packed in zip(named, hmgets(named, fields), strict=True))

    def getrange(self, keys: Iterable[bytes], first: int, end: int) -> None:
        """Bytes of entities' strings."""
        named = list(keys)
        self._items += ((key, packed, 1) for key, packed in zip(named, getranges(named, first, end), strict=True))

    def hvals(self, keys: Iterable[bytes]) -> None:
        """All values of entities' hashes."""
        self._items += ((key, HVALS + bulk(key), 1) for key in keys)

    def steps(self) -> Iterable[tuple[Sequence[int], list[tuple[bytes, bytes, int]]]]:
        """The places of a step's commands, and the commands."""
        first = set(self._first)
        for places in (self._first, [place for place in range(len(self._items)) if place not in first]):
            yield places, [self._items[place] for place in places]


class _ClusterTrips:
    """Trips over the connections that the client has."""

    def __init__(self, client: Cluster) -> None:
        self._client = client

    def execute(self, trip: Trip) -> list[Any]:
        if not isinstance(trip, ClusterTrip):
            msg = f"a cluster has no way for {trip!r}"
            raise TypeError(msg)
        found = dict[int, Any]()
        for places, items in trip.steps():
            found |= {place: one for place, (one,) in zip(places, self._client.ask(items), strict=True)}
        return [found[place] for place in range(len(found))]

    def close(self) -> None:
        """The client ends its own."""


class ClusterStore(RedisStore):
    """A Redis Cluster for all views.

    Raises:
        BusyError: no node of it answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with self.errors():
            super().__init__(url)

    @property
    def where(self) -> str:
        """What messages call it; no password is in it."""
        return f"redis-cluster://{','.join(hosts(self.url))}"

    def asking(self, questions: Sequence[Question]) -> Generator[Trip, list[Any], Sequence[Answer]]:
        """As one server is asked. A state that is not there may have been removed between two steps, with its generation: that is looked at again.

        Raises:
            BusyError: generations come and go faster than they are read.
        """
        for _ in range(_TRIES):
            answers = yield from super().asking(questions)
            asked = [(question, answers[number]) for number, question in enumerate(questions) if question.states]
            doubtful = [(question, answer) for question, answer in asked if _lacks(question, answer)]
            if not doubtful:
                return answers
            trip = ClusterTrip()
            for question, _ in doubtful:
                trip.hgetall(redis_records(question.view, tagged=True).generations)
            found = yield trip
            if all(_is_there(record, answer) for record, (_, answer) in zip(found, doubtful, strict=True)):
                return answers
        msg = "The online store's generations changed with each of three tries. Ask again."
        raise BusyError(msg)

    def _trip(self) -> Trip:
        return ClusterTrip()

    def _ways(self) -> Ways:
        return _ClusterTrips(self.client)


def _lacks(question: Question, answer: Answer) -> bool:
    return answer.head is not None and any(answer.states.get(key) is None for key in question.keys)


def _is_there(record: Sequence[bytes], answer: Answer) -> bool:
    return answer.head is not None and str(answer.head.generation).encode() in record[::2]
