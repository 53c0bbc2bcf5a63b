"""One Redis for all views: what readers ask, what loads and pushes do; a lease keeps two loads of one view apart."""

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast
from uuid import uuid4

from features.definitions.sources import Source
from features.errors import BusyError
from features.store import redis_tails
from features.store.heads import Head, Layout, refuse_early
from features.store.keys import redis_stamp
from features.store.one_each import OneEach
from features.store.reads import Answer, Question
from features.store.redis_client import ERRORS, client_of, keys_like, records_of, stamped
from features.store.redis_known import Known
from features.store.redis_plain import Plain
from features.store.redis_prepared import PreparedLookups
from features.store.redis_rows import Load
from features.store.redis_shapes import head_of
from features.store.redis_states import StateLoad, States
from features.store.redis_trips import Trip, Trips, Ways
from features.store.tails import Pushed

__all__ = ["RedisStore", "after"]

T = TypeVar("T")

_LEASE_SECONDS = 30
_TRIES = 4
# Releases or renews a lease only where it is still ours.
_IF_OURS = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3)) else return 0 end"

_FORGET = """redis.call('del', KEYS[1], KEYS[2])
if KEYS[3] then redis.call('set', KEYS[3], ARGV[1]) end
return 1"""


class RedisStore:
    """One Redis server for all views."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = client_of(url)
        self._trips, self._plain, self._states = self._ways(), Plain(), States(self.client)
        self._known, self._prepared = Known(), PreparedLookups()

    @property
    def where(self) -> str:
        """What messages call it; no password is in it."""
        told = self.client.get_connection_kwargs()
        return f"redis://{told.get('host')}:{told.get('port')}"

    def close(self) -> None:
        """Ends the connections."""
        self._trips.close()
        self.client.close()

    def record(self, view: str) -> dict[bytes, bytes]:
        """The head record as stored."""
        return cast("dict[bytes, bytes]", self.client.hgetall(records_of(self.client, view).head))

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
            yield Load(self.client, layout, now, token)

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
                self.client.eval(_IF_OURS, 1, records_of(self.client, view).lease, token, "del")

    def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """One MULTI of the stamp of all records and a command or two an entity key, whatever the number of views.

        A second one, with the records, where one of them changed since the last time, and a third where a view's rows moved with it.

        Raises:
            BusyError: Redis does not answer.
        """
        asking = self.asking(questions)
        try:
            step: Trip | Sequence[Answer] = next(asking)
            while isinstance(step, Trip):
                step = after(asking, self._trips.execute(step))
            return step  # noqa: TRY300 - what the next line does is of what may fail
        except ERRORS:
            with self.errors():
                raise

    def asking(self, questions: Sequence[Question]) -> Generator[Trip, list[Any], Sequence[Answer]]:
        """What `ask` does between its trips: each is to be answered with what EXEC gave.

        Raises:
            BusyError: generations come and go faster than they are read.
        """
        known = self._known
        if isinstance(questions, OneEach) and (prepared := self._prepared.of(questions, known)) is not None:
            found = yield prepared.trip(questions.entities)
            made = prepared.answers(questions.entities, found)
            if made is not None:
                return made
            self._known = known.doubted()
        return (yield from self._asking(questions))

    def _asking(self, questions: Sequence[Question]) -> Generator[Trip, list[Any], Sequence[Answer]]:
        for _ in range(_TRIES):
            trip, known = self._trip(), self._known
            surely, is_stamped = known.is_sure(questions), not trip.tagged
            if is_stamped:
                trip.get(redis_stamp())
            of_plain = self._plain.ask(trip, questions, known.lives, surely=surely)
            of_stated = self._states.ask(trip, questions, known.generations, surely=surely)
            found = yield trip
            stamp, found = (found[0], found[1:]) if is_stamped else (None, found)
            if surely and stamp != known.stamp:
                self._known = known.doubted()
                continue
            rest = found[of_plain.commands :] if of_stated.questions else ()
            lives, generations = self._plain.said(of_plain, found), self._states.said(of_stated, rest)
            if not surely:
                told = _by_view(of_plain.questions, lives), _by_view(of_stated.questions, generations)
                self._known = self._known.told(stamp, *told)
            states = self._states.answers(of_stated, generations, rest)
            answers = None if states is None else self._plain.answers(of_plain, lives, found, states)
            if answers is not None:
                if surely and isinstance(questions, OneEach):
                    self._prepared.remember(questions, known, of_plain, of_stated)
                return answers
        msg = "The online store's generations changed with each of four tries. Ask again."
        raise BusyError(msg)

    def forget(self, view: str) -> None:
        """Drops the view's head record; its rows are Feast's to delete. Of states no generation can be read any more, nor is its number used again."""
        with self.errors():
            records = records_of(self.client, view)
            keys = stamped(self.client, records.head, records.parts)
            self.client.eval(_FORGET, len(keys), *keys, uuid4().hex)
            for head in self._states.generations(view):
                self._states.withdraw(view, head.generation)

    def clear(self) -> None:
        """Drops all that Asof keeps beside Feast's hashes, of every view and source."""
        with self.errors():
            self.client.delete(redis_stamp())  # before what it stands for
            for key in keys_like(self.client, b"asof:*"):
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

    def fold(self, source: Source, keys: Sequence[bytes], bound: int) -> int:
        """Folds those of these entities' tails that have more than so many entries; how many went into blocks. See `redis_tails.fold`.

        Raises:
            BusyError: Redis does not answer; what was pushed stays.
        """
        with self.errors():
            return redis_tails.fold(self.client, source, keys, bound)

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

    def _trip(self) -> Trip:
        return Trip()

    def _ways(self) -> Ways:
        return Trips(self.client)

    def _take(self, view: str, token: str) -> None:
        # A killed load's lease ends by itself; a running one's does not.
        deadline = time.monotonic() + _LEASE_SECONDS + 5
        while not self.client.set(records_of(self.client, view).lease, token, nx=True, ex=_LEASE_SECONDS):
            if time.monotonic() > deadline:
                msg = f"Another load of view {view!r} into the online store is running. Run the same command again once it has ended."
                raise BusyError(msg)
            time.sleep(0.5)

    def _renew(self, view: str, token: str, done: threading.Event) -> None:
        while not done.wait(_LEASE_SECONDS / 3):
            try:
                self.client.eval(_IF_OURS, 1, records_of(self.client, view).lease, token, "expire", _LEASE_SECONDS)
            except ERRORS:
                continue  # the load's own commands meet it too, and say so

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Says of what Redis's client raises what is wrong, and what to do."""
        try:
            yield
        except ERRORS as error:
            msg = (
                f"The online store {self.where} does not answer as it should: {error}. "
                "The generation it served stays the live one. Mend it (online.url) and run the same command again."
            )
            raise BusyError(msg) from error


def after(asking: Generator[Trip, list[Any], Sequence[Answer]], found: list[Any]) -> Trip | Sequence[Answer]:
    """The next trip once one was answered, or what was asked for; see `RedisStore.asking`."""
    try:
        return asking.send(found)
    except StopIteration as done:
        answers: Sequence[Answer] = done.value
        return answers


def _by_view(questions: Sequence[Question], said: Sequence[T]) -> dict[str, T]:
    return {question.view: one for question, one in zip(questions, said, strict=True)}
