"""Which rows are read: all that a window reaches, and no partition beside them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from features.definitions.catalog import load_catalog
from features.definitions.durations import DAY
from features.definitions.names import micros
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import entity_views
from jobs.rows import event_rows
from jobs.sizing import reached
from tests.jobs.audited_days import CATALOG, sales, store
from tests.jobs.shop import DAILY_VIEW, RECORD_VIEW
from tests.snapshots import snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.slow
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(12)]
CUT = micros(datetime(2026, 3, 14, tzinfo=UTC))
WEEK: FeatureView = replace(load_catalog(CATALOG).view("shop_sales"), remember="7d")


@pytest.fixture
def home(spark: "SparkSession", spark_settings: Settings) -> Iterator[Settings]:
    spark.sql("create database if not exists audits")
    store(spark, spark_settings, "sales", {day: sales(day) for day in DAYS})
    yield spark_settings
    spark.sql("drop table audits.sales")


def partitions(read: "DataFrame") -> set[str]:
    return {path.partition("ds=")[2][:10] for path in read.inputFiles()}


def test_a_snapshot_reads_what_its_views_remember(spark: "SparkSession", home: Settings) -> None:
    (group,) = entity_views((WEEK,))
    read = event_rows(spark, home, group, before=CUT, anchor=CUT)
    assert read.selectExpr("min(asof_time) t").collect()[0]["t"] == CUT - 7 * DAY
    # One more: a row may be known up to five minutes before its event_time.
    assert partitions(read) == {str(day) for day in DAYS[-8:]}
    found = snapshot(spark, home, WEEK, [CUT])
    assert {row["count_7d"] for row in found} == {21}
    assert len(found) == 40


def test_the_longest_memory_of_the_entity_counts(spark: "SparkSession", home: Settings) -> None:
    (group,) = entity_views((WEEK, replace(WEEK, name="shop_longer", remember="9d")))
    read = event_rows(spark, home, group, before=CUT, anchor=CUT)
    assert partitions(read) == {str(day) for day in DAYS[-10:]}


def test_outcomes_and_attributes_count_at_any_age() -> None:
    (group,) = entity_views((DAILY_VIEW, RECORD_VIEW))
    found = {source.name: reached(group, source, CUT + 5) for source in group.sources}
    assert found == {"shop_payments": CUT - 10 * DAY, "shop_disputes": None, "shop_cards": None}
