"""Feast's Redis layout: one hash an entity, written by Spark's tasks; the head record is written last.

A row never mixes two generations (one HSET), and says by `_ts:<view>` which it is of. While a load runs, `begun` in the head record lists its
cut, so that the next load cleans up after one that was killed; a lease keeps two loads of one view apart.
"""

import json
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pyarrow as pa
import redis

from features.definitions.expressions import ColumnType
from features.errors import BusyError
from features.store import redis_tails
from features.store.heads import Head, Layout, Loaded, refuse_early, settled
from features.store.keys import (
    PROJECT,
    belongs,
    encode_instant,
    entity_keys,
    field,
    instant_field,
    key_prefix,
    redis_head,
    redis_states,
)
from features.store.packed import Packing
from features.store.reads import Answer, Question
from features.store.redis_client import Parsed, Trip, Trips, client_of, lease, still_ours, taken
from features.store.redis_parts import begin_parts, redis_parts
from features.store.redis_plain import HEAD_FIELDS, LAYOUT, ask_plain, head_of, packed_field, plain_answers
from features.store.redis_states import StateLoad, States
from features.store.resp import bulk, fields_and_values, piped
from features.store.tails import Pushed

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["Load", "RedisStore", "remove_rows", "write_rows"]

_LEASE_SECONDS = 30
_ROWS_AT_ONCE = 2000
_TRIES = 3
# Releases or renews a lease only where it is still ours.
_IF_OURS = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3)) else return 0 end"
_HEAD_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[2], KEYS[3])
redis.call('hset', KEYS[2], unpack(ARGV, 2))
return 1"""


class Load:
    """A load in progress: what Spark's tasks need, and how it ends."""

    def __init__(self, store: "RedisStore", layout: Layout, now: int, token: str) -> None:
        self._store, self.layout, self._now, self.token = store, layout, now, token
        record = store.record(layout.view)
        self.old = head_of(layout.view, record)
        self.settled = settled(self.old, layout)
        self._begun: list[list[Any]] = json.loads(record.get(b"begun", b"[]"))
        self._features: list[str] = json.loads(record.get(b"features", b"[]"))

    @property
    def gone_features(self) -> tuple[str, ...]:
        """Features that rows in the store may have and the layout lacks."""
        return tuple(sorted(set(self._features) - {name for name, _ in self.layout.features}))

    @property
    def cuts_before(self) -> tuple[int, ...] | None:
        """The other cuts whose keys may be in the store; None where another definition's may be, which their tables no longer tell."""
        live = ((self.old.cut, self.old.definition),) if self.old else ()
        there = {*live, *((cut, definition) for cut, definition in self._begun)}
        if any(definition != self.layout.definition for _, definition in there):
            return None
        return tuple(sorted({cut for cut, _ in there} - {self.layout.cut}))

    def begin(self, rows: str = "") -> dict[int, int]:
        """Records the cut as begun, before the first row is written; which parts a killed load of the same finished, and their rows.

        Args:
            rows: stands for what is loaded, in the same parts; nothing where it has none.

        Raises:
            BusyError: another load took over meanwhile.
        """
        mine = [self.layout.cut, self.layout.definition]
        begun = [*(one for one in self._begun if one != mine), mine]
        features = sorted({*self._features, *(name for name, _ in self.layout.features)})
        self._store.client.hset(
            redis_head(self.layout.view), mapping={"begun": json.dumps(begun), "features": json.dumps(features)}
        )
        load = f"{self.layout.cut} {self.layout.definition} {rows or self.token}"
        return begin_parts(self._store.client, self.layout.view, self.token, load)

    def remove_by_scan(self) -> int:
        """Removes every row of the view that is not of this cut, by looking at all keys of the entity; how many there were."""
        client, view, wanted = self._store.client, self.layout.view, encode_instant(self.layout.valid_from)
        pattern = (
            b"".join(
                b"\\" + bytes((byte,)) if byte in b"*?[]\\^-" else bytes((byte,))
                for byte in key_prefix(self.layout.keys)
            )
            + b"*"
        )
        removed, at = 0, 0
        while True:
            at, found = cast("tuple[int, list[bytes]]", client.scan(cursor=at, match=pattern, count=5000))
            keys = sorted({key for key in found if belongs(key, self.layout.keys)})
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hget(key, instant_field(view))
                stamps = pipe.execute()
            others = [key for key, stamp in zip(keys, stamps, strict=True) if stamp not in (None, wanted)]
            removed += _drop(client, self.layout, self.gone_features, others)
            if at == 0:
                return removed

    def end(self, *, written: int, removed: int) -> Loaded:
        """Makes the generation the live one.

        Raises:
            BusyError: another load took over meanwhile.
        """
        head = self.layout.head(
            generation=1 + (self.old.generation if self.old else 0), rows=written, loaded_at=self._now
        )
        values: list[Any] = list(
            chain.from_iterable((name, getattr(head, name)) for name in (*HEAD_FIELDS, "definition"))
        )
        values += ["features", json.dumps([name for name, _ in self.layout.features]), "layout", LAYOUT]
        view = self.layout.view
        keys = lease(view), redis_head(view), redis_parts(view)
        if not self._store.client.eval(_HEAD_IF_OURS, 3, *keys, self.token, *values):
            raise BusyError(taken(view))
        return Loaded(head=head, written=written, removed=removed)


