"""Lookups of one entity each that were asked before: while records say the same, nothing differs between two of them but the entities, and what is held of these."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from features.store import redis_plain, redis_states
from features.store.keys import redis_row_keys, redis_stamp
from features.store.one_each import Alike, OneEach
from features.store.redis_known import Known
from features.store.redis_plain import answers_of_one, ask_one
from features.store.redis_prepared_states import PreparedStates
from features.store.redis_shapes import Shape
from features.store.redis_trips import Trip
from features.store.resp import bulk
from features.store.together import Strings, Together

__all__ = ["Prepared", "PreparedLookups"]

_REMEMBERED = 1024
"""So many."""


class Prepared(NamedTuple):
    """What is the same for all entities."""

    known: Known
    """While it is known."""
    owners: Sequence[int]
    """The places of the entities whose plain values are asked for."""
    shape: Shape
    numbers: Sequence[int]
    begin: bytes
    """Of the one command that strings which are read whole and the stamp of all records are; empty where it takes several, which are a MULTI."""
    states: PreparedStates | None
    """None: none are asked for."""

    @classmethod
    def of(
        cls, known: Known, entities: Sequence[bytes], plain: redis_plain.Asked, stated: redis_states.Asked
    ) -> "Prepared | None":
        """From what was asked of these entities while these records were known; None where two are the same, so that the next ones have other places."""
        if plain.one is None or len({*entities}) < len(entities):
            return None
        shape, owners = plain.shape, [entities.index(key) for key in plain.one]
        states = PreparedStates.of(stated, entities) if stated.numbers else None
        is_one = shape.wholes and not shape.ranges and not shape.fields and states is None
        begin = b"*%d\r\n%b%b" % (len(shape.wholes) + 2, bulk(b"MGET"), bulk(redis_stamp())) if is_one else b""
        return cls(known, owners, shape, plain.numbers, begin, states)

    def is_for(self, known: Known, at: int) -> bool:
        """Whether it asks for what is to be asked for at an instant (microseconds UTC), while these records are known."""
        if self.known is not known or time.monotonic() >= known.ends:
            return False
        return self.states is None or self.states.first <= at < self.states.end

    def trip(self, entities: Sequence[bytes]) -> Trip:
        """Asks for the stamp, and for what is held of the entities."""
        own = [entities[place] for place in self.owners]
        if self.begin:
            return _OneCommand(self.begin, redis_row_keys([own[place] for place in self.shape.wholes]))
        trip = Trip()
        trip.get(redis_stamp())
        ask_one(trip, self.shape, own)
        if self.states is not None:
            self.states.ask(trip, entities)
        return trip

    def answers(self, entities: Sequence[bytes], found: Sequence[Any]) -> Together | None:
        """What came; None under another stamp."""
        stamp, *rest = found
        if stamp != self.known.stamp:
            return None
        own, shape = [entities[place] for place in self.owners], self.shape
        if self.begin:
            strings = Strings(shape.layouts, own, shape.owners, [string or b"" for string in rest])
            return Together(self.numbers, shape.heads, strings)
        if self.states is None:
            return answers_of_one(shape, self.numbers, shape.heads, own, rest, {})
        others = self.states.answers(entities, rest[shape.commands :])
        return answers_of_one(shape, self.numbers, shape.heads, own, rest[: shape.commands], others)


class PreparedLookups:
    """Those that were asked before."""

    def __init__(self) -> None:
        self._prepared: dict[Alike, Prepared] = {}

    def of(self, questions: OneEach, known: Known) -> Prepared | None:
        """None of what was not asked before, or not while these records were known, or not of the generations of its instant."""
        prepared = self._prepared.get(questions.of)
        return prepared if prepared is not None and prepared.is_for(known, questions.at) else None

    def remember(self, questions: OneEach, known: Known, plain: redis_plain.Asked, stated: redis_states.Asked) -> None:
        """What was asked while records were sure."""
        made = Prepared.of(known, questions.entities, plain, stated)
        if made is None:
            return
        if len(self._prepared) >= _REMEMBERED:
            self._prepared.clear()
        self._prepared[questions.of] = made


class _OneCommand(Trip):
    """A trip of a single command, which is of one instant by itself."""

    def __init__(self, begin: bytes, keys: Sequence[bytes]) -> None:
        self._packed = begin + b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in keys])

    def packed(self) -> tuple[bytes, int]:
        """See `Trip.packed`; the answer is a list as that of EXEC is."""
        return self._packed, 1
