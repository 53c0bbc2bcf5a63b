"""Finishes states: every feature of some views at any instant from their cuts' valid_from on, as a frame would give it."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.definitions.expressions import Scalar
from features.definitions.features import Requested, taken
from features.definitions.views import FeatureView
from features.values.columns import as_type
from features.values.derived import derive
from features.values.requests import Request, own_events, requested
from features.values.state import kernels
from features.values.state.beside import aside, joined
from features.values.state.blocks import Block, read_blocks
from features.values.state.counting import count, read, results
from features.values.state.layout import Sections
from features.values.state.others import others, swept
from features.values.state.program import Program, program_of
from features.values.state.selves import before_asks, selves, unreplaced
from features.values.sweep import ARROW_TYPES, OK, OVERFLOW, Values
from features.values.timeline import Asks

__all__ = ["Finished", "Stated", "finish", "finish_together"]

Array = np.ndarray


class Stated(NamedTuple):
    """States of one view, and what is asked of them."""

    view: FeatureView
    """A stateful one."""

    cut: int
    """That the states are of, in microseconds UTC."""

    states: Sequence[bytes | None]
    """One a key; None: the key has none."""

    asks: Asks
    """Of keys by their place in `states`, in any order; an instant past the horizon is taken as the horizon."""

    tail: Block | None = None
    """Rows known since the cut, each with the instant from which it counts; they hold `Plan.waiting_columns` and meet the source's filter."""

    request: Request | None = None
    """The view's request fields, an element an ask. Where asks count (include_self) each has a state of its own: ask n is of key n. None: nobody asks."""


