"""What aggregations read of the rows themselves, in tiles, as bytes: in order, joined for any grouping, finished as a frame finishes its rows.

Bytes of a list: how many rows; the instants, if it has them; then each column: the event id, what is read, how often each value came (features.values.state.varints).
A text is its bytes behind the lengths of all. Rows stand by instant, event id, and what is read: one set of rows has one form, in whatever order lists are joined. No rows: null.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate
from features.definitions.tiling import Listed
from features.errors import InputError
from features.values.generic import Spans, over
from features.values.state.bounds import room
from features.values.state.varints import get_numbers, get_times, get_varint, put_numbers, put_times, put_varint
from features.values.timeline import FOREVER, Asks, Timeline

__all__ = ["Read", "finished", "folded", "joined", "read"]

Array = np.ndarray
_TEXT = pa.large_string()
_LARGE = int(np.iinfo(np.int32).max)
"""Bytes that an Arrow array of plain binaries does not hold."""
_TYPES: dict[ColumnType, pa.DataType] = {
    "string": _TEXT, "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of some lists."""

    group: Array
    """The list of each."""

    times: Array
    """Zeros where values alone are kept."""

    columns: Sequence[pa.Array]
    """The event id, if it is kept, and what is read; large texts."""

    often: Array
    """Ones where rows are kept."""

    def take(self, places: Array) -> "_Rows":
        at = pa.array(places)
        columns = [column.take(at) for column in self.columns]
        return _Rows(group=self.group[places], times=self.times[places], columns=columns, often=self.often[places])


def folded(
    held: Listed, group: Array, times: Array, ids: pa.Array | None, inputs: Sequence[pa.Array], count: int
) -> pa.Array:
    """The list of each group's rows.

    Args:
        held: what is kept.
        group: of each row, below `count`.
        times: microseconds.
        ids: event ids; not looked at where they are not kept.
        inputs: what is read of each row, all usable.
        count: of groups.
    """
    wanted = inputs if held.id is None or ids is None else [ids, *inputs]
    columns = [column.cast(_TYPES[kind]) for column, kind in zip(wanted, _kinds(held), strict=True)]
    plain = times if held.name == "rows" else np.zeros(len(group), np.int64)
    return _written(held, _Rows(group=group, times=plain, columns=columns, often=np.ones(len(group), np.int64)), count)


def joined(held: Listed, lists: pa.ChunkedArray, group: Array, count: int) -> pa.Array:
    """The lists of each group as one; large binaries where they have 2 GB or more.

    Args:
        held: what is kept.
        lists: of `folded` or of this; null where there are no rows.
        group: of each of them, below `count`, in any order.
        count: of groups.
    """
    whole = lists.cast(pa.large_binary()).combine_chunks()
    there = np.flatnonzero(np.asarray(whole.is_valid()))
    rows = _unpacked(held, whole.take(pa.array(there)))
    return _written(held, replace(rows, group=group[there][rows.group]), count)


@dataclass(frozen=True, slots=True)
class Read:
    """Lists of about the same length, unpacked: the state of a value counter is as wide as the longest list needs."""

    places: Array
    """Where they stood among all."""

    rows: _Rows


def read(held: Listed, lists: pa.Array) -> list[Read]:
    """All lists unpacked, null ones as those of no rows."""
    whole = lists.cast(pa.large_binary())
    there = np.flatnonzero(np.asarray(whole.is_valid()))
    filled = pc.fill_null(whole, b"\x00")
    lengths = np.zeros(len(filled), np.int64)
    lengths[there] = _lengths(filled.take(pa.array(there)))
    size = np.frexp(lengths.astype(np.float64))[1] // 2
    made = []
    for one in np.unique(size):
        places = np.flatnonzero(size == one)
        some = places[lengths[places] > 0]
        rows = _unpacked(held, filled.take(pa.array(some)))
        made.append(Read(places, replace(rows, group=np.searchsorted(places, some)[rows.group])))
    return made


def finished(
    feature: Aggregate, held: Listed, lists: Sequence[Read], ends: tuple[int, int, int], kind: pa.DataType
) -> pa.Array:
    """The value of each list, as a frame finishes the rows.

    Args:
        feature: what is asked.
        held: what is kept.
        lists: all that were read.
        ends: the anchor and both edges of the window that holds all rows, in microseconds UTC.
        kind: of the value.
    """
    made = [pa.array([], kind)]
    for part in lists:
        rows = part.rows
        if held.name == "values":  # each as often as it came, whenever that was
            rows = replace(rows, times=np.full(len(rows.group), ends[1])).take(
                np.repeat(np.arange(len(rows.group)), rows.often)
            )
        count, start = len(part.places), np.zeros(len(rows.group), np.int64)
        line = Timeline(key=rows.group, time=rows.times, since=start, until=np.full_like(start, FOREVER), columns={})
        asks = Asks(key=np.arange(count), instant=np.zeros(count, np.int64))
        anchor, lower, upper = (np.full(count, instant) for instant in ends)
        spans = Spans(asks=asks, anchor=anchor, lower=lower, upper=upper)
        inputs = rows.columns[len(rows.columns) - len(held.types) :]
        made.append(over(feature, held.types[0] if held.types else None, line, inputs, spans, kind))
    order = np.argsort(np.concatenate([np.zeros(0, np.int64), *(part.places for part in lists)]))
    return pa.concat_arrays(made).take(pa.array(order))


