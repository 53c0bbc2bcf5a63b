"""What one view says of keys: from plain values, or from states that are finished at the asked instant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from features.definitions.compiled import hash_of
from features.definitions.freshness import EventFreshness
from features.definitions.names import cut_text, utc
from features.definitions.views import FeatureView
from features.errors import InputError, NotLoadedError
from features.store.heads import STATUS, Head
from features.store.reads import Answer, Question
from features.store.tails import tail_of, tail_source
from features.store.values import Cell, decode
from features.values.defaults import never_seen
from features.values.state.finish import Finished, Stated, finish_together
from features.values.sweep import STATUSES
from features.values.timeline import Asks

__all__ = ["Served", "Status", "ViewValues", "answered"]

Status = Literal["ok", "never_seen", "stale", "no_key", "overflow", "damaged"]
_FINISHED = cast("tuple[Status, ...]", STATUSES)
"""By what is finished."""


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
    """Microseconds from that cut to the asked instant; of an event view whose stream has told more since, from what it told."""


class Served:
    """A view, and what is asked of it again and again."""

    def __init__(self, view: FeatureView) -> None:
        self.view, self.types, self.unseen, self.definition = view, view.types, never_seen(view), hash_of(view)

    def question(self, features: Sequence[str], keys: Sequence[bytes | None], at: int) -> Question:
        """What the store is asked; each key once."""
        name, wanted = self.view.name, tuple(dict.fromkeys(key for key in keys if key is not None))
        if self.view.stateful:
            return Question(view=name, keys=wanted, states=True, at=at, tail=tail_source(self.view))
        return Question(view=name, keys=wanted, features=(*features, STATUS))

    def plain(self, features: Sequence[str], keys: Sequence[bytes | None], answer: Answer, at: int) -> list[ViewValues]:
        """One a key, of stored values.

        Raises:
            NotLoadedError: the store holds nothing of the view, or of another definition.
            InputError: the instant is before what the store holds.
        """
        return list(self._plain(features, keys, answer, self.live(answer.head, at), at))

    def stated(self, keys: Sequence[bytes | None], answer: Answer, at: int) -> Stated:
        """What is to be finished: one ask a key, in their order.

        Raises:
            NotLoadedError: as `plain` has it; InputError likewise.
        """
        view, cut = self.view, self.live(answer.head, at).cut
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        asks = Asks(key=np.array([places[key] for key in keys], np.int64), instant=np.full(len(keys), at, np.int64))
        tail = [(place, entry) for key, place in places.items() if key for entry in answer.tails.get(key, ())]
        states = [answer.states.get(key) if key else None for key in places]
        rows = tail_of(view, tail, cut) if tail else None
        return Stated(view=view, cut=cut, states=states, asks=asks, tail=rows)

    def finished(
        self, features: Sequence[str], keys: Sequence[bytes | None], answer: Answer, asked: Stated, found: Finished
    ) -> list[ViewValues]:
        """One a key, of what `stated` asked for."""
        head, at = self.live(answer.head, int(asked.asks.instant[0])), int(asked.asks.instant[0])
        damaged = found.damaged[asked.asks.key].tolist()
        told = self._told(head, answer.watermark)
        stale = at >= head.cut + head.horizon or self._is_silent(told, at)
        made: list[ViewValues] = []
        rows = zip(*(found.cells(name) for name in features), strict=True) if features else [()] * len(keys)
        for key, row, status, broken in zip(keys, rows, found.status.tolist(), damaged, strict=True):
            values: dict[str, Cell]
            said: Status
            if key is None or broken:
                values, said = dict.fromkeys(features), "no_key" if key is None else "damaged"
            else:
                values = dict(zip(features, row, strict=True))
                said = "stale" if stale else _FINISHED[status]
            made.append(ViewValues(view=self.view.name, values=values, status=said, cut=head.cut, age=at - told))
        return made

    def _plain(
        self, features: Sequence[str], keys: Sequence[bytes | None], answer: Answer, head: Head, at: int
    ) -> Iterator[ViewValues]:
        view, types, unseen = self.view, self.types, self.unseen
        for key in keys:
            row = None if key is None else answer.rows.get(key)
            valid_from, cells = row or (head.valid_from, {})
            if at < valid_from:
                raise InputError(_too_early(view, valid_from, at))
            cut = valid_from - (head.valid_from - head.cut)
            if key is None:
                values: dict[str, Cell] = dict.fromkeys(features)
            elif row is None:
                values = {name: unseen[name] for name in features}
            else:
                values = {name: decode(cells.get(name, b""), types[name]) for name in features}
            status = _status(key, row is not None, decode(cells.get(STATUS, b""), "string"), at >= cut + head.horizon)
            yield ViewValues(view=view.name, values=values, status=status, cut=cut, age=at - cut)

    def _told(self, head: Head, watermark: int | None) -> int:
        """Up to when everything is known that counts: the cut, or what the stream has told since."""
        return head.cut if watermark is None else max(head.cut, watermark)

    def _is_silent(self, told: int, at: int) -> bool:
        fresh = self.view.freshness
        return isinstance(fresh, EventFreshness) and at - fresh.lag_us > told + fresh.silence_us

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
            raise InputError(_too_early(view, head.valid_from, at))
        return head


def answered(
    chosen: Sequence[tuple[Served, Sequence[str]]],
    keys: Sequence[Sequence[bytes | None]],
    answers: Sequence[Answer],
    at: int,
) -> list[list[ViewValues]]:
    """What some views say of as many keys each; all that is finished from states in one pass.

    Raises:
        NotLoadedError: the store holds nothing of a view, or of another definition.
        InputError: the instant is before what the store holds.
    """
    stated = {
        place: served.stated(keys[place], answers[place], at)
        for place, (served, _) in enumerate(chosen)
        if served.view.stateful
    }
    found = dict(zip(stated, finish_together(list(stated.values())) if stated else [], strict=True))
    return [
        served.finished(features, keys[place], answers[place], stated[place], found[place])
        if place in found
        else served.plain(features, keys[place], answers[place], at)
        for place, (served, features) in enumerate(chosen)
    ]


def _status(key: bytes | None, seen: bool, stored: Cell, stale: bool) -> Status:  # noqa: FBT001 - facts, not switches
    if key is None:
        return "no_key"
    if stale:
        return "stale"
    if not seen:
        return "never_seen"
    return "overflow" if stored == "overflow" else "ok"


def _too_early(view: FeatureView, valid_from: int, at: int) -> str:
    cut = cut_text(valid_from - view.schedule.lag_us)
    return (
        f"At {utc(at).isoformat()} view {view.name!r} had other values than the store holds: those are of cut {cut}, valid from "
        f"{utc(valid_from).isoformat()} on. Ask for a later instant, or use `asof frame`, which gives the values of any instant."
    )
