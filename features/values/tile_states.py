"""States of aggregations in tiles, as bytes: made of rows in any order, merged for any grouping, finished. By the aggregation's own functions.

A state is how many rows were added, then its words that are not 0: where they stand and what they are (features.values.state.varints). No rows: null.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.aggregations import AGGREGATIONS, Aggregation
from features.definitions.aggregations.aggregation import Ends, State
from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate
from features.definitions.tiling import Held
from features.values.compiling import compiled
from features.values.generic import numbers_of
from features.values.state.bounds import room
from features.values.state.varints import get_numbers, get_varint, put_numbers, put_varint

__all__ = ["finished", "folded", "joined"]

Array = np.ndarray
_AT_ONCE = 1 << 22
"""Words that lie unpacked at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class _Functions:
    """Of the state that tiles hold of an input of some type."""

    aggregation: Aggregation
    state: State
    arguments: tuple[float, ...]

    @classmethod
    def of(cls, operation: str, kind: ColumnType, arguments: tuple[float, ...]) -> "_Functions":
        aggregation = AGGREGATIONS[operation]
        state = aggregation.tiles_of(kind)
        if state is None:
            msg = f"{operation} has no state for tiles."
            raise TypeError(msg)
        return cls(aggregation, state, arguments)

    def __getitem__(self, over: Callable[..., None]) -> Callable[..., Any]:
        return compiled(over, self.aggregation, self.state)

    def widths(self, rows: Array) -> Array:
        """Words of states of so many rows."""
        different, place = np.unique(rows, return_inverse=True)
        made = [max(self.state.width(int(count), *self.arguments), 1) for count in different]
        return np.array(made, np.int64)[place] if len(rows) else np.zeros(0, np.int64)

    def words(self, count: int) -> Array:
        return np.zeros(count, np.int64 if self.state.words == "int64" else np.float64)


def folded(
    held: Held, kind: ColumnType, group: Array, times: Array, inputs: Sequence[pa.Array], count: int
) -> pa.Array:
    """The state of each group's rows.

    Args:
        held: which one.
        kind: the type of its first input; any where it takes none.
        group: of each row, below `count`, ascending.
        times: microseconds.
        inputs: what is read of each row, all usable.
        count: of groups.
    """
    use = _Functions.of(held.operation, kind, held.arguments)
    bounds = np.searchsorted(group, np.arange(count + 1))
    rows, numbers = np.diff(bounds), numbers_of(use.state, inputs, len(times))
    made = []
    for first, last, at in _chunks(use.widths(rows)):
        words = use.words(int(at[-1]))
        use[_folded](times, numbers, bounds[first : last + 1], at, words, held.arguments)
        made.append(_bytes(rows[first:last], at, words))
    return _concatenated(made)


def joined(held: Held, kind: ColumnType, states: pa.Array, group: Array, count: int) -> pa.Array:
    """The states of each group as one.

    Args:
        held: which one.
        kind: the type of its first input; any where it takes none.
        states: of `folded` or of this; null where there are no rows.
        group: of each of them, below `count`, in any order.
        count: of groups.
    """
    use = _Functions.of(held.operation, kind, held.arguments)
    there = np.flatnonzero(np.asarray(states.is_valid()))
    order = there[np.argsort(group[there], kind="stable")]
    some = _Some.of(states.take(pa.array(order)), use)
    bounds = np.searchsorted(group[order], np.arange(count + 1))
    sums = np.concatenate([[0], np.cumsum(some.rows)])
    rows = sums[bounds[1:]] - sums[bounds[:-1]]
    made = []
    for first, last, at in _chunks(use.widths(rows)):
        words, other = use.words(int(at[-1])), use.words(int(np.diff(at).max(initial=0)))
        parts = some.starts, some.places, some.words.view(other.dtype)
        use[_joined](parts, bounds[first : last + 1], at, words, other, held.arguments)
        made.append(_bytes(rows[first:last], at, words))
    return _concatenated(made)


