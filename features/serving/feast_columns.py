"""What one view says of many keys, in Feast's words: values, statuses and event timestamps, for its HTTP answers and for its SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.serving.served import Status, ViewColumns
from features.store.values import Cell

__all__ = ["FeastColumns", "columns_of", "instants_of", "statuses_of", "with_nulls"]

_STATUS: dict[Status, str] = {
    "ok": "PRESENT", "overflow": "PRESENT", "never_seen": "NOT_FOUND", "no_key": "NOT_FOUND", "stale": "OUTSIDE_MAX_AGE",
    "damaged": "INVALID",
}  # fmt: skip
_UNSEEN = frozenset[Status](("never_seen", "no_key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeastColumns:
    """One entry a key, in the order asked."""

    features: Mapping[str, tuple[Sequence[Cell], list[str]]]
    """Feature name to values, and to the names of Feast's statuses; a status never replaces the value beside it."""

    instants: list[int | None]
    """Feast's event timestamps: from when on the values are served, in microseconds UTC; None of a key that was never seen or is null."""


def columns_of(column: ViewColumns, lag_us: int) -> FeastColumns:
    """Of one view, whose values are served `lag_us` after their cut.

    >>> one = ViewColumns(view="v", values={"n": [0], "mean": [None]}, statuses=["ok"], cuts=[5], ages=[9])
    >>> columns_of(one, 2)
    FeastColumns(features={'n': ([0], ['PRESENT']), 'mean': ([None], ['NULL_VALUE'])}, instants=[7])
    """
    statuses = statuses_of(column)
    return FeastColumns(
        features={name: (values, with_nulls(values, statuses)) for name, values in column.values.items()},
        instants=instants_of(column, lag_us),
    )


def statuses_of(column: ViewColumns) -> list[str]:
    """Feast's names of a view's statuses, an element a key."""
    return [_STATUS[one] for one in column.statuses]


def instants_of(column: ViewColumns, lag_us: int) -> list[int | None]:
    """See `FeastColumns.instants`."""
    return [
        None if status in _UNSEEN else cut + lag_us for status, cut in zip(column.statuses, column.cuts, strict=True)
    ]


def with_nulls(values: Sequence[Cell], statuses: list[str]) -> list[str]:
    """The statuses of one feature: a null that is there is NULL_VALUE, as in Feast."""
    if None not in values:
        return statuses
    return [
        "NULL_VALUE" if value is None and status == "PRESENT" else status
        for value, status in zip(values, statuses, strict=True)
    ]
