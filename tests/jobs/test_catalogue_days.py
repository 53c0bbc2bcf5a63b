"""The catalogue's views with tiles on simulated days: cuts that follow from the cut before publish what few rows in this process give."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import micros, tiles_table
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.carrying import carriable
from jobs import ledger
from jobs.attempts import Attempt
from jobs.compute import compute
from jobs.ingest import ingest
from jobs.simulate.simulation import simulate

pytestmark = pytest.mark.slow
CATALOG = load_catalog("features.catalogue")
START, DAYS = date(2026, 1, 5), 4
CUTS = [micros(datetime(2026, 1, day, tzinfo=UTC)) for day in (7, 8, 9)]
VIEWS = tuple(view for view in CATALOG.views if view.tiles)
SOURCES = {view.source.ingested_by: view.source for view in VIEWS}


@pytest.fixture
def home(spark: SparkSession, spark_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Four days of the sources that these views read."""
    simulate(tmp_path / "landing", start=START, days=DAYS, scale=0.01, seed=3)
    for name in SOURCES:
        (source,) = [each for each in CATALOG.ingested if each.name == name]
        ingest(spark, spark_settings, source, str(tmp_path / "landing" / name))
    yield spark_settings
    for name, source in SOURCES.items():
        spark.sql(f"drop table if exists {source.table}")
        for item in ledger.partitions(spark_settings, name):
            (Path(spark_settings.tables_root) / f"asof/{name}/{item.ds}.json").unlink()
    for view in VIEWS:
        spark.sql(f"drop table if exists {tiles_table(view)}")
        for room in ("tiles", "features"):
            shutil.rmtree(Path(spark_settings.tables_root) / room / view.name, ignore_errors=True)


def rows(attempt: Attempt, view: FeatureView) -> pa.Table:
    made = pa.concat_tables([pq.ParquetFile(path).read() for path in Path(attempt.location).glob("[!_]*.parquet")])
    return made.sort_by([(key, "ascending") for key in view.keys]).combine_chunks()


def test_views_with_tiles_can_follow() -> None:
    assert VIEWS
    assert {view.name: carriable(view) for view in VIEWS} == dict.fromkeys(view.name for view in VIEWS)


def test_both_ways_give_the_same_rows(spark: SparkSession, home: Settings) -> None:
    many = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": 0})})
    followed = [compute(spark, many, VIEWS, [cut]) for cut in CUTS]
    whole = [compute(spark, home, VIEWS, [cut]) for cut in CUTS]
    for number, (mine, meant) in enumerate(zip(followed, whole, strict=True)):
        by_name = {attempt.view: attempt for attempt in meant}
        for attempt in mine:
            record, other = attempt.record("finished") or {}, by_name[attempt.view].record("finished") or {}
            assert (record["follows"], other["few"], record["rows"]) == (number > 0, True, other["rows"])
            view = CATALOG.view(attempt.view)
            assert rows(attempt, view).equals(rows(by_name[attempt.view], view)), (attempt.view, number)
            assert record["rows"]
