"""`asof metrics` through Spark and Hive: literal days, days that mature, runs that are killed or repeated."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features.definitions.names import micros
from features.errors import BusyError, InputError, MissingError
from features.settings import Settings
from jobs.commands import Metrics
from jobs.ingest import ingest
from jobs.metrics.daily import TABLE, run
from jobs.metrics.records import computed_days
from jobs.tables import location
from tests.jobs import hostile_days
from tests.jobs.catalogue_of_metrics import CLAIMS, PAID

pytestmark = pytest.mark.slow
FIRST, LAST = date(2026, 2, 27), date(2026, 3, 4)


def at(day: str, hour: int = 12) -> int:
    return micros(datetime.fromisoformat(day).replace(tzinfo=UTC, hour=hour))


def paid(name: str, day: str, card: str | None, status: str, amount: int | None, score: float | None, **more: Any) -> dict[str, Any]:  # fmt: skip
    return {"id": name, "card": card, "status": status, "channel": "web", "amount": amount, "score": score, "version": 0, "voided": False,
            "event_time": at(day), "known": at(day)} | more  # fmt: skip


def claimed(name: str, payment: str, day: str, stage: str) -> dict[str, Any]:
    return {"claim": name, "payment": payment, "stage": stage, "event_time": at(day), "known": at(day)}


PAYMENTS = [
    *(paid(f"feb{n}", "2026-02-27", f"c{n}", "approved", 100, 0.1) for n in range(10)),
    paid("undone", "2026-02-28", "c1", "approved", 100, 0.1),
    paid("undone", "2026-02-28", "c1", "approved", 100, 0.1, version=1, voided=True, known=at("2026-03-02")),
    paid("a", "2026-03-01", "c1", "approved", 300, 0.9),
    paid("b", "2026-03-01", "c1", "approved", 100, 0.8),
    paid("c", "2026-03-01", None, "declined", 200, 0.7),
    paid("d", "2026-03-01", "c2", "blocked", 900, 0.95),
    paid("e", "2026-03-01", "c3", "explored", 400, 0.95, channel="app"),
    paid("f", "2026-03-01", "c4", "approved", None, None, channel=None),
    paid("g", "2026-03-03", "c5", "approved", 500, 0.2),
    paid("h", "2026-03-04", "c6", "approved", 500, 0.2),
]
CLAIMED = [
    claimed("x1", "feb3", "2026-03-01", "report"),
    claimed("x2", "feb3", "2026-03-02", "chargeback"),
    claimed("x3", "a", "2026-03-02", "chargeback"),
    claimed("x4", "g", "2026-03-04", "report"),
]


@dataclass(frozen=True, kw_only=True)
class Home:
    """Six days, ingested, and measured by two runs."""

    settings: Settings
    young: list[Any]
    """Rows after the run of March 3."""

    before: list[tuple[str, bool]]
    """Days after it, and whether they were mature."""


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Home:
    found = spark_settings.model_copy(
        update={"home": tmp_path_factory.mktemp("watched"), "catalog": "tests.jobs.catalogue_of_metrics"}
    )
    spark.sql(f"DROP TABLE IF EXISTS {TABLE}")
    landing = tmp_path_factory.mktemp("landing")
    for source, rows in ((PAID, PAYMENTS), (CLAIMS, CLAIMED)):
        for n in range((LAST - FIRST).days + 1):
            day = date.fromordinal(FIRST.toordinal() + n)
            known = [row for row in rows if at(str(day), 0) <= row["known"] < at(str(day), 0) + hostile_days.DAY]
            hostile_days.write(known, source, Path(landing / source.name / f"ds={day}" / "part-0.parquet"))
        ingest(spark, found, source, str(landing / source.name))
    assert run(metrics("2026-03-03"), found) == 0
    young = spark.table(TABLE).collect()
    before = [(day, item.mature) for day, item in computed_days(found).items()]
    assert run(metrics("2026-03-05"), found) == 0
    return Home(settings=found, young=young, before=before)


def metrics(cut: str, *days: str) -> Metrics:
    return Metrics(cut=datetime.fromisoformat(cut).replace(tzinfo=UTC), days=tuple(map(date.fromisoformat, days)))


def shown(rows: list[Any], day: str, segment: str = "all") -> dict[str, tuple[float | None, int]]:
    """Value and count of each metric."""
    return {
        row["metric"]: (None if row["value"] is None else round(row["value"], 4), row["count"])
        for row in rows
        if row["ds"] == day and row["segment"] == segment
    }


def everything(spark: SparkSession) -> list[str]:
    return sorted(map(repr, spark.table(TABLE).collect()))


def test_a_young_day_says_what_needs_no_outcome(home: Home) -> None:
    # Three days after its end, the cut itself, the first day is mature.
    assert home.before == [("2026-02-27", True), ("2026-02-28", False), ("2026-03-01", False), ("2026-03-02", False)]
    young = shown(home.young, "2026-03-01")
    # `a` is positive already, and young: what is measured of outcomes waits. So do ratios of a month that is there in part.
    assert young == {
        "approval_rate_count": (round(4 / 6, 4), 6), "approval_rate_amount": (round(800 / 1900, 4), 5), "share_pending": (round(4 / 5, 4), 5),
        "chargeback_ratio_mastercard": (None, 0), "chargeback_ratio_visa": (2_500, 4),
    }  # fmt: skip
    assert {(row["young"], row["pending"], row["unobserved"], row["mature"]) for row in home.young
            if (row["ds"], row["metric"], row["segment"]) == ("2026-03-01", "share_pending", "all")} == {(1, 4, 1, False)}  # fmt: skip


def test_days_are_computed_when_over_and_again_when_mature(
    spark: SparkSession, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    done = computed_days(home.settings)
    assert [day for day, found in done.items() if found.mature] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert [day for day, found in done.items() if found.as_of != at("2026-03-05", 0)] == ["2026-02-27", "2026-03-02"]
    before = everything(spark)
    assert run(metrics("2026-03-05"), home.settings) == 0
    assert capsys.readouterr().out == (
        "No day of risk.metrics_daily is due at 2026-03-05T00:00:00+00:00: all that are over were computed, and none has matured since.\n"
    )
    assert everything(spark) == before


def test_a_mature_day_by_hand(spark: SparkSession, home: Home) -> None:  # noqa: ARG001 - its tables
    rows = spark.table(TABLE).collect()
    found = shown(rows, "2026-03-01")
    # Approved: a, b, e and f; f has neither amount nor score.
    assert found["fraud_bps_count"] == (2_500, 4)
    assert found["fraud_bps_amount"] == (round(10_000 * 300 / 800, 4), 3)
    assert found["approval_rate_amount"] == (round(800 / 1900, 4), 5)
    assert found["share_pending"] == (0, 5)
    # The explored event stands for four that were blocked: none of them fraud.
    assert found["false_positive_ratio"] == (None, 1)
    assert found["insult_rate_count"] == (round(4 / 7, 4), 4)
    assert found["known_within_1d"] == (0, 1)
    # Two are reviewed a day, and e alone stands for four.
    assert found["precision_at_2"] == (0, 4)
    assert found["savings_at_2"] == (-10, 4)
    assert found["auc_roc"] == (round(2 / 6, 4), 4)
    # Four claims until the 4th; a, b, e, f, g and h are this month's.
    assert shown(rows, "2026-03-04")["chargeback_ratio_visa"] == (round(10_000 * 4 / 6, 4), 6)
    assert shown(rows, "2026-03-01", "channel=")["fraud_bps_count"] == (0, 1)
    assert shown(rows, "2026-03-01", "channel=app")["insult_rate_count"] == (1, 1)
    row = next(row for row in rows if (row["ds"], row["metric"], row["segment"]) == ("2026-03-01", "fraud_bps_count", "all"))  # fmt: skip
    # Of three cards, one with the fraud: often it is not drawn.
    assert (row["low"], row["entities"], row["unobserved"], row["pending"], row["mature"]) == (0, 3, 1, 0, True)
    assert row["high"] > 2_500


def test_a_run_that_was_killed_is_finished_by_the_next(spark: SparkSession, home: Home) -> None:
    before = everything(spark)
    folder = location(spark, TABLE, "ds", "2026-03-03")
    # Killed before readers saw one day, with its files half written, and after another was shown, before its record.
    root = Path(home.settings.tables_root)
    (root / "risk.db" / "metrics_daily" / "ds=2026-03-03" / "half").mkdir()
    for day in ("2026-03-03", "2026-03-04"):
        (root / "asof" / "metrics" / f"{day}.json").unlink()
    spark.sql(f"ALTER TABLE {TABLE} DROP PARTITION (ds='2026-03-03')")
    assert len(everything(spark)) < len(before)
    run(metrics("2026-03-05"), home.settings)
    assert everything(spark) == before
    assert location(spark, TABLE, "ds", "2026-03-03") != folder


def test_a_day_that_is_not_over_and_a_source_that_is_late(home: Home) -> None:
    message = "--ds 2026-03-05 is not a day from 2026-02-27, the first partition, to the last before the cut 2026-03-05T00:00:00+00:00. Give a later cut, or another day."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run(metrics("2026-03-05", "2026-03-05"), home.settings)
    late = "Not ready for the cut 2026-03-09T00:00:00+00:00: watched_claims, watched_payments have no partition ds=2026-03-08. They come with `asof ingest"
    with pytest.raises(BusyError, match=f"^{re.escape(late)}"):
        run(metrics("2026-03-09"), home.settings)


def test_a_catalogue_that_watches_nothing_is_told_how(home: Home) -> None:
    settings = home.settings.model_copy(update={"catalog": "tests.jobs.shop"})
    message = "The catalogue 'tests.jobs.shop' has no RiskMetrics, so there is nothing to measure. Define some: docs/metrics.md shows how."
    with pytest.raises(MissingError, match=f"^{re.escape(message)}$"):
        run(metrics("2026-03-05"), settings)
