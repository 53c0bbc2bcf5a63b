"""The bytes of a state, as docs/state.md has them: a version, a checksum, sections, rows. A state that is damaged is told from one that is whole."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from features.values.state import varints as coded
from features.values.state.blocks import Block, write_blocks
from features.values.state.varints import get_numbers, get_times, get_varint, put_numbers, put_times, put_varint

__all__ = ["HEADER", "VERSION", "Chunk", "Sections", "read_sections", "write"]

Array = np.ndarray
VERSION = 1
HEADER = 5
"""Bytes: the version, and a CRC32 of all that follows."""

MOST = 1 << 24
"""Rows of a section: more are no state."""


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
    out = np.empty(coded.room(len(times) + len(words), lists), np.uint8)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """The sections of some states: row i of section s of state k has its instant at `words[at[k, s] + i]`, and word w after (w + 1) * count[k, s] more."""

    words: Array
    at: Array
    count: Array
    rest: Array
    """Where each state's blocks begin, in all bytes; -1 of a state that is damaged."""


def read_sections(data: bytes, starts: Array, widths: Array, cut: int) -> Sections:
    """Reads states that stand one after the other; `starts` is where each begins, and where the last one ends."""
    whole = np.frombuffer(data, np.uint8)
    states = len(starts) - 1
    shape = states, len(widths)
    at, count, rest = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.empty(states, np.int64)
    for state in range(states):
        begin, end = int(starts[state]), int(starts[state + 1])
        body = memoryview(data)[begin + HEADER : end]
        good = (
            end - begin > HEADER and data[begin] == VERSION
            and zlib.crc32(body) == int.from_bytes(data[begin + 1 : begin + HEADER], "little")
        )  # fmt: skip
        rest[state] = begin + HEADER if good else -1
    # A state has no more rows than bytes, save where all numbers of a list are the same: room grows until all fit.
    words = np.empty(4 * len(data) + 64, np.int64)
    while (needed := _read_sections(whole, starts, widths, cut, rest, at, count, words)) > len(words):
        words = np.empty(needed, np.int64)
    return Sections(words=words, at=at, count=count, rest=rest)


@njit(cache=True)
def _read_sections(
    data: Array, starts: Array, widths: Array, cut: int, rest: Array, at: Array, count: Array, words: Array
) -> int:
    """Fills `words` as far as they go, and says how many there are; only then `rest` moves on."""
    found, used = np.empty_like(rest), 0
    scratch = np.empty(0, np.int64)
    for state in range(len(rest)):
        place, end = rest[state], starts[state + 1]
        for section in range(len(widths)):
            at[state, section], count[state, section] = used, 0
            if place < 0:
                continue
            rows, place = get_varint(data, place, end)
            if place < 0 or rows < 0 or rows > MOST:
                place = -1
                continue
            if rows == 0:
                continue
            total = rows * (1 + widths[section])
            fits = used + total <= len(words)
            if not fits and len(scratch) < rows:
                scratch = np.empty(rows, np.int64)
            place = get_times(data, place, end, cut, words[used : used + rows] if fits else scratch[:rows])
            for word in range(widths[section]):
                if place >= 0:
                    low = used + (1 + word) * rows
                    place = get_numbers(data, place, end, words[low : low + rows] if fits else scratch[:rows])
            if place >= 0:
                count[state, section] = rows
                used += total
        if place < 0:
            count[state, :] = 0
        found[state] = place
    if used <= len(words):
        rest[:] = found
    return used
