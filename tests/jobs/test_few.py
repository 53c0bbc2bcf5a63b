"""Rows that this process reads, against those that Spark gives: the same rows, the same answers, the same files."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features import FeatureView
from features.definitions.names import micros
from features.settings import Settings
from features.values.partition import entity_views
from jobs.compute import compute
from jobs.few import few_rows
from jobs.frame import answers, collected
from jobs.ingest import ingest
from jobs.rows import event_rows
from tests.jobs import hostile_days as days
from tests.jobs.held_days import DAILY, LIVE, close, home, raw
from tests.jobs.merchants import DAYS, MERCHANT, VIEW, land, own

__all__ = ["home", "raw"]  # the fixtures

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("raw")]
CUTS = [days.START + n * days.DAY for n in (1, 2, 3, 4, 5)]


def listed(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in table.to_pylist()), key=repr)


def without_few(settings: Settings) -> Settings:
    return settings.model_copy(update={"spark": settings.spark.model_copy(update={"few_bytes": 0})})


@pytest.mark.parametrize("view", [DAILY, LIVE], ids=["with outcomes", "live"])
@pytest.mark.parametrize("before", [CUTS[0], CUTS[2] + 7, CUTS[4]])
def test_rows_are_sparks_also_where_partitions_are_held_or_released(
    spark: SparkSession, home: Settings, view: FeatureView, before: int
) -> None:
    (group,) = entity_views([view])
    mine = few_rows(spark, home, group, before=before, anchor=before)
    assert mine is not None
    assert mine.column_names[: 1 + len(group.keys)] == [*group.keys, "asof_part"]
    theirs = event_rows(spark, home, group, before=before, anchor=before).withColumn("asof_row", F.lit(None).cast("bigint"))  # fmt: skip
    assert set(theirs.columns) == set(mine.column_names)
    assert len(mine)
    assert listed(mine, mine.column_names) == listed(theirs.toArrow(), mine.column_names)


def test_rows_of_asked_keys_alone_come_along_with_the_asks(spark: SparkSession, home: Settings) -> None:
    (group,) = entity_views([DAILY])
    asks = pa.table({"k0": ["c1", "nobody"], "asof_time": [CUTS[3], CUTS[2]], "asof_row": [0, 1]})
    mine = few_rows(spark, home, group, before=CUTS[3], anchor=CUTS[2], asks=asks)
    assert mine is not None
    assert listed(mine.filter(pc.equal(mine["asof_part"], -1)).select(asks.column_names), asks.column_names) == listed(asks, asks.column_names)  # fmt: skip
    assert set(mine["k0"].to_pylist()) == {"c1", "nobody"}


def test_answers_are_sparks_row_for_row(spark: SparkSession, home: Settings) -> None:
    (group,) = entity_views([DAILY])
    asked = [(key, at + beside) for key in (*days.KEYS, "nobody") for at in CUTS for beside in (-1, 0, 7_200_000_000)]
    keys, instants = zip(*asked, strict=True)
    asks = pa.table({"k0": pa.array(keys, pa.string()), "asof_time": instants, "asof_row": range(len(asked))})
    given = spark.createDataFrame(asks)
    edges = {"earliest": min(instants), "latest": max(instants)}
    theirs = answers(spark, home, group, given, rows=len(asks), **edges).orderBy("asof_row").toArrow()
    assert None in days.KEYS  # an ask without a key has no answer
    for settings in (home, without_few(home)):
        mine = collected(spark, settings, group, asks, **edges)
        assert mine.to_pylist() == theirs.to_pylist()
    none = collected(spark, home, group, asks.slice(0, 0), **edges)
    assert (len(none), none.column_names) == (0, theirs.column_names)


def _files(spark: SparkSession, settings: Settings, view: FeatureView) -> Iterator[list[tuple[Any, ...]]]:
    for attempt in compute(spark, settings, (view,), CUTS[1:4]):
        folder = Path(attempt.location)
        rows = pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet"))])
        assert (attempt.record("finished") or {})["rows"] == len(rows)
        yield listed(rows, rows.column_names)


def test_attempts_hold_what_sparks_tasks_write(spark: SparkSession, home: Settings) -> None:
    assert list(_files(spark, home, DAILY)) == list(_files(spark, without_few(home), DAILY))


@pytest.mark.parametrize("released", [None, 15 * 3_600_000_000], ids=["held", "released"])
def test_rows_of_a_full_source_are_sparks_also_where_a_snapshot_is_held(
    spark: SparkSession, home: Settings, tmp_path: Path, released: int | None
) -> None:
    source = own(f"few_merchants_{released or 0}")
    view = replace(VIEW, name=source.name, entity=MERCHANT, source=source)
    ingest(spark, home, source, land(tmp_path, DAYS))
    third = micros(datetime(2026, 3, 3, tzinfo=UTC))
    close(home, source, "2026-03-02", None if released is None else third + released)
    (group,) = entity_views([view])
    for before in (third, third + days.DAY):
        mine = few_rows(spark, home, group, before=before, anchor=before)
        assert mine is not None
        assert len(mine)
        theirs = event_rows(spark, home, group, before=before).toArrow()
        assert listed(mine, theirs.column_names) == listed(theirs, theirs.column_names)
