"""Few rows are ingested without Spark's jobs, many with them: tables, quarantine and ledger are the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.definitions.names import quarantine_of, snapshots_of, utc, waiting_of
from features.definitions.sources import Source
from features.settings import Settings
from features.values.hashing import row_hashes
from jobs import ingest, ledger
from jobs.ingest_driver import DriverWork
from jobs.ingest_spark import SparkWork
from tests.jobs import hostile_days as days
from tests.jobs import merchants, sales
from tests.jobs.sales import SALES, home, sale
from tests.jobs.shop import CARDS, DISPUTES, PAYMENTS

__all__ = ["home"]  # the fixture

Both = Callable[[str, Callable[[str, Settings], Sequence[Source]]], list[dict[str, Any]]]


@pytest.mark.slow
def test_a_hash_of_a_row_is_sparks(spark: SparkSession) -> None:
    rows = pa.table({
        "text": ["", "a", None, "ü" * 9, "x" * 71], "number": [0, -1, None, 2**63 - 1, 7], "real": [0.0, -0.0, None, 1e300, -2.5],
        "true": [True, False, None, True, False], "at": pa.array([0, -1, None, 10**15, 5], pa.int64()).cast(pa.timestamp("us", "UTC")),
    })  # fmt: skip
    meant = spark.createDataFrame(rows).select(F.xxhash64(*rows.column_names)).toArrow().column(0).to_pylist()
    assert row_hashes([column.combine_chunks() for column in rows.columns]).tolist() == meant


@pytest.fixture
def both(spark: SparkSession, home: Settings, monkeypatch: pytest.MonkeyPatch) -> Both:
    """What is left of sources that a course of ingests is of, once with every input taken for few rows and once for many: the same."""

    def unasked(*_: object) -> None:
        raise AssertionError

    def run(name: str, course: Callable[[str, Settings], Sequence[Source]]) -> list[dict[str, Any]]:
        found = []
        for engine, most, other in (("few", 2**40, SparkWork), ("many", 0, DriverWork)):
            with monkeypatch.context() as patch:
                patch.setattr(other, "__init__", unasked)
                mine = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": most})})
                found.append([told(spark, home, source) for source in course(f"{engine}_{name}", mine)])
        assert found[0] == found[1]
        return found[0]

    return run


def told(spark: SparkSession, home: Settings, source: Source) -> dict[str, Any]:
    """All that an ingest leaves of a source."""
    made: dict[str, Any] = {}
    tables = {
        "rows": source.table,
        "bad": quarantine_of(source),
        "waiting": waiting_of(source),
        "said": snapshots_of(source),
    }
    for name, table in tables.items():
        if spark.catalog.tableExists(table):
            rows = spark.table(table)
            made[name] = sorted(map(repr, rows.select(*sorted(rows.columns)).collect()))
            made[f"{name} days"] = sorted(row[0] for row in spark.sql(f"show partitions {table}").collect())
    for item in ledger.partitions(home, source.name):
        fields = set(ledger.Partition.__slots__) - {"source", "ingested_at"}
        made[item.ds] = {field: getattr(item, field) for field in fields}
    return made


def named(source: Source, name: str, **more: Any) -> Source:
    return replace(source, name=f"{name}_{source.name}", table=f"few_or_many.{name}_{source.name}", **more)


@pytest.mark.long
def test_hostile_days_and_a_parent_that_is_held_afterwards(spark: SparkSession, tmp_path: Path, both: Both) -> None:
    days.write_days(days.days(seed=11), tmp_path)
    dates = [utc(days.START + n * days.DAY).date() for n in (1, 2, 3)]

    def course(name: str, home: Settings) -> Sequence[Source]:
        payments, cards = named(PAYMENTS, name, correctable="6h"), named(CARDS, name)
        assert DISPUTES.enriched is not None
        disputes = named(DISPUTES, name, enriched=replace(DISPUTES.enriched, parent=payments))
        for only in dates:
            for source, folder in ((payments, PAYMENTS.name), (disputes, DISPUTES.name)):
                ingest.ingest(spark, home, source, f"{tmp_path}/{folder}", only=only)
        ingest.ingest(spark, home, cards, f"{tmp_path}/{CARDS.name}")
        found = ledger.partition(home, payments.name, str(dates[1]))
        assert found is not None
        ledger.hold(home, found, at=1, reason="doubtful")
        # Children keep what they took of it; a day again with the very rows it has stays held.
        ingest.ingest(spark, home, disputes, f"{tmp_path}/{DISPUTES.name}", only=dates[-1])
        ingest.ingest(spark, home, payments, f"{tmp_path}/{PAYMENTS.name}", only=dates[-1])
        return payments, disputes, cards

    payments, disputes, _ = both("days", course)
    assert "last heard of" in str(payments["bad"])
    assert "retract" in str(payments["rows"])
    assert payments[str(dates[1])]["held_at"] == 1
    assert disputes["waiting"]


@pytest.mark.parametrize("daily", [pytest.param(True, marks=pytest.mark.long), False], ids=["day by day", "at once"])
@pytest.mark.slow
def test_whole_snapshots_one_of_them_broken(
    spark: SparkSession,
    tmp_path: Path,
    both: Both,
    daily: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = merchants.land(tmp_path, merchants.DAYS)
    (tmp_path / "ds=2026-03-02" / "more.csv").write_text("merchant,city,event_time,seen\nbroken,Rome,never,never\n")

    def course(name: str, home: Settings) -> Sequence[Source]:
        source = named(merchants.SOURCE, name)
        for only in [date(2026, 3, day) for day in (1, 2, 3)] if daily else [None]:
            ingest.ingest(spark, home, source, path, only=only)
        return (source,)

    (found,) = both(f"full_{daily}", course)
    assert [found[f"2026-03-0{day}"]["whole"] for day in (1, 2, 3)] == [True, False, True]


@pytest.mark.slow
def test_bad_rows_and_rows_of_other_days(spark: SparkSession, tmp_path: Path, both: Both) -> None:
    landed = {
        1: [sale("a"), sales.known("b", "2026-03-02T00:00:01Z"), "c,s1,1.00,someday,someday", sale("d", amount="much")],
        2: [sales.known("e", "2026-03-01T23:59:59Z"), sales.known("f", "2026-03-04T00:00:00Z"), "g,s1"],
        3: [],
    }  # fmt: skip
    path = sales.land(tmp_path, landed)

    def course(name: str, home: Settings) -> Sequence[Source]:
        made = named(SALES, name), named(SALES, f"{name}_nameless", event_id=None)
        for source in made:
            ingest.ingest(spark, home, source, path)
            ingest.ingest(spark, home, source, path, only=date(2026, 3, 2))
        return made

    found, nameless = both("bad", course)
    assert len(found["bad"]) == len(nameless["bad"]) > 3
    assert found["2026-03-02"]["raised"] == 1
