"""The short forms an author writes: one line for several windows, a velocity template for ops x windows x filters."""

from collections.abc import Mapping, Sequence

from features.definitions.expressions import Expression
from features.definitions.features import (
    Aggregate,
    Attribute,
    Difference,
    Feature,
    Ratio,
    Requested,
    Zscore,
)
from features.definitions.windows import Window, windows

__all__ = [
    "attribute", "count", "difference", "distinct", "first", "last", "max_", "mean", "min_", "ratio", "requested", "std", "sum_",
    "time_since_first", "time_since_last", "velocity", "zscore",
]  # fmt: skip

Windows = str | Window | tuple[Window, ...]


def aggregates(
    operation: str,
    column: str | None,
    over: Windows,
    where: Expression | None,
    suffix: str,
    limit: int | None = None,
) -> tuple[Aggregate, ...]:
    """One aggregate a window, named `operation[_column][_suffix]_window`."""
    stem = "_".join(part for part in (operation, column, suffix) if part)
    return tuple(
        Aggregate(
            name=f"{stem}_{window.label}", operation=operation, column=column, window=window, where=where, limit=limit
        )
        for window in windows(over)
    )


def count(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Rows. 0 when empty."""
    return aggregates("count", None, over, where, suffix)


def sum_(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """0 when empty; exact for integers, null with status `overflow` beyond int64."""
    return aggregates("sum", column, over, where, suffix)


def mean(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """float64(sum) / float64(n), in the column's unit. Null when empty."""
    return aggregates("mean", column, over, where, suffix)


def min_(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Null when empty."""
    return aggregates("min", column, over, where, suffix)


def max_(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Null when empty."""
    return aggregates("max", column, over, where, suffix)


def std(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Sample standard deviation of an integer column, from exact sums. Null below two values."""
    return aggregates("std", column, over, where, suffix)


def distinct(
    column: str, over: Windows, *, limit: int = 1000, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """Different values, exact up to `limit`, saturating there. 0 when empty."""
    return aggregates("distinct", column, over, where, suffix, limit)


def first(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """The oldest value that is not null."""
    return aggregates("first", column, over, where, suffix)


def last(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """The newest value that is not null."""
    return aggregates("last", column, over, where, suffix)


def time_since_first(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Microseconds from the oldest event to the anchor. Null when empty."""
    return aggregates("time_since_first", None, over, where, suffix)


def time_since_last(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Microseconds from the newest event to the anchor. Null when empty."""
    return aggregates("time_since_last", None, over, where, suffix)


def attribute(column: str, *, ttl: str | None = None, name: str | None = None) -> Attribute:
    """A column of a `changes` or `full` source, as it stood."""
    return Attribute(name=name or column, column=column, ttl=ttl)


def requested(column: str, *, name: str | None = None) -> Requested:
    """A request field of the view as the ask brings it, `requested_COLUMN`; for ratios, differences and z-scores with it."""
    return Requested(name=name or f"requested_{column}", column=column)


def ratio(numerator: str, denominator: str, *, name: str | None = None) -> Ratio:
    """Of two features of the same view."""
    return Ratio(name=name or f"{numerator}_per_{denominator}", numerator=numerator, denominator=denominator)


def difference(minuend: str, subtrahend: str, *, name: str | None = None) -> Difference:
    """Of two features of the same view."""
    return Difference(name=name or f"{minuend}_minus_{subtrahend}", minuend=minuend, subtrahend=subtrahend)


def zscore(x: str, *, of: str) -> Zscore:
    """How unusual feature `x` is for the history `of`: `of="amount_minor_30d"` uses `mean_…` and `std_…` of that name."""
    return Zscore(name=f"zscore_{x}", x=x, mean=f"mean_{of}", std=f"std_{of}")


def velocity(
    over: Windows, *, sums: Sequence[str] = (), distincts: Sequence[str] = (), limit: int = 1000,
    filters: Mapping[str, Expression | None] | None = None,
) -> tuple[Feature, ...]:  # fmt: skip
    """count, sums and distincts x windows x filters; a filter's name goes into the feature's, "" leaves none."""
    made: list[Feature] = []
    for suffix, where in (filters or {"": None}).items():
        made += count(over, where=where, suffix=suffix)
        for column in sums:
            made += sum_(column, over, where=where, suffix=suffix)
        for column in distincts:
            made += distinct(column, over, limit=limit, where=where, suffix=suffix)
    return tuple(made)