def _kinds(held: Listed) -> tuple[ColumnType, ...]:
    return held.types if held.id is None else (held.id, *held.types)


def _written(held: Listed, rows: _Rows, count: int) -> pa.Array:
    """The lists of rows in any order."""
    rows = _counted(rows) if held.name == "values" else rows.take(_newest(rows.group, _order(rows), held.newest))
    return _packed(held, rows, np.searchsorted(rows.group, np.arange(count + 1)))


def _order(rows: _Rows) -> Array:
    """By group and instant; what else decides is ranked where several rows are of one instant alone."""
    order = np.lexsort((rows.times, rows.group))
    group, times = rows.group[order], rows.times[order]
    same = (group[1:] == group[:-1]) & (times[1:] == times[:-1])
    if not same.any() or not rows.columns:
        return order
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    among = order[places]
    content = [_ranks(column.take(pa.array(among))) for column in reversed(rows.columns)]
    order[places] = among[np.lexsort((*content, rows.times[among], rows.group[among]))]
    return order


def _newest(group: Array, order: Array, newest: int) -> Array:
    """So many of the last of each group; all where it is 0."""
    if not newest:
        return order
    ordered = group[order]
    behind = np.searchsorted(ordered, ordered, side="right") - np.arange(len(order))
    made: Array = order[behind <= newest]
    return made


def _counted(rows: _Rows) -> _Rows:
    """Each value of a group once, in order."""
    ranks = [_ranks(column) for column in rows.columns]
    order = np.lexsort((*reversed(ranks), rows.group))
    first = np.ones(len(order), bool)
    first[1:] = np.logical_or.reduce([one[order][1:] != one[order][:-1] for one in (rows.group, *ranks)])
    starts = np.flatnonzero(first)
    often = np.add.reduceat(rows.often[order], starts) if len(starts) else np.zeros(0, np.int64)
    return replace(rows.take(order[starts]), often=often)


def _ranks(column: pa.Array) -> Array:
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(pc.rank(column, tiebreaker="dense"))


def _packed(held: Listed, rows: _Rows, bounds: Array) -> pa.Array:
    """Lists of rows in order, each between two bounds."""
    parts = [_plain(column) for column in rows.columns]
    if held.name == "values":
        parts.append((rows.often, b""))
    numbers = np.stack([part for part, _ in parts]) if parts else np.zeros((0, len(rows.group)), np.int64)
    texts = np.array([pa.types.is_large_string(column.type) for column in rows.columns] + [False], np.bool_)
    sizes = [
        np.cumsum(part) if text else np.zeros(len(part), np.int64)
        for (part, _), text in zip(parts, texts, strict=False)
    ]
    base = np.cumsum([0, *(len(data) for _, data in parts)])
    starts = np.zeros((len(parts), len(rows.group) + 1), np.int64)
    for n, size in enumerate(sizes):
        starts[n, 1:] = size
        starts[n] += base[n]
    data = np.frombuffer(b"".join(data for _, data in parts), np.uint8)
    lists = (len(parts) + 2) * (len(bounds) - 1)
    out = np.empty(room((len(parts) + 1) * len(rows.group), lists) + len(data), np.uint8)
    ends = np.zeros(len(bounds), np.int64)
    _put(bounds, rows.times, held.name == "rows", (numbers, texts, starts, data), out, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]].tobytes())]
    made = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(bounds) - 1, buffers)
    made = pc.if_else(pa.array(np.diff(bounds) == 0), pa.scalar(None, pa.large_binary()), made)
    return made if ends[-1] >= _LARGE else made.cast(pa.binary())


def _plain(column: pa.Array) -> tuple[Array, bytes]:
    """A number a row, and the bytes of texts, of which it is the length."""
    if pa.types.is_large_string(column.type):
        whole = pa.concat_arrays([column, pa.array([], _TEXT)])
        _, offsets, raw = whole.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(whole) + 1, 8 * whole.offset)
        return np.diff(bounds), bytes(memoryview(raw or b"")[bounds[0] : bounds[-1]])
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64).view(np.int64), b""
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False)), b""


