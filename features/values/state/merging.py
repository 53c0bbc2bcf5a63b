"""Rows that no lookup can tell apart become one: the edges that windows can have between two instants, and what a section keeps."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from features.definitions.windows import Window
from features.values.state.plan import Span

__all__ = ["edges_before", "last_of_runs", "queue", "summed", "words", "zones"]

Array = np.ndarray
NEVER = np.iinfo(np.int64).min


def zones(windows: Sequence[Window], span: Span, remember: int) -> Array:
    """int64[n, 3]: first and last edge that a window can have in the span, and the step between; lower edges, then upper ones."""
    found: dict[tuple[int, int, int], None] = {}
    for window in windows:
        first, last = window.bounds(span.begin, remember), window.bounds(span.end, remember)
        found[first.lower, last.lower, window.step_us] = None
        found[first.upper, last.upper, window.step_us if window.offset_us else 1] = None
    return np.array(list(found), np.int64)


@njit(cache=True)
def edges_before(time: Array, bands: Array) -> Array:
    """The newest edge at or before each instant: two rows with the same lie in the same windows, always. `NEVER` where there is none."""
    made = np.full(len(time), NEVER, np.int64)
    for i in range(len(time)):
        for z in range(len(bands)):
            first, last, step = bands[z]
            if time[i] >= first:
                edge = last if time[i] >= last else time[i] // step * step
                made[i] = max(made[i], edge)
    return made


def summed(group: Array, columns: Sequence[Array]) -> tuple[Array, list[Array]]:
    """The first place of each run of equal groups, and the columns added up over each."""
    firsts = np.flatnonzero(np.diff(group, prepend=-1) != 0)
    return firsts, [np.add.reduceat(column, firsts) if len(firsts) else column[:0] for column in columns]


@njit(cache=True)
def last_of_runs(code: Array, settled: Array) -> Array:
    """Of each run of equal codes the last settled row, and all that are not settled."""
    made = ~settled
    last = -1
    for i in range(len(code)):
        if last >= 0 and code[i] != code[last]:
            made[last] = True
            last = -1
        if settled[i]:
            last = i
    if last >= 0:
        made[last] = True
    return made


@njit(cache=True)
def queue(key: Array, value: Array, settled: Array, largest: bool) -> Array:  # noqa: FBT001 - numba wants flat arguments
    """Of each key the rows whose value no later settled one equals or exceeds (or undercuts), and all that are not settled."""
    made = np.zeros(len(key), np.bool_)
    best = -1
    for i in range(len(key) - 1, -1, -1):
        if best >= 0 and key[i] != key[best]:
            best = -1
        if not settled[i]:
            made[i] = True
        elif best < 0 or (value[i] > value[best] if largest else value[i] < value[best]):
            best = i
            made[i] = True
    return made


def words(value: Array) -> tuple[Array, Array]:
    """A sum of `features.values.exact.sum_limbs` as two words of 64 bits: the lower one signed, what is above it; nearly always 0."""
    upper = value[0] + (value[1] >> 32)
    low = (upper << 32) | (value[1] & np.int64(0xFFFFFFFF))
    # What the lower word, taken as a signed number, leaves: the sum less it, over 2^64.
    high = (upper >> 32) + (low < 0)
    return low, high
