"""Rows: how many, and how long ago the first and the last of them were."""

from features.definitions.aggregations.aggregation import Aggregation, Ends, State

__all__ = ["COUNT", "TIME_SINCE_FIRST", "TIME_SINCE_LAST"]

Words = list[int]
# Rows, and the instant of the first or the last one; a count keeps the rows alone.
ROWS, TIME, WIDTH = range(3)


def width(kinds: int) -> int:
    """Rows and an instant."""
    return WIDTH


def width_of_count(kinds: int) -> int:
    """Rows."""
    return TIME


def zero(state: Words) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def add(state: Words, time: int, value: float) -> None:
    """One row more."""
    state[ROWS] += 1


def remove(state: Words, time: int, value: float) -> None:
    """One row less."""
    state[ROWS] -= 1


def merge(state: Words, later: Words) -> None:
    """Rows of both."""
    state[ROWS] += later[ROWS]


def add_first(state: Words, time: int, value: float) -> None:
    """The first stays."""
    if state[ROWS] == 0:
        state[TIME] = time
    state[ROWS] += 1


def merge_first(state: Words, later: Words) -> None:
    """The later rows' first is the first of all where there is none here."""
    if state[ROWS] == 0:
        state[TIME] = later[TIME]
    state[ROWS] += later[ROWS]


def add_last(state: Words, time: int, value: float) -> None:
    """The last takes the place of the one before."""
    state[TIME] = time
    state[ROWS] += 1


def merge_last(state: Words, later: Words) -> None:
    """The later rows' last, if there is one."""
    if later[ROWS] > 0:
        state[TIME] = later[TIME]
    state[ROWS] += later[ROWS]


def finish(state: Words, ends: Ends) -> tuple[int, bool]:
    """0 without rows."""
    return state[ROWS], True


def since(state: Words, ends: Ends) -> tuple[int, bool]:
    """From the instant to the anchor."""
    return ends.anchor - state[TIME], state[ROWS] > 0


COUNT = Aggregation(
    name="count",
    says="Rows.",
    gives="int64",
    empty="0",
    nulls="never null",
    kernel=True,
    state=State(words="int64", width=width_of_count, zero=zero, add=add, merge=merge, finish=finish, remove=remove),
)
TIME_SINCE_FIRST = Aggregation(
    name="time_since_first",
    says="Microseconds from the oldest row to the anchor.",
    gives="int64",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_first, merge=merge_first, finish=since),
)
TIME_SINCE_LAST = Aggregation(
    name="time_since_last",
    says="Microseconds from the newest row to the anchor.",
    gives="int64",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_last, merge=merge_last, finish=since),
)
