"""About how many different values: HyperLogLog registers, and an estimate that is a function of them alone.

Flajolet, Fusy, Gandouet, Meunier 2007 for the registers; Ertl 2017, "New cardinality estimation algorithms for HyperLogLog sketches",
section 3, for the estimate: no tables, no switch between ranges, and no word about the order in which values came.
"""

import math

from features.definitions.aggregations.aggregation import ANY, Aggregation, Ends, Parameter, State

__all__ = ["DISTINCT_SKETCH"]

Words = list[int]


def width(kinds: int, precision: int) -> int:
    """2^precision registers."""
    return 1 << precision


def zero(state: Words, precision: int) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def add(state: Words, time: int, value: int, precision: int) -> None:
    """The hash's low bits choose the register, the zeros at the end of the others are its rank."""
    register = value & ((1 << precision) - 1)
    rest = (value >> precision) & ((1 << (64 - precision)) - 1)
    rank = 1
    while rank <= 64 - precision and rest & 1 == 0:
        rest >>= 1
        rank += 1
    state[register] = max(state[register], rank)


def merge(state: Words, later: Words, precision: int) -> None:
    """The larger of each register."""
    for register in range(len(state)):
        state[register] = max(state[register], later[register])


def sigma(x: float) -> float:
    """Of the share of registers that are empty, below 1."""
    y, made, before = 1.0, x, -1.0
    while made != before:
        x *= x
        before = made
        made += x * y
        y += y
    return made


def tau(x: float) -> float:
    """Of the share of registers that are not full."""
    if x in (0.0, 1.0):
        return 0.0
    y, made, before = 1.0, 1.0 - x, -1.0
    while made != before:
        x = math.sqrt(x)
        before = made
        y *= 0.5
        made -= (1.0 - x) * (1.0 - x) * y
    return made / 3.0


def finish(state: Words, ends: Ends, precision: int) -> tuple[int, bool]:
    """The estimate, to the nearest whole number."""
    last = 65 - precision
    empty = full = 0
    made = 0.0
    for register in range(len(state)):
        rank = state[register]
        if rank == 0:
            empty += 1
        elif rank == last:
            full += 1
        else:
            made += math.ldexp(1.0, -int(rank))
    if empty == len(state):
        return 0, True
    size = float(len(state))
    made += size * sigma(float(empty) / size) + size * tau(1.0 - float(full) / size) * math.ldexp(1.0, 1 - last)
    return math.floor(size * size / (2.0 * math.log(2.0)) / made + 0.5), True


_STATE = State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish, value="hash")
DISTINCT_SKETCH = Aggregation(
    name="distinct_sketch",
    says="About how many different values; of any number of them, in 2^precision registers.",
    takes=(ANY,),
    gives="int64",
    empty="0",
    nulls="never null",
    parameters=(Parameter(name="precision", least=4, most=16, whole=True),),
    error="standard error 1.04 / sqrt(2^precision), relatively: 1.6% at 12; nearly exact while few registers are taken",
    state=_STATE,
    tiles=_STATE,
)  # fmt: skip
