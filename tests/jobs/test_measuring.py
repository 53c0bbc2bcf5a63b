"""Profiles measured in the driver: literal rows, and the same metrics as Spark's aggregation over awkward values."""

import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from expectations.rules import Check, Rule
from features import Entity, FeatureView, Source, attribute, fields, flat
from jobs.measuring import breaking, measured
from jobs.profiling import profile_cut

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PEOPLE = Source(
    name="measured_people", table="raw.measured_people", kind="changes",
    columns=(*fields("string", "person city"), *fields("int64", "visits trips"), *fields("float64", "score share"), *fields("bool", "gone"),
             *fields("timestamp", "event_time since")),
)  # fmt: skip
VIEW = FeatureView(
    name="measured_view",
    entity=Entity(name="person", keys=("person",)),
    source=PEOPLE,
    features=flat(attribute(name) for name in ("city", "visits", "trips", "score", "share", "gone", "since")),
)
CUT = 86_400_000_000
POOLS: dict[str, list[Any]] = {
    "person": ["a", "b", "c", ""], "city": ["Rome", "Bonn", "", None, "Ü"], "visits": [0, 1, -1, 5, 2**53 + 1, 2**63 - 1, None],
    "trips": [0, 1, 2, 2**53, None], "score": [0.0, -0.0, 1.5, -2.0, 1e300, None], "share": [0.0, 0.25, 1.0, 1.0 + 1e-12, None], "gone": [True, False, None],
    "since": [0, CUT, CUT + 1, None],
}  # fmt: skip
INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema([
    ("person", pa.string()), ("city", pa.string()), ("visits", pa.int64()), ("trips", pa.int64()), ("score", pa.float64()), ("share", pa.float64()),
    ("gone", pa.bool_()), ("since", INSTANT), ("asof_status", pa.string()), ("event_timestamp", INSTANT),
])  # fmt: skip


def rule(check: Check, *columns: str, **more: Any) -> Rule:
    name = f"{check} {columns} {more}"
    return Rule(name=name, severity="block", says="It holds.", remedy="Look.", check=check, columns=columns, **more)


RULES = (
    rule("unique", "person"), rule("unique", "person", "city"), rule("not_null", "city"), rule("implies", "score", "share"), rule("implies", "city", "since"),
    rule("in_set", "city", values=("Rome", "Bonn")), rule("between", "visits", lower=0), rule("between", "visits", upper=float(2**53)),
    rule("between", "share", lower=0, upper=1), rule("between", "score", lower=-1.5), rule("between", "since", upper=CUT), rule("between", "trips"),
    rule("at_least", "visits", "trips"), rule("at_least", "score", "share"), rule("slack", "score", "share", upper=1e-9), rule("slack", "visits", "trips", upper=0.5),
)  # fmt: skip


def table(rows: list[dict[str, Any]]) -> pa.Table:
    filled = {"asof_status": "ok", "event_timestamp": CUT}
    return pa.Table.from_pylist([{**dict.fromkeys(SCHEMA.names), **filled, **row} for row in rows], SCHEMA)


@pytest.mark.parametrize(
    ("broken", "rows", "count"),
    [
        (rule("unique", "person", "city"), [{"person": "a", "city": None}, {"person": "a", "city": None}, {"person": "a", "city": ""}], 1),
        (rule("between", "visits", upper=float(2**53)), [{"visits": 2**53}, {"visits": 2**53 + 1}, {"visits": None}], 1),
        (rule("between", "since", lower=1, upper=CUT), [{"since": 0}, {"since": CUT}, {"since": CUT + 1}], 2),
        (rule("between", "score", upper=10), [{"score": float("nan")}, {"score": 10.0}], 1),
        (rule("in_set", "city", values=("Rome",)), [{"city": "Rome"}, {"city": "rome"}, {"city": None}], 1),
        (rule("implies", "score", "share"), [{"score": 1.0}, {"share": 1.0}, {"score": 1.0, "share": 1.0}], 1),
        (rule("slack", "score", "share", upper=1e-9), [{"score": 1.0, "share": 1.0 + 1e-12}, {"score": 1.0, "share": 1.1}], 1),
        (rule("not_null", "city"), [], 0),
    ],
)  # fmt: skip
def test_rows_that_break_a_rule(broken: Rule, rows: list[dict[str, Any]], count: int) -> None:
    assert breaking(broken, table(rows)) == count


def test_what_history_compares() -> None:
    rows: list[dict[str, Any]] = [{"city": "Rome", "visits": 0, "gone": True}, {"city": "Rome", "visits": 7}, {"city": "Bonn"}, {}]
    found = measured(table(rows), VIEW, CUT, (rule("not_null", "city"),))
    assert (found.subject, found.at, found.weekday) == ("measured_view", "1970-01-02T00-00Z", 4)
    some = {name: found.metrics.get(name) for name in (
        "rows", "null_share/city", "share/city=Rome", "top_share/city", "log_mean/visits", "share/gone=true", "log_mean/score",
    )}  # fmt: skip
    assert some == {
        "rows": 4.0, "null_share/city": 0.25, "share/city=Rome": 0.5, "top_share/city": 0.5, "log_mean/visits": pytest.approx(1.0397207708), "share/gone=true": 1.0,
        "log_mean/score": None,
    }  # fmt: skip
    assert measured(table([]), VIEW, CUT, ()).metrics == {"rows": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 400])
def test_spark_measures_the_same(spark: "SparkSession", count: int) -> None:
    draw = random.Random(count)  # noqa: S311 - a test's rows
    rows = table([{name: draw.choice(pool) for name, pool in POOLS.items()} for _ in range(count)])
    ours = measured(rows, VIEW, CUT, RULES)
    theirs = profile_cut(spark.createDataFrame(rows), VIEW, CUT, RULES)
    assert set(ours.metrics) == set(theirs.metrics)
    assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-9)
    assert (ours.subject, ours.at, ours.weekday) == (theirs.subject, theirs.at, theirs.weekday)
