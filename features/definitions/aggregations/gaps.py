"""Gaps between consecutive rows: their mean, and how uneven they are."""

import math

from features.definitions.aggregations.aggregation import Aggregation, Ends, State

__all__ = ["GAP_CV", "GAP_MEAN"]

Words = list[int]
# SQUARES begins four words: the sum of squared gaps in pieces of 30 bits, exact below 2^31 rows and for gaps below 2^60 microseconds.
ROWS, FIRST, LAST, SQUARES, WIDTH = 0, 1, 2, 3, 7
BITS = 30
LOW = (1 << BITS) - 1
FEWEST_FOR_CV = 3


def width(kinds: int) -> int:
    """Rows, first and last instant, squares."""
    return WIDTH


def zero(state: Words) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add(state: Words, time: int, value: float) -> None:
    """The gap from the row before."""
    if state[ROWS] == 0:
        state[FIRST] = time
    else:
        square(state, time - state[LAST])
    state[LAST] = time
    state[ROWS] += 1


def square(state: Words, gap: int) -> None:
    """Adds a gap's square, piece by piece; no piece can overflow."""
    high, low = gap >> BITS, gap & LOW
    small, cross, large = low * low, 2 * high * low, high * high
    state[SQUARES] += small & LOW
    state[SQUARES + 1] += (small >> BITS) + (cross & LOW)
    state[SQUARES + 2] += (cross >> BITS) + (large & LOW)
    state[SQUARES + 3] += large >> BITS


def merge(state: Words, later: Words) -> None:
    """Both and the gap between."""
    if later[ROWS] == 0:
        return
    if state[ROWS] == 0:
        state[FIRST] = later[FIRST]
    else:
        square(state, later[FIRST] - state[LAST])
    state[LAST] = later[LAST]
    state[ROWS] += later[ROWS]
    for word in range(SQUARES, WIDTH):
        state[word] += later[word]


def finish_mean(state: Words, ends: Ends) -> tuple[float, bool]:
    """Of n rows: the time from first to last over n - 1."""
    gaps = state[ROWS] - 1
    return (float(state[LAST] - state[FIRST]) / float(max(gaps, 1)), gaps > 0)


def finish_cv(state: Words, ends: Ends) -> tuple[float, bool]:
    """Sample standard deviation over mean: sqrt((m*Sxx - Sx^2) / (m*(m-1))) / (Sx/m) of m gaps, the difference as an exact integer."""
    gaps, total = state[ROWS] - 1, state[LAST] - state[FIRST]
    if state[ROWS] < FEWEST_FOR_CV or total == 0:
        return 0.0, False
    high, low = total >> BITS, total & LOW
    small, cross, large = low * low, 2 * high * low, high * high
    carry, made, weight = 0, 0.0, 1.0
    mine = 0
    for piece in range(6):
        whole = mine + (state[SQUARES + piece] if piece < WIDTH - SQUARES else 0)
        mine = whole >> BITS
        if piece == 0:
            theirs = small & LOW
        elif piece == 1:
            theirs = (small >> BITS) + (cross & LOW)
        elif piece == 2:  # noqa: PLR2004 - the third of four pieces
            theirs = (cross >> BITS) + (large & LOW)
        else:
            theirs = large >> BITS if piece == 3 else 0  # noqa: PLR2004
        left = carry + (whole & LOW) * gaps - theirs
        made += float(left & LOW) * weight
        carry = left >> BITS
        weight *= 2.0**BITS
    spread = math.sqrt(made / (float(gaps) * float(gaps - 1)))
    return spread / (float(total) / float(gaps)), True


GAP_MEAN = Aggregation(
    name="gap_mean",
    says="Mean gap between consecutive rows, in microseconds.",
    gives="float64",
    empty="null",
    nulls="null below two rows",
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish_mean),
)
GAP_CV = Aggregation(
    name="gap_cv",
    says="Coefficient of variation of the gaps: their sample standard deviation over their mean; 0 is a clock, 1 is chance.",
    gives="float64",
    empty="null",
    nulls="null below three rows, and where all are of one instant",
    error="within 1e-12 of the true one, relatively; the same bits on every path",
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish_cv),
)
