"""Questions about one entity each, as nearly every lookup asks: what is the same for all entities is told once."""

from collections.abc import Sequence
from typing import NamedTuple, overload

from features.store.reads import Question

__all__ = ["Alike", "OneEach"]


class Alike(NamedTuple):
    """What lookups ask that differ by nothing but their entities and instants."""

    views: tuple[str, ...]
    owners: tuple[int, ...]
    """Of each the place of its entity, by the order in which those appear."""

    tails: tuple[str | None, ...]
    """Of each view of states its `Question.tail`; None of one of plain values."""


class OneEach(Sequence[Question]):
    """The questions of a lookup; one is made where somebody looks at it.

    Args:
        of: what is asked.
        entities: each once; see `Question.keys`.
        at: the instant, in microseconds UTC; see `Question.at`.
    """

    __slots__ = ("at", "entities", "of")

    def __init__(self, of: Alike, entities: tuple[bytes, ...], at: int) -> None:
        self.of, self.entities, self.at = of, entities, at

    def __len__(self) -> int:
        return len(self.of.views)

    @overload
    def __getitem__(self, place: int) -> Question: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Question]: ...
    def __getitem__(self, place: int | slice) -> Question | Sequence[Question]:
        """Of a view, or of some."""
        views, owners, tails = self.of
        if isinstance(place, slice):
            return [self[at] for at in range(len(views))[place]]
        keys, tail = (self.entities[owners[place]],), tails[place]
        if tail is None:
            return Question(view=views[place], keys=keys)
        return Question(view=views[place], keys=keys, states=True, at=self.at, tail=tail)
