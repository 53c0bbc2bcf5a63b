"""Sums, means and standard deviations: of integers exact and rounded once, of floats added in their order."""

import math

from features.definitions.aggregations.aggregation import NUMBERS, Aggregation, Ends, State

__all__ = ["MEAN", "STD", "SUM"]

Words = list[int]
Floats = list[float]
# Rows; the sum in three pieces of 30 bits, the uppermost signed; the sum of squares in five. No word overflows below 2^31 rows.
ROWS, SUMMED, SQUARES, WIDTH = 0, 1, 4, 9
# Of floats: rows and their sum.
WIDTH_OF_FLOATS = 2
BITS = 30
LOW = (1 << BITS) - 1
# What a word of 64 bits holds of the uppermost piece; and of a number that is still to be rounded, whose last bit stands for all bits below.
FITS, ROUNDABLE = 1 << 3, 1 << 60


def width(kinds: int) -> int:
    """Rows and the sum."""
    return SQUARES


def width_of_squares(kinds: int) -> int:
    """Rows, the sum and the sum of squares."""
    return WIDTH


def width_of_floats(kinds: int) -> int:
    """Rows and the sum."""
    return WIDTH_OF_FLOATS


def zero(state: Floats) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def counted(state: Words, value: int, rows: int) -> None:
    """One row more, or less: piece by piece."""
    state[ROWS] += rows
    state[SUMMED] += rows * (value & LOW)
    state[SUMMED + 1] += rows * ((value >> BITS) & LOW)
    state[SUMMED + 2] += rows * (value >> 2 * BITS)


def squared(state: Words, value: int, rows: int) -> None:
    """The square of one row more, or less: by pieces, and each product by pieces again, so that none takes more than 62 bits."""
    low, middle, high = value & LOW, (value >> BITS) & LOW, value >> 2 * BITS
    second, third, fourth = 2 * low * middle, 2 * low * high + middle * middle, 2 * middle * high
    state[SQUARES] += rows * ((low * low) & LOW)
    state[SQUARES + 1] += rows * (((low * low) >> BITS) + (second & LOW))
    state[SQUARES + 2] += rows * ((second >> BITS) + (third & LOW))
    state[SQUARES + 3] += rows * ((third >> BITS) + (fourth & LOW))
    state[SQUARES + 4] += rows * ((fourth >> BITS) + high * high)


def add(state: Words, time: int, value: int) -> None:
    """To the sum."""
    counted(state, value, 1)


def remove(state: Words, time: int, value: int) -> None:
    """From the sum."""
    counted(state, value, -1)


def add_square(state: Words, time: int, value: int) -> None:
    """To both sums."""
    counted(state, value, 1)
    squared(state, value, 1)


def remove_square(state: Words, time: int, value: int) -> None:
    """From both sums."""
    counted(state, value, -1)
    squared(state, value, -1)


def add_float(state: Floats, time: int, value: float) -> None:
    """One by one, the oldest first."""
    state[ROWS] += 1
    state[SUMMED] += value


def merge(state: Floats, later: Floats) -> None:
    """Word by word."""
    for word in range(len(state)):
        state[word] += later[word]


def digits(state: Words, begin: int, sign: int, made: list[int]) -> int:
    """The pieces from `begin` on, times a sign, as digits of 30 bits, the lowest first; and what is above them, which may be negative."""
    count = SQUARES - SUMMED if begin == SUMMED else WIDTH - SQUARES
    carry = 0
    for place in range(len(made)):
        if place < count:
            carry += sign * state[begin + place]
        made[place] = carry & LOW
        carry >>= BITS
    return carry


def size(state: Words, made: list[int]) -> bool:
    """The digits of the sum without its sign, and whether it is negative."""
    negative = digits(state, SUMMED, 1, made) < 0
    if negative:
        digits(state, SUMMED, -1, made)
    return negative


def nearest(of: list[int]) -> float:
    """The float64 nearest to digits of 30 bits, half to even: rounded once, from the upper 61 bits, the last of which is set if any below is."""
    made, dropped = 0, 0
    for bit in range(len(of) * BITS - 1, -1, -1):
        one = (of[bit // BITS] >> (bit % BITS)) & 1
        if made < ROUNDABLE:
            made = 2 * made + one
        else:
            made |= one
            dropped += 1
    return math.ldexp(float(made), dropped)


def total(state: Words, ends: Ends) -> tuple[int, bool]:
    """The sum, if int64 holds it."""
    pieces = [0] * 3
    upper = (digits(state, SUMMED, 1, pieces) << BITS) + pieces[2]
    if upper < -FITS or upper >= FITS:
        return 0, False
    return (upper << 2 * BITS) + (pieces[1] << BITS) + pieces[0], True


def mean(state: Words, ends: Ends) -> tuple[float, bool]:
    """float64(sum) / float64(n)."""
    pieces = [0] * 4
    negative = size(state, pieces)
    made = nearest(pieces) / float(max(state[ROWS], 1))
    return -made if negative else made, state[ROWS] > 0


def std(state: Words, ends: Ends) -> tuple[float, bool]:
    """sqrt(float64(n*Sxx - Sx^2) / float64(n*(n-1))), the integers exact: digit by digit, the lowest first."""
    rows = state[ROWS]
    if rows < 2:  # noqa: PLR2004 - one value has no spread
        return 0.0, False
    pieces, made = [0] * 4, [0] * 7
    size(state, pieces)
    digits(state, SQUARES, 1, made)
    carry = 0
    for place in range(len(made)):
        carry += rows * made[place]
        for part in range(max(place - 3, 0), min(place, 3) + 1):
            carry -= pieces[part] * pieces[place - part]
        made[place] = carry & LOW
        carry >>= BITS
    return math.sqrt(nearest(made) / float(rows * (rows - 1))), True


def total_of_floats(state: Floats, ends: Ends) -> tuple[float, bool]:
    """0.0 without rows."""
    return state[SUMMED], True


def mean_of_floats(state: Floats, ends: Ends) -> tuple[float, bool]:
    """Sum / n."""
    return state[SUMMED] / max(state[ROWS], 1.0), state[ROWS] > 0


SUM = Aggregation(
    name="sum",
    says="Sum, in the column's unit.",
    takes=(NUMBERS,),
    gives="column",
    empty="0",
    nulls="null with status overflow where an integer sum leaves int64",
    error="integers exact; floats without scale within 1e-9 x sum of sizes",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=total, remove=remove),
    of_floats=State(words="float64", width=width_of_floats, zero=zero, add=add_float, merge=merge, finish=total_of_floats),
)  # fmt: skip
MEAN = Aggregation(
    name="mean",
    says="float64(sum) / float64(n), in the column's unit.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    error="integers exact; floats without scale within 1e-9 x mean of sizes",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=mean, remove=remove),
    of_floats=State(words="float64", width=width_of_floats, zero=zero, add=add_float, merge=merge, finish=mean_of_floats),
)  # fmt: skip
STD = Aggregation(
    name="std",
    says="Sample standard deviation, in the column's unit.",
    takes=(frozenset({"int64"}),),
    gives="float64",
    empty="null",
    nulls="null below two values",
    kernel=True,
    state=State(words="int64", width=width_of_squares, zero=zero, add=add_square, merge=merge, finish=std, remove=remove_square),
)  # fmt: skip
