"""Whether rows grow more frequent: the slope of a line through the steps' counts."""

from features.definitions.aggregations.aggregation import Aggregation, Ends, State

__all__ = ["TREND"]

Words = list[int]
# Rows before the newest step, the sum of their steps' numbers, the newest step, rows in it: the step that still runs must stay apart.
BEFORE, NUMBERS, NEWEST, IN_NEWEST, WIDTH = range(5)


def width(kinds: int, step: int) -> int:
    """Four words."""
    return WIDTH


def zero(state: Words, step: int) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add(state: Words, time: int, value: float, step: int) -> None:
    """One row of its step."""
    counted(state, time // step, 1)


def counted(state: Words, at: int, rows: int) -> None:
    """Rows of a step: of the newest one, a later one, or one before, where tiles of several keys are merged."""
    if state[IN_NEWEST] > 0 and at < state[NEWEST]:
        state[BEFORE] += rows
        state[NUMBERS] += at * rows
        return
    if state[IN_NEWEST] > 0 and state[NEWEST] != at:
        state[BEFORE] += state[IN_NEWEST]
        state[NUMBERS] += state[NEWEST] * state[IN_NEWEST]
        state[IN_NEWEST] = 0
    state[NEWEST] = at
    state[IN_NEWEST] += rows


def merge(state: Words, later: Words, step: int) -> None:
    """What was newest here is before what is newest there, unless it is the same step."""
    if later[IN_NEWEST] == 0:
        return
    counted(state, later[NEWEST], later[IN_NEWEST])
    state[BEFORE] += later[BEFORE]
    state[NUMBERS] += later[NUMBERS]


def finish(state: Words, ends: Ends, step: int) -> tuple[float, bool]:
    """Least squares over steps 0 … m-1 that are over by the window's end: (12 * sum(x*y) - 6 * (m-1) * sum(y)) / (m * (m^2 - 1))."""
    first, end = ends.lower // step, ends.upper // step
    steps = end - first
    rows, numbers = state[BEFORE], state[NUMBERS]
    if state[NEWEST] < end:
        rows += state[IN_NEWEST]
        numbers += state[NEWEST] * state[IN_NEWEST]
    if state[IN_NEWEST] == 0 or steps < 2:  # noqa: PLR2004 - a line needs two
        return 0.0, False
    above = 12 * (numbers - first * rows) - 6 * (steps - 1) * rows
    return float(above) / (float(steps) * (float(steps) * float(steps) - 1.0)), True


_STATE = State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish)
TREND = Aggregation(
    name="trend",
    says="Slope of the least-squares line through the counts of the window's steps, in rows a step, from one step to the next. "
    "Steps without rows count as 0; the step that still runs at the window's end is left out.",
    gives="float64",
    empty="null",
    nulls="null where no row counts, and below two whole steps",
    parameters=("step",),
    state=_STATE,
    tiles=_STATE,
)
