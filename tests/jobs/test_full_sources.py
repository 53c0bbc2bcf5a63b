"""A source of kind full through real Spark and Hive: whole snapshots in, changes in the table, attributes and deletions out."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features import Source
from features.errors import InputError
from features.settings import Settings
from jobs import ledger
from jobs.ingest import ingest
from tests.jobs.merchants import DAYS, SOURCE, VIEW, land, own
from tests.snapshots import snapshot

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("full")})


def stored(spark: SparkSession, source: Source) -> list[tuple[Any, ...]]:
    rows = spark.table(source.table).selectExpr(
        "ds", "merchant", "city", "closed", "date_format(event_time, 'MM-dd HH')"
    )
    return sorted(tuple(row) for row in rows.collect())


MEANT = [
    ("2026-03-01", "m", "Rome", False, "02-01 00"),
    ("2026-03-01", "n", "Bonn", False, "02-01 00"),
    ("2026-03-02", "m", "Oslo", False, "03-02 08"),
    ("2026-03-02", "o", "Kiel", False, "03-02 09"),
    ("2026-03-03", "m", "Oslo", True, "03-03 12"),
]


def test_snapshots_become_changes_and_deletions(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    made = ingest(spark, home, SOURCE, land(tmp_path, DAYS))
    assert stored(spark, SOURCE) == MEANT
    assert [(item.ds, item.rows) for item in made] == [("2026-03-01", 2), ("2026-03-02", 2), ("2026-03-03", 1)]
    assert cities(spark, home, 2) == {("m", "Rome"), ("n", "Bonn")}
    assert cities(spark, home, 3) == {("m", "Oslo"), ("n", "Bonn"), ("o", "Kiel")}
    assert cities(spark, home, 4) == {("n", "Bonn"), ("o", "Kiel")}


def cities(spark: SparkSession, home: Settings, day: int) -> set[tuple[str, str]]:
    """Of the keys that are there at a cut."""
    cut = int(datetime(2026, 3, day, tzinfo=UTC).timestamp() * 1e6)
    return {(row[VIEW.keys[0]], row["city"]) for row in snapshot(spark, home, VIEW, [cut])}


def test_day_by_day_gives_what_all_days_at_once_give_and_a_day_again_changes_nothing(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source, path = own("full_daily"), land(tmp_path, DAYS)
    for day in (1, 2, 3, 3):
        ingest(spark, home, source, path, only=date(2026, 3, day))
    assert stored(spark, source) == MEANT


def test_a_day_before_the_last_one_is_refused(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source, path = own("full_order"), land(tmp_path, DAYS)
    ingest(spark, home, source, path)
    with pytest.raises(InputError) as refused:
        ingest(spark, home, source, path, only=date(2026, 3, 2))
    assert str(refused.value) == (
        "Source 'full_order' has the later partition 2026-03-03, which was built on what stood before 2026-03-02 … 2026-03-02. "
        "Ingest from 2026-03-02 on to the end in one input, so that each snapshot is compared with the one before it."
    )
    ingest(spark, home, source, path)
    assert stored(spark, source) == MEANT


def test_a_snapshot_with_rows_in_quarantine_deletes_nothing(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("full_incomplete")
    ingest(spark, home, source, land(tmp_path, {1: DAYS[1], 2: ["n,Bonn,2026-02-01T00:00:00Z", "m,Oslo,someday"]}))
    assert stored(spark, source) == MEANT[:2]
    ingest(spark, home, source, land(tmp_path, {3: DAYS[1][1:]}), only=date(2026, 3, 3))
    assert stored(spark, source) == [*MEANT[:2], ("2026-03-03", "m", "Rome", True, "03-03 12")]
    assert [item.quarantined for item in ledger.partitions(home, "full_incomplete")] == [0, 1, 0]


@pytest.mark.parametrize("daily", [True, False], ids=["day by day", "at once"])
def test_an_export_across_midnight_is_one_snapshot(
    spark: SparkSession,
    home: Settings,
    tmp_path: Path,
    daily: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    source = own(f"full_midnight_{daily}")
    said = {1: ["m,Rome", "n,Bonn"], 2: ["m,Rome", "n,Bonn"], 3: ["n,Bonn", "m,Oslo,someday"], 4: ["n,Bonn", "o,Kiel"]}
    for day, rows in said.items():
        path = tmp_path / f"ds=2026-03-{day:02d}" / "merchants.csv"
        path.parent.mkdir()
        seen = [f"2026-03-{day:02d}T23:59:59Z", f"2026-03-{day + 1:02d}T00:00:01Z"]
        lines = [f"{row},2026-02-01T00:00:00Z,{at}" for row, at in zip(rows, seen, strict=True)]
        path.write_text("\n".join(["merchant,city,event_time,seen", *lines]) + "\n")
    # The bad row of the third folder has one field too many: nothing of that snapshot disappears, though the folder's good row lies beside it.
    for only in [date(2026, 3, day) for day in (1, 2, 3, 4)] if daily else [None]:
        ingest(spark, home, source, str(tmp_path), only=only)
    assert stored(spark, source) == [
        ("2026-03-02", "m", "Rome", False, "02-01 00"), ("2026-03-02", "n", "Bonn", False, "02-01 00"),
    ]  # fmt: skip
    assert [item.quarantined for item in ledger.partitions(home, source.name)] == [0, 0, 1, 0]
    (tmp_path / "ds=2026-03-05").mkdir()
    (tmp_path / "ds=2026-03-05" / "merchants.csv").write_text("merchant,city,event_time,seen\n")
    ingest(spark, home, source, str(tmp_path), only=date(2026, 3, 5))
    assert [row[:4] for row in stored(spark, source)[2:]] == [
        ("2026-03-05", "m", "Rome", True), ("2026-03-05", "o", "Kiel", False),
    ]  # fmt: skip
