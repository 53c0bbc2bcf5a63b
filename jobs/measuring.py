"""The profile of an attempt that fits into memory, measured from its columns without Spark: the same metrics as `jobs.profiling.profile_cut`.

A view of many features is hundreds of aggregates, which Spark plans and compiles for seconds; most attempts are a few megabytes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.profiles import Profile
from expectations.rules import Rule, metric_of
from features.definitions.names import cut_text, utc
from features.definitions.views import FeatureView

__all__ = ["Metrics", "breaking", "column_metrics", "logs", "measured"]

_CATEGORIES = 20
Metrics = dict[str, float]


def measured(rows: pa.Table, view: FeatureView, cut: int, rules: Sequence[Rule]) -> Profile:
    """Of an attempt's rows: counts of rows that break rules, and what history compares.

    Args:
        rows: all columns of the attempt.
        view: whose attempt it is.
        cut: microseconds UTC.
        rules: those of rows count; of metrics nothing is measured here.
    """
    found: Metrics = {"rows": float(len(rows))}
    found |= {metric_of(rule): float(breaking(rule, rows)) for rule in rules if rule.rows}
    for name, kind in view.types.items() if len(rows) else ():
        found |= column_metrics(name, kind, rows[name].combine_chunks())
    return Profile(subject=view.name, at=cut_text(cut), weekday=utc(cut).weekday(), metrics=found)


def breaking(rule: Rule, rows: pa.Table) -> int:
    """How many rows break a row rule, as `expectations.conditions.violation` has it; of `unique`, rows beyond the first of each key."""
    if rule.check == "unique":
        return len(rows) - len(rows.group_by(list(rule.columns)).aggregate([]))
    columns = [rows[name].combine_chunks() for name in rule.columns]
    nulls = [np.asarray(column.is_null()) for column in columns]
    match rule.check:
        case "not_null":
            return int(nulls[0].sum())
        case "implies":
            return int((~nulls[0] & nulls[1]).sum())
        case "in_set":
            among = pc.is_in(columns[0], value_set=pa.array(rule.values, columns[0].type))
            return int((~nulls[0] & ~np.asarray(among)).sum())
    there = ~np.logical_or.reduce(nulls)
    broken = _broken(rule, [_number(column.filter(pa.array(there))) for column in columns])
    return int(broken.sum())


def _broken(rule: Rule, numbers: Sequence[np.ndarray]) -> np.ndarray:
    first = numbers[0]
    if rule.check == "between":
        below = first < _bound(rule.lower) if rule.lower is not None else np.zeros(len(first), bool)
        return below | (first > _bound(rule.upper)) if rule.upper is not None else below
    if rule.check == "at_least":
        return np.asarray(first < numbers[1])
    one, other = (part.astype(np.float64) for part in numbers)
    with np.errstate(invalid="ignore"):
        return np.asarray(one < other - (rule.upper or 0.0) * np.maximum(np.abs(one), np.abs(other)))


def _bound(bound: float) -> int | float:
    """Whole numbers are compared as such: beyond 2^53 a float would not tell two integers apart."""
    return int(bound) if float(bound).is_integer() else bound


def _number(column: pa.Array) -> np.ndarray:
    """Instants as microseconds; NaN is larger than all others, as in Spark."""
    plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    values = np.asarray(plain)
    return np.where(np.isnan(values), np.inf, values) if values.dtype.kind == "f" else values


def column_metrics(name: str, kind: str, column: pa.Array) -> Metrics:
    """What history compares of a column of a definition's type; at least one row."""
    rows, there = len(column), column.drop_null()
    found = {f"null_share/{name}": (rows - len(there)) / rows}
    if not len(there):
        return found
    if kind in {"int64", "float64"}:
        return found | _numbers(name, there, rows)
    if kind == "string":
        return found | _texts(name, pc.value_counts(there), rows)
    if kind == "bool":
        found[f"share/{name}=true"] = float(pc.mean(there.cast(pa.float64())).as_py())
    return found


def logs(numbers: np.ndarray) -> np.ndarray:
    """Logarithms with the number's sign, without NaN: a change of sign is as large as it is, and 0 stays 0."""
    values = numbers.astype(np.float64)
    values = values[~np.isnan(values)]
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _numbers(name: str, there: pa.Array, rows: int) -> Metrics:
    most = max(np.asarray(pc.value_counts(there).field("counts")))
    found = {f"top_share/{name}": float(most) / rows}
    if len(values := logs(np.asarray(there))):
        found[f"log_mean/{name}"] = float(np.mean(values))
    return found


def _texts(name: str, counted: pa.StructArray, rows: int) -> Metrics:
    shares: Mapping[str, float] = {
        str(value): count / rows
        for value, count in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    }
    found = {f"top_share/{name}": max(shares.values())}
    return (
        found | {f"share/{name}={value}": share for value, share in shares.items()}
        if len(shares) <= _CATEGORIES
        else found
    )
