"""Few rows of a graph are derived without Spark's jobs, many with them: what is landed is the same."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features import Entity, Field, Graph, Relation, Source, col, fields
from features.definitions.names import utc
from features.settings import Settings
from jobs import graph_driver
from jobs.files import bytes_of
from jobs.graph import _land_by_spark
from jobs.graph_driver import derived_here, land
from jobs.ingest import ingest
from jobs.tables import files_of
from tests.jobs import hostile_days as days

pytestmark = pytest.mark.slow
CUSTOMER = Entity(name="customer", keys=("customer",), type="int64")
_TIMES = fields("timestamp", "event_time known")
LOGINS = Source(name="driven_logins", table="driven.logins", known_at="known", columns=(*fields("int64", "customer port"), *_TIMES))  # fmt: skip
DEBTS = Source(
    name="driven_debts", table="driven.debts", known_at="known", event_id="id", version="ver", void="gone", lag="1h", keys=(("customer", ("who",)),),
    columns=(*fields("int64", "id who to ver"), Field(name="gone", type="bool"), *_TIMES),
)  # fmt: skip
PORTS = Graph(
    name="ports", entity=CUSTOMER, marks=(DEBTS, LOGINS.derive("first_ports", filter=col("port") < col("customer") - 8)),
    relations=(Relation(name="port", sources=(LOGINS,), to="port", hub=3), Relation(name="debt", sources=(DEBTS,), to="to", same=True, hub=2)),
)  # fmt: skip
START, DAY, DAYS = days.START, days.DAY, 3
END = START + DAYS * DAY
Rows = list[dict[str, Any]]


def rows() -> dict[Source, Rows]:
    """Numbers as ids, null ends, loops, versions, rows that a lag delays past the day or past the end; nobody logs in on the last day."""
    rng = random.Random(5)  # noqa: S311 - not for secrets
    customers = (-3, 9, 10, 11, 2**53 + 1, *range(100, 108), None)
    logins, debts = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(30):
        known = START + rng.choice([0, DAY - 1, DAY, rng.randrange(2 * DAY)])
        ends = {"customer": rng.choice(customers), "port": rng.choice([1, 2, -7, 40, 98, 99, None])}
        logins.append({**ends, "event_time": known, "known": known})
    for n in range(10):
        known = START + rng.choice([0, DAY - 1, 2 * DAY, rng.randrange(DAYS * DAY - 2)])
        ends = {"who": rng.choice(customers), "to": rng.choice(customers)}
        first = {"id": n, **ends, "ver": 0, "gone": False, "event_time": known, "known": known}
        later = min(known + rng.choice([1, DAY]), END - 1)
        second = {**first, "ver": 1, "known": later, **rng.choice([{"gone": True}, {"who": 9}])}
        debts += rng.choice([[first], [first, second]])
    return {LOGINS: logins, DEBTS: debts}


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("driven")})
    for source, made in rows().items():
        folder = tmp_path_factory.mktemp(source.name)
        for start in range(START, END, DAY):
            mine = [row for row in made if start <= row["known"] < start + DAY]
            days.write(mine, source, folder / f"ds={utc(start).date()}" / "part-0.parquet")
        ingest(spark, settings, source, str(folder))
    yield settings
    for source in (LOGINS, DEBTS):
        spark.sql(f"DROP TABLE IF EXISTS {source.table}")
        shutil.rmtree(Path(settings.tables_root) / "sources" / source.name)


def landed(place: Path) -> dict[str, list[str]]:
    """Rows by folder."""
    return {
        folder.name: sorted(str(row) for file in folder.rglob("*.parquet") for row in pq.ParquetFile(file).read().to_pylist())
        for folder in sorted(place.iterdir())
        if folder.is_dir()
    }  # fmt: skip


def test_what_is_landed_is_what_spark_lands(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    since = START + DAY
    written = tuple(str(utc(start).date()) for start in range(since, END, DAY))
    mine = derived_here(spark, home, PORTS, before=END, since=since)
    assert mine is not None
    assert mine.edges == _land_by_spark(spark, home, PORTS, str(tmp_path / "spark"), END, written)
    for source in PORTS.sources:
        land(mine.rows[source.name], str(tmp_path / "here" / source.name), written)
        here = landed(tmp_path / "here" / source.name)
        assert list(here) == [f"ds={day}" for day in written]
        assert here == landed(tmp_path / "spark" / source.name)
        assert sum(map(len, here.values())) > 3


def test_many_rows_are_left_to_spark(spark: SparkSession, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    there = bytes_of(path for source in (LOGINS, DEBTS) for path in files_of(spark.table(source.table)))
    for few, here in ((there, False), (there + 1, True)):
        settings = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": few})})
        assert (derived_here(spark, settings, PORTS, before=END, since=START) is not None) == here
    monkeypatch.setattr(graph_driver, "_MOST", 0)
    assert derived_here(spark, home, PORTS, before=END, since=START) is None
