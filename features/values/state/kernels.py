"""Finishes sections: every window of every ask over the rows of its key, in a state and beside it. Compiled by numba."""

from typing import NamedTuple

import numpy as np
from numba import njit

from features.values.state.varints import Number, get_numbers
from features.values.sweep import NEVER_SEEN, OK, OVERFLOW

__all__ = [
    "COUNT", "COUNTED", "DIFFERENT", "DISTINCT", "LARGEST", "NEWEST", "NOTHING", "OLDEST", "SINCE", "SMALLEST", "SUM", "VALUE", "Aside", "Counted", "answer", "instants",
]  # fmt: skip

Array = np.ndarray
Beside = tuple[Number, Number, Array, Array, Array, Number]
"""Of rows beside a state: the first, the end, their instants, from when on each counts, what each adds; and the asked instant."""
COUNTED, DISTINCT, LARGEST, SMALLEST, NEWEST, OLDEST = range(6)
"""Kinds of sections."""
COUNT, SUM, DIFFERENT, VALUE, SINCE = range(5)
"""How a whole number is finished from what is counted."""
_WORD = np.int64(0xFFFFFFFF)
_HALF = np.int64(1) << 31


class Aside(NamedTuple):
    """Rows beside states, as `answer` takes them."""

    begin: Array
    """The first of each slot, a section of a state."""
    end: Array
    """Behind the last."""
    times: Array
    since: Array
    """From when on each counts."""
    more: Array
    """int64[pieces, rows], what each adds."""


_NONE = np.zeros(0, np.int64)
NOTHING = Aside(_NONE, _NONE, _NONE, _NONE, np.zeros((9, 0), np.int64))


class Counted(NamedTuple):
    """What `answer` gives."""

    made: Array
    """int64[rows, asks], what windows count."""
    values: Array
    """int64[features, asks], of those that are whole numbers."""
    null: Array
    """bool[features, asks], where there is none."""
    some: bool
    """Whether there is such a place."""
    overflow: Array
    """bool[views, asks], where one of them left int64."""
    status: Array
    """int8[views, asks] index into STATUSES."""


@njit(cache=True)
def instants(asked: Array, cuts: Array, lags: Array, horizons: Array) -> tuple[Array, Array]:
    """int64[views, asks], what is asked of each view, no later than its horizon; and from when on its states may be asked. All in microseconds UTC.

    Args:
        asked: int64[views or 1, asks].
        cuts: of each view.
        lags: from a cut to when its states may be asked.
        horizons: from a cut to the last instant that is told from others.
    """
    made, settled = np.empty((len(cuts), asked.shape[1]), np.int64), cuts + lags
    for view in range(len(cuts)):
        last, own = max(settled[view], cuts[view] + horizons[view]), asked[min(view, len(asked) - 1)]
        for q in range(len(own)):
            made[view, q] = min(own[q], last)
    return made, settled


@njit(cache=True, inline="always")
def _first_from(words: Array, low: Number, high: Number, instant: Number) -> Number:
    """The place of the first of some ascending instants that is not before one."""
    size = high - low
    while size > 0:
        half = (size + 1) >> 1
        low += half if words[np.uintp(low + half - 1)] < instant else 0
        size -= half
    return low


@njit(cache=True)
def answer(  # noqa: D417 - five are the fields of Aside
    data: Array, later: Array, words: Array, at: Array, count: Array, first_slot: Array, begin: Array, end: Array, times: Array, since: Array, more: Array, keys: Array,
    first_state: Array, instants: Array, settled: Array, after: Array, of: Array, place: Array, kind: Array, pieces: Array, once: Array, first: Array, spans: Array, rows: Array, total: int, seen: Array, how: Array,
    whole: Array, whose: Array, limit: Array,
) -> tuple[Array, Array, Array, bool, Array, Array]:  # fmt: skip
    """What every window of every ask counts, and what is finished from it in whole numbers; see `Counted`.

    Args:
        data: the states' bytes, as `layout.read_states` gives them.
        later: of each slot, a section of a state, where words are in them that are not read yet; -1 once they are.
        words: the states' rows.
        at: where those of each slot stand.
        count: how many they are.
        first_slot: of each state.
        begin, end, times, since, more: of rows beside the states, as `Aside` has it; NOTHING where there are none.
        keys: int64[views or 1, asks], the state of each ask among those of its view; one row where that is the same for all views.
        first_state: of each view.
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
        rows: the first row of what is counted that a window fills.
        total: of these rows.
        seen: a view: the row that says whether the key was ever seen; -1 where there is none.
        how: a feature that is a whole number: how it is finished.
        whole: the row that it begins with.
        whose: its view.
        limit: of different values.
    """
    asks = instants.shape[1]
    made = np.zeros((total, asks), np.int64)
    windows = first[-1] - first[0] if len(first) else 0
    lowers, uppers = np.empty(windows, np.int64), np.empty(windows, np.int64)
    for section in range(len(of)):
        view, before = of[section], instants[of[section], 0] if asks else np.int64(0)
        own = keys[min(view, len(keys) - 1)]
        for q in range(asks):
            now, slot = instants[view, q], first_slot[first_state[view] + own[q]] + place[section]
            if q == 0 or now != before:
                _edges(now, first[section], first[section + 1], spans, lowers, uppers)
                before = now
            first_beside, end_beside = (begin[slot], end[slot]) if len(times) else (np.int64(0), np.int64(0))
            beside = first_beside, end_beside, times, since, more, now
            low, size = at[slot], count[slot]
            if later[slot] >= 0 and (first_beside < end_beside or words[low + size - 1] >= settled[view]):
                later[slot] = _read(data, later[slot], words[low + size : low + 2 * size])
            if size or first_beside < end_beside:
                _windows(
                    words, low, size, first[section], first[section + 1], kind[section], pieces[section], once[section], lowers, uppers,
                    spans, settled[view], after[view], rows, beside, made, q,
                )  # fmt: skip
    overflow = np.zeros(instants.shape, np.bool_)
    values, null, some = _whole(made, instants, how, whole, whose, limit, overflow)
    return made, values, null, some, overflow, _statuses(made, seen, overflow)


