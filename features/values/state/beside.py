"""Rows beside states, as kernels take them: those that came since the cut, those that did not count yet at the cut, and asks that count."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import pyarrow as pa

from features.values import exact
from features.values.columns import as_type, at_places, numbers, usable
from features.values.expressions import mask
from features.values.state import kernels
from features.values.state.blocks import Block, LazyColumns
from features.values.state.pack import identity, ordinal
from features.values.state.plan import Section
from features.values.state.program import Program

__all__ = ["aside", "joined"]

Array = np.ndarray
_MOST_WORDS = 9
_NEVER = np.iinfo(np.int64).max
_ONE = np.ones((1, 1), np.int64)
_COUNTS = frozenset({"counted", "matched"})


def aside(program: Program, beside: Sequence[Block], slot: Array, first: Array, slots: int) -> kernels.Aside:
    """The rows of each view as each of its sections takes them: all of them, of which those count never that it does not take.

    Args:
        program: of the views.
        beside: of each the rows beside its states, in the order of states and instants.
        slot: the first slot of each state.
        first: the first state of each view, and one more.
        slots: how many there are.
    """
    held = [view for view, rows in enumerate(beside) if len(rows)]
    if not held:
        return kernels.NOTHING
    used = list(accumulate((len(beside[view]) * len(program.sections_of(view)) for view in held), initial=0))
    begin, end = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    times, since = np.empty(used[-1], np.int64), np.empty(used[-1], np.int64)
    more = np.zeros((_MOST_WORDS, used[-1]), np.int64)
    more[0] = 1  # as most sections count rows
    added = _Added()
    for view, (at, behind) in zip(held, pairwise(used), strict=True):
        rows, sections = beside[view], program.sections_of(view)
        states, shape = int(first[view + 1] - first[view]), (len(sections), len(rows))
        edges = np.searchsorted(rows.key, np.arange(states + 1))[:, None] + np.arange(at, behind, len(rows))
        own = slice(slot[first[view]], slot[first[view]] + states * len(sections))  # they are beside each other
        begin[own].reshape(states, -1)[:], end[own].reshape(states, -1)[:] = edges[:-1], edges[1:]
        times[at:behind].reshape(shape)[:] = rows.time
        _fill(rows, sections, added, since[at:behind].reshape(shape), more[:, at:behind])
    return kernels.Aside(begin, end, times, since, more)


def _fill(rows: Block, sections: Sequence[Section], added: "_Added", since: Array, more: Array) -> None:
    """When the rows of one view count, and what they add: once for each section."""
    since[:] = rows.since
    lost: dict[str, Array] = {}
    for place, section in enumerate(sections):
        words, unfit = added.of(section, rows)
        if words is not _ONE:
            more[: len(words), place * len(rows) : (place + 1) * len(rows)] = words
        if unfit is not None:
            since[place, unfit] = _NEVER
        if section.where is not None:
            if section.condition not in lost:
                lost[section.condition] = ~mask(section.where, rows.columns, len(rows))
            since[place, lost[section.condition]] = _NEVER


class _Added:
    """What rows add to sections: the same columns, which views of one source share, the same to sections of one kind."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[Array, Array | None]] = {}

    def of(self, section: Section, rows: Block) -> tuple[Array, Array | None]:
        """int64[words, rows], and which rows have no value to add; None: each has one."""
        if section.column is None:
            return (_ONE if section.kind in _COUNTS else rows.time[None]), None
        column = rows.columns[section.column]  # kept by the rows, so that nothing else has its identity
        of = id(column), section.kind, section.summed, section.squares
        if of not in self._made:
            self._made[of] = _added(section, column)
        return self._made[of]


def _added(section: Section, column: pa.Array) -> tuple[Array, Array | None]:
    good = usable(column)
    if good.all():
        return _words(section, column), None
    places = np.flatnonzero(good)
    words = _words(section, at_places(column, places))
    made = np.zeros((len(words), len(column)), np.int64)
    made[:, places] = words
    return made, ~good


def _words(section: Section, column: pa.Array) -> Array:
    """Of a count one each, the limbs of the value, the pieces of its square; of another section a word that stands for the value."""
    if section.kind not in _COUNTS:
        return (identity(column) if section.kind == "distinct" else ordinal(column))[None]
    if not section.summed:
        return _ONE
    values = numbers(column)
    limbs = exact.sum_limbs(values)
    return np.concatenate([np.ones_like(limbs[:1]), limbs, *([exact.square_limbs(values)] if section.squares else [])])


def joined(one: Block, two: Block) -> Block:
    """The rows of both, in the order of keys and instants; of one alone itself, if it is in that order."""
    if not len(one) or not len(two):
        return two if len(two) else one
    key, time = np.concatenate([one.key, two.key]), np.concatenate([one.time, two.time])
    order = np.lexsort((time, key))
    columns = LazyColumns(
        one.columns,
        lambda name: at_places(
            pa.concat_arrays([one.columns[name], as_type(two.columns[name], one.columns[name].type)]), order
        ),
    )
    return Block(key=key[order], time=time[order], since=np.concatenate([one.since, two.since])[order], columns=columns)