def finished(feature: Aggregate, kind: ColumnType, states: pa.Array, ends: Ends) -> tuple[Array, Array]:
    """The value of each state, int64 or float64, and whether it is one; where there are no rows it is the aggregation's empty value."""
    aggregation = AGGREGATIONS[feature.operation]
    use = _Functions.of(feature.operation, kind, feature.arguments(aggregation))
    floats = use.state.words == "float64" if aggregation.gives == "column" else aggregation.gives == "float64"
    value, valid = np.zeros(len(states), np.float64 if floats else np.int64), np.zeros(len(states), np.bool_)
    valid[:] = aggregation.empty == "0"
    there = np.flatnonzero(np.asarray(states.is_valid()))
    some = _Some.of(states.take(pa.array(there)), use)
    for first, last, at in _chunks(use.widths(some.rows)):
        words, numbers, ok = use.words(int(at[-1])), value[there[first:last]], valid[there[first:last]]
        _spread(some.starts[first : last + 1], some.places, some.words.view(words.dtype), at, words)
        use[_ended](at, words, (ends.anchor, ends.lower, ends.upper), numbers, ok, use.arguments)
        value[there[first:last]], valid[there[first:last]] = numbers, ok
    return value, valid


def _chunks(widths: Array) -> Iterator[tuple[int, int, Array]]:
    """First and last of states that are unpacked together, and where the words of each begin."""
    at = np.concatenate([[0], np.cumsum(widths)])
    first = 0
    while first < len(widths):
        last = max(int(np.searchsorted(at, at[first] + _AT_ONCE, side="right")) - 1, first + 1)
        yield first, last, at[first : last + 1] - at[first]
        first = last


def _concatenated(parts: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Some:
    """States as their words that are not 0."""

    rows: Array
    starts: Array
    """Where the words of each begin, and of the last one end."""

    places: Array
    words: Array
    """As int64, whatever they are."""

    @classmethod
    def of(cls, states: pa.Array, use: _Functions) -> "_Some":
        """Of bytes, none null."""
        whole = pa.concat_arrays([states.cast(pa.large_binary()), pa.array([], pa.large_binary())])
        _, offsets, data = whole.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(whole) + 1, 8 * whole.offset)
        raw = np.frombuffer(data or b"", np.uint8)
        rows, counts = np.zeros(len(whole), np.int64), np.zeros(len(whole), np.int64)
        good = _headed(raw, bounds, rows, counts)
        starts = np.concatenate([[0], np.cumsum(counts)]) if good else np.zeros(1, np.int64)
        places, words = np.zeros(starts[-1], np.int64), np.zeros(starts[-1], np.int64)
        if not good or not _read(raw, bounds, starts, use.widths(rows), places, words):
            msg = "A state in a tile is no state that Asof wrote: the file is damaged, or of another release. Build the view's tiles anew."
            raise ValueError(msg)
        return cls(rows=rows, starts=starts, places=places, words=words)


def _bytes(rows: Array, at: Array, words: Array) -> pa.Array:
    """States that lie unpacked; null where there are no rows."""
    counts = np.zeros(len(rows), np.int64)
    plain = words.view(np.int64)
    _counted(at, plain, counts)
    data = np.empty(room(2 * int(counts.sum()), 2 * len(rows)), np.uint8)
    ends = np.zeros(len(rows) + 1, np.int64)
    _written(rows, at, plain, counts, data, ends)
    made = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(rows), [None, pa.py_buffer(ends), pa.py_buffer(data[: ends[-1]].tobytes())]
    )
    return pc.if_else(pa.array(rows == 0), pa.scalar(None, pa.large_binary()), made).cast(pa.binary())


@njit(cache=True)
def _counted(at: Array, words: Array, counts: Array) -> None:
    for n in range(len(counts)):
        for word in range(at[n], at[n + 1]):
            if words[word] != 0:
                counts[n] += 1


