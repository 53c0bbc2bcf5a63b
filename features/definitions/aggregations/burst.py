"""The largest count in one step of the window: an aggregation in one file, and the example in docs/aggregations.md."""

from features.definitions.aggregations.aggregation import Aggregation, Ends, State
from features.definitions.aggregations.tallies import OF_STEPS

__all__ = ["BURST"]

Words = list[int]
# Which word is what. The first and the last step are kept apart, because the neighbours' rows may fall into them too.
LARGEST, FIRST_STEP, IN_FIRST, LAST_STEP, IN_LAST, WIDTH = range(6)


def width(kinds: int, step: int) -> int:
    """Five words."""
    return WIDTH


def zero(state: Words, step: int) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add(state: Words, time: int, value: float, step: int) -> None:
    """One row of its step."""
    counted(state, time // step, 1)


def counted(state: Words, at: int, rows: int) -> None:
    """Rows of a step, which is the last one or a later one."""
    if state[LARGEST] == 0:
        state[FIRST_STEP] = at
        state[LAST_STEP] = at
    if state[LAST_STEP] != at:
        state[LAST_STEP] = at
        state[IN_LAST] = 0
    state[IN_LAST] += rows
    if state[FIRST_STEP] == at:
        state[IN_FIRST] += rows
    state[LARGEST] = max(state[LARGEST], state[IN_LAST])


def merge(state: Words, later: Words, step: int) -> None:
    """The later rows' first step may be the last one here."""
    if later[LARGEST] == 0:
        return
    counted(state, later[FIRST_STEP], later[IN_FIRST])
    if later[LAST_STEP] != later[FIRST_STEP]:
        counted(state, later[LAST_STEP], later[IN_LAST])
    state[LARGEST] = max(state[LARGEST], later[LARGEST])


def finish(state: Words, ends: Ends, step: int) -> tuple[int, bool]:
    """0 without rows."""
    return state[LARGEST], True


BURST = Aggregation(
    name="burst",
    says="The largest number of rows in one step of the window.",
    gives="int64",
    empty="0",
    nulls="never null",
    parameters=("step",),
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish),
    tiles=OF_STEPS,
)
