"""Quantiles from counts of buckets that grow with the value (DDSketch, linearly interpolated): a function of the values alone, not of their order."""

import math

from features.definitions.aggregations.aggregation import NUMBERS, Aggregation, Ends, Parameter, State

__all__ = ["QUANTILE"]

Words = list[int]
# Sizes from 2^-30 up to below 2^64; each power of two is cut into equal buckets, as many as the accuracy asks. No logarithm takes part, so
# that every machine finds the same bucket.
LEAST, OCTAVES = -29, 94


def parts(accuracy: float) -> int:
    """Buckets of a power of two: half a bucket's width is at most the accuracy of its values."""
    return math.ceil(0.5 / accuracy)


def width(kinds: int, q: float, accuracy: float) -> int:
    """Buckets of negative values, of zero, of positive ones."""
    return 2 * OCTAVES * math.ceil(0.5 / accuracy) + 1


def zero(state: Words, q: float, accuracy: float) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def bucket(value: float, accuracy: float) -> int:
    """Its place, in ascending order of values."""
    middle = OCTAVES * parts(accuracy)
    part, power = math.frexp(abs(value))
    if value == 0.0 or power < LEAST:
        return middle
    away = (power - LEAST) * parts(accuracy) + int((2.0 * part - 1.0) * parts(accuracy)) + 1
    away = min(away, middle)
    return middle + away if value > 0.0 else middle - away


def add(state: Words, time: int, value: float, q: float, accuracy: float) -> None:
    """One more in its bucket."""
    state[bucket(float(value), accuracy)] += 1


def remove(state: Words, time: int, value: float, q: float, accuracy: float) -> None:
    """One less in its bucket."""
    state[bucket(float(value), accuracy)] -= 1


def merge(state: Words, later: Words, q: float, accuracy: float) -> None:
    """Counts of both."""
    for word in range(len(state)):
        state[word] += later[word]


def finish(state: Words, ends: Ends, q: float, accuracy: float) -> tuple[float, bool]:
    """The middle of the bucket that holds the value of rank floor(q * (n - 1)), counted from 0."""
    rows = 0
    for word in range(len(state)):
        rows += state[word]
    if rows == 0:
        return 0.0, False
    rank = math.floor(q * float(rows - 1))
    at, passed = 0, state[0]
    while passed <= rank:
        at += 1
        passed += state[at]
    count = parts(accuracy)
    away = abs(at - OCTAVES * count) - 1
    if away < 0:
        return 0.0, True
    size = math.ldexp(1.0 + (float(away % count) + 0.5) / float(count), away // count + LEAST - 1)
    return (size if at > OCTAVES * count else -size), True


_STATE = State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish, remove=remove)
QUANTILE = Aggregation(
    name="quantile",
    says="About the value of rank floor(q * (n - 1)) in ascending order, in the column's unit.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    parameters=(
        Parameter(name="q", least=0, most=1, only_finish=True),
        Parameter(name="accuracy", least=0.002, most=0.25),
    ),
    error="within `accuracy`, relatively, of that value; sizes below 2^-30 are 0, from 2^64 on the last bucket",
    state=_STATE,
    tiles=_STATE,
)
