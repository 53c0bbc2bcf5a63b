"""Integers as bytes: base-128 groups, the low ones first, in the shortest of four ways (docs/state.md). Compiled by numba; every read is within bounds."""

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "UNITS",
    "Number",
    "get_numbers",
    "get_times",
    "get_varint",
    "put_numbers",
    "put_times",
    "put_varint",
    "skip_numbers",
    "word_at",
]

Array = np.ndarray
Number = Any
"""An integer of 64 bits, as numba has it."""
UNITS = np.array([1, 1_000, 1_000_000, 60_000_000, 900_000_000, 3_600_000_000, 86_400_000_000], np.int64)
"""Microseconds: the longest that divides all instants of a list is what they are counted in."""

CONSTANT, PLAIN, ZIGZAG, WORDS = 0, 1, 2, 3
_WORD = 8
_MORE, _ONES, _LOW_HALF = np.uint64(0x8080808080808080), np.uint64(0x0101010101010101), np.uint64(0xFFFFFFFF)
"""Of eight bytes the bits that say that a number goes on; eight ones; the first four."""
_PLACES = np.uint64(0x0102030405060708)
"""By which one bit of the first, second … byte is multiplied to have 1, 2 … in the highest."""
_SEVENS = (
    np.uint64(0x007F007F007F007F), np.uint64(0x7F007F007F007F00), np.uint64(0x00003FFF00003FFF), np.uint64(0x3FFF00003FFF0000),
    np.uint64(0x000000000FFFFFFF), np.uint64(0x0FFFFFFF00000000),
)  # fmt: skip
"""Groups of seven bits, one and the next: of one byte each, of two, of four."""
_MORE_TO_COME = np.uint8(128)
"""A byte of a number from here on is not its last."""
_SHORT = 3
"""Bytes behind which a number that goes on further is not skipped."""


@njit(cache=True, inline="always")
def _zigzag(value: Number) -> Number:
    return np.uint64((value << 1) ^ (value >> 63))


@njit(cache=True, inline="always")
def _unzigzag(value: Number) -> Number:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@njit(cache=True, inline="always")
def _size(value: Number) -> int:
    made, rest = 1, value >> np.uint64(7)
    while rest:
        made += 1
        rest >>= np.uint64(7)
    return made


@njit(cache=True)
def put_varint(out: Array, at: int, number: Number) -> int:
    """Writes an unsigned number; where it ends."""
    rest = np.uint64(number)
    while rest >= np.uint64(128):
        out[at] = np.uint8(rest & np.uint64(127)) | np.uint8(128)
        rest >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(rest)
    return at + 1


@njit(cache=True)
def get_varint(data: Array, at: int, end: int) -> tuple[Number, int]:
    """An unsigned number and where it ends; -1 where the bytes are over before it, or it has more than 64 bits."""
    made, shift = np.uint64(0), 0
    while at < end and shift < 70:  # noqa: PLR2004 - ten groups
        byte = data[at]
        made |= np.uint64(byte & np.uint8(127)) << np.uint64(shift)
        at += 1
        if byte < np.uint8(128):
            return np.int64(made), at
        shift += 7
    return np.int64(0), -1


@njit(cache=True)
def put_numbers(out: Array, at: int, values: Array) -> int:
    """Writes a list of at least one number, without its length."""
    plain, zigzag, same, signed = 0, 0, True, False
    for value in values:
        plain += _size(np.uint64(value))
        zigzag += _size(_zigzag(value))
        same &= value == values[0]
        signed |= value < 0
    if same:
        out[at] = CONSTANT
        return put_varint(out, at + 1, _zigzag(values[0]))
    if min(plain, zigzag) >= _WORD * len(values):
        out[at] = WORDS
        at += 1
        for value in values:
            word = np.uint64(value)
            for shift in range(0, 64, 8):
                out[at] = np.uint8((word >> np.uint64(shift)) & np.uint64(255))
                at += 1
        return at
    out[at] = ZIGZAG if signed else PLAIN
    at += 1
    for value in values:
        at = put_varint(out, at, _zigzag(value) if signed else np.uint64(value))
    return at


