"""The 64-bit hash of a value's canonical bytes (XXH64, seed 0, after Collet's specification): what `distinct` counts.

Canonical bytes: text as UTF-8, integers, floats and instants as 8 bytes little endian (-0.0 is 0.0), booleans as one byte.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.values.columns import as_type, present

__all__ = ["hash64", "row_hashes"]

_P1, _P2, _P3 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_P4, _P5 = np.uint64(0x85EBCA77C2B2AE63), np.uint64(0x27D4EB2F165667C5)
_U = np.uint64


@njit(cache=True, inline="always")
def _rotate(x: np.uint64, by: int) -> np.uint64:
    return (x << _U(by)) | (x >> _U(64 - by))


@njit(cache=True, inline="always")
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, 31) * _P1


@njit(cache=True, inline="always")
def _word(data: np.ndarray, at: int, size: int) -> np.uint64:
    made = _U(0)
    for i in range(size):
        made |= _U(data[at + i]) << _U(8 * i)
    return made


@njit(cache=True)
def _xxh64(data: np.ndarray, start: int, stop: int, seed: np.uint64) -> np.uint64:
    length, at = stop - start, start
    if length >= 32:  # noqa: PLR2004
        a, b, c, d = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
        while stop - at >= 32:  # noqa: PLR2004
            a, b = _round(a, _word(data, at, 8)), _round(b, _word(data, at + 8, 8))
            c, d = _round(c, _word(data, at + 16, 8)), _round(d, _word(data, at + 24, 8))
            at += 32
        h = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        for lane in (a, b, c, d):
            h = (h ^ _round(_U(0), lane)) * _P1 + _P4
    else:
        h = seed + _P5
    h += _U(length)
    while stop - at >= 8:  # noqa: PLR2004
        h = _rotate(h ^ _round(_U(0), _word(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if stop - at >= 4:  # noqa: PLR2004
        h = _rotate(h ^ (_word(data, at, 4) * _P1), 23) * _P2 + _P3
        at += 4
    while at < stop:
        h = _rotate(h ^ (_U(data[at]) * _P5), 11) * _P1
        at += 1
    h = (h ^ (h >> _U(33))) * _P2
    h = (h ^ (h >> _U(29))) * _P3
    return h ^ (h >> _U(32))


@njit(cache=True)
def _hash_spans(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    made = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(made)):
        made[i] = _xxh64(data, offsets[i], offsets[i + 1], _U(0))
    return made


@njit(cache=True)
def _fold_spans(data: np.ndarray, offsets: np.ndarray, valid: np.ndarray, made: np.ndarray) -> None:
    for i in range(len(made)):
        if valid[i]:
            made[i] = _xxh64(data, offsets[i], offsets[i + 1], made[i])


def hash64(values: pa.Array) -> np.ndarray:
    """uint64 a value; the hash of a null is undefined, so drop nulls first."""
    data, offsets = _spans(values, bool_bytes=1)
    return np.asarray(_hash_spans(data, offsets))


def row_hashes(columns: Sequence[pa.Array]) -> np.ndarray:
    """int64 a row, as Spark's xxhash64 of the columns: each value is hashed with what was made of those before it as the seed, 42 first; a null changes nothing."""
    made = np.full(len(columns[0]), 42, np.uint64)
    for values in columns:
        data, offsets = _spans(values, bool_bytes=4)
        _fold_spans(data, offsets, present(values), made)
    return made.view(np.int64)


def _spans(values: pa.Array, *, bool_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all values, and where each begins, with the end of the last."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if not len(values):
            return np.zeros(0, np.uint8), np.zeros(1, np.int64)
        if values.offset:
            values = pa.concat_arrays([values, pa.array([], kind)])
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, np.int32 if pa.types.is_string(kind) else np.int64, len(values) + 1)
        return np.frombuffer(data or b"", np.uint8), bounds.astype(np.int64, copy=False)
    if pa.types.is_boolean(kind):
        raw = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(f"<u{bool_bytes}")
        return raw.view(np.uint8), np.arange(len(raw) + 1, dtype=np.int64) * bool_bytes
    if pa.types.is_floating(kind):
        words = (np.asarray(pc.fill_null(values, 0.0)) + 0.0).astype("<f8")
    else:
        words = np.asarray(pc.fill_null(as_type(values, pa.int64()), 0)).astype("<i8")
    return words.view(np.uint8), np.arange(len(words) + 1, dtype=np.int64) * 8
