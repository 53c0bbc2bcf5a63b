"""Values by how often they occur: their entropy, and the most frequent ones."""

import math

from features.definitions.aggregations.aggregation import ANY, Aggregation, Ends, Parameter, State
from features.definitions.aggregations.tallies import OF_VALUES

__all__ = ["ENTROPY", "TOP_K"]

Words = list[int]


def width(kinds: int, rank: int = 0) -> int:
    """A count of each value."""
    return kinds


def zero(state: Words, rank: int = 0) -> None:
    """No rows."""
    for code in range(len(state)):
        state[code] = 0


def add(state: Words, time: int, value: int, rank: int = 0) -> None:
    """One more of its value."""
    state[value] += 1


def remove(state: Words, time: int, value: int, rank: int = 0) -> None:
    """One less."""
    state[value] -= 1


def merge(state: Words, later: Words, rank: int = 0) -> None:
    """Counts of both."""
    for code in range(len(state)):
        state[code] += later[code]


def entropy(state: Words, ends: Ends) -> tuple[float, bool]:
    """-sum(p * ln p), in ascending order of values."""
    rows = 0
    for code in range(len(state)):
        rows += state[code]
    made = 0.0
    for code in range(len(state)):
        if state[code] > 0:
            share = float(state[code]) / float(rows)
            made -= share * math.log(share)
    return made, rows > 0


def ranked(state: Words, ends: Ends, rank: int) -> tuple[int, bool]:
    """The code at that rank: by count, descending, then by value, ascending."""
    at, count = -1, -1
    for turn in range(rank):
        best, most = -1, 0
        for code in range(len(state)):
            after = turn == 0 or state[code] < count or (state[code] == count and code > at)
            if after and state[code] > most:
                best, most = code, state[code]
        if best < 0:
            return 0, False
        at, count = best, most
    return at, True


ENTROPY = Aggregation(
    name="entropy",
    says="Entropy of the values' shares, in nats: 0 where all are one, ln(n) where n values are equally frequent.",
    takes=(ANY,),
    gives="float64",
    empty="null",
    error="within 1e-12 of the true one; the same bits in frames, tables and lookups",
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=entropy, remove=remove, value="code"),
    tiles=OF_VALUES,
)  # fmt: skip
TOP_K = Aggregation(
    name="top_k",
    says="The value of the given rank by frequency, the most frequent first; of equally frequent ones the smaller first.",
    takes=(ANY,),
    gives="column",
    empty="null",
    nulls="null where there are fewer different values",
    parameters=(Parameter(name="rank", least=1, most=100, whole=True),),
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=ranked, remove=remove, value="code"),
    ordered=False,
)  # fmt: skip
