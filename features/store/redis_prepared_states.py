"""What a lookup of states that was asked before asks of the next entities."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from features.store.heads import Head
from features.store.keys import redis_state_keys, redis_tail_keys
from features.store.reads import Answer
from features.store.redis_states import Asked, told_of
from features.store.redis_tails import redis_watermark
from features.store.redis_trips import Trip

__all__ = ["PreparedStates"]

_FOREVER = 1 << 63


class _View(NamedTuple):
    """A view of states."""

    number: int
    """The place of its question among all of the lookup."""
    head: Head | None
    """What is answered."""
    owner: int
    """The place of its entity."""
    tail: str
    is_held: bool
    """Whether a state is asked for."""


class PreparedStates(NamedTuple):
    """Of views of states what is the same for all entities, and for all instants at which the same generations serve."""

    first: int
    end: int
    """Those are, in microseconds UTC, from the first on and before the other."""
    views: Sequence[_View]
    tails: Sequence[tuple[str, Sequence[int]]]
    """Sources, and of each the places of the entities whose tails are asked for."""
    fields: Sequence[tuple[int, tuple[bytes, ...], Sequence[int]]]
    """The places of entities, of each its fields that are asked for, and the numbers of their views."""

    @classmethod
    def of(cls, asked: Asked, entities: Sequence[bytes]) -> "PreparedStates":
        """From what was asked of these entities at one instant."""
        owners = {key: place for place, key in enumerate(entities)}
        views = [
            _View(number, head or (some[0] if some else None), owners[question.keys[0]], question.tail, head is not None)
            for number, question, head, some in zip(asked.numbers, asked.questions, asked.heads, asked.known, strict=True)
        ]  # fmt: skip
        at, changes = asked.questions[0].at, [head.valid_from for some in asked.known for head in some]
        return cls(
            first=max([instant for instant in changes if instant <= at], default=-_FOREVER),
            end=min([instant for instant in changes if instant > at], default=_FOREVER),
            views=views,
            tails=[(source, [owners[key] for key in keys]) for source, keys in asked.tails.items()],
            fields=[
                (owners[key], tuple(fields.values()), [asked.numbers[place] for place in fields])
                for (key,), fields in asked.fields.items()
            ],
        )

    def ask(self, trip: Trip, entities: Sequence[bytes]) -> None:
        """For the tails and states of entities."""
        for source, owners in self.tails:
            trip.get(redis_watermark(source))
            trip.hvals(redis_tail_keys([entities[owner] for owner in owners], source))
        for owner, names, _ in self.fields:
            trip.hmget(redis_state_keys((entities[owner],)), names)

    def answers(self, entities: Sequence[bytes], found: Sequence[Any]) -> dict[int, Answer]:
        """What came, by the place of each question."""
        rest, told, tails = iter(found), dict[str, int | None](), dict[tuple[str, int], Sequence[bytes]]()
        for source, owners in self.tails:
            told[source] = told_of(next(rest))
            for owner in owners:
                if entries := next(rest):
                    tails[source, owner] = entries
        states = dict[int, bytes | None]()
        for (_, _, numbers), some in zip(self.fields, rest, strict=True):
            states.update(zip(numbers, some, strict=True))
        made = dict[int, Answer]()
        for number, head, owner, tail, is_held in self.views:
            key, entries = entities[owner], tails.get((tail, owner))
            held = {key: states[number]} if is_held else {}
            made[number] = Answer(head, states=held, tails={key: entries} if entries else {}, watermark=told.get(tail))
        return made