class Finished:
    """Of one view, in the order of the asks."""

    def __init__(self, made: "_Together", place: int) -> None:
        self._made, self._place = made, place
        self.view = made.program.views[place]
        self.damaged: Array = made.damaged[made.first[place] : made.first[place + 1]]
        """Bool a state: its bytes are no state, and its values are those of a key that was never seen."""

        self.is_damaged = made.is_damaged
        """Whether any may be."""

        self.status: Array
        """int8 index into STATUSES."""

        self._columns: dict[str, pa.Array] = {}
        self._overflow = made.counted.overflow[place]
        if self.view.source.kind != "events":
            found = swept(self.view, made.rows[place], made.more[place], made.keys[place], made.instants[place])
            self._columns, self.status = dict(found.columns), found.status
            return
        plan = made.program.plans[place]
        if plan.others:
            blocks = made.rows[place], made.more[place]
            own = made.own[place]
            for name, (column, left) in others(plan, *blocks, made.keys[place], made.instants[place], own).items():
                self._columns[name], self._overflow = column, self._overflow | left
        for feature in made.program.more[place]:
            if isinstance(feature, Requested):
                kind = ARROW_TYPES[plan.types[feature.name]]
                self._columns[feature.name] = requested(feature, made.requests[place], len(made.keys[place]), kind)
            elif feature.name not in self._columns:
                needed = {name: self.column(name) for name in taken(feature)}
                self._columns[feature.name], left = derive(feature, needed)
                self._overflow = self._overflow | left
        usual = made.counted.status[place]
        self.status = np.where((usual == OK) & self._overflow, np.int8(OVERFLOW), usual) if self._columns else usual

    def column(self, name: str) -> pa.Array:
        """A feature's values, of the type that the view declares."""
        if name not in self._columns:
            group, at = self._made.program.found[self._place][name]
            asks, kind = len(self._made.instants[0]), ARROW_TYPES[self._made.program.plans[self._place].types[name]]
            self._columns[name] = as_type(self._made.arrays[group].slice(at * asks, asks), kind)
        return self._columns[name]

    def arrays(self, names: Iterable[str]) -> dict[str, pa.Array]:
        """The values of features as `column` gives them."""
        return {name: self.column(name) for name in names}

    def cells(self, names: Sequence[str]) -> dict[str, Sequence[Scalar]]:
        """The values of features; timestamps are microseconds UTC."""
        whole, first, end = self._made.program.spans_of_whole[self._place]
        if whole == tuple(names):
            return dict(zip(names, self._made.listed[0][first:end], strict=True))
        found, listed, made = self._made.program.found[self._place], self._made.listed, dict[str, Sequence[Scalar]]()
        for name in names:
            if (at := found.get(name)) is not None:
                made[name] = listed[at[0]][at[1]]
                continue
            column = self._columns[name]
            made[name] = (as_type(column, pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
        return made

    def row(self, names: tuple[str, ...]) -> tuple[Scalar, ...]:
        """As `cells`, of a single ask."""
        whole, first, end = self._made.program.spans_of_whole[self._place]
        if whole == names:
            return self._made.row[first:end]
        return tuple([cell for (cell,) in self.cells(names).values()])

    @property
    def values(self) -> Values:
        """All of them."""
        return Values(columns={name: self.column(name) for name in self.view.types}, status=self.status)


def finish(
    view: FeatureView,
    cut: int,
    states: Sequence[bytes | None],
    asks: Asks,
    tail: Block | None = None,
    request: Request | None = None,
) -> Finished:
    """Every feature of one view at every ask; see `Stated`."""
    return finish_together([Stated(view=view, cut=cut, states=states, asks=asks, tail=tail, request=request)])[0]


def finish_together(stated: Sequence[Stated]) -> list[Finished]:
    """Every feature of some views, all with the same number of asks; one pass for all, which takes hardly longer than for one."""
    made = _Together(program_of(tuple(one.view for one in stated)), stated)
    return [Finished(made, place) for place in range(len(stated))]


class _Together:
    """States of some views, read and counted."""

    def __init__(self, program: Program, stated: Sequence[Stated]) -> None:
        self.program = program
        self.first = np.array(list(accumulate((len(one.states) for one in stated), initial=0)), np.int64)
        self.keys = [one.asks.key for one in stated]
        cuts = np.array([one.cut for one in stated], np.int64)
        alike = all(one.asks is stated[0].asks for one in stated)
        asks = [one.asks for one in (stated[:1] if alike else stated)]
        asked = np.array([one.instant for one in asks], np.int64)
        self.instants, settled = kernels.instants(asked, cuts, program.lags, program.horizons)
        held = [state or b"" for one in stated for state in one.states]
        data = b"".join(held)
        sections = read(program, data, list(map(len, held)), self.first, cuts)
        self.requests = [one.request for one in stated]
        self.own = [
            None
            if one.request is None or not one.view.include_self
            else own_events(one.view, self.instants[place], one.request)
            for place, one in enumerate(stated)
        ]
        self.rows, self.more = self._blocks(data, sections, stated)
        self.beside: Sequence[Block] = self.more
        if any(one is not None for one in self.own):
            self.beside = [self._with_asks(place, one.view) for place, one in enumerate(stated)]
        self.damaged: Array = np.zeros(len(held), bool)
        if sections.unread or sections.broken:  # what blocks tell may be more damage
            self.damaged = (np.diff(sections.starts) > 0) & (sections.rest != sections.starts[1:])
        self.is_damaged = (sections.unread or sections.broken) and bool(self.damaged.any())
        keys = np.array([one.key for one in asks], np.int64)
        beside = aside(program, self.beside, sections.slot, self.first, len(sections.at))
        self.counted = count(program, sections, beside, keys, self.first, self.instants, settled)
        self.results = results(program, self.counted)

    def _blocks(
        self, data: bytes, sections: Sections, stated: Sequence[Stated]
    ) -> tuple[Sequence[Block], Sequence[Block]]:
        """The rows of each view that no section holds, and those beside its states. Few states have any."""
        if not sections.unread and all(one.tail is None for one in stated):
            return self.program.no_rows
        starts = sections.starts
        unread = (sections.rest >= 0) & (sections.rest != starts[1:])
        rows, more = [], []
        for place, one in enumerate(stated):
            low, high = self.first[place], self.first[place + 1]
            if sections.unread and (left := unread[low:high]).any():
                kept, waiting = self.program.kept[place], self.program.waiting[place]
                ends, rest = starts[low + 1 : high + 1], sections.rest[low:high]
                at = np.where(left, rest, -1)
                rows.append(read_blocks(data, at, ends, one.cut, kept, timed=False))
                beside = read_blocks(data, at, ends, one.cut, waiting, timed=True)
                sections.rest[low:high] = np.where(left, at, rest)
            else:
                rows.append(self.program.no_rows[0][place])
                beside = self.program.no_rows[1][place]
            tail, own = one.tail, self.own[place]
            if tail is not None and own is not None:
                tail = unreplaced(one.view, tail, own)
            more.append(beside if tail is None else joined(beside, tail))
        return rows, more

    def _with_asks(self, place: int, view: FeatureView) -> Block:
        """The rows beside a view's states, and the events that its asks are."""
        instant, events = self.instants[place], self.own[place]
        if events is None:
            return self.more[place]
        own, before = selves(view, instant, events), before_asks(self.more[place], instant)
        return joined(own, before)

    @cached_property
    def arrays(self) -> list[pa.Array]:
        """The results of each group, one feature after the other."""
        return [
            pa.array(values.reshape(-1), mask=None if null is None else null.reshape(-1))
            for values, null in self.results
        ]

    @cached_property
    def row(self) -> tuple[Scalar, ...]:
        """Of a single ask the results of the first group, which are whole numbers, as Python has them."""
        values, null = self.results[0]
        cells: list[Scalar] = values.reshape(-1).tolist()
        if null is not None:
            for feature in np.flatnonzero(null).tolist():
                cells[feature] = None
        return tuple(cells)

    @cached_property
    def listed(self) -> list[list[list[Scalar]]]:
        """The results as Python has them: group, feature, ask."""
        made: list[list[list[Scalar]]] = []
        for values, null in self.results:
            lists = values.tolist()
            if null is not None:
                for feature, ask in zip(*(found.tolist() for found in np.nonzero(null)), strict=True):
                    lists[feature][ask] = None
            made.append(lists)
        return made