@njit(cache=True)
def _written(rows: Array, at: Array, words: Array, counts: Array, data: Array, ends: Array) -> None:
    to = 0
    for n in range(len(rows)):
        if rows[n] > 0:
            to = put_varint(data, put_varint(data, to, rows[n]), counts[n])
            if counts[n] > 0:
                steps, values = np.empty(counts[n], np.int64), np.empty(counts[n], np.int64)
                found, before = 0, at[n] - 1
                for word in range(at[n], at[n + 1]):
                    if words[word] != 0:
                        steps[found], values[found] = word - before, words[word]
                        found, before = found + 1, word
                to = put_numbers(data, put_numbers(data, to, steps), values)
        ends[n + 1] = to


@njit(cache=True)
def _headed(raw: Array, bounds: Array, rows: Array, counts: Array) -> bool:
    for n in range(len(rows)):
        rows[n], at = get_varint(raw, bounds[n], bounds[n + 1])
        if at < 0:
            return False
        counts[n], at = get_varint(raw, at, bounds[n + 1])
        if at < 0 or counts[n] < 0 or rows[n] < 0 or counts[n] > 1 << 40:
            return False
    return True


@njit(cache=True)
def _read(raw: Array, bounds: Array, starts: Array, widths: Array, places: Array, words: Array) -> bool:
    for n in range(len(starts) - 1):
        end = bounds[n + 1]
        _, at = get_varint(raw, bounds[n], end)
        _, at = get_varint(raw, at, end)
        mine = places[starts[n] : starts[n + 1]]
        if len(mine) > 0:
            at = get_numbers(raw, at, end, mine)
            at = get_numbers(raw, at, end, words[starts[n] : starts[n + 1]])
        if at != end:
            return False
        place = -1
        for i in range(len(mine)):
            place += mine[i]
            if mine[i] < 1 or place >= widths[n]:
                return False
            mine[i] = place
    return True


@njit(cache=True)
def _spread(starts: Array, places: Array, words: Array, at: Array, made: Array) -> None:
    for n in range(len(starts) - 1):
        for i in range(starts[n], starts[n + 1]):
            made[at[n] + places[i]] = words[i]


# What `compiled` puts in their places: the aggregation's functions, compiled.
state_zero: Callable[..., None]
state_add: Callable[..., None]
state_merge: Callable[..., None]
state_finish: Callable[..., Any]


def _folded(times: Array, numbers: Array, bounds: Array, at: Array, words: Array, chosen: tuple[Any, ...]) -> None:
    """Rows between two bounds into each state."""
    for n in range(len(bounds) - 1):
        state = words[at[n] : at[n + 1]]
        state_zero(state, *chosen)  # noqa: F821
        for i in range(bounds[n], bounds[n + 1]):
            state_add(state, times[i], numbers[i], *chosen)  # noqa: F821


def _joined(
    parts: tuple[Array, Array, Array], bounds: Array, at: Array, words: Array, other: Array, chosen: tuple[Any, ...]
) -> None:
    """States between two bounds into each state."""
    starts, places, values = parts
    for n in range(len(bounds) - 1):
        state = words[at[n] : at[n + 1]]
        state_zero(state, *chosen)  # noqa: F821
        later = other[: at[n + 1] - at[n]]
        for m in range(bounds[n], bounds[n + 1]):
            later[:] = 0
            for i in range(starts[m], starts[m + 1]):
                later[places[i]] = values[i]
            state_merge(state, later, *chosen)  # noqa: F821


def _ended(
    at: Array, words: Array, ends: tuple[int, int, int], value: Array, valid: Array, chosen: tuple[Any, ...]
) -> None:
    """The value of each state."""
    for n in range(len(at) - 1):
        value[n], valid[n] = state_finish(words[at[n] : at[n + 1]], Ends(ends[0], ends[1], ends[2]), *chosen)  # noqa: F821
