"""Plain values in Redis: what is asked of packed rows and of head records, and what comes back."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

from features.store.heads import Head
from features.store.keys import redis_records, redis_row_keys, redis_state_keys
from features.store.reads import Answer, Question
from features.store.redis_shapes import Found, Live, Shape
from features.store.redis_trips import Parsed, Trip
from features.store.together import Strings, Together

__all__ = ["Asked", "Plain", "answers_of_one", "ask_one"]

_REMEMBERED = 1024
"""So many shapes."""


class Asked(NamedTuple):
    """What was asked of plain values."""

    numbers: Sequence[int]
    """Of each question its place among all of the lookup."""
    questions: Sequence[Question]
    """Those of plain values."""
    shape: Shape
    surely: bool
    """Whether records say that as long as the stamp is the same, so that none is asked for."""
    entities: Sequence[tuple[bytes, ...]]
    """Of each group."""
    one: Sequence[bytes] | None
    """Those, where each group has one."""

    @property
    def records(self) -> int:
        """How many are asked for."""
        return 0 if self.surely else len(self.questions)

    @property
    def commands(self) -> int:
        """How many."""
        if self.one is not None:
            return self.records + self.shape.commands
        groups = zip(self.shape.groups, self.entities, strict=True)
        return self.records + sum(group.answers(len(keys)) for group, keys in groups)


_NO_ROWS: Found = {}, None
_NOTHING = Asked((), (), Shape.of({}, (), (), one_by_one=False), surely=True, entities=(), one=())


class Plain:
    """Reads packed rows where they are known to be."""

    def __init__(self) -> None:
        self._parsed = Parsed(Live.of)
        self._shapes: dict[tuple[tuple[int, str, int], ...], Shape] = {}

    def ask(
        self,
        trip: Trip,
        questions: Sequence[Question],
        known: Mapping[str, Live],
        *,
        surely: bool,
    ) -> Asked:
        """Asks, of each view of plain values whose place is known, for its rows; for head records too where those may say something else."""
        numbers = [number for number, question in enumerate(questions) if not question.states]
        if not numbers:
            return _NOTHING
        own = [questions[number] for number in numbers]
        if not surely:
            for question in own:
                trip.hgetall(redis_records(question.view, tagged=trip.tagged).head)
        groups = dict[tuple[bytes, ...], int]()
        asked = tuple(
            [
                (number, question.view, groups.setdefault(question.keys, len(groups)) if question.keys else -1)
                for number, question in zip(numbers, own, strict=True)
            ]
        )
        shape = self._shape(asked, known, one_by_one=trip.tagged)
        entities = list(groups)
        one = [keys[0] for keys in entities] if set(map(len, entities)) <= {1} else None
        if one is None:
            for group, keys in zip(shape.groups, entities, strict=True):
                group.ask(trip, keys)
        else:
            ask_one(trip, shape, one)
        return Asked(numbers, own, shape, surely, entities, one)

    def said(self, asked: Asked, found: Sequence[Any]) -> Sequence[Live]:
        """What the record of each question's view says: those that came with the answer where they were asked for."""
        if asked.surely:
            return cast("Sequence[Live]", asked.shape.lives)
        of = self._parsed.of
        return [of(question.view, record) for question, record in zip(asked.questions, found, strict=False)]

    def answers(
        self, asked: Asked, said: Sequence[Live], found: Sequence[Any], others: Mapping[int, Answer]
    ) -> Sequence[Answer] | None:
        """One a question of the lookup, of which others are answered already; None where rows were looked for elsewhere than they are."""
        if not asked.questions:
            return [others[number] for number in range(len(others))]
        lives = asked.shape.lives
        if said is not lives and [live.place for live in said] != [live and live.place for live in lives]:
            return None
        heads = asked.shape.heads if said is lives else [live.head for live in said]
        if asked.one is not None:
            came = found[asked.records : asked.commands]
            return answers_of_one(asked.shape, asked.numbers, heads, asked.one, came, others)
        rows, answers = dict[int, Found](), islice(found, asked.records, None)
        for group, keys in zip(asked.shape.groups, asked.entities, strict=True):
            rows.update(group.rows(keys, answers))
        made = dict(others)
        for number, head in zip(asked.numbers, heads, strict=True):
            own, block = rows.get(number, _NO_ROWS)
            made[number] = Answer(head, own, block)
        return [made[number] for number in range(len(made))]

    def _shape(self, asked: tuple[tuple[int, str, int], ...], known: Mapping[str, Live], *, one_by_one: bool) -> Shape:
        shape = self._shapes.get(asked)
        if shape is not None and shape.known is known:
            return shape
        lives = [known.get(view) for _, view, _ in asked]
        if shape is not None and shape.lives == lives:  # records were read again, and say the same
            made = shape._replace(known=known)
        else:
            made = Shape.of(known, lives, asked, one_by_one=one_by_one)
        if len(self._shapes) >= _REMEMBERED:
            self._shapes = {}
        self._shapes[asked] = made
        return made


def ask_one(trip: Trip, shape: Shape, one: Sequence[bytes]) -> None:
    """For the rows of one entity each: strings that are read whole by a single command."""
    for place in shape.fields:
        trip.hmget(redis_state_keys((one[place],)), tuple(shape.groups[place].fields.values()))
    for place, run in shape.ranges:
        trip.getrange(redis_row_keys((one[place],)), run.first, run.end)
    if shape.wholes:
        trip.mget(redis_row_keys([one[place] for place in shape.wholes]))


def answers_of_one(
    shape: Shape,
    numbers: Sequence[int],
    heads: Sequence[Head | None],
    one: Sequence[bytes],
    found: Sequence[Any],
    others: Mapping[int, Answer],
) -> Together:
    """Of what `ask_one` asked for; others are answered already."""
    at = 0
    fields = dict[int, tuple[bytes, bytes | None]]()
    for place in shape.fields:
        for number, row in zip(shape.groups[place].fields, found[at], strict=True):
            fields[number] = one[place], row
        at += 1
    end = at + len(shape.ranges)
    strings = [*found[at:end], *found[end]] if shape.wholes else found[at:end]
    made = Strings(shape.layouts, one, shape.owners, [string or b"" for string in strings])
    return Together(numbers, heads, made, fields, others)
