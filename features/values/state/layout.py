"""The bytes of a state, as docs/state.md has them: a version, a checksum, sections, rows. A state that is damaged is told from one that is whole."""

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from features.values.state.blocks import Block, write_blocks
from features.values.state.bounds import HEADER, room
from features.values.state.varints import (
    Number,
    get_numbers,
    get_times,
    get_varint,
    put_numbers,
    put_times,
    put_varint,
    skip_numbers,
    word_at,
)

__all__ = ["VERSION", "Chunk", "Sections", "read_states", "write"]

Array = np.ndarray
VERSION = 1
_WORD = 8
MOST = 1 << 24
"""Rows of a section: more are no state."""
_LEAST, _KEPT = 4096, 1 << 22
"""Words that there is room for, and of which the room is kept for the next states."""


class _Room(threading.local):
    """A thread's room for words: memory that was touched is not asked for again."""

    words: Array = np.empty(0, np.int64)


_ROOM = _Room()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One section of many keys: rows in the order of keys and instants."""

    key: Array
    time: Array
    words: tuple[Array, ...]


def write(keys: int, chunks: Sequence[Chunk], rows: Block, waiting: Block, cut: int) -> pa.Array:
    """The states of key codes 0, 1, …; null where there is no row of any kind. `rows` all count at once; `waiting` say from when on."""
    parts = zip(
        _sections(keys, chunks, cut), write_blocks(keys, rows, cut, timed=False), write_blocks(keys, waiting, cut, timed=True), strict=True
    )  # fmt: skip
    nothing = bytes(len(chunks) + 2)
    made: list[bytes | None] = []
    for part in parts:
        whole = b"".join(part)
        head = bytes((VERSION,)) + zlib.crc32(whole).to_bytes(4, "little")
        made.append(None if whole == nothing else head + whole)
    return pa.array(made, pa.binary())


def _sections(keys: int, chunks: Sequence[Chunk], cut: int) -> list[bytes]:
    if not chunks:
        return [b""] * keys
    starts = np.stack([np.searchsorted(chunk.key, np.arange(keys + 1)) for chunk in chunks])
    widths = np.array([len(chunk.words) for chunk in chunks], np.int64)
    times = np.concatenate([chunk.time for chunk in chunks])
    words = np.concatenate([np.zeros(0, np.int64), *(word for chunk in chunks for word in chunk.words)])
    begins = np.cumsum([0, *(len(chunk.time) for chunk in chunks)])[:-1]
    lists = keys * int((widths + 2).sum())
    out = np.empty(room(len(times) + len(words), lists), np.uint8)
    ends = _write_sections(starts, widths, begins, times, words, cut, out)
    data = out[: ends[-1] if keys else 0].tobytes()
    return [data[begin:end] for begin, end in zip([0, *ends.tolist()][:-1], ends.tolist(), strict=True)]


@njit(cache=True)
def _write_sections(
    starts: Array, widths: Array, begins: Array, times: Array, words: Array, cut: int, out: Array
) -> Array:
    ends = np.zeros(starts.shape[1] - 1, np.int64)
    at = 0
    for key in range(len(ends)):
        first = 0
        for section in range(len(widths)):
            low, high = starts[section, key], starts[section, key + 1]
            rows = starts[section, -1]
            at = put_varint(out, at, high - low)
            if high > low:
                at = put_times(out, at, times[begins[section] + low : begins[section] + high], cut)
                for word in range(widths[section]):
                    column = first + word * rows
                    at = put_numbers(out, at, words[column + low : column + high])
            first += widths[section] * rows
        ends[key] = at
    return ends


class Sections(NamedTuple):
    """The sections of some states, a slot each.

    The instants of its rows, ascending, are the `size` words from `at` on; then comes a word of each row, and another, as many as the section
    has. Words of sections that are summed are the sums of all rows up to theirs; those of one that is seldom looked at may not be read, and have no room then.
    """

    words: Array
    """Until the next states are read in this thread."""

    later: Array
    """Of each slot where in `data` its words are if they are not read; else -1."""
    at: Array
    size: Array
    slot: Array
    """The first slot of each state."""

    rest: Array
    """Where each state's blocks begin, in all bytes; where it ends, if they have no row; -1 of a state that is damaged."""

    starts: Array
    """Where each begins, and where the last one ends."""

    unread: bool
    """Whether any has blocks with rows."""

    broken: bool
    """Whether any that has bytes is damaged."""

    data: Array
    """All bytes."""


