"""Plain values in Redis: what is asked of packed rows and of head records, and what comes back."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias, cast

from features.store.heads import Head
from features.store.keys import redis_records, redis_row_keys, redis_state_keys
from features.store.packed import MANY
from features.store.reads import Answer, Block, ByKey, Question
from features.store.redis_places import Place, place_of
from features.store.redis_trips import Parsed, Trip
from features.store.together import Span, StringLayout, Together

__all__ = ["HEAD_FIELDS", "LAYOUT", "Live", "Plain", "head_of"]

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


_Found: TypeAlias = tuple[Mapping[bytes, bytes | None], Block | None]
_NONE: _Found = ({}, None)


class _Run(NamedTuple):
    """Views whose rows are read together."""

    first: int
    end: int
    """Bytes of each string; 0: all of it, by one command for all entities."""
    spans: tuple[tuple[int, int, int], ...]
    """Of each view its number, and its rows' first byte and end among those."""


class _Plan(NamedTuple):
    """How the rows of some views are read."""

    fields: tuple[int, ...]
    """Whose rows are fields."""
    runs: tuple[_Run, ...]
    layout: StringLayout | None
    """Which rows are in an entity's string, if all are in one run."""


@lru_cache(maxsize=1024)
def _plan(places: tuple[Place, ...], questions: tuple[int, ...], *, one_by_one: bool) -> _Plan:
    placed = sorted((place.at, number) for number, place in enumerate(places) if place.size)
    length = max((place.length for place in places), default=0)
    runs = list[_Run]()
    while placed:
        first = end = placed[0][0] if one_by_one or placed[0][0] > _BETWEEN else 0
        spans = list[tuple[int, int, int]]()
        while placed and placed[0][0] <= end + _BETWEEN:
            at, number = placed.pop(0)
            end = at + places[number].size
            spans.append((number, at - first, end - first))
        is_all = not one_by_one and first == 0 and length <= end + _BETWEEN
        runs.append(_Run(first, 0 if is_all else end, tuple(spans)))
    fields = tuple(number for number, place in enumerate(places) if not place.size)
    is_one = len(runs) == 1 and not fields
    layout = StringLayout(questions, tuple(Span(*span) for _, *span in sorted(runs[0].spans))) if is_one else None
    return _Plan(fields, tuple(runs), layout)


class _Group(NamedTuple):
    """What is asked of the same entities."""

    entities: tuple[bytes, ...]
    questions: Sequence[int]
    plan: _Plan

    def ask(self, trip: Trip, places: Sequence[Place]) -> None:
        """For all rows that are fields, and for those of each run."""
        if self.plan.fields:
            trip.hmget(redis_state_keys(self.entities), [places[number].field for number in self.plan.fields])
        for first, end, _ in self.plan.runs:
            if end:
                trip.getrange(redis_row_keys(self.entities), first, end)
            else:
                trip.mget(redis_row_keys(self.entities))

    @property
    def answers(self) -> int:
        """How many come back."""
        count = len(self.entities)
        return (count if self.plan.fields else 0) + sum([count if run.end else 1 for run in self.plan.runs])

    def string(self, answer: Any) -> bytes:  # noqa: ANN401 - see Trips
        """The bytes of the only entity, of which the answer is the only one."""
        found = answer if self.plan.runs[0].end else answer[0]
        return found or b""

    def found(self, answers: Sequence[Any], into: list[_Found]) -> None:
        """Of each question its rows."""
        keys, count, start = self.entities, len(self.entities), 0
        if self.plan.fields:
            start = count
            for number, column in zip(self.plan.fields, zip(*answers[:count], strict=True), strict=True):
                into[self.questions[number]] = ByKey(keys, partial(tuple, column)), None
        for _, end, spans in self.plan.runs:
            strings = answers[start : start + count] if end else [string or b"" for string in answers[start]]
            start += count if end else 1
            lengths = set(map(len, strings))
            is_whole = min(lengths) >= spans[-1][2]
            joined = b"".join(strings) if is_whole and count >= MANY and len(lengths) == 1 else None
            for number, first, last in spans:
                rows = ByKey(keys, partial(_cut, strings, first, last, is_whole=is_whole))
                into[self.questions[number]] = rows, None if joined is None else Block(joined, count, first)