class RedisStore:
    """One Redis server for all views."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = client_of(url)
        self._trips, self._heads = Trips(self.client), Parsed(head_of)
        self._states = States(self.client)

    def close(self) -> None:
        """Ends the connections."""
        self._trips.close()
        self.client.close()

    def record(self, view: str) -> dict[bytes, bytes]:
        """The head record as stored."""
        return cast("dict[bytes, bytes]", self.client.hgetall(redis_head(view)))

    def head(self, view: str) -> Head | None:
        """The live generation; None where no load was ever completed.

        Raises:
            BusyError: Redis does not answer.
        """
        with self.errors():
            return head_of(view, self.record(view))

    @contextmanager
    def loading(self, layout: Layout, now: int) -> Iterator[Load]:
        """The one load of the view that may run; check `settled` before anything else. `now` in microseconds UTC.

        Raises:
            BusyError: `now` is before the cut's valid_from, another load of the view runs, or Redis does not answer.
        """
        refuse_early(layout, now)
        with self.leased(layout.view) as token:
            yield Load(self, layout, now, token)

    @contextmanager
    def leased(self, view: str) -> Iterator[str]:
        """Keeps other loads of the view out; the token that proves it.

        Raises:
            BusyError: another load of the view runs, or Redis does not answer.
        """
        token, done = uuid4().hex, threading.Event()
        with self.errors():
            self._take(view, token)
            renewal = threading.Thread(target=self._renew, args=(view, token, done), daemon=True)
            renewal.start()
            try:
                yield token
            finally:
                done.set()
                renewal.join()
                self.client.eval(_IF_OURS, 1, lease(view), token, "del")

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """One MULTI of the head records and one HMGET an entity key, whatever the number of views.

        Of states a second one where a generation was loaded or taken back since the last time.

        Raises:
            BusyError: Redis does not answer.
        """
        asking = self.asking(questions)
        with self.errors():
            trip = next(asking)
            while True:
                found = self._trips.execute(*trip.packed())
                try:
                    trip = asking.send(found)
                except StopIteration as done:
                    answers: list[Answer] = done.value
                    return answers

    def asking(self, questions: Sequence[Question]) -> Generator[Trip, list[Any], list[Answer]]:
        """What `ask` does between its trips: each is to be answered with what EXEC gave.

        Raises:
            BusyError: generations come and go faster than they are read.
        """
        plain = [question for question in questions if not question.states]
        stated = [question for question in questions if question.states]
        for _ in range(_TRIES):
            trip = Trip()
            groups, expected = ask_plain(trip, plain), self._states.ask(trip, stated)
            found = yield trip
            ends = len(plain) + sum(len(keys) for keys, _ in groups)
            if self._states.learned(stated, found[ends:]) == expected:
                break
        else:
            msg = "The online store's generations changed with each of three tries. Ask again."
            raise BusyError(msg)
        answers = {id(q): a for q, a in zip(plain, plain_answers(plain, groups, found, self._heads), strict=True)}
        answers |= {id(q): a for q, a in zip(stated, self._states.answers(stated, found[ends:]), strict=True)}
        return [answers[id(question)] for question in questions]

    def forget(self, view: str) -> None:
        """Drops the view's head record; its rows are Feast's to delete. Of states no generation can be read any more, nor is its number used again."""
        with self.errors():
            self.client.delete(redis_head(view), redis_parts(view))
            for head in self._states.generations(view):
                self._states.withdraw(view, head.generation)

    def clear(self) -> None:
        """Drops all that Asof keeps beside Feast's hashes, of every view and source."""
        with self.errors():
            for key in self.client.scan_iter(b"asof:*", count=5000):
                self.client.unlink(key)

    def generations(self, view: str) -> tuple[Head, ...]:
        """Of a view's states: those that may be read, the oldest first.

        Raises:
            BusyError: Redis does not answer.
        """
        with self.errors():
            return self._states.generations(view)

    def roll_back(self, view: str, generation: int) -> None:
        """Takes a generation of states out of what may be read; the next load removes it.

        Raises:
            BusyError: a load of the view runs, or Redis does not answer.
        """
        with self.leased(view):
            self._states.withdraw(view, generation)

    def push(self, source: str, events: Sequence[Pushed], told: int, lasting_ms: int) -> int:
        """See `features.store.redis_tails.push`.

        Raises:
            BusyError: Redis does not answer; what was taken in stays, and the same events may be pushed again.
        """
        with self.errors():
            return redis_tails.push(self.client, source, events, told, lasting_ms)

    def trim(self, source: str, before: int) -> int:
        """Drops what became known before an instant from a source's tails; how many entries that were.

        Raises:
            BusyError: Redis does not answer.
        """
        with self.errors():
            return redis_tails.trim(self.client, source, before)

    @contextmanager
    def loading_states(self, layout: Layout, now: int) -> Iterator[StateLoad]:
        """The one load of the view that may run; check `settled` before anything else. `now` in microseconds UTC.

        Raises:
            BusyError: another load of the view runs, or Redis does not answer.
        """
        with self.leased(layout.view) as token:
            yield StateLoad(self._states, layout, now, token)

    def _take(self, view: str, token: str) -> None:
        # A killed load's lease ends by itself; a running one's does not.
        deadline = time.monotonic() + _LEASE_SECONDS + 5
        while not self.client.set(lease(view), token, nx=True, ex=_LEASE_SECONDS):
            if time.monotonic() > deadline:
                msg = f"Another load of view {view!r} into the online store is running. Run the same command again once it has ended."
                raise BusyError(msg)
            time.sleep(0.5)

    def _renew(self, view: str, token: str, done: threading.Event) -> None:
        while not done.wait(_LEASE_SECONDS / 3):
            try:
                self.client.eval(_IF_OURS, 1, lease(view), token, "expire", _LEASE_SECONDS)
            except redis.RedisError:
                continue  # the load's own commands meet it too, and say so

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Says of what Redis's client raises what is wrong, and what to do."""
        try:
            yield
        except redis.RedisError as error:
            where = self.client.get_connection_kwargs()
            msg = (
                f"The online store redis://{where.get('host')}:{where.get('port')} does not answer as it should: {error}. "
                "The generation it served stays the live one. Mend it (online.url) and run the same command again."
            )
            raise BusyError(msg) from error


