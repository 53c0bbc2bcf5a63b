"""States in Redis: a hash an entity, a field a view and generation, apart from Feast's plain values; which generations there are is one record a view.

A record's fields are `<number>` for a generation that may be read and `begun:<number>` for one that is being written, or removed: the next load
removes what a killed one left.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

import pyarrow as pa

from features.definitions.names import STATE
from features.errors import BusyError
from features.store.generations import dropped, from_text, next_number, serving, settled_states, to_text
from features.store.heads import Head, Layout, Loaded
from features.store.keys import (
    PROJECT,
    entity_keys,
    key_prefix,
    redis_records,
    redis_state_keys,
    redis_states,
    redis_tail_keys,
    state_field,
)
from features.store.reads import Answer, ByKey, Question
from features.store.redis_client import client_of, each, keys_like, piped, records_of, stamped, still_ours, taken
from features.store.redis_parts import begin_parts, load_of
from features.store.redis_tails import redis_watermark
from features.store.redis_trips import Parsed, Trip
from features.store.resp import bulk

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["NOTHING", "Asked", "StateLoad", "States", "remove_states", "told_of", "write_states"]

_ROWS_AT_ONCE = 500
_KEYS_AT_ONCE = 5000
_BEGUN = b"begun:"
_HSET = b"*4\r\n$4\r\nHSET\r\n"
_SHOW_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('hset', KEYS[2], ARGV[2], ARGV[3])
redis.call('hdel', KEYS[2], ARGV[4])
redis.call('del', KEYS[3])
if KEYS[4] then redis.call('set', KEYS[4], ARGV[5]) end
return 1"""

_WITHDRAW = """local record = redis.call('hget', KEYS[1], ARGV[1])
if record then
  redis.call('hset', KEYS[1], ARGV[2], record)
  redis.call('hdel', KEYS[1], ARGV[1])
end
if KEYS[2] then redis.call('set', KEYS[2], ARGV[3]) end
return 1"""


class States:
    """Reads states of the generations that are known."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see client_of
        self.client = client
        self._parsed = Parsed(lambda _, record: _heads(record))

    def generations(self, view: str) -> tuple[Head, ...]:
        """Those that may be read, the oldest first."""
        return _heads(self.client.hgetall(records_of(self.client, view).generations))

    def withdraw(self, view: str, generation: int) -> None:
        """Readers stop seeing it; its number stays used."""
        number = str(generation).encode()
        keys = stamped(self.client, records_of(self.client, view).generations)
        self.client.eval(_WITHDRAW, len(keys), *keys, number, _BEGUN + number, uuid4().hex)

    def ask(
        self, trip: Trip, questions: Sequence[Question], known: Mapping[str, tuple[Head, ...]], *, surely: bool
    ) -> "Asked":
        """Asks, of the views of states, of the generations known so far, for the states; for the records too where those may be others."""
        numbers = [number for number, question in enumerate(questions) if question.states]
        if not numbers:
            return NOTHING
        own = [questions[number] for number in numbers]
        asked = Asked.of(numbers, own, [known.get(question.view, ()) for question in own], surely=surely)
        if not surely:
            for question in own:
                trip.hgetall(redis_records(question.view, tagged=trip.tagged).generations)
        for source, keys in asked.tails.items():
            trip.get(redis_watermark(source))
            trip.hvals(redis_tail_keys(keys, source))
        for of, fields in asked.fields.items():
            trip.hmget(redis_state_keys(of), list(fields.values()))
        return asked

    def said(self, asked: "Asked", found: Sequence[Any]) -> Sequence[tuple[Head, ...]]:
        """The generations of each question's view, by the records that came with the answer where they were asked for."""
        if asked.surely:
            return asked.known
        return [
            self._parsed.of(question.view, record) for question, record in zip(asked.questions, found, strict=False)
        ]

    def answers(
        self, asked: "Asked", said: Sequence[tuple[Head, ...]], found: Sequence[Any]
    ) -> Mapping[int, Answer] | None:
        """By the place of each question; None where those were not the states of the right generations."""
        if not asked.numbers:
            return {}
        if said is not asked.known and not all(
            some is known or serving(some, question.at) == head
            for question, head, known, some in zip(asked.questions, asked.heads, asked.known, said, strict=True)
        ):
            return None
        rest = iter(found if asked.surely else found[len(asked.questions) :])
        told: dict[str, int | None] = {}
        tails: dict[str, dict[bytes, list[bytes]]] = {}
        for source, keys in asked.tails.items():
            told[source] = told_of(next(rest))
            tails[source] = {
                key: entries for key, entries in zip(keys, islice(rest, len(keys)), strict=True) if entries
            }
        stored: dict[int, Mapping[bytes, bytes | None]] = {}
        for of, fields in asked.fields.items():
            columns = zip(*islice(rest, len(of)), strict=True) if of else ()
            stored |= {place: ByKey(of, partial(tuple, column)) for place, column in zip(fields, columns, strict=False)}
        return {
            asked.numbers[place]: Answer(
                head=head or (some[0] if some else None),
                states=stored.get(place, {}),
                tails=tails.get(question.tail, {}),
                watermark=told.get(question.tail),
            )
            for place, (question, head, some) in enumerate(zip(asked.questions, asked.heads, said, strict=True))
        }


