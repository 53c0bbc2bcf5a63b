"""The operations that the sweep finishes with kernels of its own."""

from features.definitions.aggregations.aggregation import ANY, NUMBERS, Aggregation
from features.definitions.expressions import ColumnType

__all__ = ["STANDARD"]

_ORDERED: frozenset[ColumnType] = frozenset({"int64", "float64", "timestamp"})

COUNT = Aggregation(name="count", says="Rows.", gives="int64", empty="0", nulls="never null", subtractable=True)
SUM = Aggregation(
    name="sum",
    says="Sum, in the column's unit.",
    takes=(NUMBERS,),
    gives="column",
    empty="0",
    nulls="null with status overflow where an integer sum leaves int64",
    subtractable=True,
    error="integers exact; floats without scale within 1e-9 x sum of sizes, and not removable",
)
MEAN = Aggregation(
    name="mean",
    says="float64(sum) / float64(n), in the column's unit.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    subtractable=True,
    error="integers exact; floats without scale within 1e-9 x mean of sizes, and not removable",
)
STD = Aggregation(
    name="std",
    says="Sample standard deviation, in the column's unit.",
    takes=(frozenset({"int64"}),),
    gives="float64",
    empty="null",
    nulls="null below two values",
    subtractable=True,
)
MIN = Aggregation(name="min", says="Smallest value.", takes=(_ORDERED,), gives="column", empty="null")
MAX = Aggregation(name="max", says="Largest value.", takes=(_ORDERED,), gives="column", empty="null")
FIRST = Aggregation(name="first", says="Oldest value.", takes=(ANY,), gives="column", empty="null")
LAST = Aggregation(name="last", says="Newest value.", takes=(ANY,), gives="column", empty="null")
DISTINCT = Aggregation(
    name="distinct",
    says="Different values, up to a limit.",
    takes=(ANY,),
    gives="int64",
    empty="0",
    nulls="never null",
    error="exact up to the limit, saturating there",
)
TIME_SINCE_FIRST = Aggregation(
    name="time_since_first", says="Microseconds from the oldest row to the anchor.", gives="int64", empty="null"
)
TIME_SINCE_LAST = Aggregation(
    name="time_since_last", says="Microseconds from the newest row to the anchor.", gives="int64", empty="null"
)
STANDARD = (COUNT, SUM, MEAN, STD, MIN, MAX, FIRST, LAST, DISTINCT, TIME_SINCE_FIRST, TIME_SINCE_LAST)
