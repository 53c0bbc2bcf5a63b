"""What it means that the engine and the oracle agree on a case."""

import math
from collections.abc import Sequence
from typing import Any

from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate
from features.definitions.views import FeatureView
from tests import oracle
from tests.engine import answers
from tests.oracle import Answer
from tests.oracle_expressions import evaluate
from tests.strategies import Case

__all__ = ["agree", "differences", "expected", "magnitude", "room", "same"]

_TYPES: dict[ColumnType, type] = {"string": str, "int64": int, "float64": float, "bool": bool, "timestamp": int}
_NEAR = {"entropy", "gap_cv", "quantile", "trend"}
_WITHIN = {"pairs_mean", "decayed_count", "decayed_sum", "decayed_mean"}
_RELATIVE = {"speed_max", "speed_mean"}


def expected(case: Case) -> list[Answer]:
    """The oracle's answers, in the order of the asks."""
    requests: Sequence[oracle.Row | None] = case.requests or [None] * len(case.asks)
    return [
        oracle.answer(case.view, case.raw, key, t, request)
        for (key, t), request in zip(case.asks, requests, strict=True)
    ]


def differences(case: Case, want: list[Answer] | None = None) -> list[str]:
    """A line for each value or status that is not the oracle's."""
    found: list[str] = []
    types = case.view.types
    for (key, t), got, meant in zip(
        case.asks,
        answers(case.view, case.raw, case.asks, case.batches, case.requests),
        want or expected(case),
        strict=True,
    ):
        if got.status != meant.status:
            found.append(f"{key} at {t}: status {got.status}, meant {meant.status}")
        for name, value in meant.values.items():
            if not agree(case, types[name], name, key, t, got.values[name], value):
                found.append(f"{key} at {t}: {name} is {got.values[name]!r}, meant {value!r}")
    return found


def agree(case: Case, kind: ColumnType, name: str, key: tuple[Any, ...], t: int, got: Any, meant: Any) -> bool:
    """Equal; floats within the room that there is, which takes the oracle to find."""
    near = isinstance(meant, float) and isinstance(got, float)
    return same(kind, got, meant) or (near and same(kind, got, meant, room(case, name, key, t, meant)))


def same(kind: ColumnType, got: Any, meant: Any, room: float = 0.0) -> bool:
    """Equal and of the declared type; floats exactly (-0.0 is 0.0, NaN is NaN) or within `room`."""
    if got is None or meant is None:
        return got is meant
    if kind == "float64" and type(got) is float:
        return (math.isnan(got) and math.isnan(meant)) or got == meant or abs(got - meant) <= room
    return type(got) is _TYPES[kind] and bool(got == meant)


def room(case: Case, name: str, key: tuple[Any, ...], t: int, value: float) -> float:
    """1e-12 of what takes roots and logarithms; 1e-9 of speeds; 1e-9 x sum|x| of the window for sums and means of a float column without scale, else nothing."""
    feature = next(feature for feature in case.view.features if feature.name == name)
    if isinstance(feature, Aggregate) and feature.operation in _NEAR:
        return 1e-12 * abs(value)
    if isinstance(feature, Aggregate) and feature.operation in _RELATIVE:
        return 1e-9 * abs(value)
    if isinstance(feature, Aggregate) and feature.operation in _WITHIN:
        return 1e-9 * (
            abs(value) + 1 + (magnitude(case.view, feature, _events(case, key, t), t) if feature.column else 0)
        )
    if not (
        isinstance(feature, Aggregate)
        and feature.operation in {"sum", "mean"}
        and case.view.source.types[feature.column or ""] == "float64"
    ):
        return 0.0
    return 1e-9 * magnitude(case.view, feature, _events(case, key, t), t)


def _events(case: Case, key: tuple[Any, ...], t: int) -> list[oracle.Row]:
    """Those that count, and whatever is brought at the key and instant."""
    events = oracle.counting(case.view, case.view.source, case.raw[case.view.source.name], key, t)
    brought = zip(case.asks, case.requests or (), strict=True) if case.requests else ()
    return events + [
        row for ask, request in brought if ask == (key, t) for row in oracle.with_self(case.view, [], t, request)
    ]


def magnitude(view: FeatureView, feature: Aggregate, events: list[oracle.Row], t: int) -> float:
    """sum|x| (of a mean: over n) of the values in a window."""
    rows = oracle.within(events, feature.window, oracle.anchor(view, t), view)
    values = [
        abs(x)
        for row in rows
        if feature.where is None or evaluate(feature.where, row) is True
        if oracle.usable(x := row[feature.column or ""])
    ]
    return float(sum(values)) / (len(values) if feature.operation == "mean" and values else 1)
