"""What lookups ask Redis for that are alike but for their entities: which commands, and where in what they bring each view's row is."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from features.store.heads import Head
from features.store.keys import redis_row_keys, redis_state_keys
from features.store.packed import MANY
from features.store.reads import Block, ByKey
from features.store.redis_places import Place, place_of
from features.store.redis_trips import Trip
from features.store.together import Span, StringLayout

__all__ = ["HEAD_FIELDS", "LAYOUT", "Found", "Live", "Shape", "head_of"]

LAYOUT = b"3"
"""Packed rows at places; beside them Feast's own fields."""
_LAYOUTS = (b"2", LAYOUT)
"""That can be read: of the second all rows are fields."""

HEAD_FIELDS = ("generation", "cut", "valid_from", "horizon", "rows", "loaded_at")
"""Of a head record, those that are whole numbers."""

_BETWEEN = 512
"""So many bytes that nobody asked for are read along with rows beside them: a command more takes longer."""


def head_of(view: str, record: dict[bytes, bytes]) -> Head | None:
    """The live generation of a head record; None where no load was ever completed."""
    if record.get(b"layout") not in _LAYOUTS:  # of a store that has no packed rows nothing can be read
        return None
    numbers = {name: int(record[name.encode()]) for name in HEAD_FIELDS}
    return Head(view=view, definition=record[b"definition"].decode(), **numbers)


class Live(NamedTuple):
    """What a head record says."""

    head: Head | None
    place: Place | None

    @classmethod
    def of(cls, view: str, record: dict[bytes, bytes]) -> "Live":
        """Of a view."""
        head = head_of(view, record)
        return cls(head, None if head is None else place_of(view, record.get(b"place", b"").decode()))


Found: TypeAlias = tuple[Mapping[bytes, bytes | None], Block | None]


class Run(NamedTuple):
    """Views whose rows are read together."""

    first: int
    end: int
    """Bytes of each string; 0: all of it, by one command for all entities."""
    layout: StringLayout
    """Where among those the rows of which questions lie."""


class Group(NamedTuple):
    """What is asked of the same entities."""

    fields: Mapping[int, bytes]
    """The questions whose rows are fields, and those."""
    runs: tuple[Run, ...]

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, numbered: tuple[tuple[int, Place], ...], *, one_by_one: bool) -> "Group":
        """Of questions, each by its number with the place of its rows. The same layouts are the same objects, by which readers know them."""
        places = dict(numbered)
        placed = sorted((place.at, number) for number, place in places.items() if place.size)
        length = max((place.length for place in places.values()), default=0)
        runs = list[Run]()
        while placed:
            first = end = placed[0][0] if one_by_one or placed[0][0] > _BETWEEN else 0
            spans = dict[int, Span]()
            while placed and placed[0][0] <= end + _BETWEEN:
                at, number = placed.pop(0)
                end = at + places[number].size
                spans[number] = Span(at - first, end - first)
            is_all = not one_by_one and first == 0 and length <= end + _BETWEEN
            runs.append(Run(first, 0 if is_all else end, StringLayout(tuple(spans), tuple(spans.values()))))
        return cls({number: place.field for number, place in places.items() if not place.size}, tuple(runs))

    def ask(self, trip: Trip, entities: tuple[bytes, ...]) -> None:
        """For all rows that are fields, and for those of each run."""
        if self.fields:
            trip.hmget(redis_state_keys(entities), tuple(self.fields.values()))
        for first, end, _ in self.runs:
            if end:
                trip.getrange(redis_row_keys(entities), first, end)
            else:
                trip.mget(redis_row_keys(entities))

    def answers(self, entities: int) -> int:
        """How many come back of so many."""
        return (entities if self.fields else 0) + sum(entities if run.end else 1 for run in self.runs)

    def rows(self, entities: tuple[bytes, ...], answers: Iterator[Any]) -> Iterator[tuple[int, Found]]:
        """Of each question its rows, from what came back."""
        count = len(entities)
        if self.fields:
            for number, column in zip(self.fields, zip(*islice(answers, count), strict=True), strict=True):
                yield number, (ByKey(entities, partial(tuple, column)), None)
        for _, end, layout in self.runs:
            strings = [string or b"" for string in (islice(answers, count) if end else next(answers))]
            lengths = set(map(len, strings))
            is_whole = min(lengths) >= max(span.end for span in layout.spans)
            joined = b"".join(strings) if is_whole and count >= MANY and len(lengths) == 1 else None
            for number, (first, last) in zip(*layout, strict=True):
                rows = ByKey(entities, partial(_cut, strings, first, last, is_whole=is_whole))
                yield number, (rows, None if joined is None else Block(joined, count, first))


class Shape(NamedTuple):
    """What is the same for all lookups that ask the same of as many different entities, while records say the same."""

    known: Mapping[str, Live]
    """What they say."""
    lives: Sequence[Live | None]
    """Of each question's view."""
    heads: Sequence[Head | None]
    """Theirs."""
    groups: tuple[Group, ...]
    """By the order in which their entities appear."""
    fields: tuple[int, ...]
    """The groups with rows that are fields."""
    ranges: tuple[tuple[int, Run], ...]
    """The runs that are parts of strings, each after its group."""
    wholes: tuple[int, ...]
    """The groups whose strings are read whole."""
    layouts: tuple[StringLayout, ...]
    """Of the ranges and of the wholes."""
    owners: tuple[int, ...]
    """The group of each."""

    @property
    def commands(self) -> int:
        """How many it takes of one entity each."""
        return len(self.fields) + len(self.ranges) + bool(self.wholes)

    @classmethod
    def of(
        cls,
        known: Mapping[str, Live],
        lives: Sequence[Live | None],
        asked: Sequence[tuple[int, str, int]],
        *,
        one_by_one: bool,
    ) -> "Shape":
        """Of questions, each with its number, its view and its group; none where that is negative."""
        places = dict[int, list[tuple[int, Place]]]()
        for (number, _, group), live in zip(asked, lives, strict=True):
            if group >= 0:
                own = places.setdefault(group, [])
                if live is not None and live.place is not None:
                    own.append((number, live.place))
        groups = tuple(Group.of(tuple(places[group]), one_by_one=one_by_one) for group in range(len(places)))
        runs = [(place, run) for place, group in enumerate(groups) for run in group.runs]
        ranges, wholes = [one for one in runs if one[1].end], [one for one in runs if not one[1].end]
        return cls(
            known,
            lives,
            [None if live is None else live.head for live in lives],
            groups,
            tuple(place for place, group in enumerate(groups) if group.fields),
            tuple(ranges),
            tuple(place for place, _ in wholes),
            tuple(run.layout for _, run in (*ranges, *wholes)),
            tuple(place for place, _ in (*ranges, *wholes)),
        )


def _cut(strings: Sequence[bytes], first: int, end: int, *, is_whole: bool) -> list[bytes | None]:
    """The rows between these bytes; None where there is none."""
    rows: list[bytes | None] = [string[first:end] for string in strings]
    if is_whole and bytes(end - first) not in rows:
        return rows
    return [row if row and row.strip(b"\0") else None for row in rows]
