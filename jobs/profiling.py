"""One aggregation of a frame: the metrics that rules and history need, and how many rows break each row rule. No reads or writes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from expectations.conditions import quoted, violation
from expectations.profiles import Profile, Sample
from expectations.rules import Rule, metric_of
from features.definitions.names import cut_text, utc
from features.definitions.sources import Source
from features.definitions.views import FeatureView

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "content_columns",
    "partition_types",
    "profile_cut",
    "profile_partitions",
    "role_columns",
    "sample_modulus",
    "view_types",
]

_CATEGORIES = 20
"""A text column with at most this many values is a category; each value's share is a metric."""
_TRACKED = 1024
_SAMPLED = 500
_HOUR_US = 3_600_000_000
Metrics = dict[str, float]


def view_types(view: FeatureView) -> Mapping[str, str]:
    """All columns of an attempt."""
    return {
        **dict.fromkeys(view.keys, view.entity.type),
        **view.types,
        "asof_status": "string",
        "event_timestamp": "timestamp",
    }


def partition_types(source: Source) -> Mapping[str, str]:
    """All columns of a source's Hive table but the partition."""
    own = {"asof_op": "string", "asof_known_at": "timestamp", "asof_undoes": "timestamp", "asof_first": "bool"}
    return {**source.types, **own}


def sample_modulus(rows: int) -> int:
    """The power of two that leaves some hundreds of `rows` keys in a sample."""
    modulus = 1
    while rows // (2 * modulus) >= _SAMPLED:
        modulus *= 2
    return modulus


def profile_cut(frame: "DataFrame", view: FeatureView, cut: int, rules: Sequence[Rule]) -> Profile:
    """Of an attempt's rows: one Spark job, and a second one for keys that occur twice."""
    types = view_types(view)
    metrics = {"rows": "count(*)"} | _violations(rules, types)
    for name, kind in view.types.items():
        metrics |= _column(name, kind)
    row = frame.selectExpr(*(f"{text} as {quoted(name)}" for name, text in metrics.items())).collect()[0].asDict()
    found = _flat(row, view.types) | {
        f"violations/{rule.name}": _repeated(frame, rule).get("", 0.0) for rule in rules if rule.check == "unique"
    }
    return Profile(subject=view.name, at=cut_text(cut), weekday=utc(cut).weekday(), metrics=found)


def profile_partitions(
    frame: "DataFrame",
    source: Source,
    rules: Mapping[str, Sequence[Rule]],
    *,
    keys: Sequence[str],
    modulus: int,
) -> Mapping[str, Profile]:
    """Of several partitions at once, by their ds; a partition without rows has the profile of nothing.

    Args:
        frame: Rows of the source's table with their partition column.
        source: Whose they are.
        rules: The row rules of each ds to profile.
        keys: Key columns to sample.
        modulus: Of the samples: decides how thin they are.
    """
    days = sorted(rules)
    metrics = _source_metrics(source, keys, modulus)
    metrics |= _violations_by_day(rules, source)
    texts = [f"{text} as {quoted(name)}" for name, text in metrics.items()]
    from pyspark.sql import functions as F  # noqa: PLC0415 - a second that commands without Spark do not pay

    made = (
        frame.groupBy(F.col(source.partition).cast("string").alias("ds"))
        .agg(*(F.expr(text) for text in texts))
        .collect()
    )
    found = {str(row["ds"]): row.asDict() for row in made}
    unique = (
        {rule.name: _repeated(frame, rule, source.partition) for rule in rules[days[-1]] if rule.check == "unique"}
        if days
        else {}
    )
    return {ds: _partition_profile(source, ds, found.get(ds), unique, rules[ds], modulus) for ds in days}


def _partition_profile(
    source: Source,
    ds: str,
    row: dict[str, Any] | None,
    unique: Mapping[str, Mapping[str, float]],
    rules: Sequence[Rule],
    modulus: int,
) -> Profile:
    weekday = date.fromisoformat(ds).weekday()
    if row is None:
        nothing = {"rows": 0.0} | {metric_of(rule): 0.0 for rule in rules if rule.rows}
        return Profile(subject=source.name, at=ds, weekday=weekday, metrics=nothing)
    row.pop("ds")
    samples = {
        name.removeprefix("sample/"): Sample(modulus=modulus, hashes=frozenset(row.pop(name)))
        for name in list(row)
        if name.startswith("sample/")
    }
    hours = row.pop("hours") or []
    metrics = _flat(row, source.types) | {f"violations/{name}": counts.get(ds, 0.0) for name, counts in unique.items()}
    metrics |= {f"hour_rows/{entry['item']}": float(entry["count"]) for entry in hours}
    return Profile(subject=source.name, at=ds, weekday=weekday, metrics=metrics, samples=samples)


def _source_metrics(source: Source, keys: Sequence[str], modulus: int) -> dict[str, str]:
    late = f"(unix_micros(asof_known_at) - unix_micros({quoted(source.event_time)}))"
    metrics = {
        "rows": "count(*)",
        "late_share": f"avg(cast({late} > {_HOUR_US} as double))",
        "lateness": f"percentile_approx({_log(f'{late} / 1000000')}, array(0.1, 0.5), 200)",
        "share/asof_op=retract": "avg(cast(asof_op = 'retract' as double))",
        "repeated": _distinct_count(f"xxhash64({', '.join(map(quoted, content_columns(source)))})", 14),
        "newest_known_at": "max(unix_micros(asof_known_at))",
        "hours": "approx_top_k(hour(asof_known_at), 24, 64)",
    }
    for name, kind in source.types.items():
        metrics |= (
            _column(name, kind, whole=True)
            if name not in role_columns(source)
            else {f"null_share/{name}": _nulls(name)}
        )
    for name in keys:
        hashed = f"xxhash64({quoted(name)})"
        metrics[f"sample/{name}"] = (
            f"collect_set(case when {quoted(name)} is not null and pmod({hashed}, {modulus}) = 0 then {hashed} end)"
        )
    return metrics


