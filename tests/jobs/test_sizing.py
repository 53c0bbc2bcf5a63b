"""How the shuffle of an entity is sized from what ingest counted."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from features.definitions.catalog import load_catalog
from features.definitions.durations import DAY
from features.definitions.names import micros
from features.definitions.views import FeatureView
from features.settings import Settings, load
from features.values.partition import entity_views
from jobs import ledger
from jobs.rows import event_rows
from jobs.sizing import PARTITION, size
from tests.jobs.audited_days import CATALOG, sales, store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(12)]
CUT = micros(datetime(2026, 3, 14, tzinfo=UTC))
WEEK: FeatureView = replace(load_catalog(CATALOG).view("shop_sales"), remember="7d")
(GROUP,) = entity_views((WEEK,))


def ingested(settings: Settings, rows: int, *, held: date | None = None) -> None:
    for day in DAYS:
        made = ledger.record_ingest(settings, ledger.Partition(source="sales", ds=str(day), rows=rows, ingested_at=1))
        if day == held:
            ledger.hold(settings, made, at=2, reason="bad")


def test_partitions_that_no_window_reaches_and_held_ones_do_not_count(settings: Settings) -> None:
    ingested(settings, 1_000, held=DAYS[-2])
    found = size(settings, GROUP, before=CUT, anchor=CUT)
    (read,) = found.reads
    assert (read.source, read.partitions, read.rows, found.rows) == ("sales", 7, 7_000, 7_000)
    assert read.since == CUT - 7 * DAY
    assert read.columns == ("amount", "sale_id")
    assert size(settings, GROUP, before=CUT, anchor=CUT, asks=50).rows == 7_050


@pytest.mark.parametrize(("rows", "partitions"), [(100, 1), (60_000, 10), (60_000_000, 868)])
def test_partitions_follow_the_data(settings: Settings, rows: int, partitions: int) -> None:
    """Few rows: one. More: for all cores. Many: none larger than its bound."""
    cluster = settings.model_copy(update={"spark": settings.spark.model_copy(update={"master": "yarn"})})
    ingested(settings, rows)
    found = size(cluster, GROUP, before=CUT, anchor=CUT)
    assert (found.partitions, found.chosen) == (partitions, "the data's size")
    assert found.bytes / found.partitions <= PARTITION
    assert found.worker_bytes == 3 * found.bytes // found.partitions


def test_a_setting_counts_more_than_the_data(settings: Settings) -> None:
    ingested(settings, 60_000_000)
    given = load(home=settings.home, metastore={"kind": "embedded"}, spark={"shuffle_partitions": 7})
    found = size(given, GROUP, before=CUT, anchor=CUT)
    assert (found.partitions, found.chosen) == (7, "the setting spark.shuffle_partitions")


@pytest.mark.slow
def test_the_bytes_are_about_those_that_are_shuffled(spark: "SparkSession", spark_settings: Settings) -> None:
    spark.sql("create database if not exists audits")
    store(spark, spark_settings, "sales", {day: sales(day) for day in DAYS})
    real = event_rows(spark, spark_settings, GROUP, before=CUT, anchor=CUT).toArrow()
    found = size(spark_settings, GROUP, before=CUT, anchor=CUT)
    spark.sql("drop table audits.sales")
    assert 0 <= found.rows - real.num_rows <= 120, "of the first partition only what is known early counts"
    assert 0.5 < found.bytes / found.rows / (real.nbytes / real.num_rows) < 2