def read_states(
    data: bytes, sizes: Sequence[int], first_state: Array, cuts: Array, first: Array, widths: Array, limbs: Array, once: Array
) -> Sections:  # fmt: skip
    """Reads states that stand one after the other, those of a view together.

    Args:
        data: all of them.
        sizes: the bytes of each.
        first_state: of each view, and one more.
        cuts: of each view, in microseconds UTC.
        first: each view's first section, and one more.
        widths: words of a section's rows.
        limbs: of a section: -1 where its words are not summed; else 1 where the second and third are the sum of a value, or 0.
        once: of a section whether each row has a word that no other has, so that it does to count rows: the words are read when they are needed.
    """
    whole, lengths = np.frombuffer(data, np.uint8), np.array(sizes, np.int64)
    # Few states have more words than bytes: room grows until all fit.
    words = _ROOM.words if len(_ROOM.words) >= len(data) else np.empty(len(data) + _LEAST, np.int64)
    while True:
        needed, found = _read_all(whole, lengths, first_state, cuts, first, widths, limbs, once, _CRC, words)
        if needed <= len(words):
            if len(words) <= _KEPT:
                _ROOM.words = words
            return Sections(words, *found, whole)
        words = np.empty(2 * needed, np.int64)


@njit(cache=True)
def _read_all(
    data: Array, sizes: Array, first_state: Array, cuts: Array, first: Array, widths: Array, limbs: Array, once: Array, tables: Array, words: Array,
) -> tuple[int, tuple[Array, Array, Array, Array, Array, Array, bool, bool]]:  # fmt: skip
    """Fills `words`, and says how many there are, of which so many fit; the rest as `Sections` has it."""
    starts, slots = np.zeros(len(sizes) + 1, np.int64), np.zeros(len(sizes) + 1, np.int64)
    views = np.empty(len(sizes), np.int64)
    for view in range(len(first_state) - 1):
        for state in range(first_state[view], first_state[view + 1]):
            views[state] = view
            starts[state + 1] = starts[state] + sizes[state]
            slots[state + 1] = slots[state] + first[view + 1] - first[view]
    rest = _whole_ones(data, starts, tables)
    at, count, later = np.zeros(slots[-1], np.int64), np.zeros(slots[-1], np.int64), np.full(slots[-1], -1)
    needed = _read_states(data, starts, views, cuts, first, widths, limbs, once, slots, rest, at, count, later, words)
    unread, broken = False, False
    for state in range(len(sizes)):
        unread |= rest[state] >= 0 and rest[state] != starts[state + 1]
        broken |= rest[state] < 0 and sizes[state] > 0
    return needed, (later, at, count, slots, rest, starts, unread, broken)


def _crc_tables() -> Array:
    """uint64[8, 256]: of CRC32 as zlib has it, for a byte that is followed by none to seven others (Kounavis and Berry 2005, slicing by eight)."""
    table: Array = np.arange(256)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, 0xEDB88320, 0)
    made = [table]
    for _ in range(7):
        made.append((made[-1] >> 8) ^ table[made[-1] & 0xFF])
    return np.stack(made).astype(np.uint64)


_CRC = _crc_tables()


