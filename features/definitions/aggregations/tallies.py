"""How often each of some whole numbers came, in any order and of several keys: what tiles hold of steps and of values' hashes."""

import math

from features.definitions.aggregations.aggregation import Ends, State

__all__ = ["OF_STEPS", "OF_VALUES"]

Words = list[int]
# How many numbers, then each in ascending order with its count behind it.
KEPT, ITEMS = 0, 1


def width(rows: int, step: int = 0) -> int:
    """Two words a number, of which there are no more than rows."""
    return ITEMS + 2 * rows


def zero(state: Words, step: int = 0) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def add_step(state: Words, time: int, value: float, step: int = 0) -> None:
    """One more row of its step."""
    counted(state, time // step, 1)


def add_value(state: Words, time: int, value: int, step: int = 0) -> None:
    """One more row of its value."""
    counted(state, value, 1)


def counted(state: Words, number: int, rows: int) -> None:
    """At its place, which is made if it is not there."""
    low, high = 0, state[KEPT]
    while low < high:
        middle = (low + high) // 2
        if state[ITEMS + 2 * middle] < number:
            low = middle + 1
        else:
            high = middle
    place = ITEMS + 2 * low
    if low < state[KEPT] and state[place] == number:
        state[place + 1] += rows
        return
    for word in range(ITEMS + 2 * state[KEPT] - 1, place - 1, -1):
        state[word + 2] = state[word]
    state[place] = number
    state[place + 1] = rows
    state[KEPT] += 1


def merge(state: Words, later: Words, step: int = 0) -> None:
    """Counts of both."""
    for item in range(later[KEPT]):
        counted(state, later[ITEMS + 2 * item], later[ITEMS + 2 * item + 1])


def largest(state: Words, ends: Ends, step: int = 0) -> tuple[int, bool]:
    """The largest count, 0 without rows."""
    most = 0
    for item in range(state[KEPT]):
        most = max(most, state[ITEMS + 2 * item + 1])
    return most, True


def entropy(state: Words, ends: Ends, step: int = 0) -> tuple[float, bool]:
    """-sum(p * ln p), in the order of the hashes."""
    rows = 0
    for item in range(state[KEPT]):
        rows += state[ITEMS + 2 * item + 1]
    made = 0.0
    for item in range(state[KEPT]):
        share = float(state[ITEMS + 2 * item + 1]) / float(rows)
        made -= share * math.log(share)
    return made, rows > 0


OF_STEPS = State(words="int64", width=width, zero=zero, add=add_step, merge=merge, finish=largest)
OF_VALUES = State(words="int64", width=width, zero=zero, add=add_value, merge=merge, finish=entropy, value="hash")
