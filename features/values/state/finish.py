"""Finishes states: every feature of a view at any instant from the cut's valid_from on, as a frame would give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.definitions.features import Aggregate, CohortRate
from features.definitions.views import FeatureView
from features.values import exact
from features.values.derived import derive
from features.values.expressions import mask
from features.values.state import kernels
from features.values.state.blocks import Block, read_blocks
from features.values.state.layout import read_sections
from features.values.state.pack import identity, ordinal, span_of, value_of
from features.values.state.plan import Plan, Section, plan_of
from features.values.sweep import ARROW_TYPES, NEVER_SEEN, OK, OVERFLOW, Sweep, Values, attributes, numbers, usable
from features.values.timeline import FOREVER, Asks, Rows, Timeline, in_order

__all__ = ["Finished", "finish"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Of some states."""

    values: Values
    """In the order of the asks."""

    damaged: Array
    """Bool a state: its bytes are no state, and its values are those of a key that was never seen."""


def finish(
    view: FeatureView, cut: int, states: Sequence[bytes | None], asks: Asks, tail: Block | None = None
) -> Finished:
    """Every feature at every ask.

    Args:
        view: a stateful one.
        cut: that the states are of, in microseconds UTC.
        states: one a key; None: the key has none.
        asks: of keys by their place in `states`, in any order; an instant past the horizon is taken as the horizon.
        tail: rows known since the cut, each with the instant from which it counts; they hold `Plan.waiting_columns` and meet the source's filter.
    """
    made = _Asked(plan_of(view), cut, states, asks, tail)
    return Finished(values=made.values(), damaged=made.damaged)


