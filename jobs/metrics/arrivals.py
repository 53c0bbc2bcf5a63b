"""Chargeback ratios of the month to date, by arrival, for `risk.metrics_daily`: workers sum each sample, nothing is shuffled, the driver adds up.

The rules are those of jobs/metrics/networks.py. A draw is of the entity's key alone, so workers need not know each other's rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.durations import DAY
from features.definitions.expressions import Expression, columns_of
from features.definitions.metrics import RiskMetrics
from features.definitions.names import micros, utc
from features.definitions.sources import Source
from features.settings import Settings
from features.values.expressions import mask
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, RETRACT
from jobs import ledger
from jobs.known import known_rows
from jobs.metrics.day import ALL, SAMPLES, SEED, Row
from jobs.metrics.networks import MASTERCARD, VISA, Rule
from jobs.metrics.resampling import drawn, interval
from jobs.metrics.rows import entities_of
from jobs.rows import passed

__all__ = ["network_rows"]

Array = np.ndarray
_EPOCH = date(1970, 1, 1)
_COUNTED, _ALL = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Rows of one source that are counted by day, those that meet each condition."""

    source: Source
    keys: tuple[str, ...]
    """None where the source does not have the entity's columns: each row is then an entity of its own."""

    event_id: str
    conditions: tuple[Expression | None, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(frozenset().union(*map(columns_of, self.conditions))))


def network_rows(
    spark: SparkSession, settings: Settings, metrics: RiskMetrics, days: Sequence[date], cut: int
) -> dict[date, list[Row]]:
    """Mastercard's and Visa's ratio of each day's month up to the day, as known at the cut.

    Transactions are approved events that stand, by event_time. A chargeback arrives with the first version of its outcome, if that meets the condition;
    what is taken back later has arrived all the same. A month that began before the first partition has no ratio.
    """
    label = metrics.label
    source, outcomes = label.event_source, label.outcomes
    lower, upper = _us(_month_before(days[0])), _us(days[-1] + timedelta(days=1))
    sold = known_rows(spark, settings, source, before=cut, since=lower).where(F.unix_micros(source.event_time) < upper)
    sign = F.when(F.col("asof_op") == RETRACT, -1).otherwise(1)
    settled = _Side(
        source=source, keys=metrics.entity_columns, event_id=source.event_id or "", conditions=(metrics.approved,)
    )
    below = _summed(
        settled, sold.select("*", F.unix_micros(source.event_time).alias("asof_at"), sign.alias("asof_sign"))
    )
    month = _us(days[0].replace(day=1))
    came = known_rows(spark, settings, outcomes, before=cut, first_day=str(utc(month).date()))
    came = came.where(
        (F.col("asof_op") == ADD) & F.col("asof_first") & (F.col("asof_known") >= month) & (F.col("asof_known") < upper)
    )
    keys = metrics.entity_columns if set(metrics.entity_columns) <= set(outcomes.types) else ()
    arrived = _Side(source=outcomes, keys=keys, event_id=label.of, conditions=(metrics.chargebacks, None))
    above = _summed(arrived, came.select("*", F.col("asof_known").alias("asof_at"), F.lit(1).alias("asof_sign")))
    first = min(item.ds for item in ledger.partitions(settings, source.ingested_by))
    return {day: [_ratio(metrics, rule, day, above, below, first) for rule in (MASTERCARD, VISA)] for day in days}


def _ratio(
    metrics: RiskMetrics, rule: Rule, day: date, above: Mapping[tuple[int, int], Array], below: Mapping[tuple[int, int], Array], first: str
) -> Row:  # fmt: skip
    start, after = day.replace(day=1), day + timedelta(days=1)
    top = _between(above, _COUNTED if rule == MASTERCARD else _ALL, start, after)
    begin, end = (_month_before(day), start) if rule == MASTERCARD else (start, after)
    bottom = _between(below, 0, begin, end)
    if str(begin) < first:
        bottom = np.zeros_like(bottom)
    values = np.where(bottom > 0, 10_000 * top / np.where(bottom > 0, bottom, 1), np.nan)
    value = float(values[0])
    low, high = interval(value, values[1:], 0.95)
    return Row(
        definition=metrics.name, metric=f"chargeback_ratio_{rule}", segment=ALL, unit="bps", value=None if np.isnan(value) else value,
        low=low, high=high, count=round(float(bottom[0])), entities=None, pending=0, unobserved=0, young=0,
    )  # fmt: skip


def _between(sums: Mapping[tuple[int, int], Array], kind: int, start: date, end: date) -> Array:
    days = range((start - _EPOCH).days, (end - _EPOCH).days)
    return np.asarray(sum((sums[kind, day] for day in days if (kind, day) in sums), np.zeros(SAMPLES + 1)))


def _summed(side: _Side, rows: DataFrame) -> dict[tuple[int, int], Array]:
    """Of each condition's place and UTC day: how many rows, and how many in each sample."""
    source = side.source
    columns = [
        (F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name)).cast(passed(source.types[name])).alias(f"p_{name}")
        for name in side.columns
    ]  # fmt: skip
    keys = [F.col(name).cast("string").alias(f"k_{name}") for name in side.keys] or [
        F.lit(None).cast("string").alias("k_")
    ]
    own = F.col(side.event_id).cast("string").alias("asof_id"), F.col("asof_at"), F.col("asof_sign").cast("bigint")
    work = _work(side, tuple(f"k_{name}" for name in side.keys) or ("k_",))
    found: dict[tuple[int, int], Array] = {}
    for row in rows.select(*own, *keys, *columns).mapInArrow(work, "kind int, day int, sums array<double>").collect():
        place = row["kind"], row["day"]
        found[place] = found.get(place, np.zeros(SAMPLES + 1)) + np.array(row["sums"])
    return found


def _work(side: _Side, keys: tuple[str, ...]) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    types = {name: side.source.types[name] for name in side.columns}
    compiled = [compile_definition(condition) for condition in side.conditions]

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        conditions = [None if item is None else load_definition(item, Expression) for item in compiled]
        found: dict[tuple[int, int], Array] = {}
        for batch in batches:
            table = pa.Table.from_batches([batch])
            columns = {
                name: table[f"p_{name}"].cast(ARROW_TYPES[kind]).combine_chunks() for name, kind in types.items()
            }
            for kind, condition in enumerate(conditions):
                _add(found, kind, table.filter(pa.array(mask(condition, columns, len(table)))), keys)
        kinds, days = ([place[n] for place in found] for n in (0, 1))
        sums = pa.array([sums.tolist() for sums in found.values()], pa.list_(pa.float64()))
        yield from pa.table(
            {"kind": pa.array(kinds, pa.int32()), "day": pa.array(days, pa.int32()), "sums": sums}
        ).to_batches()

    return work


def _add(found: dict[tuple[int, int], Array], kind: int, table: pa.Table, keys: tuple[str, ...]) -> None:
    if not len(table):
        return
    names, places = entities_of(table, keys, "asof_id")
    days, there = np.unique(table["asof_at"].to_numpy() // DAY, return_inverse=True)
    sign = table["asof_sign"].to_numpy().astype(np.float64)
    every = [np.ones(len(names)), *(drawn(names, SEED, sample) for sample in range(SAMPLES))]
    sums = np.array([np.bincount(there, weights=sign * times[places], minlength=len(days)) for times in every])
    for n, day in enumerate(days.tolist()):
        found[kind, day] = found.get((kind, day), np.zeros(SAMPLES + 1)) + sums[:, n]


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _us(day: date) -> int:
    return micros(utc(0)) + (day - _EPOCH).days * DAY
