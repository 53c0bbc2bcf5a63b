"""Runs an aggregation's own functions over the visible rows of each window: what makes an aggregation of one file work on every path.

Its file is compiled by numba as it stands, helpers and all; the machine code is kept beside the file and made anew when the file changes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.aggregations import AGGREGATIONS, Aggregation
from features.definitions.aggregations.aggregation import Ends, State
from features.definitions.expressions import ColumnType, Expression, type_of
from features.definitions.features import Aggregate
from features.definitions.views import FeatureView
from features.values.columns import as_type
from features.values.compiling import compiled
from features.values.expressions import evaluate, mask
from features.values.hashing import hash64
from features.values.timeline import Asks, Timeline

__all__ = ["Spans", "aggregate", "inputs_of", "numbers_of", "over"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """One window of each ask, in microseconds UTC."""

    asks: Asks
    anchor: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What add gets of each row."""

    numbers: Array
    kinds: int = 0
    base: Array | None = None
    """Of codes: the place in `represent` of each row key's first value, by row key code order in `keys`."""

    keys: Array | None = None
    represent: pa.Array | None = None


def aggregate(view: FeatureView, feature: Aggregate, line: Timeline, spans: Spans, kind: pa.DataType) -> pa.Array:
    """The feature at every ask, of the type given."""
    of = type_of(feature.reads[0], view.source.types) if feature.reads else None
    rows, columns = _rows(feature, line, with_ids=view.source.event_id is not None)
    return over(feature, of, rows, columns, spans, kind)


def over(
    feature: Aggregate, of: ColumnType | None, rows: Timeline, columns: Sequence[pa.Array], spans: Spans, kind: pa.DataType
) -> pa.Array:  # fmt: skip
    """The feature at every ask, of the type given, over rows that take part in it.

    Args:
        feature: its operation and parameters count; its condition is met by all rows.
        of: the type of its first input; None: it takes none.
        rows: in order.
        columns: its inputs, all usable.
        spans: the windows.
        kind: of the value.
    """
    aggregation = AGGREGATIONS[feature.operation]
    state = aggregation.state_of(of)
    column = aggregation.gives == "column"
    floats = state.words == "float64" if column else aggregation.gives == "float64"
    if column and state.value == "number" and floats != pa.types.is_floating(kind):
        msg = f"{feature.operation} gives {kind} and has a state of {state.words}: give it one for each in `state` and `of_floats`."
        raise TypeError(msg)
    inputs = _inputs(state, rows, columns)
    chosen = feature.arguments(aggregation)
    words = np.zeros(max(state.width(inputs.kinds, *chosen), 1), np.int64 if state.words == "int64" else np.float64)
    value = np.zeros(len(spans.anchor), np.float64 if floats else np.int64)
    valid = np.zeros(len(spans.anchor), np.bool_)
    lo = _edges(rows.key, rows.time, spans.asks.key, spans.lower)
    hi = _edges(rows.key, rows.time, spans.asks.key, spans.upper)
    if not feature.window.offset_us:
        hi = rows.behind_own(spans.asks.key, hi, spans.upper)
    _compiled(aggregation, state)(
        (rows.time, rows.since, rows.until, inputs.numbers), (spans.asks.instant, lo, hi),
        (spans.anchor, spans.lower, spans.upper), words, value, valid, chosen,
    )  # fmt: skip
    if not column or state.value == "number":
        return as_type(pa.array(value, mask=~valid), kind)
    return as_type(_represented(inputs, spans.asks.key, value, valid), kind)


def _represented(inputs: _Inputs, keys: Array, code: Array, valid: Array) -> pa.Array:
    if inputs.represent is None or inputs.base is None or inputs.keys is None:
        msg = 'An aggregation that gives "column" takes codes or numbers: set State(value="code").'
        raise TypeError(msg)
    at = np.where(valid, np.append(inputs.base, 0)[np.searchsorted(inputs.keys, keys)] + code, 0)
    return inputs.represent.take(pa.array(at, mask=~valid))


def _rows(feature: Aggregate, line: Timeline, *, with_ids: bool) -> tuple[Timeline, list[pa.Array]]:
    """The rows that take part, in order, and what is read of each."""
    columns, chosen = inputs_of(feature.where, feature.reads, line.columns, len(line))
    index = pa.array(np.flatnonzero(chosen))
    columns = [column.take(index) for column in columns]
    rows = line.only(chosen)
    if columns and not with_ids:  # rows of one instant stand in the order of the values that are asked for
        own = np.zeros(len(rows), bool) if rows.own is None else rows.own
        order = np.lexsort((*(_ranks(column) for column in reversed(columns)), ~own, rows.time, rows.key))
        columns = [column.take(pa.array(order)) for column in columns]
        rows = Timeline(
            key=rows.key, time=rows.time, since=rows.since[order], until=rows.until[order], columns={},
            own=None if rows.own is None else own[order],
        )  # fmt: skip
    return rows, columns