class Asked(NamedTuple):
    """What was asked of states."""

    numbers: Sequence[int]
    """Of each question its place among all of the lookup."""

    questions: Sequence[Question]
    known: Sequence[tuple[Head, ...]]
    """The generations of each question's view, as far as known."""

    heads: Sequence[Head | None]
    """Of those the one that each question is asked of."""

    tails: Mapping[str, Sequence[bytes]]
    """Source to the keys whose tails are asked for, each once."""

    fields: Mapping[tuple[bytes, ...], Mapping[int, bytes]]
    """By the keys that questions have in common, the field of each question that has a generation, by its place."""

    surely: bool
    """Whether those are the generations as long as the stamp is the same, so that no record is asked for."""

    @classmethod
    def of(
        cls, numbers: Sequence[int], questions: Sequence[Question], known: Sequence[tuple[Head, ...]], *, surely: bool
    ) -> "Asked":
        """By what is known so far."""
        heads = [serving(some, question.at) for question, some in zip(questions, known, strict=True)]
        return cls(numbers, questions, known, heads, _tails(questions), _fields(questions, heads), surely)


NOTHING = Asked((), (), (), (), {}, {}, surely=True)
"""Of a lookup of plain values."""


def _tails(questions: Sequence[Question]) -> dict[str, Sequence[bytes]]:
    found: dict[str, list[tuple[bytes, ...]]] = {}
    for question in questions:
        if question.tail and question.keys not in found.setdefault(question.tail, []):
            found[question.tail].append(question.keys)
    return {source: some[0] if len(some) == 1 else tuple(dict.fromkeys(chain(*some))) for source, some in found.items()}


def told_of(text: bytes | None) -> int | None:
    """A watermark as Redis has it."""
    return None if text is None else int(text)


def _heads(record: dict[bytes, bytes]) -> tuple[Head, ...]:
    numbers = sorted(int(name) for name in record if name.isdigit())
    return tuple(from_text(record[str(number).encode()]) for number in numbers)


def _fields(questions: Sequence[Question], heads: Sequence[Head | None]) -> dict[tuple[bytes, ...], dict[int, bytes]]:
    made: dict[tuple[bytes, ...], dict[int, bytes]] = {}
    for place, (question, head) in enumerate(zip(questions, heads, strict=True)):
        if head is not None:
            made.setdefault(question.keys, {})[place] = state_field(question.view, head.generation)
    return made


