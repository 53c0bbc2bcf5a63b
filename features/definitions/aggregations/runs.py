"""Runs: how often several rows of one kind are directly followed by one of another, as declines and then an approval."""

from features.definitions.aggregations.aggregation import Aggregation, Ends, Parameter, State

__all__ = ["OF_THE_RUN", "RUNS", "THEN"]

Words = list[int]
# The run that rows begin with may have begun before them, so its length and what ended it (0: nothing yet, 1: `then`, 2: another row) are kept.
ROWS, LEADING, ENDED, TRAILING, FOUND, WIDTH = range(6)
OF_THE_RUN, THEN = 1, 2
BY_THEN, BY_ANOTHER = 1, 2


def width(kinds: int, at_least: int) -> int:
    """Five words."""
    return WIDTH


def zero(state: Words, at_least: int) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add(state: Words, time: int, value: int, at_least: int) -> None:
    """A row of the run, the one that counts it, or another."""
    state[ROWS] += 1
    if value == OF_THE_RUN:
        state[TRAILING] += 1
        if state[ENDED] == 0:
            state[LEADING] += 1
        return
    if value == THEN and state[TRAILING] >= at_least:
        state[FOUND] += 1
    if state[ENDED] == 0:
        state[ENDED] = BY_THEN if value == THEN else BY_ANOTHER
    state[TRAILING] = 0


def merge(state: Words, later: Words, at_least: int) -> None:
    """A run may go on over the border."""
    joint = state[TRAILING] + later[LEADING]
    if later[ENDED] == BY_THEN and later[LEADING] < at_least <= joint:
        state[FOUND] += 1
    state[FOUND] += later[FOUND]
    state[ROWS] += later[ROWS]
    if state[ENDED] == 0:
        state[LEADING] += later[LEADING]
        state[ENDED] = later[ENDED]
    state[TRAILING] = joint if later[ENDED] == 0 else later[TRAILING]


def finish(state: Words, ends: Ends, at_least: int) -> tuple[int, bool]:
    """0 without rows."""
    return state[FOUND], True


RUNS = Aggregation(
    name="runs",
    says="How often a run of at least `at_least` rows that meet one condition is directly followed by a row that meets another and not the first.",
    takes=(frozenset({"int64"}),),
    gives="int64",
    empty="0",
    nulls="never null; a condition that is null is not met",
    parameters=(Parameter(name="at_least", least=1, most=1_000_000, whole=True),),
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish),
)
