"""What one view says of keys: from plain values, or from states that are finished at the asked instant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, repeat
from typing import Literal, NamedTuple, cast

import numpy as np

from features.definitions.compiled import hash_of
from features.definitions.freshness import EventFreshness
from features.definitions.names import cut_text, utc
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import EarlyError, NotLoadedError
from features.store.columns import Columns, OneRow
from features.store.heads import Head
from features.store.live_rows import LiveRows
from features.store.packed import MANY, Packing, Unpacked
from features.store.reads import Answer, ByKey, Question
from features.store.tails import rows_of, tail_of, tail_source
from features.store.values import Cell
from features.values.defaults import never_seen
from features.values.requests import Request
from features.values.state.blocks import Block
from features.values.state.finish import Finished, Stated, finish_together
from features.values.sweep import STATUSES
from features.values.timeline import Asks

__all__ = ["Selected", "Served", "Status", "Tails", "ViewColumns", "ViewValues", "answered"]

Status = Literal["ok", "never_seen", "stale", "no_key", "overflow", "damaged"]
_FINISHED: tuple[Status, ...] = STATUSES
"""By what is finished."""
_STALE: tuple[Status, ...] = ("stale", "stale", "stale")
_STORED: tuple[Status, ...] = ("ok", "overflow")
_NO_KEY, _UNSEEN, _DAMAGED = -1, -2, -3
_OTHERWISE: dict[int, Status] = {_NO_KEY: "no_key", _UNSEEN: "never_seen", _DAMAGED: "damaged"}
_FIRST = np.zeros(1, np.int64)
_MAY_BE_STALE = frozenset[Status](("ok", "overflow", "never_seen"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewValues:
    """What one view says of one key."""

    view: str
    values: Mapping[str, Cell]
    """Feature name to value. Timestamps are int64 microseconds UTC."""
    status: Status
    """no_key before damaged before stale before never_seen before overflow, where several hold."""
    cut: int
    """The cut that the values, or the state they are finished from, are of; microseconds UTC."""
    age: int
    """Microseconds from that cut to the asked instant; of an event view whose stream has told more since, from what it told, 0 where that is later."""


class ViewColumns(NamedTuple):
    """What one view says of some keys, an element a key."""

    view: str
    values: Mapping[str, Sequence[Cell]]
    statuses: Sequence[Status]
    cuts: Sequence[int]
    ages: Sequence[int]

    def rows(self) -> list[ViewValues]:
        """The same, key by key."""
        names, columns = tuple(self.values), list(self.values.values())
        cells = zip(*columns, strict=True) if names else repeat((), len(self.statuses))
        beside = zip(cells, self.statuses, self.cuts, self.ages, strict=True)
        return [
            ViewValues(view=self.view, values=dict(zip(names, some, strict=True)), status=status, cut=cut, age=age)
            for some, status, cut, age in beside
        ]


class Selected:
    """Views and of each some features; by it is remembered what is the same for all that ask for them, so that it is equal to nothing but itself."""

    __slots__ = ("views",)

    def __init__(self, views: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        self.views = views


class Served:
    """A view, and what is asked of it again and again."""

    def __init__(self, view: FeatureView) -> None:
        self.view, self.types, self.unseen, self.definition = view, view.types, never_seen(view), hash_of(view)
        self.packing = Packing(self.types, self.definition)
        self.live_rows = LiveRows(self.packing)
        self._blank = lru_cache(maxsize=4)(
            lambda stamp: (self.packing.row(self.unseen, stamp), self.packing.row({}, stamp))
        )
        fresh = view.freshness
        self._patience = fresh.lag_us + fresh.silence_us if isinstance(fresh, EventFreshness) else None
        self.stateful, self.tail, self.tabled = view.stateful, tail_source(view), view.tabled

    def question(self, keys: tuple[bytes, ...], at: int) -> Question:
        """What the store is asked; each key once."""
        if self.stateful:
            return Question(view=self.view.name, keys=keys, states=True, at=at, tail=self.tail)
        return Question(view=self.view.name, keys=keys)

    def plain(self, features: tuple[str, ...], keys: Sequence[bytes | None], answer: Answer, at: int) -> ViewColumns:
        """Of stored values.

        Raises:
            NotLoadedError: the store holds nothing of the view, or of another definition.
            EarlyError: the instant is before what the store holds.
        """
        head, block = self.live(answer.head, at), answer.block
        values: Mapping[str, Sequence[Cell]] | None = None
        statuses: list[Status] = [self._word("ok", head, at)] * len(keys)
        if block is not None and len(keys) == block.keys:  # each key once, and in this order
            values = self.live_rows.in_block(block, head.valid_from, features)
        if values is None:
            found = _of(answer.rows, keys)
            if None in found:
                found, statuses = self._filled(keys, found, head, at)
            values = self._live(features, cast("Sequence[bytes]", found), head.valid_from)
            if values is None:
                return self._unusual(features, keys, list(_of(answer.rows, keys)), head, at)
        return ViewColumns(self.view.name, values, statuses, [head.cut] * len(keys), [at - head.cut] * len(keys))

    def _live(
        self, features: tuple[str, ...], rows: Sequence[bytes], stamp: int
    ) -> Mapping[str, Sequence[Cell]] | None:
        return (
            self.live_rows.one(rows[0], stamp, features)
            if len(rows) == 1
            else self.live_rows.some(rows, stamp, features)
        )

    def _filled(
        self, keys: Sequence[bytes | None], found: Sequence[bytes | None], head: Head, at: int
    ) -> tuple[list[bytes], list[Status]]:
        """Rows, and what is said of each: where there is none, one of the values of a key that was never seen, or of nulls where there is no key."""
        unseen, null = self._blank(head.valid_from)
        there, never = self._word("ok", head, at), self._word("never_seen", head, at)
        rows, statuses = list[bytes](), list[Status]()
        for key, row in zip(keys, found, strict=True):
            if row is None:
                rows.append(null if key is None else unseen)
                statuses.append("no_key" if key is None else never)
            else:
                rows.append(row)
                statuses.append(there)
        return rows, statuses

    def _word(self, status: Status, head: Head, at: int) -> Status:
        return "stale" if at >= head.cut + head.horizon else status

    def _unusual(
        self, features: Sequence[str], keys: Sequence[bytes | None], found: list[bytes | None], head: Head, at: int
    ) -> ViewColumns:
        """Of rows of which some are older, damaged, or hold what left int64."""
        lag = head.valid_from - head.cut
        rows, good = self._unpacked(found, head)
        stamps, columns = rows.valid_from, {name: rows.columns[name] for name in features}
        statuses: list[Status] = (
            [_STORED[flag] for flag in rows.overflow] if any(rows.overflow) else ["ok"] * len(stamps)
        )
        if stamps and (latest := max(stamps)) > at:
            raise EarlyError(_too_early(self.view, latest, at))
        if not all(good):
            numbers = count()
            places = [
                next(numbers) if fits else _NO_KEY if key is None else _UNSEEN if row is None else _DAMAGED
                for key, row, fits in zip(keys, found, good, strict=True)
            ]
            stamps = [stamps[place] if place >= 0 else head.valid_from for place in places]
            statuses = [statuses[place] if place >= 0 else _OTHERWISE[place] for place in places]
            columns = {
                name: [
                    column[place] if place >= 0 else self.unseen[name] if place == _UNSEEN else None for place in places
                ]
                for name, column in columns.items()
            }
        cuts, old = [stamp - lag for stamp in stamps], at - head.horizon
        if cuts and min(cuts) <= old:
            statuses = [
                "stale" if cut <= old and status in _MAY_BE_STALE else status
                for cut, status in zip(cuts, statuses, strict=True)
            ]
        ages = [at - cut for cut in cuts]
        return ViewColumns(view=self.view.name, values=columns, statuses=statuses, cuts=cuts, ages=ages)

    def _unpacked(self, found: list[bytes | None], head: Head) -> tuple[Unpacked, list[bool]]:
        """The rows of this definition, and which they are. Rows older than the live generation are what a killed load has not removed yet: `found` loses them."""
        good = self.packing.fitting(found)
        rows = self.packing.unpack([row for row, fits in zip(found, good, strict=True) if row is not None and fits])
        if not rows.valid_from or min(rows.valid_from) >= head.valid_from:
            return rows, good
        stamps = iter(rows.valid_from)
        for place, fits in enumerate(good):
            if fits and next(stamps) < head.valid_from:
                found[place] = None
        return self._unpacked(found, head)

    def stated(self, asked: "Places", answer: Answer, at: int, request: Request) -> Stated:
        """What is to be finished: one ask a key, in their order.

        Raises:
            NotLoadedError: as `plain` has it; EarlyError likewise.
        """
        view, cut = self.view, self.live(answer.head, at).cut
        states = _of(answer.states, asked.keys)
        rows = tail_of(view, asked.tails.of(view.source, asked.keys, answer), cut) if answer.tails else None
        brought = {name: request[name] for name in view.request} if view.request or view.include_self else None
        return Stated(view=view, cut=cut, states=states, asks=asked.asks, tail=rows, request=brought)

    def finished(
        self, features: tuple[str, ...], keys: Sequence[bytes | None], answer: Answer, asked: Stated, found: Finished, at: int
    ) -> ViewColumns:  # fmt: skip
        """What `stated` asked for."""
        head = self.live(answer.head, at)
        age, words = self.said(head, answer.watermark, at)
        statuses: list[Status] = [words[status] for status in found.status.tolist()]
        columns: Mapping[str, Sequence[Cell]]
        if len(keys) == 1:
            columns = OneRow(features, found.row(features))
        elif len(keys) < MANY:
            columns = found.cells(features)
        else:
            columns = Columns(features, lambda: found.cells(features), lambda: found.arrays(features))
        if None in keys or found.is_damaged:
            broken = found.damaged[asked.asks.key].tolist()
            missing = [place for place, key in enumerate(keys) if key is None or broken[place]]
            for place in missing:
                statuses[place] = "no_key" if keys[place] is None else "damaged"
            gone = set(missing)
            columns = {
                name: [None if place in gone else value for place, value in enumerate(column)]
                for name, column in columns.items()
            }
        cuts, ages = [head.cut] * len(keys), [age] * len(keys)
        return ViewColumns(view=self.view.name, values=columns, statuses=statuses, cuts=cuts, ages=ages)

    def said(self, head: Head, watermark: int | None, at: int) -> tuple[int, Sequence[Status]]:
        """Of what is finished at an instant its age, and what each of STATUSES is called: up to the cut everything is known that counts, or up to what the stream has told since."""
        told = head.cut if watermark is None else max(head.cut, watermark)
        is_silent = self._patience is not None and at - told > self._patience
        return max(0, at - told), _STALE if is_silent or at >= head.cut + head.horizon else _FINISHED

    def live(self, head: Head | None, at: int) -> Head:
        """The head record, if its values are these definitions' and of this instant."""
        view = self.view
        command = f"Run `asof materialize --cut CUT --view {view.name}` with a published cut."
        if head is None:
            msg = f"The online store holds no values of view {view.name!r}. {command}"
            raise NotLoadedError(msg)
        if head.definition != self.definition:
            msg = (
                f"The online store holds view {view.name!r} by definition {head.definition}, but the catalogue says {self.definition}: "
                f"its values mean something else. Compute, publish and load it anew. {command}"
            )
            raise NotLoadedError(msg)
        if at < head.valid_from:
            raise EarlyError(_too_early(view, head.valid_from, at))
        return head


