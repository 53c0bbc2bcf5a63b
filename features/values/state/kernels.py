"""Finishes sections: every window of every ask over the rows of its key, in a state and beside it. Compiled by numba."""

import numpy as np
from numba import njit

from features.values.state.varints import Number

__all__ = ["COUNTED", "DISTINCT", "LARGEST", "NEWEST", "OLDEST", "SMALLEST", "answer"]

Array = np.ndarray
Beside = tuple[Number, Number, Array, Array, Array, Number]
"""Of rows beside a state: the first, the end, their instants, from when on each counts, what each adds; and the asked instant."""
COUNTED, DISTINCT, LARGEST, SMALLEST, NEWEST, OLDEST = range(6)


@njit(cache=True, inline="always")
def _first_from(words: Array, low: Number, high: Number, instant: Number) -> Number:
    """The place of the first of some ascending instants that is not before one."""
    while low < high:
        middle = (low + high) // 2
        if words[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def answer(
    words: Array, at: Array, count: Array, begin: Array, end: Array, times: Array, since: Array, more: Array, slots: Array, instants: Array,
    settled: Array, after: Array, of: Array, place: Array, kind: Array, pieces: Array, once: Array, first: Array, spans: Array, rows: Array, made: Array,
) -> None:  # fmt: skip
    """Fills `made`, int64[rows, asks].

    Args:
        words: the states' rows, as `layout.read_states` gives them.
        at: where those of each slot, a section of a state, stand.
        count: how many they are.
        begin: the first row beside the state, a slot; `end`: behind the last.
        end: see `begin`.
        times: of rows beside the states.
        since: from when on each counts.
        more: int64[pieces, rows], what each adds.
        slots: int64[views, asks], the first slot of the ask's state.
        instants: int64[views, asks].
        settled: a view: of values that a state holds once, rows from here on may repeat one.
        after: a view: how far windows without offset reach beyond the asked instant, for rows beside the states.
        of: the view of a section.
        place: its number in its view.
        kind: of a section.
        pieces: words of a section's rows that are summed.
        once: whether the settled rows of a section hold each value once.
        first: a section's first window, and one more.
        spans: int64[3, windows], offset, length and step, in microseconds.
        rows: the first of `made` that a window fills.
        made: what is filled.
    """
    for section in range(len(of)):
        view, sort = of[section], kind[section]
        for q in range(slots.shape[1]):
            now, slot = instants[view, q], slots[view, q] + place[section]
            low, size = at[slot], count[slot]
            beside = begin[slot], end[slot], times, since, more, now
            for w in range(first[section], first[section + 1]):
                upper, step, row = now - spans[0, w], spans[2, w], rows[w]
                lower = (upper - spans[1, w]) // step * step
                if spans[0, w] > 0:
                    upper = upper // step * step
                behind = upper if spans[0, w] > 0 else upper + after[view]
                lo = _first_from(words, low, low + size, lower)
                hi = max(lo, _first_from(words, lo, low + size, upper))
                if sort == COUNTED:
                    for piece in range(pieces[section]):
                        made[row + piece, q] = _summed(words, low, lo, hi, (1 + piece) * size)
                    _add(made[row : row + pieces[section], q], beside, lower, behind)
                elif sort == DISTINCT:
                    alone = once[section] and (hi == lo or words[hi - 1] < settled[view])
                    made[row, q] = _distinct(words, lo, hi, size, beside, lower, behind, alone)
                else:
                    made[row, q], made[row + 1, q] = _outermost(words, lo, hi, size, beside, lower, behind, sort)


@njit(cache=True, inline="always")
def _summed(words: Array, low: Number, lo: Number, hi: Number, column: Number) -> Number:
    """Of words that are sums of all rows up to theirs, what rows from `lo` to `hi` add."""
    if hi == lo:
        return 0
    return words[column + hi - 1] - words[column + lo - 1] if lo > low else words[column + hi - 1]


@njit(cache=True)
def _add(made: Array, beside: Beside, lower: Number, upper: Number) -> None:
    begin, end, times, since, more, now = beside
    for i in range(begin, end):
        if since[i] <= now and lower <= times[i] < upper:
            for piece in range(len(made)):
                made[piece] += more[piece, i]


@njit(cache=True)
def _distinct(
    words: Array, lo: Number, hi: Number, size: Number, beside: Beside, lower: Number, upper: Number, alone: Number
) -> Number:  # fmt: skip
    """Different words; `alone`: those of the state differ."""
    begin, end, times, since, more, now = beside
    fresh = 0
    for i in range(begin, end):
        if since[i] <= now and lower <= times[i] < upper:
            fresh += 1
    if alone and not fresh:
        return hi - lo
    seen = np.empty(hi - lo + fresh, np.int64)
    seen[: hi - lo] = words[lo + size : hi + size]
    found = hi - lo
    for i in range(begin, end):
        if since[i] <= now and lower <= times[i] < upper:
            seen[found] = more[0, i]
            found += 1
    seen.sort()
    made = min(len(seen), 1)
    for i in range(1, len(seen)):
        made += seen[i] != seen[i - 1]
    return made


@njit(cache=True)
def _outermost(
    words: Array, lo: Number, hi: Number, size: Number, beside: Beside, lower: Number, upper: Number, sort: Number
) -> tuple[Number, bool]:
    """The largest or smallest word, or the newest or oldest instant, and whether there is one."""
    begin, end, times, since, more, now = beside
    found, most = hi > lo, sort in (NEWEST, LARGEST)
    value: Number = np.int64(0)
    if found and sort in (NEWEST, OLDEST):
        value = words[hi - 1] if most else words[lo]
    elif found:
        value = words[lo + size]
        for i in range(lo + 1 + size, hi + size):
            value = max(value, words[i]) if most else min(value, words[i])
    for i in range(begin, end):
        if since[i] <= now and lower <= times[i] < upper:
            other = more[0, i]
            if not found or (other > value if most else other < value):
                value = other
            found = True
    return value, found
