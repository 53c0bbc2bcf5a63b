"""The profile of a source's partition that fits into memory, measured from its columns without Spark: the metrics of `jobs.profiling.profile_partitions`.

Exact where Spark's aggregation is approximate: distinct values, quantiles, and the most frequent of more than a thousand.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.profiles import Profile, Sample
from expectations.rules import Rule, metric_of
from features.definitions.durations import HOUR
from features.definitions.sources import Source
from features.values.hashing import row_hashes
from features.values.versions import RETRACT
from jobs.measuring import Metrics, breaking, column_metrics, logs
from jobs.profiling import content_columns, role_columns

__all__ = ["measured_partition"]

_DAY_HOURS = 24


def measured_partition(
    rows: pa.Table, source: Source, ds: str, rules: Sequence[Rule], *, keys: Sequence[str], modulus: int
) -> Profile:
    """Of all rows of one partition that changed something.

    Args:
        rows: columns of the source and of `STORED_FIELDS`.
        source: whose they are.
        ds: the partition's day.
        rules: those of rows count; of metrics nothing is measured here.
        keys: key columns to sample.
        modulus: of the samples (`jobs.profiling.sample_modulus`).
    """
    weekday = date.fromisoformat(ds).weekday()
    found: Metrics = {"rows": float(len(rows))}
    found |= {metric_of(rule): float(breaking(rule, rows)) for rule in rules if rule.rows}
    if not len(rows):
        return Profile(subject=source.name, at=ds, weekday=weekday, metrics=found)
    found |= _arrivals(rows, source) | _repeats(rows, source)
    for name, kind in source.types.items():
        found |= _column(name, kind, rows[name].combine_chunks(), whole=name not in role_columns(source))
    samples = {name: _sample(rows[name].combine_chunks(), modulus) for name in keys}
    return Profile(subject=source.name, at=ds, weekday=weekday, metrics=found, samples=samples)


def _arrivals(rows: pa.Table, source: Source) -> Metrics:
    known, happened = (rows[name].cast(pa.int64()) for name in ("asof_known_at", source.event_time))
    late = np.asarray(pc.subtract(known, happened).drop_null())
    instants = np.asarray(known)
    hours = np.bincount(instants // HOUR % _DAY_HOURS, minlength=_DAY_HOURS)
    found = {f"hour_rows/{hour}": float(count) for hour, count in enumerate(hours) if count}
    found["newest_known_at"] = float(instants.max())
    if len(late):
        found["late_share"] = float(np.mean(late > HOUR))
        found["log_lateness_p10"], found["log_lateness_p50"] = _quantiles(logs(late / 1e6), 0.1, 0.5)
    return found


def _repeats(rows: pa.Table, source: Source) -> Metrics:
    content = row_hashes([rows[name].combine_chunks() for name in content_columns(source)])
    retracted = pc.mean(pc.equal(rows["asof_op"], RETRACT).cast(pa.float64())).as_py()
    return {"share/asof_op=retract": retracted, "repeated_share": 1 - len(np.unique(content)) / len(rows)}


def _column(name: str, kind: str, column: pa.Array, *, whole: bool) -> Metrics:
    if not whole:
        return {f"null_share/{name}": column.null_count / len(column)}
    found, there = column_metrics(name, kind, column), column.drop_null()
    if kind == "string" and len(there):
        # Spark's sketch does not count the empty text.
        if distinct := pc.count_distinct(there.filter(pc.not_equal(there, ""))).as_py():
            found[f"log_distinct_per_row/{name}"] = float(np.log(distinct / len(column)))
        found[f"length/{name}"] = pc.mean(pc.utf8_length(there)).as_py()
    if kind in {"int64", "float64"} and len(numbers := logs(np.asarray(there))):
        found[f"log_max/{name}"] = float(numbers.max())
        deciles = _quantiles(numbers, 0.1, 0.5, 0.9)
        found |= {f"log_{label}/{name}": each for label, each in zip(("p10", "p50", "p90"), deciles, strict=True)}
    return found


def _quantiles(values: np.ndarray, *shares: float) -> list[float]:
    """Values that occur, as Spark's percentile_approx gives them."""
    return [float(each) for each in np.quantile(values, shares, method="inverted_cdf")]


def _sample(column: pa.Array, modulus: int) -> Sample:
    hashes = row_hashes([column.drop_null().unique()])
    return Sample(modulus=modulus, hashes=frozenset(hashes[hashes % modulus == 0].tolist()))
