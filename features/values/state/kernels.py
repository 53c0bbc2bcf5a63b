"""Finishes sections: every window of every ask over the rows of its key, in a state and beside it. Compiled by numba."""

import numpy as np
from numba import njit

__all__ = ["counted", "distincts", "extremes"]

Array = np.ndarray
_LOW = np.int64(0xFFFFFFFF)


@njit(cache=True)
def counted(
    words: Array, at: Array, count: Array, ask: Array, lower: Array, upper: Array, instant: Array, limbs: int, squares: int,
    starts: Array, times: Array, since: Array, more: Array,
) -> Array:  # fmt: skip
    """int64[1 + 2 + 6 at most, windows, asks]: rows, the two limbs of their sum, pieces of squares.

    `at` and `count` place a key's rows in `words`; `starts`, `times` and `since` are of rows beside the state, which hold `more`.
    """
    windows, asks = lower.shape
    made = np.zeros((1 + limbs + squares, windows, asks), np.int64)
    for q in range(asks):
        begin, rows = at[ask[q]], count[ask[q]]
        for i in range(rows):
            time = words[begin + i]
            for w in range(windows):
                if lower[w, q] <= time < upper[w, q]:
                    place = begin + rows + i
                    made[0, w, q] += words[place]
                    if limbs:
                        low = words[place + rows]
                        made[1, w, q] += (low >> 32) + (words[place + 2 * rows] << 32)
                        made[2, w, q] += low & _LOW
                    for piece in range(squares):
                        made[1 + limbs + piece, w, q] += words[place + (1 + limbs + piece) * rows]
        for i in range(starts[ask[q]], starts[ask[q] + 1]):
            if since[i] <= instant[q]:
                for w in range(windows):
                    if lower[w, q] <= times[i] < upper[w, q]:
                        for piece in range(len(more)):
                            made[piece, w, q] += more[piece, i]
    return made


@njit(cache=True)
def extremes(
    words: Array, at: Array, count: Array, ask: Array, lower: Array, upper: Array, instant: Array, column: int, largest: bool,  # noqa: FBT001
    starts: Array, times: Array, since: Array, more: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """The largest (or smallest) word of each window, and whether there is one. Column 0 is the instant itself."""
    windows, asks = lower.shape
    made, found = np.zeros((windows, asks), np.int64), np.zeros((windows, asks), np.bool_)
    for q in range(asks):
        begin, rows = at[ask[q]], count[ask[q]]
        for i in range(rows):
            time, value = words[begin + i], words[begin + column * rows + i]
            for w in range(windows):
                if lower[w, q] <= time < upper[w, q] and (
                    not found[w, q] or (value > made[w, q] if largest else value < made[w, q])
                ):
                    made[w, q], found[w, q] = value, True
        for i in range(starts[ask[q]], starts[ask[q] + 1]):
            if since[i] <= instant[q]:
                for w in range(windows):
                    if lower[w, q] <= times[i] < upper[w, q] and (
                        not found[w, q] or (more[i] > made[w, q] if largest else more[i] < made[w, q])
                    ):
                        made[w, q], found[w, q] = more[i], True
    return made, found


@njit(cache=True)
def distincts(
    words: Array, at: Array, count: Array, ask: Array, lower: Array, upper: Array, instant: Array, once: bool,  # noqa: FBT001
    starts: Array, times: Array, since: Array, more: Array,
) -> Array:  # fmt: skip
    """Different words of each window; `once`: a key's settled rows hold each word once, so that without other rows they are only counted."""
    windows, asks = lower.shape
    made = np.zeros((windows, asks), np.int64)
    most = 0
    for q in range(asks):
        most = max(most, count[ask[q]] + starts[ask[q] + 1] - starts[ask[q]])
    seen = np.empty(most, np.int64)
    for q in range(asks):
        begin, rows = at[ask[q]], count[ask[q]]
        first, last = starts[ask[q]], starts[ask[q] + 1]
        for w in range(windows):
            found = 0
            for i in range(rows):
                if lower[w, q] <= words[begin + i] < upper[w, q]:
                    seen[found] = words[begin + rows + i]
                    found += 1
            alone = once
            for i in range(first, last):
                if since[i] <= instant[q] and lower[w, q] <= times[i] < upper[w, q]:
                    seen[found] = more[i]
                    found += 1
                    alone = False
            if alone or found < 2:  # noqa: PLR2004
                made[w, q] = found
                continue
            here = np.sort(seen[:found])
            different = 1
            for i in range(1, found):
                different += here[i] != here[i - 1]
            made[w, q] = different
    return made