@njit(cache=True)
def _whole_ones(data: Array, starts: Array, tables: Array) -> Array:
    """Where the sections of each state begin; -1 of one that is empty, of another version, or not what its checksum says."""
    made = np.empty(len(starts) - 1, np.int64)
    for state in range(len(made)):
        begin, end = starts[state], starts[state + 1]
        made[state] = -1
        if end - begin <= HEADER or data[begin] != VERSION:
            continue
        crc, at = np.uint64(0xFFFFFFFF), begin + HEADER
        while at + _WORD <= end:
            word = crc ^ word_at(data, at)
            crc = (
                tables[7, _byte(word, 0)] ^ tables[6, _byte(word, 1)] ^ tables[5, _byte(word, 2)] ^ tables[4, _byte(word, 3)]
                ^ tables[3, _byte(word, 4)] ^ tables[2, _byte(word, 5)] ^ tables[1, _byte(word, 6)] ^ tables[0, _byte(word, 7)]
            )  # fmt: skip
            at += _WORD
        while at < end:
            crc = tables[0, _byte(crc ^ np.uint64(data[at]), 0)] ^ (crc >> np.uint64(8))
            at += 1
        told = np.uint64(0)
        for place in range(4):
            told |= np.uint64(data[begin + 1 + place]) << np.uint64(8 * place)
        if crc ^ np.uint64(0xFFFFFFFF) == told:
            made[state] = begin + HEADER
    return made


@njit(cache=True, inline="always")
def _byte(word: Number, place: int) -> Number:
    return np.uintp(word >> np.uint64(8 * place) & np.uint64(255))


@njit(cache=True)
def _read_states(
    data: Array, starts: Array, views: Array, cuts: Array, first: Array, widths: Array, limbs: Array, once: Array, slots: Array, rest: Array, at: Array,
    count: Array, later: Array, words: Array,
) -> int:  # fmt: skip
    """Fills `words`, and says how many there are; more than there is room for once they do not fit, before it is known how many. Only of those that fit `rest` moves on."""
    found, used = np.empty_like(rest), 0
    for state in range(len(rest)):
        place, end, view = rest[state], starts[state + 1], views[state]
        for section in range(first[view], first[view + 1]):
            slot, width = slots[state] + section - first[view], widths[section]
            at[slot], count[slot], later[slot] = used, 0, -1
            if place < 0:
                continue
            rows, place = get_varint(data, place, end)
            if place < 0 or rows < 0 or rows > min(MOST, end - place):  # of instants each takes a byte at least
                place = -1
                continue
            if rows == 0:
                continue
            if used + rows * (1 + width) > len(words):
                return int(used + rows * (1 + width))
            place = get_times(data, place, end, cuts[view], words[used : used + rows])
            behind = skip_numbers(data, place, end, rows) if once[section] and place >= 0 else -1
            if behind >= 0:
                later[slot], place, width = place, behind, 0
            for word in range(1, 1 + width):
                if place >= 0:
                    place = get_numbers(data, place, end, words[used + word * rows : used + (1 + word) * rows])
            if place >= 0:
                if limbs[section] >= 0:
                    _sum_up(words[used + rows : used + rows * (1 + width)], rows, limbs[section])
                count[slot] = rows
                used += rows * (1 + width)
        if place < 0:
            count[slots[state] : slots[state + 1]] = 0
        elif place + 2 == end and data[place] == 0 and data[place + 1] == 0:
            place = end
        found[state] = place
    rest[:] = found
    return used


@njit(cache=True)
def _sum_up(words: Array, rows: int, limbs: int) -> None:
    """Each word of a row becomes the sum of all up to it; before that the two words of a value's sum become its limbs (`exact.sum_limbs`)."""
    if limbs:
        for i in range(rows, 2 * rows):
            low, high = words[i], words[i + rows]
            words[i], words[i + rows] = (low >> 32) + (high << 32), low & 0xFFFFFFFF
    for column in range(0, len(words), rows):
        for i in range(column + 1, column + rows):
            words[i] += words[i - 1]