def _unpacked(held: Listed, lists: pa.Array) -> _Rows:
    """The rows of lists, none null; `group` says which."""
    raw, bounds = _buffers(lists)
    lengths = _lengths(lists)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    kinds: list[ColumnType] = [*_kinds(held)]
    if held.name == "values":
        kinds.append("int64")
    texts = np.array([kind == "string" for kind in kinds], np.bool_)
    times, numbers = np.zeros(starts[-1], np.int64), np.zeros((len(kinds), starts[-1]), np.int64)
    places = np.zeros((len(kinds), len(lists)), np.int64)
    if not _get(raw, bounds, starts, held.name == "rows", times, (numbers, texts, places)):
        raise _damaged()
    columns = [
        _text(raw, starts, numbers[n], places[n]) if text else _typed(numbers[n], kind)
        for n, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    ]
    often = np.ones(len(times), np.int64) if held.name == "rows" else numbers[-1]
    group = np.repeat(np.arange(len(lists)), lengths)
    return _Rows(group=group, times=times, columns=columns[: len(_kinds(held))], often=often)


def _text(raw: Array, starts: Array, lengths: Array, places: Array) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(lengths)])
    data = np.empty(ends[-1], np.uint8)
    _copied(raw, places, ends[starts], data)
    return pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(ends), pa.py_buffer(data.tobytes()))


def _typed(numbers: Array, kind: ColumnType) -> pa.Array:
    if kind == "float64":
        return pa.array(numbers.view(np.float64))
    return pa.array(numbers).cast(_TYPES[kind])


def _buffers(lists: pa.Array) -> tuple[Array, Array]:
    whole = pa.concat_arrays([lists, pa.array([], pa.large_binary())])
    _, offsets, data = whole.buffers()
    return np.frombuffer(data or b"", np.uint8), np.frombuffer(offsets, np.int64, len(whole) + 1, 8 * whole.offset)


def _lengths(lists: pa.Array) -> Array:
    """Rows of each list, none null."""
    raw, bounds = _buffers(lists)
    lengths = np.zeros(len(lists), np.int64)
    if not _headed(raw, bounds, lengths):
        raise _damaged()
    return lengths


def _damaged() -> InputError:
    return InputError(
        "A list of rows in a tile is none that Asof wrote: the file is damaged, or of another release. Remove the view's folder under `tiles` where the tables lie, and run the same command again, which builds it."
    )


@njit(cache=True)
def _put(
    bounds: Array,
    times: Array,
    timed: bool,  # noqa: FBT001 - numba wants flat arguments
    columns: tuple[Array, Array, Array, Array],
    out: Array,
    ends: Array,
) -> None:
    numbers, texts, starts, data = columns
    to = 0
    for n in range(len(bounds) - 1):
        first, last = bounds[n], bounds[n + 1]
        if first < last:
            to = put_varint(out, to, last - first)
            if timed:
                to = put_times(out, to, times[first:last], 0)
            for c in range(len(numbers)):
                to = put_numbers(out, to, numbers[c, first:last])
                if texts[c]:
                    for at in range(starts[c, first], starts[c, last]):
                        out[to] = data[at]
                        to += 1
        ends[n + 1] = to


@njit(cache=True)
def _headed(raw: Array, bounds: Array, lengths: Array) -> bool:
    for n in range(len(lengths)):
        lengths[n], at = get_varint(raw, bounds[n], bounds[n + 1])
        # A row takes a byte or more.
        if at < 0 or lengths[n] < 1 or lengths[n] > bounds[n + 1] - bounds[n]:
            return False
    return True


@njit(cache=True)
def _get(
    raw: Array,
    bounds: Array,
    starts: Array,
    timed: bool,  # noqa: FBT001 - numba wants flat arguments
    times: Array,
    columns: tuple[Array, Array, Array],
) -> bool:
    numbers, texts, places = columns
    for n in range(len(starts) - 1):
        first, last, end = starts[n], starts[n + 1], bounds[n + 1]
        _, at = get_varint(raw, bounds[n], end)
        if timed:
            at = get_times(raw, at, end, 0, times[first:last])
        for c in range(len(numbers)):
            at = get_numbers(raw, at, end, numbers[c, first:last])
            if texts[c]:
                places[c, n] = at
                at = _passed(numbers[c, first:last], at, end)
        if at != end:
            return False
    return True


@njit(cache=True)
def _passed(lengths: Array, at: int, end: int) -> int:
    """Where texts of these lengths end; -1 where the bytes are over before it."""
    for length in lengths:
        if at < 0 or length < 0 or length > end - at:
            return -1
        at += length
    return at


@njit(cache=True)
def _copied(raw: Array, places: Array, ends: Array, data: Array) -> None:
    for n in range(len(places)):
        for i in range(ends[n + 1] - ends[n]):
            data[ends[n] + i] = raw[places[n] + i]
