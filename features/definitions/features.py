"""Features as data: aggregations over windows, attributes, rates, and what is derived from them (semantics 4)."""

from dataclasses import dataclass
from typing import Literal

from features.definitions.durations import duration
from features.definitions.expressions import ColumnType, Expression
from features.definitions.windows import Window

__all__ = [
    "OPERATIONS",
    "Aggregate",
    "Attribute",
    "CohortRate",
    "Difference",
    "Feature",
    "Operation",
    "Ratio",
    "Zscore",
]

Operation = Literal[
    "count", "sum", "mean", "min", "max", "std", "distinct", "first", "last", "time_since_first", "time_since_last"
]
OPERATIONS: dict[Operation, frozenset[ColumnType]] = {
    "count": frozenset(),
    "sum": frozenset({"int64", "float64"}),
    "mean": frozenset({"int64", "float64"}),
    "min": frozenset({"int64", "float64", "timestamp"}),
    "max": frozenset({"int64", "float64", "timestamp"}),
    "std": frozenset({"int64"}),
    "distinct": frozenset({"string", "int64", "float64", "bool", "timestamp"}),
    "first": frozenset({"string", "int64", "float64", "bool", "timestamp"}),
    "last": frozenset({"string", "int64", "float64", "bool", "timestamp"}),
    "time_since_first": frozenset(),
    "time_since_last": frozenset(),
}
"""Each operation with the column types it takes; none means that it reads no column."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregate:
    """One operation over one window. Empty: counts, sums and distincts are 0, all else is null. Null inputs are skipped."""

    name: str
    operation: Operation
    window: Window
    column: str | None = None
    where: Expression | None = None
    limit: int | None = None
    """Of a distinct: exact up to here, saturating there."""

    description: str = ""

    def type(self, column: ColumnType | None) -> ColumnType:
        """Of the value, given the column's. Ages are int64 microseconds."""
        if self.operation in {"count", "distinct", "time_since_first", "time_since_last"}:
            return "int64"
        if self.operation in {"mean", "std"}:
            return "float64"
        return column or "int64"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortRate:
    """Of the eligible events in `[a-delay-window, a-delay)`, the share whose outcome is known by k. float64 in [0, 1]; null without events.

    The outcomes are rows of their own source, matched within the entity's key by the id of the event they tell of; several outcomes of one
    event count once.
    """

    name: str
    outcomes: str
    """Name of the source of outcomes, one of the view's `sources`."""

    of: str
    """The column of an outcome that holds the event's id."""

    window: Window
    """Its offset is the delay."""

    eligible: Expression | None = None
    """Which events count."""

    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """The newest row with `valid_from <= a` known by k: null before the first, after a deletion, past `ttl`."""

    name: str
    column: str
    ttl: str | None = None
    description: str = ""

    @property
    def ttl_us(self) -> int | None:
        """Microseconds; None: for ever."""
        return None if self.ttl is None else duration(self.ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """float64 numerator / denominator; null if either is null or the denominator is 0."""

    name: str
    numerator: str
    denominator: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """minuend - subtrahend: int64 if both are (null where it leaves int64), else float64; null if either is null."""

    name: str
    minuend: str
    subtrahend: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zscore:
    """(x - mean) / std, float64; null if any is null or the std is 0."""

    name: str
    x: str
    mean: str
    std: str
    description: str = ""


Feature = Aggregate | CohortRate | Attribute | Ratio | Difference | Zscore
