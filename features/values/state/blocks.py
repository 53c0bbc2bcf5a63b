"""Rows as they are, as bytes: those that no section can hold, those that wait, and one by one those of the tail (docs/state.md)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.expressions import ColumnType
from features.values.columns import as_type, at_places
from features.values.state.bounds import room
from features.values.state.varints import get_numbers, get_times, get_varint, put_numbers, put_times, put_varint
from features.values.sweep import ARROW_TYPES

__all__ = ["Block", "LazyColumns", "empty", "read_blocks", "write_blocks"]

Array = np.ndarray


class LazyColumns(Mapping[str, pa.Array]):
    """Columns that are made where somebody looks at them, each once: of a few rows a column costs more than all else.

    Args:
        names: in order.
        make: gives one by its name.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], pa.Array]) -> None:
        self._names, self._make = dict.fromkeys(names), make
        self._made: dict[str, pa.Array] = {}

    def __getitem__(self, name: str) -> pa.Array:
        made = self._made.get(name)
        if made is None:
            if name not in self._names:
                raise KeyError(name)
            made = self._made[name] = self._make(name)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of many keys, in the order of keys and instants."""

    key: Array
    time: Array
    since: Array
    """From when on each counts."""

    columns: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.key)

    def only(self, chosen: Array) -> "Block":
        """The rows of a boolean mask; itself where that is all."""
        if chosen.all():
            return self
        return self.at(np.flatnonzero(chosen))

    def at(self, places: Array) -> "Block":
        """The rows at these places."""
        columns = LazyColumns(self.columns, lambda name: at_places(self.columns[name], places))
        return Block(key=self.key[places], time=self.time[places], since=self.since[places], columns=columns)


def empty(types: Mapping[str, ColumnType]) -> Block:
    """No rows; the same object each time."""
    return _empty(tuple(types.items()))


@lru_cache(maxsize=1024)
def _empty(types: tuple[tuple[str, ColumnType], ...]) -> Block:
    nothing = np.zeros(0, np.int64)
    return Block(
        key=nothing, time=nothing, since=nothing, columns={name: pa.array([], ARROW_TYPES[kind]) for name, kind in types}
    )  # fmt: skip


def write_blocks(keys: int, block: Block, cut: int, *, timed: bool) -> list[bytes]:
    """The bytes of key codes 0, 1, …: one zero byte where there is no row. `timed`: with the instants from which rows count."""
    starts = np.searchsorted(block.key, np.arange(keys + 1))
    lists, nulls, texts, data = _lists(block, timed=timed)
    most = room(len(block) * (len(lists) + 1), keys * (len(lists) + 2)) + nulls.size + keys * len(lists) + len(data)
    out = np.empty(most, np.uint8)
    ends = _write(starts, block.time, cut, lists, nulls, texts, data, out).tolist()
    whole = out[: ends[-1] if keys else 0].tobytes()
    return [whole[begin:end] for begin, end in zip([0, *ends][:-1], ends, strict=True)]


def _lists(block: Block, *, timed: bool) -> tuple[Array, Array, Array, Array]:
    """All that a row holds as int64 lists, their nulls, where each text of a list of lengths begins (-1: no text), and the texts."""
    rows = len(block)
    lists, nulls, texts, parts, used = [], [], [], [np.zeros(0, np.uint8)], 0
    for column in ([pa.array(block.since)] if timed else []) + list(block.columns.values()):
        nulls.append(np.asarray(column.is_null().to_numpy(zero_copy_only=False)))
        if pa.types.is_string(column.type):
            plain = pc.fill_null(column, "").cast(pa.large_binary())
            plain = pa.concat_arrays([plain, pa.array([], pa.large_binary())]) if plain.offset else plain
            offsets = np.frombuffer(plain.buffers()[1], np.int64, rows + 1) if rows else np.zeros(1, np.int64)
            lists.append(np.diff(offsets))
            texts.append(offsets[:-1] + used)
            parts.append(np.frombuffer(plain.buffers()[2] or b"", np.uint8)[: int(offsets[-1])])
            used += len(parts[-1])
        else:
            lists.append(_whole(column))
            texts.append(np.full(rows, -1, np.int64))
    if not lists:
        return np.zeros((0, rows), np.int64), np.zeros((0, rows), bool), np.zeros((0, rows), np.int64), parts[0]
    return np.stack(lists), np.stack(nulls), np.stack(texts), np.concatenate(parts)


def _whole(column: pa.Array) -> Array:
    if pa.types.is_floating(column.type):
        bits: Array = np.asarray(pc.fill_null(column, 0.0)).view(np.int64)
        return bits
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))


@njit(cache=True)
def _write(
    starts: Array, times: Array, cut: int, lists: Array, nulls: Array, texts: Array, data: Array, out: Array
) -> Array:
    ends, at = np.zeros(len(starts) - 1, np.int64), 0
    for key in range(len(ends)):
        low, high = starts[key], starts[key + 1]
        at = put_varint(out, at, high - low)
        if high > low:
            at = put_times(out, at, times[low:high], cut)
            for n in range(len(lists)):
                at = _put_nulls(out, at, nulls[n, low:high])
                at = put_numbers(out, at, lists[n, low:high])
                for row in range(low, high):
                    if texts[n, row] >= 0:
                        for place in range(texts[n, row], texts[n, row] + lists[n, row]):
                            out[at] = data[place]
                            at += 1
        ends[key] = at
    return ends


@njit(cache=True)
def _put_nulls(out: Array, at: int, nulls: Array) -> int:
    """0 where there are none, else 1 and a bit a row, the lowest first."""
    if not nulls.any():
        out[at] = 0
        return at + 1
    out[at] = 1
    at += 1
    for first in range(0, len(nulls), 8):
        byte = 0
        for bit in range(min(8, len(nulls) - first)):
            byte |= int(nulls[first + bit]) << bit
        out[at] = byte
        at += 1
    return at


def read_blocks(
    data: bytes,
    rest: Array,
    ends: Array,
    cut: int,
    types: Mapping[str, ColumnType],
    *,
    timed: bool,
) -> Block:
    """The blocks that begin at `rest` in the bytes of several states, of which the key is the number; -1: there is none, or it is damaged.

    `rest` then says where each block ends, -1 of one that is damaged.
    """
    whole = np.frombuffer(data, np.uint8)
    lists = len(types) + timed
    textual = np.array([False] * timed + [kind == "string" for kind in types.values()], np.bool_)
    counts = _counts(whole, rest, ends)
    rows = int(counts.sum())
    times, made = np.zeros(rows, np.int64), np.zeros((lists, rows), np.int64)
    nulls, texts = np.zeros((lists, rows), np.bool_), np.zeros((lists, rows), np.int64)
    _read(whole, rest, ends, cut, counts, times, made, nulls, texts, textual)
    key = np.repeat(np.arange(len(rest)), counts)
    if (rest < 0).any():
        good = rest[key] >= 0
        key, times, made, nulls, texts = key[good], times[good], made[:, good], nulls[:, good], texts[:, good]

    def column(name: str) -> pa.Array:
        n = names.index(name) + timed
        return _column(types[name], made[n], nulls[n], texts[n], data)

    names = list(types)
    columns = LazyColumns(names, column)
    since = made[0] if timed else np.full(len(key), np.iinfo(np.int64).min)
    return Block(key=key, time=times, since=since, columns=columns)


def _column(kind: ColumnType, values: Array, nulls: Array, texts: Array, data: bytes) -> pa.Array:
    """An Arrow column of what was read."""
    missing = nulls if nulls.any() else None
    if kind == "string":
        offsets = np.zeros(len(values) + 1, np.int64)
        np.cumsum(values if missing is None else np.where(nulls, 0, values), out=offsets[1:])
        whole = _gathered(np.frombuffer(data, np.uint8), offsets, texts)
        valid = None if missing is None else pa.array(~nulls).buffers()[1]
        return _texts(offsets, valid, whole)
    if kind == "float64":
        return pa.array(np.ascontiguousarray(values).view(np.float64), mask=missing)
    if kind == "bool":
        return pa.array(values.astype(np.bool_), mask=missing)
    return as_type(pa.array(values, mask=missing), ARROW_TYPES[kind])


def _texts(offsets: Array, valid: pa.Buffer | None, whole: Array) -> pa.Array:
    count, data = len(offsets) - 1, pa.py_buffer(whole)
    if len(whole) <= np.iinfo(np.int32).max:
        return pa.Array.from_buffers(pa.string(), count, [valid, pa.py_buffer(offsets.astype(np.int32)), data])
    made = pa.Array.from_buffers(pa.large_string(), count, [valid, pa.py_buffer(offsets), data])
    return made.cast(pa.string())


@njit(cache=True)
def _gathered(data: Array, offsets: Array, begins: Array) -> Array:
    """Texts one after the other."""
    made = np.empty(offsets[-1], np.uint8)
    for row in range(len(begins)):
        at = begins[row] - offsets[row]
        for place in range(offsets[row], offsets[row + 1]):
            made[place] = data[at + place]
    return made


@njit(cache=True)
def _counts(data: Array, rest: Array, ends: Array) -> Array:
    """Rows of each block; one that claims more than its bytes could hold has none, and is found damaged when it is read."""
    made = np.zeros(len(rest), np.int64)
    for state in range(len(rest)):
        if rest[state] >= 0:
            rows, at = get_varint(data, rest[state], ends[state])
            # Of ascending instants each takes a byte at least.
            made[state] = rows if at >= 0 and 0 <= rows <= ends[state] - at else 0
    return made


@njit(cache=True)
def _read(
    data: Array, rest: Array, ends: Array, cut: int, counts: Array, times: Array, made: Array, nulls: Array, texts: Array, textual: Array,
) -> None:  # fmt: skip
    low = 0
    for state in range(len(rest)):
        high, end = low + counts[state], ends[state]
        if rest[state] < 0:
            continue
        rows, at = get_varint(data, rest[state], end)
        if rows != counts[state]:
            at = -1
        if rows > 0 and at >= 0:
            at = get_times(data, at, end, cut, times[low:high])
            for n in range(len(made)):
                at = _get_nulls(data, at, end, nulls[n, low:high])
                at = get_numbers(data, at, end, made[n, low:high])
                if textual[n]:
                    at = _get_texts(at, end, made[n, low:high], texts[n, low:high])
        rest[state] = at
        low = high


@njit(cache=True)
def _get_nulls(data: Array, at: int, end: int, made: Array) -> int:
    if at < 0 or at >= end or data[at] > 1:
        return -1
    at += 1
    if data[at - 1] == 0:
        return at
    if at + (len(made) + 7) // 8 > end:
        return -1
    for i in range(len(made)):
        made[i] = (data[at + i // 8] >> (i % 8)) & 1
    return at + (len(made) + 7) // 8


@njit(cache=True)
def _get_texts(at: int, end: int, lengths: Array, made: Array) -> int:
    for i in range(len(lengths)):
        if at < 0 or lengths[i] < 0 or lengths[i] > end - at:
            return -1
        made[i] = at
        at += lengths[i]
    return at