def _of(found: Mapping[bytes, bytes | None], keys: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """One a key; None of a key that is none, or of which there is nothing."""
    if isinstance(found, ByKey):
        return found.of(keys)
    return list(map(cast("Callable[[bytes | None], bytes | None]", found.get), keys))


class Tails:
    """The tails of some keys, read once for all views that follow one source."""

    def __init__(self) -> None:
        self._read: dict[int, Block] = {}

    def of(self, source: Source, keys: Sequence[bytes | None], answer: Answer) -> Block:
        """The rows of a source's tails by the places of these keys; the same keys each time."""
        if id(source) not in self._read:
            tails = [(place, entry) for place, key in enumerate(keys) if key for entry in answer.tails.get(key, ())]
            self._read[id(source)] = rows_of(source, tails)
        return self._read[id(source)]


class Places:
    """Keys and the instant they are asked at, as states of any view are asked: each key once, and for each in the order asked its place.

    With `apart` each ask has a place of its own, as where asks count.
    """

    def __init__(self, keys: Sequence[bytes | None], at: int, *, apart: bool) -> None:
        self.keys: Sequence[bytes | None]
        self.tails = Tails()
        if len(keys) == 1:  # as most lookups have it
            self.keys, self.asks = keys, Asks(key=_FIRST, instant=np.array((at,), np.int64))
            return
        distinct = dict.fromkeys(keys)
        alone = apart or len(distinct) == len(keys)
        self.keys = keys if alone else list(distinct)
        if alone:
            key = np.arange(len(keys))
        else:
            places = dict(zip(distinct, count(), strict=False))
            key = np.fromiter(map(places.__getitem__, keys), np.int64, len(keys))
        self.asks = Asks(key=key, instant=np.full(len(keys), at, np.int64))


def answered(
    chosen: Sequence[tuple[Served, tuple[str, ...]]],
    keys: Sequence[Sequence[bytes | None]],
    answers: Sequence[Answer],
    at: int,
    request: Request,
) -> tuple[ViewColumns, ...]:
    """What some views say of as many keys each; all that is finished from states in one pass. `request`: the request fields of all of them, an element a key.

    Raises:
        NotLoadedError: the store holds nothing of a view, or of another definition.
        EarlyError: the instant is before what the store holds.
    """
    places: dict[tuple[int, bool], Places] = {}
    stated: list[Stated] = []
    for (served, _), own, answer in zip(chosen, keys, answers, strict=True):
        if served.stateful:
            kind = id(own), served.view.include_self
            if kind not in places:
                places[kind] = Places(own, at, apart=kind[1])
            stated.append(served.stated(places[kind], answer, at, request))
    rest = iter(zip(stated, finish_together(stated), strict=True)) if stated else iter(())
    return tuple(
        [
            served.finished(features, own, answer, *next(rest), at)
            if served.stateful
            else served.plain(features, own, answer, at)
            for (served, features), own, answer in zip(chosen, keys, answers, strict=True)
        ]
    )


def _too_early(view: FeatureView, valid_from: int, at: int) -> str:
    cut = cut_text(valid_from - view.schedule.lag_us)
    return (
        f"At {utc(at).isoformat()} view {view.name!r} had other values than the store holds: those are of cut {cut}, valid from "
        f"{utc(valid_from).isoformat()} on. Ask for a later instant, or use `asof frame`, which gives the values of any instant."
    )
