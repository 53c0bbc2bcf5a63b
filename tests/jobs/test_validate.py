"""Validation of real attempts and source partitions, small ones: verdicts, holds, reruns, releases, messages."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from expectations.report import Report
from features.definitions.catalog import load_catalog
from features.definitions.durations import DAY, HOUR
from features.definitions.names import micros, utc
from features.errors import HeldError, MissingError
from features.settings import Settings
from jobs import attempts, audits, held, ledger, validate
from jobs.commands import Exit, Validate
from tests.jobs.audited_days import CATALOG, sales, store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
FIRST = date(2026, 3, 2)
DAYS = 10
CUT = datetime(2026, 3, 12, tzinfo=UTC)
COMMAND = Validate(cut=CUT, views=("shop_sales", "shop_returns"))
VALUES = "shop_id string, count_1d bigint, count_7d bigint, max_amount_1d bigint, max_amount_7d bigint, asof_status string, event_timestamp timestamp"


@pytest.fixture
def home(spark: "SparkSession", spark_settings: Settings) -> Iterator[Settings]:
    settings = spark_settings.model_copy(update={"catalog": CATALOG})
    spark.sql("create database if not exists audits")
    yield settings
    for name in ("sales", "returns"):
        spark.sql(f"drop table if exists audits.{name}")
    _forget(settings)


def _forget(settings: Settings) -> None:
    for name in ("asof", "features"):
        shutil.rmtree(Path(settings.tables_root) / name, ignore_errors=True)


def land(spark: "SparkSession", settings: Settings, source: str, last: list[tuple[Any, ...]]) -> None:
    """Ten days of a source, the last as given."""
    days = {FIRST + timedelta(days=back): sales(FIRST + timedelta(days=back)) for back in range(DAYS - 1)}
    store(spark, settings, source, {**days, FIRST + timedelta(days=DAYS - 1): last})


def attempt(
    spark: "SparkSession", settings: Settings, view: str, *, cut: datetime = CUT, shrink: bool = False
) -> attempts.Attempt:
    """A finished attempt of forty shops; `shrink` makes a longer window count less than a shorter one."""
    made = attempts.new_attempt(settings, load_catalog(CATALOG).view(view), micros(cut))
    valid_from = utc(micros(cut) + HOUR)
    rows = [(f"shop{n}", 3, 2 if shrink and n == 7 else 21, 100 + n, 110 + n, "ok", valid_from) for n in range(40)]
    spark.createDataFrame(rows, VALUES).coalesce(1).write.parquet(made.location)
    attempts.finish(made, {"finished_at": micros(cut) + made.cut % 7, "rows": len(rows)})
    return made


def reports(settings: Settings) -> dict[str, Report]:
    """The views' reports, of those that have one."""
    found = {view.name: audits.verdict_of(settings, view, micros(CUT)) for view in load_catalog(CATALOG).views}
    return {view: report for view, report in found.items() if report is not None}


