"""What some views say of one key, as nearly every lookup asks: rows that lie in one string are read at once, and what is the same for all keys is made once."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from features.serving.served import Served, Status, Tails, ViewColumns, answered
from features.serving.usual_rows import Usual, UsualView
from features.store.columns import OneRow
from features.store.heads import Head
from features.store.reads import Answer
from features.store.tails import tail_of
from features.store.together import StringLayout, StringRows, Strings, Together, fitting
from features.store.values import Cell
from features.values.requests import Request
from features.values.state.blocks import Block
from features.values.state.one_ask import OneAsk

__all__ = ["OneKey"]

_FOREVER = 1 << 63
_REMEMBERED = 1024
"""So many strings are known."""


class _View(NamedTuple):
    """What is said of a view beside the values."""

    place: int
    """Among all."""
    name: str
    cut: int
    cuts: tuple[int]
    status: tuple[Status]
    """Of a row that is there."""
    unseen: OneRow
    """Where there is none."""
    unseen_status: tuple[Status]
    valid_from: int


class _String(NamedTuple):
    """How the rows in the string of an entity are read."""

    layout: StringLayout
    """Where they lie; kept, so that nothing else has its identity."""
    rows: StringRows
    views: Sequence[_View]
    usual: Sequence[tuple[int, str, int, tuple[int], tuple[Status], tuple[str, ...], Callable[..., tuple[Cell, ...]]]]
    """Of each view what is said of a row as they usually are: its place, name, cut, cuts and status, the names of its values and what takes them out of the fields."""


class _Ready(NamedTuple):
    """What is the same for all keys while head records say this."""

    heads: Sequence[Head | None]
    first: int
    end: int
    """Instants, in microseconds UTC, from the first of which to before the other the same views are served, and the same are stale."""
    views: Mapping[int, _View]
    """Those that are served by these definitions, by their places."""
    strings: dict[int, _String]
    """By the identity of their layouts."""
    usual: dict[int, tuple[Sequence[StringLayout], Usual | None]]
    """By the identity of the layouts of all strings of a lookup, which are kept so that nothing else has it; None where views are in none of them."""


class _Stated(NamedTuple):
    """What is the same for all keys while the heads of views that are finished from states say this."""

    said: Sequence[Head | None]
    """By the store."""
    heads: Sequence[Head]
    """The same where all are served."""
    first: int
    """The instant, in microseconds UTC, from which on they are served."""
    asks: OneAsk | None
    """None: they are left to `answered`."""


class OneKey:
    """Lookups of the same features of views again and again; errors and rare rows are left to `answered`."""

    def __init__(self, views: Sequence[tuple[Served, tuple[str, ...]]]) -> None:
        self._views = views
        self._ready, self._stated = _Ready((), 0, 0, {}, {}, {}), _Stated((), (), 0, None)
        self._stateful = [place for place, (served, _) in enumerate(views) if served.stateful]

    def columns(
        self, encoded: Sequence[Sequence[bytes | None]], answers: Together, at: int, request: Request
    ) -> Sequence[ViewColumns]:
        """Of one row, asked at an instant (microseconds UTC).

        Args:
            encoded: its key of each view.
            answers: what the store said.
            at: the instant.
            request: what was brought beside the key.

        Raises:
            NotLoadedError, EarlyError: as `answered` has it.
        """
        ready = self._ready
        if not ready.first <= at < ready.end or ready.heads != answers.heads:
            ready = self._ready = self._made(answers, at)  # replaced as a whole: threads may share it
        usual = self._usual(ready, answers)
        if usual is not None and (views := usual.of(answers.strings.found, at)) is not None:
            return views
        made = self._of_strings(ready, answers.strings, at)
        for place, (_, packed) in answers.fields.items():
            if place in ready.views:
                made[place] = self._of_field(ready.views[place], packed, at)
        if self._stateful:
            self._of_states(encoded, answers.others, at, made)
        rest = [place for place, one in enumerate(made) if one is None]
        if rest:
            found = answered(
                [self._views[place] for place in rest],
                [encoded[place] for place in rest],
                [answers[place] for place in rest],
                at,
                request,
            )
            for place, one in zip(rest, found, strict=True):
                made[place] = one
        return tuple(filter(None, made))

    def _usual(self, ready: _Ready, answers: Together) -> Usual | None:
        """How rows are read that are all as usual; None where not all of them are in strings."""
        layouts = answers.strings.layouts
        known = ready.usual.get(id(layouts))
        if known is None:
            known = layouts, self._usual_of(ready, layouts)
            if len(ready.usual) >= _REMEMBERED:
                ready.usual.clear()
            ready.usual[id(layouts)] = known
        return known[1]

    def _usual_of(self, ready: _Ready, layouts: Sequence[StringLayout]) -> Usual | None:
        strings = [ready.strings.get(id(layout)) or self._string(ready, layout) for layout in layouts]
        views = {
            view.place: UsualView(view.name, some.names, view.status[0], view.cut, string, some.places, words)
            for string, known in enumerate(strings)
            for view, some, words in zip(known.views, known.rows.taken, known.rows.words, strict=True)
        }
        if len(views) < len(self._views):
            return None
        return Usual([known.rows for known in strings], [views[place] for place in range(len(views))])

    def _of_strings(self, ready: _Ready, strings: Strings, at: int) -> list[ViewColumns | None]:
        """Of each view; None of rare rows, and of those that are in no string."""
        made: list[ViewColumns | None] = [None] * len(self._views)
        for layout, string in zip(strings.layouts, strings.found, strict=True):
            known = ready.strings.get(id(layout)) or self._string(ready, layout)
            if not known.rows.are_usual(string):
                for view, row in zip(known.views, known.rows.one_by_one(string), strict=True):
                    if isinstance(row, OneRow):
                        made[view.place] = ViewColumns(view.name, row, view.status, view.cuts, (at - view.cut,))
                    elif not row:
                        made[view.place] = ViewColumns(
                            view.name, view.unseen, view.unseen_status, view.cuts, (at - view.cut,)
                        )
                continue
            fields = known.rows.fields(string)
            for place, name, cut, cuts, status, names, cells in known.usual:
                made[place] = ViewColumns(name, OneRow(names, cells(fields)), status, cuts, (at - cut,))
        return made

    def _of_field(self, view: _View, packed: bytes | None, at: int) -> ViewColumns | None:
        """None of a rare row."""
        served, names = self._views[view.place]
        row, status = view.unseen, view.unseen_status
        if packed is not None:
            found = served.live_rows.one(packed, view.valid_from, names)
            if found is None:
                return None
            row, status = found, view.status
        return ViewColumns(view.name, row, status, view.cuts, (at - view.cut,))

    def _of_states(
        self, encoded: Sequence[Sequence[bytes | None]], answers: Mapping[int, Answer], at: int, made: list[ViewColumns | None]
    ) -> None:  # fmt: skip
        """What is finished from states goes to the place of its view; nothing where one of them is rare."""
        own = [answers[place] for place in self._stateful]
        keys = [encoded[place][0] for place in self._stateful]
        heads, stated = [answer.head for answer in own], self._stated
        if stated.said != heads:
            stated = self._stated = self._made_of_states(heads)
        if stated.asks is None or at < stated.first or None in keys:
            return
        states = [answer.states.get(key) for key, answer in zip(keys, own, strict=True) if key is not None]
        found = stated.asks.cells(states, self._tails(keys, stated.heads, own), at)
        if found is None:
            return
        for place, head, answer, cells, status in zip(self._stateful, stated.heads, own, *found, strict=True):
            served, names = self._views[place]
            age, words = served.said(head, answer.watermark, at)
            made[place] = ViewColumns(served.view.name, OneRow(names, cells), (words[status],), (head.cut,), (age,))

    def _tails(
        self, keys: Sequence[bytes | None], heads: Sequence[Head], answers: Sequence[Answer]
    ) -> list[Block | None]:
        """What came since the cut of each view of states; what views of one source have in common is read once."""
        made, read = list[Block | None](), dict[bytes | None, Tails]()
        for place, key, head, answer in zip(self._stateful, keys, heads, answers, strict=True):
            if not answer.tails:
                made.append(None)
                continue
            view = self._views[place][0].view
            made.append(tail_of(view, read.setdefault(key, Tails()).of(view.source, (key,), answer), head.cut))
        return made

    def _made_of_states(self, heads: Sequence[Head | None]) -> _Stated:
        chosen = [self._views[place] for place in self._stateful]
        live = [
            head
            for (served, _), head in zip(chosen, heads, strict=True)
            if head is not None and head.definition == served.definition
        ]
        if len(live) < len(chosen):  # `answered`, the function, says of which view
            return _Stated(heads, (), 0, None)
        views = tuple([served.view for served, _ in chosen])
        asks = OneAsk.of(views, [names for _, names in chosen], [head.cut for head in live])
        return _Stated(heads, live, max(head.valid_from for head in live), asks)

    def _made(self, answers: Together, at: int) -> _Ready:
        """Holds at the instant, and as long as the same views are served and stale."""
        there = [(place, head) for place, head in zip(answers.numbers, answers.heads, strict=True) if head is not None]
        changes = [instant for _, head in there for instant in (head.valid_from, head.cut + head.horizon)]
        first = max([instant for instant in changes if instant <= at], default=-_FOREVER)
        end = min([instant for instant in changes if instant > at], default=_FOREVER)
        views = {
            place: self._view(place, head, is_stale=at >= head.cut + head.horizon)
            for place, head in there
            if head.definition == self._views[place][0].definition and head.valid_from <= at
        }
        return _Ready(answers.heads, first, end, views, {}, {})

    def _view(self, place: int, head: Head, *, is_stale: bool) -> _View:
        served, names = self._views[place]
        unseen = OneRow(names, tuple([served.unseen[name] for name in names]))
        status: tuple[Status] = ("stale",) if is_stale else ("ok",)
        unseen_status: tuple[Status] = ("stale",) if is_stale else ("never_seen",)
        return _View(place, head.view, head.cut, (head.cut,), status, unseen, unseen_status, head.valid_from)

    def _string(self, ready: _Ready, layout: StringLayout) -> _String:
        """Of the rows of views that are served."""
        own = fitting(layout, {place: self._views[place][0].packing.size for place in ready.views})
        views = [ready.views[place] for place in own.views]
        packings = [self._views[place][0].packing for place in own.views]
        begins = [packing.begin(view.valid_from) for packing, view in zip(packings, views, strict=True)]
        rows = StringRows(own, packings, [self._views[place][1] for place in own.views], begins)
        if len(ready.strings) >= _REMEMBERED:
            ready.strings.clear()
        usual = [
            (view.place, view.name, view.cut, view.cuts, view.status, some.names, some.cells)
            for view, some in zip(views, rows.taken, strict=True)
        ]
        known = ready.strings[id(layout)] = _String(layout, rows, views, usual)
        return known
