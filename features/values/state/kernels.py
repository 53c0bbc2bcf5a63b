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
COUNTED, DISTINCT, LARGEST, SMALLEST, NEWEST, OLDEST = range(6)
"""Kinds of sections."""
_FEW = 64
"""Rows beside a state of which each is compared with each: more are sorted."""
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
    first_state: Array, instants: Array, settled: Array, after: Array, sections: Array, kind: Array, pieces: Array, once: Array, first: Array, edge: Array, spans: Array, first_span: Array, rows: Array,
    total: int, seen: Array, how: Array, whole: Array, whose: Array, limit: Array,
) -> tuple[Array, Array, Array, bool, Array, Array]:  # fmt: skip
    """What every window of every ask counts, and what is finished from it in whole numbers; see `Counted`.

    Args:
        data: the states' bytes, as `layout.read_states` gives them.
        later: of each slot, a section of a state, where in them its words are if they are not read; else -1.
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
        sections: a view's first section, and one more.
        kind: of a section.
        pieces: words of a section's rows that are summed.
        once: whether the settled rows of a section hold each value once.
        first: a section's first window, and one more.
        edge: of a window its span, of which several windows of a view may have the same.
        spans: int64[3, spans], offset, length and step, in microseconds.
        first_span: of each view, and one more.
        rows: the first row of what is counted that a window fills.
        total: of these rows.
        seen: a view: the row that says whether the key was ever seen; -1 where there is none.
        how: a feature that is a whole number: how it is finished.
        whole: the row that it begins with.
        whose: its view.
        limit: of different values.
    """
    asks, aside = instants.shape[1], len(times) > 0
    made = np.zeros((total, asks), np.int64)
    lowers, uppers = np.empty(spans.shape[1], np.int64), np.empty(spans.shape[1], np.int64)
    for view in range(len(sections) - 1):
        own = keys[min(view, len(keys) - 1)]
        for q in range(asks):
            now, slot = instants[view, q], first_slot[first_state[view] + own[q]]
            if q == 0 or now != instants[view, q - 1]:
                _edges(now, first_span[view], first_span[view + 1], spans, lowers, uppers)
            for section in range(sections[view], sections[view + 1]):
                if count[slot]:
                    _windows(
                        data, later[slot], words, at[slot], count[slot], first[section], first[section + 1], kind[section], pieces[section], once[section], edge, lowers,
                        uppers, settled[view], rows, made, q,
                    )  # fmt: skip
                if aside and begin[slot] < end[slot]:
                    _beside(
                        data, later[slot], words, at[slot], count[slot], first[section], first[section + 1], kind[section], once[section], edge, lowers, uppers, spans, after[view],
                        settled[view], rows, begin[slot], end[slot], times, since, more[: max(pieces[section], 1)], now, made, q,
                    )  # fmt: skip
                slot += 1
    overflow = np.zeros(instants.shape, np.bool_)
    values, null, some = _whole(made, instants, how, whole, whose, limit, overflow)
    return made, values, null, some, overflow, _statuses(made, seen, overflow)


@njit(cache=True)
def _edges(now: Number, first: Number, end: Number, spans: Array, lowers: Array, uppers: Array) -> None:
    """Where windows of some spans begin and end."""
    for n in range(first, end):
        upper, step = now - spans[0, n], spans[2, n]
        lowers[n] = (upper - spans[1, n]) // step * step
        uppers[n] = upper // step * step if spans[0, n] > 0 else upper


@njit(cache=True, inline="always")
def _windows(
    data: Array, later: Number, words: Array, low: Number, size: Number, first: Number, last: Number, sort: Number, pieces: Number, once: Number, edge: Array, lowers: Array,
    uppers: Array, settled: Number, rows: Array, made: Array, q: Number,
) -> None:  # fmt: skip
    """Those of one section for one ask, from its state. Most end together, and begin one before the other: what was found of one narrows the search for the next."""
    ends = low + size
    lo, hi, last_lower, last_upper = low, ends, lowers[0], uppers[0]
    for w in range(first, last):
        n, row = edge[w], rows[w]
        lower, upper = lowers[n], uppers[n]
        if w == first or upper != last_upper:  # most end after the last row
            hi = ends if words[np.uintp(ends - 1)] < upper else _first_from(words, low, ends, upper)
        if w > first and lower <= last_lower:
            lo = _first_from(words, low, lo, lower)
        else:
            lo = _first_from(words, lo, ends, lower)
        last_lower, last_upper = lower, upper
        if hi <= lo:
            continue
        if sort == COUNTED:
            for piece in range(pieces):
                made[row + piece, q] = _summed(words, low, lo, hi, (1 + piece) * size)
        elif sort == DISTINCT:
            differ = once and words[np.uintp(hi - 1)] < settled
            made[row, q] = (
                hi - lo if differ else _different(_values(data, later, words, low, size)[lo - low : hi - low])
            )
        else:
            made[row, q], made[row + 1, q] = _outermost(words, lo, hi, size, sort), 1


