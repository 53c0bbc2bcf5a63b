"""Feast's Redis layout: one hash an entity, written by Spark's tasks; the head record is written last.

A row never mixes two generations (one HSET), and says by `_ts:<view>` which it is of. While a load runs, `begun` in the head record lists its
cut, so that the next load cleans up after one that was killed; a lease keeps two loads of one view apart.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast
from uuid import uuid4

import redis

from features.definitions.sources import Source
from features.errors import BusyError
from features.store import redis_tails
from features.store.heads import Head, Layout, Loaded, refuse_early, settled
from features.store.keys import (
    belongs,
    encode_instant,
    instant_field,
    key_prefix,
    redis_head,
)
from features.store.reads import Answer, Question
from features.store.redis_client import Parsed, Trip, Trips, client_of, lease, taken
from features.store.redis_parts import begin_parts, redis_parts
from features.store.redis_plain import HEAD_FIELDS, LAYOUT, ask_plain, head_of, plain_answers
from features.store.redis_rows import drop_rows
from features.store.redis_rows import remove_rows as remove_rows
from features.store.redis_rows import write_rows as write_rows
from features.store.redis_states import StateLoad, States
from features.store.tails import Pushed

__all__ = ["Load", "RedisStore", "remove_rows", "write_rows"]

_LEASE_SECONDS = 30
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
            removed += drop_rows(client, self.layout, self.gone_features, others)
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
        with self._errors():
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
        with self._errors():
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
        plain = [question for question in questions if not question.states]
        stated = [question for question in questions if question.states]
        with self._errors():
            for _ in range(_TRIES):
                trip = Trip(self._trips)
                groups, expected = ask_plain(trip, plain), self._states.ask(trip, stated)
                found = trip.execute()
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
        with self._errors():
            self.client.delete(redis_head(view), redis_parts(view))
            for head in self._states.generations(view):
                self._states.withdraw(view, head.generation)

    def clear(self) -> None:
        """Drops all that Asof keeps beside Feast's hashes, of every view and source."""
        with self._errors():
            for key in self.client.scan_iter(b"asof:*", count=5000):
                self.client.unlink(key)

    def generations(self, view: str) -> tuple[Head, ...]:
        """Of a view's states: those that may be read, the oldest first.

        Raises:
            BusyError: Redis does not answer.
        """
        with self._errors():
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
        with self._errors():
            return redis_tails.push(self.client, source, events, told, lasting_ms)

    def fold(self, source: Source, keys: Sequence[bytes], bound: int) -> int:
        """Folds those of these entities' tails that have more than so many entries; how many went into blocks. See `redis_tails.fold`.

        Raises:
            BusyError: Redis does not answer; what was pushed stays.
        """
        with self._errors():
            return redis_tails.fold(self.client, source, keys, bound)

    def trim(self, source: str, before: int) -> int:
        """Drops what became known before an instant from a source's tails; how many entries that were.

        Raises:
            BusyError: Redis does not answer.
        """
        with self._errors():
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
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            where = self.client.get_connection_kwargs()
            msg = (
                f"The online store redis://{where.get('host')}:{where.get('port')} does not answer as it should: {error}. "
                "The generation it served stays the live one. Mend it (online.url) and run the same command again."
            )
            raise BusyError(msg) from error
