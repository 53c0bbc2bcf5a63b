"""Lookups of one entity each that were asked before: while records say the same, nothing differs between two of them but the entities and their rows."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from features.store.keys import redis_row_keys, redis_stamp
from features.store.one_each import Alike, OneEach
from features.store.redis_known import Known
from features.store.redis_plain import Asked, answers_of_one, ask_one
from features.store.redis_shapes import Shape
from features.store.redis_trips import Trip
from features.store.resp import bulk
from features.store.together import Together

__all__ = ["Prepared", "PreparedLookups"]

_REMEMBERED = 1024
"""So many."""


class Prepared(NamedTuple):
    """What is the same for all entities."""

    known: Known
    """While it is known."""
    shape: Shape
    numbers: Sequence[int]
    begin: bytes
    """Of the one command that strings which are read whole and the stamp of all records are; empty where it takes several, which are a MULTI."""

    @classmethod
    def of(cls, known: Known, shape: Shape, numbers: Sequence[int]) -> "Prepared":
        """While these records are known."""
        is_one = shape.wholes and not shape.ranges and not shape.fields
        begin = b"*%d\r\n%b%b" % (len(shape.wholes) + 2, bulk(b"MGET"), bulk(redis_stamp())) if is_one else b""
        return cls(known, shape, numbers, begin)

    def trip(self, entities: tuple[bytes, ...]) -> Trip:
        """Asks for the stamp and the entities' rows."""
        if self.begin:
            return _OneCommand(self.begin, redis_row_keys([entities[place] for place in self.shape.wholes]))
        trip = Trip()
        trip.get(redis_stamp())
        ask_one(trip, self.shape, entities)
        return trip

    def answers(self, entities: tuple[bytes, ...], found: Sequence[Any]) -> Together | None:
        """What came; None under another stamp."""
        stamp, *rows = found
        if stamp != self.known.stamp:
            return None
        return answers_of_one(self.shape, self.numbers, self.shape.heads, entities, [rows] if self.begin else rows, {})


class PreparedLookups:
    """Those that were asked before."""

    def __init__(self) -> None:
        self._prepared: dict[Alike, Prepared] = {}

    def of(self, alike: Alike, known: Known) -> Prepared | None:
        """None of what was not asked before, or not under these records."""
        prepared = self._prepared.get(alike)
        return prepared if prepared is not None and prepared.known is known and time.monotonic() < known.ends else None

    def remember(self, questions: OneEach, known: Known, asked: Asked) -> None:
        """What was asked under records that are sure."""
        if asked.one is None or len(asked.one) != len(questions.entities):
            return  # two are the same
        if len(self._prepared) >= _REMEMBERED:
            self._prepared.clear()
        self._prepared[questions.of] = Prepared.of(known, asked.shape, asked.numbers)


class _OneCommand(Trip):
    """A trip of a single command, which is of one instant by itself."""

    def __init__(self, begin: bytes, keys: Sequence[bytes]) -> None:
        self._packed = begin + b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in keys])

    def packed(self) -> tuple[bytes, int]:
        """See `Trip.packed`; the answer is a list as that of EXEC is."""
        return self._packed, 1
