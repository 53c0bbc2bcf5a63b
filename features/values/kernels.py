"""The loops of the sweep. Rows are sorted by (key, event time), asks by (key, instant), so both edges of a window only move forward.

A row counts at an ask iff it lies in `[lo, hi)` and is visible: `since[i] <= t < until[i]`. A window all of whose rows are visible is
`clean`. Of any other what is hidden is taken off again: odd rows, which are late or taken back one day, and the newest ones, which are not known yet.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = [
    "Visibility",
    "clean",
    "counts",
    "distincts",
    "edges",
    "extremes",
    "float_sums",
    "last_at_or_before",
    "limb_sums",
    "newest",
    "oldest",
    "visibility",
]

Array = np.ndarray


class Visibility(NamedTuple):
    """From when on and until when each row counts, in microseconds."""

    since: Array
    until: Array
    settled: Array
    """No row but an odd one is hidden from here on; never earlier than that of the row before of the same key."""

    is_odd: Array
    odd: Array
    """Their numbers."""


def visibility(since: Array, until: Array, settled: Array) -> Visibility:
    """Rows that become visible after they are settled, or stop being visible, are odd."""
    is_odd = (until != np.iinfo(np.int64).max) | (since > settled)
    return Visibility(since, until, settled, is_odd, np.flatnonzero(is_odd))


@njit(cache=True)
def _hidden(rows: Visibility, instant: int, lo: int, hi: int, found: Array) -> int:
    """Fills in the rows of `[lo, hi)` that do not count at an instant; gives how many there are."""
    count = 0
    for place in range(np.searchsorted(rows.odd, lo), len(rows.odd)):
        i = rows.odd[place]
        if i >= hi:
            break
        if not rows.since[i] <= instant < rows.until[i]:
            found[count] = i
            count += 1
    for i in range(hi - 1, lo - 1, -1):
        if rows.settled[i] <= instant:
            break
        if not rows.is_odd[i] and rows.since[i] > instant:
            found[count] = i
            count += 1
    return count


@njit(cache=True)
def edges(row_key: Array, row_time: Array, ask_key: Array, bound: Array) -> Array:
    """For each ask the first row of its key, or after, with `event_time >= bound`; bounds do not fall within a key."""
    made = np.empty(len(ask_key), np.int64)
    at = 0
    for q in range(len(ask_key)):
        while at < len(row_key) and (
            row_key[at] < ask_key[q] or (row_key[at] == ask_key[q] and row_time[at] < bound[q])
        ):
            at += 1
        made[q] = at
    return made


@njit(cache=True)
def clean(since: Array, until: Array, instant: Array, lo: Array, hi: Array) -> Array:  # noqa: C901 - two queues in one pass
    """Whether every row of each window is visible: sliding maximum of `since` and minimum of `until`, each a monotone queue."""
    n = len(since)
    made = np.ones(len(lo), np.bool_)
    late, gone = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    late_head = late_tail = gone_head = gone_tail = 0
    end = 0
    for q in range(len(lo)):
        start = max(end, lo[q])
        if lo[q] >= end:
            late_head = late_tail = gone_head = gone_tail = 0
        for i in range(start, hi[q]):
            while late_tail > late_head and since[late[late_tail - 1]] <= since[i]:
                late_tail -= 1
            late[late_tail] = i
            late_tail += 1
            while gone_tail > gone_head and until[gone[gone_tail - 1]] >= until[i]:
                gone_tail -= 1
            gone[gone_tail] = i
            gone_tail += 1
        end = max(end, hi[q])
        while late_head < late_tail and late[late_head] < lo[q]:
            late_head += 1
        while gone_head < gone_tail and gone[gone_head] < lo[q]:
            gone_head += 1
        if hi[q] > lo[q]:
            made[q] = since[late[late_head]] <= instant[q] and until[gone[gone_head]] > instant[q]
    return made


@njit(cache=True)
def counts(rows: Visibility, instant: Array, lo: Array, hi: Array, is_clean: Array) -> Array:
    """Visible rows of each window."""
    made, found = np.empty(len(lo), np.int64), np.empty(len(rows.since), np.int64)
    for q in range(len(lo)):
        made[q] = hi[q] - lo[q]
        if not is_clean[q]:
            made[q] -= _hidden(rows, instant[q], lo[q], hi[q], found)
    return made


@njit(cache=True)
def limb_sums(limbs: Array, rows: Visibility, instant: Array, lo: Array, hi: Array, is_clean: Array) -> Array:
    """Sums of each limb (32 bits of a wider integer), exact for fewer than 2^31 rows: prefix differences, without what is hidden."""
    width, n = limbs.shape
    made = np.zeros((width, len(lo)), np.int64)
    prefix, found = np.empty(n + 1, np.int64), np.empty(n, np.int64)
    for w in range(width):
        prefix[0] = 0
        for i in range(n):
            prefix[i + 1] = prefix[i] + limbs[w, i]
        for q in range(len(lo)):
            made[w, q] = prefix[hi[q]] - prefix[lo[q]]
            if not is_clean[q]:
                for place in range(_hidden(rows, instant[q], lo[q], hi[q], found)):
                    made[w, q] -= limbs[w, found[place]]
    return made


@njit(cache=True)
def float_sums(values: Array, since: Array, until: Array, instant: Array, lo: Array, hi: Array) -> Array:
    """Added one by one, oldest first: a float leaves no window by subtraction."""
    made = np.zeros(len(lo), np.float64)
    for q in range(len(lo)):
        for i in range(lo[q], hi[q]):
            if since[i] <= instant[q] < until[i]:
                made[q] += values[i]
    return made


@njit(cache=True)
def extremes(  # noqa: C901 - numba wants flat arguments and one loop
    values: Array,
    rows: Visibility,
    instant: Array,
    lo: Array,
    hi: Array,
    is_clean: Array,
    largest: bool,  # noqa: FBT001
) -> Array:
    """The row that holds the largest (or smallest) value of each window, -1 where there is none: a monotone queue, and a search where its first is hidden."""
    made = np.full(len(lo), -1, np.int64)
    queue = np.empty(len(values) + 1, np.int64)
    head = tail = end = 0
    for q in range(len(lo)):
        if lo[q] >= end:
            head = tail = 0
        for i in range(max(end, lo[q]), hi[q]):
            while tail > head and (
                values[queue[tail - 1]] <= values[i] if largest else values[queue[tail - 1]] >= values[i]
            ):
                tail -= 1
            queue[tail] = i
            tail += 1
        end = max(end, hi[q])
        while head < tail and queue[head] < lo[q]:
            head += 1
        if hi[q] <= lo[q]:
            continue
        first = queue[head]
        if is_clean[q] or rows.since[first] <= instant[q] < rows.until[first]:
            made[q] = first
            continue
        for i in range(lo[q], hi[q]):
            if rows.since[i] <= instant[q] < rows.until[i] and (
                made[q] < 0 or (values[i] > values[made[q]] if largest else values[i] < values[made[q]])
            ):
                made[q] = i
    return made


@njit(cache=True)
def distincts(
    codes: Array, kinds: int, rows: Visibility, instant: Array, lo: Array, hi: Array, is_clean: Array
) -> Array:
    """Different codes (0 <= code < kinds) of each window: one count a code, that follows both edges; what is hidden leaves it for a moment."""
    made = np.zeros(len(lo), np.int64)
    seen, found = np.zeros(kinds, np.int64), np.empty(len(codes), np.int64)
    start = end = different = 0
    for q in range(len(lo)):
        while end < hi[q]:
            different += seen[codes[end]] == 0
            seen[codes[end]] += 1
            end += 1
        while start < lo[q]:
            seen[codes[start]] -= 1
            different -= seen[codes[start]] == 0
            start += 1
        if hi[q] <= lo[q]:
            continue
        made[q] = different
        if not is_clean[q]:
            hidden = _hidden(rows, instant[q], lo[q], hi[q], found)
            for place in range(hidden):
                seen[codes[found[place]]] -= 1
                made[q] -= seen[codes[found[place]]] == 0
            for place in range(hidden):
                seen[codes[found[place]]] += 1
    return made


@njit(cache=True)
def oldest(since: Array, until: Array, instant: Array, lo: Array, hi: Array) -> Array:
    """The first visible row of each window, -1 where there is none."""
    made = np.full(len(lo), -1, np.int64)
    for q in range(len(lo)):
        for i in range(lo[q], hi[q]):
            if since[i] <= instant[q] < until[i]:
                made[q] = i
                break
    return made


@njit(cache=True)
def newest(since: Array, until: Array, instant: Array, lo: Array, hi: Array) -> Array:
    """The last visible row of each window, -1 where there is none."""
    made = np.full(len(lo), -1, np.int64)
    for q in range(len(lo)):
        for i in range(hi[q] - 1, lo[q] - 1, -1):
            if since[i] <= instant[q] < until[i]:
                made[q] = i
                break
    return made


@njit(cache=True)
def last_at_or_before(
    row_key: Array, row_time: Array, since: Array, ask_key: Array, anchor: Array, instant: Array
) -> Array:
    """The last visible row of each ask's key with `valid_from <= anchor`, -1 where there is none. Changes are never taken back."""
    made = np.full(len(ask_key), -1, np.int64)
    first = at = 0
    for q in range(len(ask_key)):
        if q == 0 or ask_key[q] != ask_key[q - 1]:
            while at < len(row_key) and row_key[at] < ask_key[q]:
                at += 1
            first = at
        while at < len(row_key) and row_key[at] == ask_key[q] and row_time[at] <= anchor[q]:
            at += 1
        for i in range(at - 1, first - 1, -1):
            if since[i] <= instant[q]:
                made[q] = i
                break
    return made
