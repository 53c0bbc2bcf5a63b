"""The smallest and the largest value."""

from features.definitions.aggregations.aggregation import Aggregation, Ends, State
from features.definitions.expressions import ColumnType

__all__ = ["MAX", "MIN"]

Words = list[float]
# Whether there is a value, and the value. Integers and instants are kept as integers, floats as floats: none is rounded.
SEEN, VALUE, WIDTH = range(3)


def width(kinds: int) -> int:
    """Two words."""
    return WIDTH


def zero(state: Words) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add_smaller(state: Words, time: int, value: float) -> None:
    """The value, if it is smaller or the first."""
    if state[SEEN] == 0 or value < state[VALUE]:
        state[VALUE] = value
    state[SEEN] = 1


def add_larger(state: Words, time: int, value: float) -> None:
    """The value, if it is larger or the first."""
    if state[SEEN] == 0 or value > state[VALUE]:
        state[VALUE] = value
    state[SEEN] = 1


def merge_smaller(state: Words, later: Words) -> None:
    """The smaller of both."""
    if later[SEEN] == 1:
        add_smaller(state, 0, later[VALUE])


def merge_larger(state: Words, later: Words) -> None:
    """The larger of both."""
    if later[SEEN] == 1:
        add_larger(state, 0, later[VALUE])


def finish(state: Words, ends: Ends) -> tuple[float, bool]:
    """The value, if there is one."""
    return state[VALUE], state[SEEN] == 1


_ORDERED: frozenset[ColumnType] = frozenset({"int64", "float64", "timestamp"})
MIN = Aggregation(
    name="min",
    says="Smallest value.",
    takes=(_ORDERED,),
    gives="column",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_smaller, merge=merge_smaller, finish=finish),
    of_floats=State(words="float64", width=width, zero=zero, add=add_smaller, merge=merge_smaller, finish=finish),
)
MAX = Aggregation(
    name="max",
    says="Largest value.",
    takes=(_ORDERED,),
    gives="column",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_larger, merge=merge_larger, finish=finish),
    of_floats=State(words="float64", width=width, zero=zero, add=add_larger, merge=merge_larger, finish=finish),
)
