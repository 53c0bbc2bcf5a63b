"""A feature's unit and reason code, derived from its operation and column: no definition says them, so they are said here, once."""

from typing import assert_never

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.durations import duration_text
from features.definitions.expressions import (
    Column,
    Compare,
    Expression,
    Hour,
    IsIn,
    IsNull,
    Negation,
    Value,
    Weekday,
    children,
)
from features.definitions.features import (
    Aggregate,
    AnomalyReason,
    AnomalyScore,
    Attribute,
    Difference,
    Feature,
    Rate,
    Ratio,
    Requested,
    Zscore,
)
from features.definitions.lineage import bases
from features.definitions.phrases import noun, plural
from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = ["reason_code", "unit"]

_ROWS = {"count", "decayed_count"}
_KINDS = {"distinct", "distinct_sketch"}
_FIXED = {
    "time_since_first": "microseconds", "time_since_last": "microseconds", "time_since_last_k": "microseconds", "gap_mean": "microseconds",
    "gap_cv": "no unit (standard deviation over mean)", "entropy": "nats", "speed_max": "km/h", "speed_mean": "km/h", "runs": "runs",
}  # fmt: skip
_SUFFIXES = {
    "_minor": "minor units of the currency (cents)", "_us": "microseconds", "_km": "km", "_days": "days", "_hours": "hours", "_seconds": "seconds",
    "lat": "degrees", "lon": "degrees", "latitude": "degrees", "longitude": "degrees",
}  # fmt: skip
_TYPES = {"string": "text", "bool": "true or false", "timestamp": "instant, UTC"}
_FAMILIES = {
    "count": "VELOCITY", "burst": "VELOCITY", "decayed_count": "VELOCITY", "distinct": "VARIETY", "distinct_sketch": "VARIETY", "entropy": "VARIETY",
    "top_k": "HABIT", "time_since_first": "AGE", "time_since_last": "RECENCY", "time_since_last_k": "RECENCY", "gap_mean": "RHYTHM", "gap_cv": "RHYTHM",
    "trend": "TREND", "runs": "SEQUENCE", "pairs_max": "JUMP", "pairs_mean": "JUMP", "speed_max": "TRAVEL", "speed_mean": "TRAVEL",
}  # fmt: skip
_SIZES = {"==": "IS", "!=": "NOT", "<": "BELOW", "<=": "UP_TO", ">": "ABOVE", ">=": "FROM"}


def unit(view: FeatureView, feature: Feature) -> str:  # noqa: C901, PLR0911 - one branch a kind of feature
    """What one of the value is: `payments`, `microseconds`, `minor units of the currency (cents)`."""
    named = {each.name: each for each in view.features}
    match feature:
        case Aggregate():
            return _aggregate_unit(view, feature)
        case Attribute() | Requested():
            return _column_unit(view.source, feature.column)
        case Rate():
            return f"{noun(feature.outcomes)} a {_single(view.source)}"
        case Ratio():
            over, under = unit(view, named[feature.numerator]), unit(view, named[feature.denominator])
            return "share (no unit)" if over == under else f"{over}, divided by {under}"
        case Difference():
            return unit(view, named[feature.minuend])
        case Zscore():
            return "standard deviations"
        case AnomalyScore():
            return "robust standard deviations"
        case AnomalyReason():
            return "name of a feature"
        case _:
            assert_never(feature)


def _single(source: Source) -> str:
    """One of its rows."""
    return noun(source.event_id) if source.event_id is not None else "row"


def _aggregate_unit(view: FeatureView, feature: Aggregate) -> str:
    rows, operation = view.source.name.replace("_", " "), feature.operation
    if operation in _ROWS:
        return f"{rows}, weighted by age" if operation == "decayed_count" else rows
    if operation in _KINDS and feature.column is not None:
        graph = view.source.graph
        return plural(noun(feature.column if graph is None or feature.column != "other" else graph.entity.name))
    if operation in _FIXED:
        return _FIXED[operation]
    if operation in {"burst", "trend"}:
        return f"{rows} in {duration_text(feature.window.step_us)}" + (
            ", more each step" if operation == "trend" else ""
        )
    if feature.column is not None:
        return _column_unit(view.source, feature.column)
    return AGGREGATIONS[operation].says if operation in AGGREGATIONS else "not known"


def _column_unit(source: Source, column: str) -> str:
    kind = source.types.get(column, "string")
    if kind in _TYPES:
        return _TYPES[kind]
    scales = {own.name: own.scale for own in source.columns}
    if scales.get(column) is not None:
        return f"{noun(column)}, in 10^-{scales[column]}"
    return next((said for suffix, said in _SUFFIXES.items() if column.endswith(suffix)), noun(column))


def reason_code(view: FeatureView, feature: Feature) -> str:
    """`CARD_VELOCITY_DECLINED`: entity, kind of behaviour, column, condition; of a graph which of its sources. The same over all windows, so that a list of reasons says each once."""
    if isinstance(feature, AnomalyScore | AnomalyReason):
        return f"{_word(view.entity.name)}_ANOMALY"
    (first, *_) = bases(view, feature.name)
    kind = {Ratio: "SHARE", Difference: "CHANGE", Zscore: "UNUSUAL"}.get(type(feature))
    graph = view.source.graph
    derived = () if graph is None else (view.source.name.removeprefix(f"{graph.name}_"),)
    parts = [view.entity.name, *((kind,) if kind else ()), *derived, *_behaviour(first)]
    return "_".join(_word(part) for part in parts if part)


def _behaviour(feature: Feature) -> tuple[str, ...]:
    match feature:
        case Aggregate():
            column = noun(feature.column or "")
            family = _FAMILIES.get(feature.operation, "" if column else feature.operation)
            return (family, column, _condition(feature.where).removeprefix(f"{column} "))
        case Attribute():
            return ("PROFILE", feature.column)
        case Requested():
            return ("REQUEST", feature.column)
        case Rate():
            return ("OUTCOME", feature.outcomes)
        case _:
            return (feature.name,)


def _condition(node: Expression | None) -> str:  # noqa: C901, PLR0911 - one branch a node
    """The words of a condition: of a column that equals a text the text alone."""
    match node:
        case None:
            return ""
        case Compare("==", Column(), Value(str(value))):
            return value
        case Compare(op, left, right):
            return f"{_condition(left)} {_SIZES[op]} {_condition(right)}"
        case IsIn(_, values):
            return " ".join(str(value) for value in values)
        case Negation(of):
            return f"NOT {_condition(of)}"
        case Column(name):
            return noun(name)
        case Value(value):
            return str(value)
        case Hour() | Weekday():
            return type(node).__name__
        case _:
            return " ".join(
                (*(_condition(part) for part in children(node)), *(("missing",) if isinstance(node, IsNull) else ()))
            )


def _word(text: str) -> str:
    return "_".join("".join(sign if sign.isalnum() else " " for sign in text).upper().split())
