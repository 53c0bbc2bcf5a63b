"""Profiles of partitions measured in the driver: literal rows, and the same metrics and samples as Spark's aggregation over awkward values."""

import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from expectations.profiles import Profile
from expectations.rules import Rule
from features import Source, fields
from features.values.sweep import ARROW_TYPES
from features.values.versions import STORED_FIELDS
from jobs.measuring_partitions import measured_partition
from jobs.profiling import profile_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VISITS = Source(
    name="measured_visits", table="raw.measured_visits", event_id="visit",
    columns=(*fields("string", "visit person city"), *fields("int64", "guests"), *fields("float64", "score"), *fields("bool", "gone"),
             *fields("timestamp", "event_time since known")),
    known_at="known",
)  # fmt: skip
SCHEMA = pa.schema([*((name, ARROW_TYPES[kind]) for name, kind in VISITS.types.items()), *STORED_FIELDS])
NOON, SECOND, HOUR = 1_767_268_800_000_000, 1_000_000, 3_600_000_000
DS = "2026-01-01"


def rule(name: str, **more: Any) -> Rule:
    return Rule(name=name, severity="block", says="It holds.", remedy="Look.", **more)


RULES = (
    rule("ids", check="unique", columns=("visit",)),
    rule("cities", check="not_null", columns=("city",)),
    rule("guests", check="between", columns=("guests",), lower=0),
    rule("metric", check="metric", metric="rows", lower=1),
)
POOLS: dict[str, list[Any]] = {
    "visit": ["v1", "v2", "v3", *map(str, range(300))], "person": ["a", "b", "Ü", "", None, *map(chr, range(300, 340))], "city": ["Rome", "Bonn", "", None],
    "guests": [0, 1, -1, 5, 2**53 + 1, 2**63 - 1, None], "score": [0.0, -0.0, 1.5, -2.0, 1e300, float("nan"), None], "gone": [True, False, None],
    "since": [0, NOON, None], "known": [NOON, NOON + SECOND, NOON + HOUR], "event_time": [NOON, NOON - SECOND, NOON - HOUR, NOON - 25 * HOUR],
    "asof_op": ["add", "add", "retract"], "asof_known_at": [NOON + SECOND, NOON + HOUR], "asof_undoes": [None, NOON], "asof_first": [True, False],
}  # fmt: skip


def table(rows: list[dict[str, Any]]) -> pa.Table:
    stored = {"asof_op": "add", "asof_known_at": NOON + SECOND, "asof_first": True, "event_time": NOON}
    return pa.Table.from_pylist([{**dict.fromkeys(SCHEMA.names), **stored, **row} for row in rows], SCHEMA)


def measured(rows: pa.Table, modulus: int = 1) -> Profile:
    return measured_partition(rows, VISITS, DS, RULES, keys=("person",), modulus=modulus)


def test_what_history_compares() -> None:
    rows = [
        {"visit": "1", "city": "Rome", "person": "a", "guests": 0, "gone": True},
        {"visit": "2", "city": "Rome", "person": "a", "guests": 0, "gone": True, "asof_known_at": NOON + 2 * HOUR},
        {"visit": "2", "city": "Bonn", "person": "b", "guests": -1, "asof_op": "retract"},
        {"visit": "4", "guests": 7},
    ]
    found = measured(table(rows))
    assert (found.subject, found.at, found.weekday, found.rows) == ("measured_visits", DS, 3, 4.0)
    some = {
        "violations/ids": 1.0, "violations/cities": 1.0, "violations/guests": 1.0, "late_share": 0.25, "hour_rows/12": 3.0, "hour_rows/14": 1.0,
        "log_lateness_p10": 0.6931471806, "newest_known_at": float(NOON + 2 * HOUR), "share/asof_op=retract": 0.25, "repeated_share": 0.25, "null_share/visit": 0.0,
        "null_share/city": 0.25, "share/city=Rome": 0.5, "length/city": 4.0, "log_distinct_per_row/city": -0.6931471806, "log_max/guests": 2.0794415417,
        "log_p10/guests": -0.6931471806, "log_p50/guests": 0.0, "log_mean/guests": 0.3465735903, "top_share/guests": 0.5, "null_share/score": 1.0,
    }  # fmt: skip
    assert {name: found.metrics.get(name) for name in some} == pytest.approx(some)
    assert "log_mean/score" not in found.metrics
    assert len(found.samples["person"].hashes) == 2


def test_a_partition_without_rows_measures_nothing() -> None:
    found = measured(table([]))
    nothing = {"rows": 0.0, "violations/ids": 0.0, "violations/cities": 0.0, "violations/guests": 0.0}
    assert (found.metrics, found.samples) == (nothing, {})


@pytest.mark.slow
@pytest.mark.parametrize(("count", "modulus"), [(0, 1), (1, 1), (600, 4)])
def test_spark_measures_the_same(spark: "SparkSession", count: int, modulus: int) -> None:
    draw = random.Random(count)  # noqa: S311 - a test's rows
    rows = table([{name: draw.choice(pool) for name, pool in POOLS.items()} for _ in range(count)])
    frame = spark.createDataFrame(rows.append_column("ds", pa.array([DS] * count, pa.string())))
    ours = measured(rows, modulus)
    theirs = profile_partitions(frame, VISITS, {DS: RULES}, keys=("person",), modulus=modulus)[DS]
    assert set(ours.metrics) == set(theirs.metrics)
    sketched = {name for name in ours.metrics if name.startswith(("log_distinct_per_row/", "repeated_share"))}
    for name, value in ours.metrics.items():
        assert value == pytest.approx(theirs.metrics[name], abs=0.02 if name in sketched else 1e-9), name
    assert ours.samples == theirs.samples
    assert (ours.subject, ours.at, ours.weekday) == (theirs.subject, theirs.at, theirs.weekday)
