"""Counts, sums and means in which a row weighs half as much after each half-life."""

from features.definitions.aggregations.aggregation import NUMBERS, Aggregation, Ends, Parameter, State

__all__ = ["DECAYED_COUNT", "DECAYED_MEAN", "DECAYED_SUM", "HALF_LIVES"]

Words = list[float]
# Weights and weighted values as of the newest row.
ROWS, NEWEST, WEIGHT, VALUE, WIDTH = range(5)
HALF_LIVES = 64


def width(kinds: int, half_life: int) -> int:
    """Four words."""
    return WIDTH


def zero(state: Words, half_life: int) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0.0


def moved(state: Words, time: float, half_life: int) -> None:
    """To a later instant."""
    if state[ROWS] > 0.0:
        factor = 2.0 ** (-(time - state[NEWEST]) / half_life)
        state[WEIGHT] *= factor
        state[VALUE] *= factor
    state[NEWEST] = time


def add(state: Words, time: int, value: float, half_life: int) -> None:
    """Of weight 1 at its own instant."""
    moved(state, float(time), half_life)
    state[ROWS] += 1.0
    state[WEIGHT] += 1.0
    state[VALUE] += float(value)


def merge(state: Words, later: Words, half_life: int) -> None:
    """As of the later rows' newest."""
    if later[ROWS] == 0.0:
        return
    moved(state, later[NEWEST], half_life)
    for word in (ROWS, WEIGHT, VALUE):
        state[word] += later[word]


def counted(state: Words, ends: Ends, half_life: int) -> tuple[float, bool]:
    """The weights at the anchor."""
    return state[WEIGHT] * 2.0 ** (-(ends.anchor - state[NEWEST]) / half_life) if state[ROWS] > 0.0 else 0.0, True


def summed(state: Words, ends: Ends, half_life: int) -> tuple[float, bool]:
    """The weighted values at the anchor."""
    return state[VALUE] * 2.0 ** (-(ends.anchor - state[NEWEST]) / half_life) if state[ROWS] > 0.0 else 0.0, True


def average(state: Words, ends: Ends, half_life: int) -> tuple[float, bool]:
    """The anchor has no part in it."""
    return (state[VALUE] / state[WEIGHT], True) if state[ROWS] > 0.0 else (0.0, False)


def reach(half_life: int) -> int:
    """What is older than 64 half-lives leaves."""
    return HALF_LIVES * half_life


_HALF_LIFE = (Parameter(name="half_life", least=1, most=2**56, whole=True),)
_COUNTED = State(words="float64", width=width, zero=zero, add=add, merge=merge, finish=counted)
_SUMMED = State(words="float64", width=width, zero=zero, add=add, merge=merge, finish=summed)
_AVERAGE = State(words="float64", width=width, zero=zero, add=add, merge=merge, finish=average)

DECAYED_COUNT = Aggregation(
    name="decayed_count",
    says="Sum of the rows' weights 2^-(age / half_life), the half-life in microseconds.",
    gives="float64",
    empty="0",
    nulls="never null",
    parameters=_HALF_LIFE,
    error="within 1e-9 x sum of weights",
    state=_COUNTED,
    reach=reach,
)
DECAYED_SUM = Aggregation(
    name="decayed_sum",
    says="Sum of the values by the rows' weights 2^-(age / half_life), in the column's unit.",
    takes=(NUMBERS,),
    gives="float64",
    empty="0",
    nulls="never null",
    parameters=_HALF_LIFE,
    error="within 1e-9 x weighted sum of sizes",
    state=_SUMMED,
    reach=reach,
)
DECAYED_MEAN = Aggregation(
    name="decayed_mean",
    says="Mean of the values by the rows' weights 2^-(age / half_life), in the column's unit.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    parameters=_HALF_LIFE,
    error="within 1e-9 x weighted mean of sizes",
    state=_AVERAGE,
    reach=reach,
)