def test_clean_views_pass_and_a_rerun_says_the_same(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    last = sales(FIRST + timedelta(days=DAYS - 1))
    # A sale of the day before that is delivered once more changes nothing, and is no news of this day.
    ds, known = last[0][5], last[0][7]
    last.append((*sales(FIRST + timedelta(days=DAYS - 2))[0][:5], ds, "again", known, None, False))
    for source, view in (("sales", "shop_sales"), ("returns", "shop_returns")):
        land(spark, home, source, last)
        attempt(spark, home, view)
    assert validate.run(COMMAND, home) == Exit.OK
    first = reports(home)
    said = capsys.readouterr().out
    assert {name: report.verdict for name, report in first.items()} == {
        "shop_sales": "pass",
        "shop_returns": "pass",
    }, said
    assert validate.run(COMMAND, home) == Exit.OK
    assert reports(home) == first
    assert held.run(COMMAND, home) == Exit.OK
    page = home.docs / "gx/uncommitted/data_docs/local_site/index.html"
    assert page.exists()
    profile = audits.partition_profile(home, "sales", "2026-03-05")
    assert profile is not None
    assert profile.rows == 120, "days without a profile get one with the first audit"


def test_a_broken_promise_holds_one_view_and_names_the_row(spark: "SparkSession", home: Settings) -> None:
    last = sales(FIRST + timedelta(days=DAYS - 1))
    for source, view in (("sales", "shop_sales"), ("returns", "shop_returns")):
        land(spark, home, source, last)
        attempt(spark, home, view, shrink=view == "shop_sales")
    assert validate.run(COMMAND, home) == Exit.OK, "the other view may still be published"
    report = reports(home)["shop_sales"]
    assert report is not None
    assert report.verdict == "hold"
    assert [failure.rule for failure in report.failures] == ["count_1d_le_count_7d"]
    assert report.failures[0].sentence() == (
        "count_1d_le_count_7d does not hold: count_1d is at most count_7d: the longer window holds the shorter one. Observed 1 rows that break it, "
        "expected none. For example shop_id=shop7, count_7d=2, count_1d=3. Compute the view again; if it fails again, the computation "
        "or the definition is wrong: ask its owner."
    )
    with pytest.raises(
        HeldError,
        match=r"1 of 2 views are held at 2026-03-12T00-00Z; their last good values stay:\n  shop_sales: count_1d_le",
    ):
        held.run(COMMAND, home)


def test_a_damaged_day_holds_its_source_and_the_views_that_read_it_until_released(
    spark: "SparkSession", home: Settings
) -> None:
    day = FIRST + timedelta(days=DAYS - 1)
    land(spark, home, "sales", sales(day, amount=100_000))
    land(spark, home, "returns", sales(day))
    for view in ("shop_sales", "shop_returns"):
        attempt(spark, home, view)
    assert validate.run(COMMAND, home) == Exit.OK
    found = ledger.partition(home, "sales", str(day))
    assert found is not None
    assert found.held
    assert "amount" in (found.reason or "")
    source = audits.partition_report(home, "sales", str(day))
    assert source is not None
    assert source.verdict == "hold"
    made = reports(home)
    assert made["shop_sales"].verdict == "hold"
    assert "Source sales of 2026-03-11 is held" in made["shop_sales"].because
    assert made["shop_returns"].verdict == "pass"
    assert validate.run(Validate(cut=CUT, views=("shop_sales",)), home) == Exit.HELD, (
        "all views of that command are held"
    )
    ledger.release(home, found, at=micros(CUT) + DAY)
    validate.run(COMMAND, home)
    again = audits.partition_report(home, "sales", str(day))
    assert again is not None
    assert (again.verdict, again.because) == ("warn", "It was released by hand, so it is let through.")
    assert reports(home)["shop_sales"].verdict == "pass"


def test_a_missing_attempt_a_missing_partition_and_a_missing_verdict_are_named(
    spark: "SparkSession", home: Settings
) -> None:
    only = Validate(cut=CUT, views=("shop_sales",))
    with pytest.raises(
        MissingError,
        match=r"no finished attempt 'shop_sales at 2026-03-12T00-00Z'.*asof compute --cut 2026-03-12T00-00Z",
    ):
        validate.run(only, home)
    attempt(spark, home, "shop_sales")
    with pytest.raises(
        MissingError, match=r"no verdict 'shop_sales at 2026-03-12T00-00Z'.*asof validate --cut 2026-03-12"
    ):
        held.run(only, home)
    land(spark, home, "sales", sales(FIRST + timedelta(days=DAYS - 1)))
    (Path(home.tables_root) / "asof/sales/2026-03-11.json").unlink()
    with pytest.raises(
        MissingError, match=r"no partition 'sales 2026-03-11'.*asof ingest --source sales --ds 2026-03-11"
    ):
        validate.run(only, home)