@njit(cache=True)
def get_numbers(data: Array, at: int, end: int, made: Array) -> int:
    """Fills a list; where its bytes end, -1 where they are over before it or of no known way."""
    if at < 0 or at >= end:
        return -1
    way = data[at]
    at += 1
    if way == CONSTANT:
        number, at = get_varint(data, at, end)
        made[:] = _unzigzag(np.uint64(number))
        return at
    if way == WORDS:
        if at + _WORD * len(made) > end:
            return -1
        for i in range(len(made)):
            made[i] = np.int64(word_at(data, at))
            at += _WORD
        return at
    if way not in (PLAIN, ZIGZAG):
        return -1
    for i in range(len(made)):
        number, at = _number(data, at, end)
        if at < 0:
            return -1
        made[i] = number if way == PLAIN else _unzigzag(np.uint64(number))
    return at


@njit(cache=True, inline="always")
def _number(data: Array, at: Number, end: Number) -> tuple[Number, Number]:
    """As `get_varint`; one of a few bytes is read at once, of several of them in eight."""
    if at < end and data[np.uintp(at)] < _MORE_TO_COME:
        return np.int64(data[np.uintp(at)]), at + 1
    if at + _WORD > len(data):
        return get_varint(data, at, end)
    word = word_at(data, at)
    last = ~word & _MORE
    last &= ~last + np.uint64(1)
    behind = at + np.int64(((last >> np.uint64(7)) * _PLACES) >> np.uint64(56))
    if last == np.uint64(0) or behind > end:
        return get_varint(data, at, end)
    word &= (last - np.uint64(1)) & ~_MORE
    word = (word & _SEVENS[0]) | ((word & _SEVENS[1]) >> np.uint64(1))
    word = (word & _SEVENS[2]) | ((word & _SEVENS[3]) >> np.uint64(2))
    return np.int64((word & _SEVENS[4]) | ((word & _SEVENS[5]) >> np.uint64(4))), behind


@njit(cache=True)
def skip_numbers(data: Array, at: int, end: int, count: int) -> int:
    """Where a list of so many ends, which is read by `get_numbers` then; -1 where that must say it: of one that is short, or has large numbers, or is no list."""
    if at >= end:
        return -1
    way, left = data[at], count
    at += 1
    if way == WORDS:
        return at + _WORD * count if at + _WORD * count <= end else -1
    if way not in (PLAIN, ZIGZAG):
        return -1
    while left > _WORD and at + _WORD <= end:
        more = word_at(data, at) & _MORE
        if more & _LOW_HALF == _MORE & _LOW_HALF or more >> np.uint64(32) == _MORE >> np.uint64(32):
            return -1  # a number that is too long would have four such bytes here or in the next word
        left -= int((((more ^ _MORE) >> np.uint64(7)) * _ONES) >> np.uint64(56))
        at += _WORD
    run = 0
    while left > 0 and at < end:
        run = run + 1 if data[at] >= np.uint8(128) else 0
        if run == _SHORT:
            return -1
        left -= run == 0
        at += 1
    return at if left == 0 else -1


@njit(cache=True)
def put_times(out: Array, at: int, times: Array, cut: int) -> int:
    """Writes instants in ascending order, at least one: the unit, the first less the cut, what each is later than the one before."""
    unit = len(UNITS) - 1
    while unit > 0:
        fits = True
        for time in times:
            if (time - cut) % UNITS[unit]:
                fits = False
                break
        if fits:
            break
        unit -= 1
    out[at] = unit
    size, before = UNITS[unit], cut
    at = put_varint(out, at + 1, _zigzag((times[0] - cut) // size))
    before = times[0]
    for time in times[1:]:
        at = put_varint(out, at, (time - before) // size)
        before = time
    return at


@njit(cache=True)
def get_times(data: Array, at: int, end: int, cut: Number, made: Array) -> int:
    """Fills a list of instants; where its bytes end, -1 where they are over before it."""
    if at < 0 or at >= end or data[at] >= len(UNITS):
        return -1
    size = UNITS[data[at]]
    number, at = get_varint(data, at + 1, end)
    time = cut + _unzigzag(np.uint64(number)) * size
    if at < 0:
        return -1
    made[0] = time
    for i in range(1, len(made)):
        if at < end and data[np.uintp(at)] < _MORE_TO_COME:  # as most are
            time += np.int64(data[np.uintp(at)]) * size
            at += 1
        else:
            number, at = get_varint(data, at, end)
            if at < 0:
                return -1
            time += number * size
        made[i] = time
    return at


@njit(cache=True, inline="always")
def word_at(data: Array, at: Number) -> Number:
    """Eight bytes as an unsigned number, the lowest first; one load, since the places are unsigned."""
    i = np.uintp(at)
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uintp(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uintp(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uintp(3)]) << np.uint64(24)
        | np.uint64(data[i + np.uintp(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uintp(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uintp(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uintp(7)]) << np.uint64(56)
    )
