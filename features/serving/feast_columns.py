"""What one view says of many keys, in Feast's words: values, statuses and event timestamps, for its HTTP answers and for its SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.serving.served import Status, ViewValues
from features.store.values import Cell

__all__ = ["FeastColumns", "columns_of"]

_STATUS: dict[Status, str] = {
    "ok": "PRESENT", "overflow": "PRESENT", "never_seen": "NOT_FOUND", "no_key": "NOT_FOUND", "stale": "OUTSIDE_MAX_AGE",
    "damaged": "INVALID",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FeastColumns:
    """One entry a key, in the order asked."""

    features: Mapping[str, tuple[list[Cell], list[str]]]
    """Feature name to values, and to the names of Feast's statuses; a status never replaces the value beside it."""

    instants: list[int | None]
    """Feast's event timestamps: from when on the values are served, in microseconds UTC; None of a key that was never seen or is null."""


def columns_of(column: Sequence[ViewValues], lag_us: int) -> FeastColumns:
    """Of one view, whose values are served `lag_us` after their cut.

    >>> one = ViewValues(view="v", values={"n": 0, "mean": None}, status="ok", cut=5, age=9)
    >>> columns_of([one], 2)
    FeastColumns(features={'n': ([0], ['PRESENT']), 'mean': ([None], ['NULL_VALUE'])}, instants=[7])
    """
    statuses = [_STATUS[one.status] for one in column]
    made: dict[str, tuple[list[Cell], list[str]]] = {}
    for feature in column[0].values if column else ():
        values = [one.values[feature] for one in column]
        made[feature] = (values, _with_nulls(values, statuses))
    instants = [None if one.status in {"never_seen", "no_key"} else one.cut + lag_us for one in column]
    return FeastColumns(features=made, instants=instants)


def _with_nulls(values: Sequence[Cell], statuses: list[str]) -> list[str]:
    """A null that is there is NULL_VALUE, as in Feast."""
    if None not in values:
        return statuses
    return [
        "NULL_VALUE" if value is None and status == "PRESENT" else status
        for value, status in zip(values, statuses, strict=True)
    ]
