"""Values behind what orders them, as bytes: the smallest is of the first row, the largest of the last one. What `first` and `last` are in tiles.

An instant (8 bytes), the event id where there is one, the value. Bytes compare as what they hold does: integers big endian with their sign turned, floats by
their bits, texts with a mark at their end, which no text holds. Any store that compares bytes from the left can merge them.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.expressions import ColumnType
from features.values.columns import present

__all__ = ["packed", "unpacked"]

Array = np.ndarray
_END, _NUL, _ESCAPED = b"\x00\x00", b"\x00", b"\x00\xff"
_WORD = 8
_SIGN = np.uint64(1 << 63)
_NUMBERS: dict[ColumnType, int] = {"int64": _WORD, "timestamp": _WORD, "float64": _WORD, "bool": 1}
"""Bytes of each type whose values all have as many."""


def packed(times: Array, ids: pa.Array | None, values: pa.Array) -> pa.Array:
    """Binary, an element a row.

    Args:
        times: int64 microseconds.
        ids: event ids; None: rows of one instant stand in the order of their values.
        values: usable ones (not null, NaN or infinite).
    """
    parts = [
        _words(times.astype(np.int64).view(np.uint64) ^ _SIGN),
        *(() if ids is None else (_bytes(ids),)),
        _bytes(values),
    ]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def unpacked(made: pa.Array, ids: ColumnType | None, kind: ColumnType) -> pa.Array:
    """The values, of an Arrow type that casts to theirs; null where there is none.

    Args:
        made: by `packed`.
        ids: the type of the event ids.
        kind: that of the values.
    """
    whole = pa.concat_arrays([made.cast(pa.large_binary()), pa.array([], pa.large_binary())])
    there = present(whole)
    _, offsets, raw = whole.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(whole) + 1, 8 * whole.offset)
    data = np.frombuffer(raw or b"", np.uint8)
    fixed = _NUMBERS.get(kind, 0)
    skipped = -1 if ids is not None and ids not in _NUMBERS else _NUMBERS.get(ids, 0) if ids is not None else 0
    kept, ends = np.zeros(len(data) + fixed * len(whole), np.uint8), np.zeros(len(whole) + 1, np.int64)
    _values(data, bounds, there, skipped, fixed, kept, ends)
    kept = kept[: ends[-1]]
    if not fixed:
        buffers: list[pa.Buffer | None] = [None, pa.py_buffer(ends), pa.py_buffer(kept.tobytes())]
        texts = pa.LargeStringArray.from_buffers(len(whole), *buffers[1:])
        return pc.if_else(pa.array(there), texts, pa.scalar(None, pa.large_string()))
    if kind == "bool":
        return pa.array(kept == 1, mask=~there)
    words = kept.view(">u8").astype(np.uint64)
    if kind == "float64":
        return pa.array(_floats(words), mask=~there)
    return pa.array((words ^ _SIGN).view(np.int64), mask=~there)


@njit(cache=True)
def _values(data: Array, bounds: Array, there: Array, skipped: int, fixed: int, kept: Array, ends: Array) -> None:
    """The bytes of each value alone, texts as they were; nulls as zeros of the fixed size.

    Args:
        data: of all elements.
        bounds: where each begins, and the last one ends.
        there: which of them are not null.
        skipped: how many bytes the event id has; -1: a text.
        fixed: how many the value has; 0: a text.
        kept: to be filled.
        ends: to be filled, where each begins in `kept`.
    """
    to = 0
    for n in range(len(there)):
        if there[n]:
            at = bounds[n] + 8
            if skipped >= 0:
                at += skipped
            else:
                while data[at] != 0 or data[at + 1] != 0:
                    at += 1
                at += 2
            end = bounds[n + 1] - (0 if fixed else 2)
            while at < end:
                kept[to] = data[at]
                at += 2 if not fixed and data[at] == 0 else 1
                to += 1
        else:
            to += fixed
        ends[n + 1] = to


def _bytes(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        escaped = pc.replace_substring(values.cast(pa.binary()), pattern=_NUL, replacement=_ESCAPED)
        return pc.binary_join_element_wise(escaped, pa.scalar(_END, pa.binary()), pa.scalar(b"", pa.binary()))
    if pa.types.is_boolean(values.type):
        return _cut(np.asarray(values.to_numpy(zero_copy_only=False)).astype(np.uint8), 1)
    if pa.types.is_floating(values.type):
        bits = (np.asarray(values.to_numpy(zero_copy_only=False), np.float64) + 0.0).view(np.uint64)
        return _words(np.where(bits & _SIGN, ~bits, bits ^ _SIGN))
    return _words(np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False)).view(np.uint64) ^ _SIGN)


def _floats(words: Array) -> Array:
    return np.where(words & _SIGN, words ^ _SIGN, ~words).astype(np.uint64).view(np.float64)


def _words(words: Array) -> pa.Array:
    return _cut(words.astype(">u8"), _WORD)


def _cut(data: Array, size: int) -> pa.Array:
    buffers: Sequence[pa.Buffer | None] = [None, pa.py_buffer(np.ascontiguousarray(data).tobytes())]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(data), list(buffers)).cast(pa.binary())