def _cut(strings: Sequence[bytes], first: int, end: int, *, is_whole: bool) -> list[bytes | None]:
    """The rows between these bytes; None where there is none."""
    rows: list[bytes | None] = [string[first:end] for string in strings]
    if is_whole and bytes(end - first) not in rows:
        return rows
    return [row if row and row.strip(b"\0") else None for row in rows]


class _Asked(NamedTuple):
    """What was asked of plain values."""

    questions: Sequence[Question]
    known: Sequence[Live | None]
    """What the record of each question's view says, as far as known."""
    surely: bool
    """Whether it says that as long as the stamp is the same, so that no record is asked for."""
    groups: Sequence[_Group]
    layouts: Sequence[StringLayout] | None
    """Of each group which rows are in its only entity's string; None where not all are in such."""

    @property
    def records(self) -> int:
        """How many are asked for."""
        return 0 if self.surely else len(self.questions)

    @property
    def commands(self) -> int:
        """How many."""
        return self.records + sum([group.answers for group in self.groups])


def _layouts(groups: Sequence[_Group], views: int) -> Sequence[StringLayout] | None:
    """See `_Asked`; of so many views."""
    made = [group.plan.layout for group in groups if group.plan.layout is not None and len(group.entities) == 1]
    return made if made and sum([len(layout.views) for layout in made]) == views else None


class Plain:
    """Reads packed rows where they are known to be."""

    def __init__(self) -> None:
        self._parsed = Parsed(Live.of)

    def ask(self, trip: Trip, questions: Sequence[Question], known: Mapping[str, Live], *, surely: bool) -> _Asked:
        """Asks, of each view whose place is known, for its rows; for head records too where those may say something else."""
        lives = [known.get(question.view) for question in questions]
        places = [None if live is None else live.place for live in lives]
        same: dict[tuple[bytes, ...], list[int]] = {}
        for number, question in enumerate(questions):
            if not surely:
                trip.hgetall(redis_records(question.view, tagged=trip.tagged).head)
            if places[number] is not None and question.keys:
                same.setdefault(question.keys, []).append(number)
        groups: list[_Group] = []
        for keys, numbers in same.items():
            own = tuple([place for number in numbers if (place := places[number]) is not None])
            groups.append(_Group(keys, numbers, _plan(own, tuple(numbers), one_by_one=trip.tagged)))
            groups[-1].ask(trip, own)
        return _Asked(questions, lives, surely, groups, _layouts(groups, len(questions)))

    def said(self, asked: _Asked, found: Sequence[Any]) -> Sequence[Live]:
        """What the record of each question's view says: those that came with the answer where they were asked for."""
        if asked.surely:
            return cast("Sequence[Live]", asked.known)
        of = self._parsed.of
        return [of(question.view, record) for question, record in zip(asked.questions, found, strict=False)]

    def answers(self, asked: _Asked, said: Sequence[Live], found: Sequence[Any]) -> Sequence[Answer] | None:
        """One a question; None where rows were looked for elsewhere than they are."""
        if said is not asked.known and [live.place for live in said] != [live and live.place for live in asked.known]:
            return None
        at, groups = asked.records, asked.groups
        if asked.layouts is not None:
            strings = [group.string(answer) for group, answer in zip(groups, found[at:], strict=False)]
            return Together(
                [live.head for live in said], asked.layouts, [group.entities[0] for group in groups], strings
            )
        made = [_NONE] * len(said)
        for group in groups:
            ends = at + group.answers
            group.found(found[at:ends], made)
            at = ends
        return [Answer(live.head, rows, block) for live, (rows, block) in zip(said, made, strict=True)]