def _inputs(state: State, rows: Timeline, columns: Sequence[pa.Array]) -> _Inputs:
    if state.value == "code" and columns:
        return _coded(rows, columns[0])
    kinds = _longest(rows.key) if state.value == "hash" and columns else 0
    return _Inputs(numbers=numbers_of(state, columns, len(rows)), kinds=kinds)


def inputs_of(
    where: Expression | None, reads: Sequence[Expression], columns: Mapping[str, pa.Array], length: int
) -> tuple[list[pa.Array], Array]:
    """What is read of each row, and whether the condition is met and all of it usable."""
    found = [_plain(evaluate(node, columns), length) for node in reads]
    chosen = mask(where, columns, length)
    for column in found:
        chosen = chosen & _usable(column)
    return found, chosen


def numbers_of(state: State, columns: Sequence[pa.Array], length: int) -> Array:
    """What `add` gets of usable inputs, if it is no code: several numbers as float64s side by side, 0 where it reads nothing."""
    if state.value == "hash" and columns:
        return hash64(columns[0]).view(np.int64)
    numbers = [_numbers(column) for column in columns]
    if len(numbers) > 1:
        return np.stack([part.astype(np.float64) for part in numbers], axis=1)
    return numbers[0] if numbers else np.zeros(length, np.int64)


def _longest(key: Array) -> int:
    """The most rows of one key, which has no more different values: a bound that costs no sorting."""
    return int(np.diff(np.flatnonzero(np.diff(key, prepend=-1, append=-1))).max(initial=0))


def _coded(rows: Timeline, column: pa.Array) -> _Inputs:
    """Each value as its place among the different values of its key."""
    ranks = _ranks(column).astype(np.int64)
    pairs, firsts, codes = np.unique(rows.key * (len(column) + 1) + ranks, return_index=True, return_inverse=True)
    keys, base = np.unique(rows.key[firsts], return_index=True)
    local = codes - base[np.searchsorted(keys, rows.key)] if len(codes) else codes.astype(np.int64)
    kinds = int(np.diff(np.append(base, len(pairs))).max(initial=0))
    return _Inputs(
        numbers=local.astype(np.int64), kinds=kinds, base=base, keys=keys, represent=column.take(pa.array(firsts))
    )  # fmt: skip


def _plain(found: pa.Array | pa.Scalar, length: int) -> pa.Array:
    """An array; its floats without -0.0."""
    if isinstance(found, pa.Scalar):
        found = pa.array([found.as_py()] * length, found.type)
    return pc.add(found, 0.0) if pa.types.is_floating(found.type) else found


def _usable(column: pa.Array) -> Array:
    kept = pc.is_finite(column) if pa.types.is_floating(column.type) else column.is_valid()
    return np.asarray(pc.fill_null(kept, False).to_numpy(zero_copy_only=False))


def _ranks(column: pa.Array) -> Array:
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(pc.rank(column, tiebreaker="dense"))


def _numbers(column: pa.Array) -> Array:
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))


@njit(cache=True)
def _edges(row_key: Array, row_time: Array, ask_key: Array, bound: Array) -> Array:
    """The first row of each ask's key, or after, at `bound` or later: found by halving."""
    made = np.empty(len(ask_key), np.int64)
    for q in range(len(ask_key)):
        low, high = 0, len(row_key)
        while low < high:
            middle = (low + high) // 2
            if row_key[middle] < ask_key[q] or (row_key[middle] == ask_key[q] and row_time[middle] < bound[q]):
                low = middle + 1
            else:
                high = middle
        made[q] = low
    return made


# What `compiled` puts in their places: the aggregation's functions, compiled.
state_zero: Callable[..., None]
state_add: Callable[..., None]
state_finish: Callable[..., Any]


def _windows(
    rows: tuple[Array, Array, Array, Array],
    asked: tuple[Array, Array, Array],
    ends: tuple[Array, Array, Array],
    state: Array,
    value: Array,
    valid: Array,
    chosen: tuple[Any, ...],
) -> None:
    """Every window from nothing, row by row."""
    time, since, until, numbers = rows
    instant, lo, hi = asked
    anchor, lower, upper = ends
    for q in range(len(lo)):
        state_zero(state, *chosen)  # noqa: F821
        for i in range(lo[q], hi[q]):
            if since[i] <= instant[q] < until[i]:
                state_add(state, time[i], numbers[i], *chosen)  # noqa: F821
        value[q], valid[q] = state_finish(state, Ends(anchor[q], lower[q], upper[q]), *chosen)  # noqa: F821


def _compiled(aggregation: Aggregation, state: State) -> Callable[..., Any]:
    """`_windows` over one state's functions."""
    return compiled(_windows, aggregation, state)