class StateLoad:
    """A load in progress: what Spark's tasks need, and how it ends."""

    def __init__(self, states: States, layout: Layout, now: int, token: str) -> None:
        self._states, self.layout, self._now, self.token = states, layout, now, token
        self._records = records_of(states.client, layout.view)
        record = states.client.hgetall(self._records.generations)
        self._heads = _heads(record)
        self._begun = {
            int(name.removeprefix(_BEGUN)): from_text(value)
            for name, value in record.items()
            if name.startswith(_BEGUN)
        }
        self.settled = settled_states(self._heads, layout)
        self.generation = next_number(self._heads, max(self._begun, default=0))

    def begin(self, rows: str = "") -> dict[int, int]:
        """Records the generation as begun, before the first state is written; which parts a killed load of the same finished, and their rows.

        Args:
            rows: stands for what is loaded, in the same parts; nothing where it has none.

        Raises:
            BusyError: another load took over meanwhile.
        """
        client, view = self._states.client, self.layout.view
        load = f"{self.layout.cut} {self.layout.definition} {rows or self.token}"
        number, _, of = load_of(client, view).partition(" ")
        if of == load and int(number) in self._begun:  # its generation is gone on with, not removed
            self.generation = int(number)
            del self._begun[self.generation]
        head = self.layout.head(generation=self.generation, rows=0, loaded_at=self._now)
        client.hset(self._records.generations, _BEGUN + str(self.generation).encode(), to_text(head))
        return begin_parts(client, view, self.token, f"{self.generation} {load}")

    def show(self, written: int) -> Head:
        """Lets readers see the generation from its valid_from on.

        Raises:
            BusyError: another load took over meanwhile.
        """
        head = self.layout.head(generation=self.generation, rows=written, loaded_at=self._now)
        number = str(self.generation)
        client = self._states.client
        keys = stamped(client, self._records.lease, self._records.generations, self._records.parts)
        told = self.token, number, to_text(head), _BEGUN + number.encode(), uuid4().hex
        if not client.eval(_SHOW_IF_OURS, len(keys), *keys, *told):
            raise BusyError(taken(self.layout.view))
        self._heads = (*self._heads, head)
        return head

    def end(self, remove: Callable[[Head], int]) -> Loaded:
        """Removes what no reader needs any more, and what killed loads left; `remove` takes a generation's states out, and says how many."""
        for head in dropped(self._heads, self._now):
            self._states.withdraw(self.layout.view, head.generation)
            self._begun[head.generation] = head
        removed = 0
        for number, head in self._begun.items():
            removed += remove(head)
            self._states.client.hdel(self._records.generations, _BEGUN + str(number).encode())
        return Loaded(head=self._heads[-1], written=self._heads[-1].rows, removed=removed)

    def remove_by_scan(self, generation: int) -> int:
        """Removes a generation's states by looking at all keys of the entity; how many there were."""
        client, name = self._states.client, state_field(self.layout.view, generation)
        before, after = redis_states(b"\0").split(b"\0" + PROJECT.encode())
        prefix = before + key_prefix(self.layout.keys)
        pattern = b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]\\^-" else bytes((byte,)) for byte in prefix) + b"*"
        removed, found = 0, (key for key in keys_like(client, pattern) if key.endswith(after))
        while some := list(islice(found, _KEYS_AT_ONCE)):
            removed += sum(each(client, [(b"HDEL", key, name) for key in some]))
        return removed


def write_states(
    url: str, layout: Layout, generation: int, token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: one HSET a row; yields the rows of each batch. Doing it twice changes nothing."""
    client, name = client_of(url), bulk(state_field(layout.view, generation))
    try:
        with piped(client) as pipe:
            for batch in batches:
                rows = list(zip(_keys(layout, batch), batch.column(STATE).to_pylist(), strict=True))
                for start in range(0, len(rows), _ROWS_AT_ONCE):
                    still_ours(client, layout.view, token)
                    some = rows[start : start + _ROWS_AT_ONCE]
                    named = ((redis_states(key), state) for key, state in some)
                    pipe.ask([(key, b"".join((_HSET, bulk(key), name, bulk(state))), 1) for key, state in named])
                yield len(rows)
    finally:
        client.close()


def remove_states(
    url: str, layout: Layout, generation: int, token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: takes a generation's field from these keys' hashes; yields how many had it."""
    client, name = client_of(url), state_field(layout.view, generation)
    try:
        for batch in batches:
            keys, removed = _keys(layout, batch), 0
            for start in range(0, len(keys), _ROWS_AT_ONCE):
                still_ours(client, layout.view, token)
                some = keys[start : start + _ROWS_AT_ONCE]
                removed += sum(each(client, [(b"HDEL", redis_states(key), name) for key in some]))
            yield removed
    finally:
        client.close()


def _keys(layout: Layout, batch: pa.RecordBatch) -> list[bytes]:
    return entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