def role_columns(source: Source) -> frozenset[str | None]:
    """Columns that say when and which, of which only nulls are measured."""
    return frozenset({source.event_time, source.known_at, source.version, source.void, source.event_id, None})


def content_columns(source: Source) -> tuple[str, ...]:
    """What a row says, without its id, version and arrival: a row that repeats another under a new id has the same."""
    silent = {source.event_id, source.version, source.known_at}
    return ("asof_op", *(name for name in sorted(source.types) if name not in silent))


def _column(name: str, kind: str, *, whole: bool = False) -> dict[str, str]:
    """Metrics of one column; `whole` adds those that only sources need."""
    column = quoted(name)
    metrics = {f"null_share/{name}": _nulls(name)}
    if kind in {"int64", "float64"}:
        number = _log(f"nanvl(cast({column} as double), null)")
        metrics |= {f"log_mean/{name}": f"avg({number})", f"top/{name}": f"approx_top_k({column}, 2, {_TRACKED})"}
        if whole:
            metrics |= {
                f"log_max/{name}": f"max({number})",
                f"deciles/{name}": f"percentile_approx({number}, array(0.1, 0.5, 0.9), 200)",
            }
    elif kind == "string":
        metrics[f"top/{name}"] = f"approx_top_k({column}, {_CATEGORIES + 2}, {_TRACKED})"
        if whole:
            metrics |= {f"distinct/{name}": _distinct_count(column, 12), f"length/{name}": f"avg(length({column}))"}
    elif kind == "bool":
        metrics[f"share/{name}=true"] = f"avg(cast({column} as double))"
    return metrics


def _distinct_count(value: str, precision: int) -> str:
    """Exact for few values, else within about 1 / sqrt(2^precision). Spark's approx_count_distinct at such a precision plans thousands of columns."""
    return f"hll_sketch_estimate(hll_sketch_agg({value}, {precision}))"


def _nulls(name: str) -> str:
    return f"avg(cast({quoted(name)} is null as double))"


def _log(number: str) -> str:
    """Signed, so that a change of sign is as large as it is; 0 stays 0."""
    return f"(signum({number}) * ln(1 + abs({number})))"


def _conditions(rules: Iterable[Rule], types: Mapping[str, str]) -> dict[str, str]:
    return {metric_of(rule): violation(rule, types) for rule in rules if rule.rows and rule.check != "unique"}


def _violations(rules: Iterable[Rule], types: Mapping[str, str]) -> dict[str, str]:
    return {name: f"count_if({text})" for name, text in _conditions(rules, types).items()}


def _violations_by_day(rules: Mapping[str, Sequence[Rule]], source: Source) -> dict[str, str]:
    """Bounds that name the day differ by partition: such a condition is asked of its own partition's rows only."""
    texts: dict[str, dict[str, str]] = {}
    for ds in sorted(rules):
        for name, text in _conditions(rules[ds], partition_types(source)).items():
            texts.setdefault(name, {})[ds] = text
    day = f"cast({quoted(source.partition)} as string)"
    found: dict[str, str] = {}
    for name, by_day in texts.items():
        alike = len(set(by_day.values())) == 1
        own = [f"({day} = '{ds}' and ({text}))" for ds, text in by_day.items()]
        found[name] = f"count_if({next(iter(by_day.values()))})" if alike else f"count_if({' or '.join(own)})"
    return found


def _repeated(frame: "DataFrame", rule: Rule, partition: str | None = None) -> Mapping[str, float]:
    """Rows beyond the first of each key, by partition; under "" where there is none."""
    keys = [*rule.columns, *([partition] if partition else [])]
    counts = frame.groupBy(*keys).count().where("count > 1")
    of = f"cast({quoted(partition)} as string)" if partition else "''"
    rows = counts.selectExpr(f"{of} as ds", "count - 1 as again").groupBy("ds").sum("again").collect()
    return {str(row[0]): float(row[1]) for row in rows}


def _flat(row: Mapping[str, Any], types: Mapping[str, str]) -> Metrics:
    """A collected row as metrics: arrays and counted values spread out, nulls left away."""
    rows = float(row["rows"])
    found: Metrics = {}
    for name, value in row.items():
        kind, _, of = name.partition("/")
        if value is None or (rows == 0 and name != "rows" and kind != "violations"):
            continue
        match kind:
            case "top":
                found |= _top(of, value, rows, text=types.get(of) == "string")
            case "deciles":
                found |= {
                    f"log_{label}/{of}": float(each) for label, each in zip(("p10", "p50", "p90"), value, strict=True)
                }
            case "lateness":
                found |= {"log_lateness_p10": float(value[0]), "log_lateness_p50": float(value[1])}
            case "repeated":
                found["repeated_share"] = max(0.0, 1 - float(value) / rows)
            case "distinct":
                found |= _distinct(of, float(value), rows)
            case _:
                found[name] = float(value)
    return found


def _distinct(name: str, count: float, rows: float) -> Metrics:
    return {f"log_distinct_per_row/{name}": math.log(count / rows)} if count else {}


def _top(name: str, entries: Sequence[Any], rows: float, *, text: bool) -> Metrics:
    counted = [(entry["item"], int(entry["count"])) for entry in entries if entry["item"] is not None]
    if not counted:
        return {}
    found = {f"top_share/{name}": max(count for _, count in counted) / rows}
    if text and len(counted) <= _CATEGORIES:
        found |= {f"share/{name}={value}": count / rows for value, count in counted}
    return found