def write_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: of a row its packed field, then one HSET of Feast's; yields the rows of each batch. Doing it twice changes nothing."""
    client, packing = client_of(url), Packing(dict(layout.features), layout.definition)
    names = [field(layout.view, name) for name, _ in layout.features]
    stamp = bulk(instant_field(layout.view)) + bulk(encode_instant(layout.valid_from))
    # HSET of a packed row, HSET of Feast's fields, and HDEL of those that went.
    whole = (b"*4\r\n$4\r\nHSET\r\n", bulk(packed_field(layout.view)))
    plain = b"*%d\r\n$4\r\nHSET\r\n" % (2 * len(names) + 4)
    old = (b"*%d\r\n$4\r\nHDEL\r\n" % (len(gone) + 2), b"".join(bulk(field(layout.view, name)) for name in gone))
    try:
        with piped(client) as pipe:
            for batch in batches:
                keys = _redis_keys(layout, batch)
                columns: list[tuple[bytes, pa.Array, ColumnType]] = [
                    (held, batch.column(name), kind) for held, (name, kind) in zip(names, layout.features, strict=True)
                ]
                rows = zip(keys, fields_and_values(columns), packing.pack(batch, layout.valid_from), strict=True)
                for start in range(0, len(keys), _ROWS_AT_ONCE):
                    still_ours(client, layout.view, token)
                    made = list[bytes]()
                    for key, values, row in islice(rows, _ROWS_AT_ONCE):
                        place = bulk(key)
                        made += (whole[0], bulk(_states(key)), whole[1], bulk(row), plain, place, values, stamp)
                        if gone:
                            made += (old[0], place, old[1])
                    pipe.send(b"".join(made), (3 if gone else 2) * min(_ROWS_AT_ONCE, len(keys) - start))
                yield len(keys)
    finally:
        client.close()


def remove_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: takes the view's fields from these keys' hashes, unless they are of this cut; yields how many had any."""
    client, wanted = client_of(url), encode_instant(layout.valid_from)
    try:
        for batch in batches:
            keys, removed = _redis_keys(layout, batch), 0
            for start in range(0, len(keys), _ROWS_AT_ONCE):
                still_ours(client, layout.view, token)
                some = keys[start : start + _ROWS_AT_ONCE]
                with client.pipeline(transaction=False) as pipe:
                    for key in some:
                        pipe.hget(key, instant_field(layout.view))
                    stamps = pipe.execute()
                others = [key for key, stamp in zip(some, stamps, strict=True) if stamp not in (None, wanted)]
                removed += _drop(client, layout, gone, others)
            yield removed
    finally:
        client.close()


def _drop(client: Any, layout: Layout, gone: tuple[str, ...], keys: Sequence[bytes]) -> int:  # noqa: ANN401 - see client_of
    fields = [
        instant_field(layout.view),
        *(field(layout.view, name) for name in (*(name for name, _ in layout.features), *gone)),
    ]
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hdel(_states(key), packed_field(layout.view))
            pipe.hdel(key, *fields)
        pipe.execute()
    return len(keys)


def _states(key: bytes) -> bytes:
    """The hash of packed rows and states beside one of Feast's, whose key ends with the project."""
    return redis_states(key.removesuffix(PROJECT.encode()))


def _redis_keys(layout: Layout, batch: pa.RecordBatch) -> list[bytes]:
    project = PROJECT.encode()
    return [
        key + project
        for key in entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
    ]