@njit(cache=True)
def _beside(
    data: Array, later: Number, words: Array, low: Number, size: Number, first: Number, last: Number, sort: Number, once: Number, edge: Array, lowers: Array, uppers: Array,
    spans: Array, after: Number, settled: Number, rows: Array, begin: Number, end: Number, times: Array, since: Array, more: Array, now: Number, made: Array, q: Number,
) -> None:  # fmt: skip
    """What rows beside the state add to windows of one section for one ask, once these are told from the state."""
    while begin < end and since[begin] > now:  # the section does not take it, or it does not count yet
        begin += 1
    if begin == end:
        return
    values = _values(data, later, words, low, size) if sort == DISTINCT else words[:0]
    few = once and end - begin <= _FEW
    before, held = _before(more[0, begin:end], values) if sort == DISTINCT and few else (words[:0], words[:0])
    for w in range(first, last):
        n, row = edge[w], rows[w]
        lower, upper, fresh = lowers[n], uppers[n] if spans[0, n] > 0 else uppers[n] + after, 0
        for i in range(begin, end):
            if since[i] <= now and lower <= times[i] < upper:
                fresh += 1
                if sort == COUNTED:
                    for piece in range(len(more)):
                        made[row + piece, q] += more[piece, i]
                elif sort != DISTINCT:
                    value, other, most = made[row, q], more[0, i], sort in (NEWEST, LARGEST)
                    if not made[row + 1, q] or (other > value if most else other < value):
                        made[row, q], made[row + 1, q] = other, 1
        if sort == DISTINCT and fresh:
            lo = _first_from(words, low, low + size, lower)
            hi = max(lo, _first_from(words, low, low + size, uppers[n]))
            if few and (hi == lo or words[np.uintp(hi - 1)] < settled):  # those of the state differ
                made[row, q] = (
                    hi
                    - lo
                    + _new(before, held, lo - low, hi - low, times[begin:end], since[begin:end], lower, upper, now)
                )
                continue
            seen = np.empty(hi - lo + fresh, np.int64)
            seen[: hi - lo] = values[lo - low : hi - low]
            fresh = hi - lo
            for i in range(begin, end):
                if since[i] <= now and lower <= times[i] < upper:
                    seen[fresh] = more[0, i]
                    fresh += 1
            made[row, q] = _different(seen)


@njit(cache=True)
def _before(fresh: Array, values: Array) -> tuple[Array, Array]:
    """Of each of a few fresh values the place of the same one before it, and of the first that is the same among a state's; -1: there is none."""
    before, held = np.empty(len(fresh), np.int64), np.empty(len(fresh), np.int64)
    for i in range(len(fresh)):
        before[i] = i - 1
        while before[i] >= 0 and fresh[before[i]] != fresh[i]:
            before[i] -= 1
        held[i] = held[before[i]] if before[i] >= 0 else -1
        if before[i] < 0:
            for place in range(len(values)):
                if values[place] == fresh[i]:
                    held[i] = place
                    break
    return before, held


@njit(cache=True)
def _new(before: Array, held: Array, lo: Number, hi: Number, times: Array, since: Array, lower: Number, upper: Number, now: Number) -> int:  # fmt: skip
    """Different ones of fresh values in a window that its part of the state has not."""
    made = 0
    for i in range(len(times)):
        if since[i] <= now and lower <= times[i] < upper and not lo <= held[i] < hi:
            same = before[i]
            while same >= 0 and not (since[same] <= now and lower <= times[same] < upper):
                same = before[same]
            if same < 0:
                made += 1
    return made


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
def _values(data: Array, at: Number, words: Array, low: Number, size: Number) -> Array:
    """Of a section whose rows have one word each, these; they are read now where they were passed over when the states were read."""
    if at < 0:
        return words[low + size : low + 2 * size]
    made = np.empty(size, np.int64)
    get_numbers(data, at, len(data), made)
    return made


@njit(cache=True)
def _different(values: Array) -> int:
    ordered = np.sort(values)
    made = min(len(ordered), 1)
    for i in range(1, len(ordered)):
        made += ordered[i] != ordered[i - 1]
    return made


@njit(cache=True, inline="always")
def _outermost(words: Array, lo: Number, hi: Number, size: Number, sort: Number) -> Number:
    """The largest or smallest word, or the newest or oldest instant, of at least one row."""
    if sort in (NEWEST, OLDEST):
        return words[hi - 1] if sort == NEWEST else words[lo]
    value = words[lo + size]
    for i in range(lo + 1 + size, hi + size):
        value = max(value, words[i]) if sort == LARGEST else min(value, words[i])
    return value