@njit(cache=True)
def _read(data: Array, at: Number, words: Array) -> int:
    """Reads a list that was passed over when the states were read."""
    get_numbers(data, at, len(data), words)
    return -1


@njit(cache=True)
def _edges(now: Number, first: Number, end: Number, spans: Array, lowers: Array, uppers: Array) -> None:
    """Where some windows begin and end."""
    for w in range(first, end):
        upper, step = now - spans[0, w], spans[2, w]
        lowers[w] = (upper - spans[1, w]) // step * step
        uppers[w] = upper // step * step if spans[0, w] > 0 else upper


@njit(cache=True, inline="always")
def _windows(
    words: Array, low: Number, size: Number, first: Number, last: Number, sort: Number, pieces: Number, once: Number, lowers: Array, uppers: Array,
    spans: Array, settled: Number, after: Number, rows: Array, beside: Beside, made: Array, q: Number,
) -> None:  # fmt: skip
    """Those of one section for one ask. Most end together, and begin one before the other: what was found of one narrows the search for the next."""
    ends, alone = low + size, beside[0] == beside[1]
    lo, hi = low, ends
    for w in range(first, last):
        lower, upper, row = lowers[w], uppers[w], rows[w]
        if w == first or upper != uppers[w - 1]:
            hi = _first_from(words, low, ends, upper)
        if w > first and lower <= lowers[w - 1]:
            lo = _first_from(words, low, lo, lower)
        else:
            lo = _first_from(words, lo, ends, lower)
        end = max(lo, hi)
        behind = upper if spans[0, w] > 0 else upper + after
        if sort == COUNTED:
            for piece in range(pieces):
                made[row + piece, q] = _summed(words, low, lo, end, (1 + piece) * size)
            if not alone:
                _add(made[row : row + pieces, q], beside, lower, behind)
        elif sort == DISTINCT:
            differ = once and (end == lo or words[end - 1] < settled)
            made[row, q] = (
                end - lo if differ and alone else _distinct(words, lo, end, size, beside, lower, behind, differ)
            )
        elif end > lo or not alone:
            made[row, q], made[row + 1, q] = _outermost(words, lo, end, size, beside, lower, behind, sort)


@njit(cache=True)
def _whole(
    made: Array, instants: Array, how: Array, first: Array, whose: Array, limit: Array, overflow: Array
) -> tuple[Array, Array, bool]:
    """Whole numbers, where there is none, and whether there is such a place; `overflow` says of which views one left int64."""
    values, null, some = (
        np.empty((len(first), made.shape[1]), np.int64),
        np.zeros((len(first), made.shape[1]), np.bool_),
        False,
    )
    for feature in range(len(first)):
        row, way, view = first[feature], how[feature], whose[feature]
        for q in range(made.shape[1]):
            value, lacks = made[row, q], False
            if way == SUM:  # as `exact.total` has it
                upper = made[row + 1, q] + (made[row + 2, q] >> 32)
                lacks = upper < -_HALF or upper >= _HALF
                value = 0 if lacks else (upper << 32) | (made[row + 2, q] & _WORD)
                overflow[view, q] |= lacks
            elif way == DIFFERENT:
                value = min(value, limit[feature])
            elif way != COUNT:
                lacks = made[row + 1, q] == 0
                value = instants[view, q] - value if way == SINCE else value
            values[feature, q], null[feature, q] = value, lacks
            some |= lacks
    return values, null, some


@njit(cache=True)
def _statuses(made: Array, seen: Array, overflow: Array) -> Array:
    found = np.empty(overflow.shape, np.int8)
    for view in range(len(seen)):
        for q in range(overflow.shape[1]):
            if seen[view] < 0 or made[seen[view], q] == 0:
                found[view, q] = NEVER_SEEN
            else:
                found[view, q] = OVERFLOW if overflow[view, q] else OK
    return found


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
