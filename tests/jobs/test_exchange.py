"""Which rows a cut by key holds, and when it may stand for Spark's shuffle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from features.definitions.names import micros
from features.settings import Settings
from features.values.partition import entity_views
from jobs import ledger
from jobs.exchange import Exchange, exchange, exchangeable, in_buckets
from jobs.ingest import ingest
from jobs.rows import ask_rows, event_rows, shape_of
from jobs.shares import Share
from tests.jobs import hostile_days as days
from tests.jobs.catalogue_of_proofs import HABITS, SALES

pytestmark = pytest.mark.slow
START = micros(datetime(2026, 3, 1, tzinfo=UTC))
(GROUP,) = entity_views((HABITS,))


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three days: a correction, a redelivery, null keys, a late row."""
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("exchange")})
    folder = tmp_path_factory.mktemp("landing")
    sales: list[tuple[str, str | None, int, int, int]] = [
        *((f"p{n}", f"c{n % 5}", n, n % 3, n % 3) for n in range(60)),
        ("p1", "c1", 99, 1, 2), ("p2", "c2", 2, 2, 2), ("null", None, 1, 1, 1), ("late", "c3", 1, 0, 2), ("p6", "c4", 6, 0, 1),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"id": event, "card": card, "amount": amount, "event_time": START + happened * days.DAY + 5, "known": START + known * days.DAY + 9 + n}
        for n, (event, card, amount, happened, known) in enumerate(sales)
    ]  # fmt: skip
    for day in range(3):
        mine = [row for row in rows if START + day * days.DAY <= row["known"] < START + (day + 1) * days.DAY]
        days.write(mine, SALES, folder / f"ds=2026-03-0{day + 1}" / "part-0.parquet")
    ingest(spark, settings, SALES, str(folder))
    return settings


def listed(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in table.to_pylist()), key=repr)


@pytest.mark.parametrize("before", [START + 3 * days.DAY, START + 2 * days.DAY + 20])
def test_the_cuts_hold_what_sparks_shuffle_holds_each_key_in_one_bucket(
    spark: SparkSession, home: Settings, tmp_path: Path, before: int
) -> None:
    asked = spark.createDataFrame(
        [(f"c{n % 6}", n, START + n) for n in range(40)], "card string, asof_row bigint, at bigint"
    )
    asked.selectExpr("card", "asof_row", "timestamp_micros(at) AS event_timestamp").coalesce(1).write.parquet(
        f"{tmp_path}/asks"
    )
    (asks,) = (str(path) for path in (tmp_path / "asks").glob("*.parquet"))
    shape = shape_of(home, GROUP, before)
    what = Exchange(group=GROUP, shape=shape, before=before, anchor=before, folder=str(tmp_path / "cuts"), buckets=3)
    told = exchange(spark, home, what, asks).files
    kept: dict[int, pa.Table] = {}

    def keep(batches: Any) -> Any:
        return [batch.append_column("bucket", pa.array([number] * len(batch))) for batch in batches]

    for number in range(what.buckets):
        found = list(
            in_buckets(what, told, [Share(bucket=n) for n in range(what.buckets)], keep)(
                [pa.RecordBatch.from_pydict({"id": [number]})]
            )
        )
        kept[number] = pa.Table.from_batches(found)
    mine = pa.concat_tables(kept.values())
    events = event_rows(spark, home, GROUP, before=before, anchor=before)
    given = asked.selectExpr("card AS k0", "asof_row", "at AS asof_time")
    both = events.selectExpr("*", "cast(null AS bigint) AS asof_row")
    meant = both.unionByName(ask_rows(given, GROUP, both)).toArrow()
    names = sorted(meant.column_names)
    assert sorted(set(mine.column_names) - {"bucket"}) == names
    assert listed(mine, names) == listed(meant, names)
    assert {row["asof_part"] for row in mine.to_pylist()} == {-1, 0}
    buckets = {(row["k0"], row["bucket"]) for row in mine.to_pylist()}
    assert len(buckets) == len({key for key, _ in buckets}) == 6


def test_a_held_partition_and_tables_elsewhere_leave_it_to_spark(home: Settings) -> None:
    assert exchangeable(home, GROUP, START + 3 * days.DAY)
    elsewhere = home.model_copy(update={"tables": home.tables.model_copy(update={"root": "s3a://bucket/x"})})
    assert not exchangeable(elsewhere, GROUP, START)
    found = ledger.partition(home, SALES.name, "2026-03-02")
    assert found is not None
    ledger.hold(home, found, at=1, reason="doubtful")
    assert exchangeable(home, GROUP, START + days.DAY), "what is held is not read yet"
    assert not exchangeable(home, GROUP, START + 2 * days.DAY)
    ledger.record_ingest(home, found)