class _Asked:
    """Some states, read, and what is asked of them."""

    def __init__(self, plan: Plan, cut: int, states: Sequence[bytes | None], asks: Asks, tail: Block | None) -> None:
        view = self.view = plan.view
        self.plan, self.types = plan, plan.types
        data = b"".join(state or b"" for state in states)
        starts = np.cumsum([0, *(len(state or b"") for state in states)])
        widths = np.array([section.width for section in plan.sections], np.int64)
        if view.source.kind != "events":
            widths = widths[:0]
        self.sections = read_sections(data, starts, widths, cut)
        rest, given = self.sections.rest, np.diff(starts) > 0
        source = view.source.types
        self.rows = read_blocks(
            data, rest, starts[1:], cut, {name: source[name] for name in plan.row_columns}, timed=False
        )
        self.more = read_blocks(
            data, rest, starts[1:], cut, {name: source[name] for name in plan.waiting_columns}, timed=True
        )
        self.damaged = given & (rest != starts[1:])
        if tail is not None and len(tail):
            self.more = _joined(self.more, tail)
        self.key, self.instant = asks.key, np.minimum(asks.instant, span_of(view, cut).end)
        self.results: dict[int, tuple[Array, ...]] = {}

    def values(self) -> Values:
        """All features."""
        if self.view.source.kind != "events":
            return self.swept()
        seen = self.finished(0)[1][0]
        overflow = np.zeros(len(self.key), bool)
        made: dict[str, pa.Array] = {}
        swept = self.others() if self.plan.others else {}
        for feature in self.view.features:
            if feature.name in swept:
                made[feature.name], left = swept[feature.name]
                overflow |= left
            elif isinstance(feature, Aggregate):
                made[feature.name], left = self.aggregate(feature)
                overflow |= left
            elif isinstance(feature, CohortRate):
                made[feature.name] = self.rate(feature)
            else:
                made[feature.name], left = derive(feature, made)
                overflow |= left
        status = np.where(seen, np.where(overflow, OVERFLOW, OK), NEVER_SEEN).astype(np.int8)
        return Values(columns=made, status=status)

    def finished(self, place: int) -> tuple[Array, ...]:
        """What a section comes to, a row a window: sums of words, or values and whether there is one."""
        if place not in self.results:
            self.results[place] = self._section(place)
        return self.results[place]

    def _section(self, place: int) -> tuple[Array, ...]:
        section = self.plan.sections[place]
        offset, length, step = self.plan.spans[place]
        upper = self.instant - offset
        lower = (upper - length) // step * step
        upper = np.where(offset > 0, upper // step * step, upper)
        found = self.sections
        state = (
            found.words,
            found.at[:, place].copy(),
            found.count[:, place].copy(),
            self.key,
            lower,
            upper,
            self.instant,
        )
        starts, rows = self._beside(section)
        beside = starts, rows.time, rows.since
        match section.kind:
            case "counted" | "matched":
                limbs, squares = 2 * section.summed, 6 * section.squares
                return (kernels.counted(*state, limbs, squares, *beside, _words(section, rows)),)
            case "distinct":
                more = identity(rows.columns[section.column or ""]) if len(rows) else rows.time
                return (kernels.distincts(*state, section.ends_now, *beside, more),)
            case "newest" | "oldest":
                return kernels.extremes(*state, 0, section.kind == "newest", *beside, rows.time)
            case _:
                more = ordinal(rows.columns[section.column or ""]) if len(rows) else rows.time
                return kernels.extremes(*state, 1, section.kind == "largest", *beside, more)

    def _beside(self, section: Section) -> tuple[Array, Block]:
        """Rows beside the states that a section is of, and where those of each key begin."""
        rows = self.more
        if len(rows):
            chosen = mask(section.where, rows.columns, len(rows))
            if section.column is not None:
                chosen = chosen & usable(rows.columns[section.column])
            rows = _only(rows, chosen)
        return np.searchsorted(rows.key, np.arange(len(self.damaged) + 1)), rows

    def aggregate(self, feature: Aggregate) -> tuple[pa.Array, Array]:
        """From its section, and where an integer left int64."""
        place = self.plan.places[feature.name]
        section, kind = self.plan.sections[place], ARROW_TYPES[self.types[feature.name]]
        window, none = self.plan.windows[feature.name], np.zeros(len(self.key), bool)
        result = self.finished(place)
        match section.kind:
            case "counted":
                count = result[0][0, window]
                if feature.operation == "count":
                    return pa.array(count), none
                sums = result[0][1:3, window]
                squares = result[0][3:, window] if section.squares else sums
                value, null, overflow = exact.finished(feature.operation, count, sums, squares)
                return pa.array(value, mask=null), overflow
            case "distinct":
                return pa.array(np.minimum(result[0][window], feature.limit or 1)), none
            case "newest" | "oldest":
                return pa.array(self.instant - result[0][window], mask=~result[1][window]), none
            case _:
                value = value_of(result[0][window], kind)
                return pa.array(value, mask=~result[1][window]).cast(kind), none

    def rate(self, feature: CohortRate) -> pa.Array:
        """The share of eligible events whose outcome is known."""
        all_of, known = self.plan.places[feature.name], self.plan.matched[feature.name]
        total = self.finished(all_of)[0][0, self.plan.windows[feature.name]]
        found = self.finished(known)[0][0, self.plan.sections[known].windows.index(feature.window)]
        return pa.array(found.astype(np.float64) / np.maximum(total, 1).astype(np.float64), mask=total == 0)

    def others(self) -> Mapping[str, tuple[pa.Array, Array]]:
        """Features that are finished from rows, by the sweep that finishes frames."""
        order = np.lexsort((self.instant, self.key))
        back = pa.array(np.argsort(order))
        asks = Asks(key=self.key[order], instant=self.instant[order])
        sweep = Sweep(self.view, {self.view.source.name: self._line()}, asks, asks.instant)
        made: dict[str, tuple[pa.Array, Array]] = {}
        for feature in self.plan.others:
            column, left = sweep.one(feature)
            made[feature.name] = column.take(back), left[np.asarray(back)]
        return made

    def swept(self) -> Values:
        """A view of changes."""
        order = np.lexsort((self.instant, self.key))
        back = np.argsort(order)
        asks = Asks(key=self.key[order], instant=self.instant[order])
        found = attributes(self.view, self._line(), asks, asks.instant)
        columns = {name: column.take(pa.array(back)) for name, column in found.columns.items()}
        return Values(columns=columns, status=found.status[back])

    def _line(self) -> Timeline:
        """The states' rows and those beside them, in order."""
        rows, more = self.rows, self.more
        if not len(more):
            return _timeline(rows.key, rows.time, rows.time, rows.columns, plain=True)
        both = {
            name: pa.concat_arrays([column, more.columns[name].cast(column.type)]) for name, column in rows.columns.items()
        }  # fmt: skip
        key, time = np.concatenate([rows.key, more.key]), np.concatenate([rows.time, more.time])
        since = np.concatenate([rows.time, more.since])
        never, zeros = np.zeros(len(key), bool), np.zeros(len(key), np.int64)
        unordered = Rows(key=key, time=time, known=zeros, retract=never, undoes=zeros, first=never, columns=both)
        order = in_order(unordered, self.view.source)
        columns = {name: column.take(pa.array(order)) for name, column in both.items()}
        return _timeline(key[order], time[order], since[order], columns, plain=False)


def _timeline(key: Array, time: Array, since: Array, columns: Mapping[str, pa.Array], *, plain: bool) -> Timeline:
    return Timeline(
        key=key, time=time, since=since, until=np.full(len(key), FOREVER), columns=columns, plain=plain
    )  # fmt: skip


def _words(section: Section, rows: Block) -> Array:
    """What rows beside a state add: one each, the limbs of the value, the pieces of its square."""
    made = [np.ones(len(rows), np.int64)]
    if section.summed:
        values = numbers(rows.columns[section.column or ""]) if len(rows) else rows.time
        made += list(exact.sum_limbs(values))
        if section.squares:
            pieces = list(exact.square_limbs(values))
            made += pieces + [np.zeros(len(rows), np.int64)] * (6 - len(pieces))
    return np.stack(made)


def _only(rows: Block, chosen: Array) -> Block:
    if chosen.all():
        return rows
    columns = {name: column.filter(pa.array(chosen)) for name, column in rows.columns.items()}
    return Block(key=rows.key[chosen], time=rows.time[chosen], since=rows.since[chosen], columns=columns)


def _joined(one: Block, two: Block) -> Block:
    key, time = np.concatenate([one.key, two.key]), np.concatenate([one.time, two.time])
    order = np.lexsort((time, key))
    columns = {
        name: pa.concat_arrays([column, two.columns[name].cast(column.type)]).take(pa.array(order))
        for name, column in one.columns.items()
    }
    return Block(key=key[order], time=time[order], since=np.concatenate([one.since, two.since])[order], columns=columns)
