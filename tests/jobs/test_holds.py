"""Held and released partitions through real Spark and Hive: what frames and snapshots know, against the oracle and by literal days."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from features import Schedule, count, flat, sum_
from features.definitions.names import utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import entity_views
from jobs import compute
from jobs.frame import answers
from jobs.ingest import ingest
from jobs.written import write_attempts
from tests.jobs import hostile_days as days
from tests.jobs.held_days import DAILY, LIVE, close, home, raw
from tests.jobs.merchants import DAYS as SNAPSHOTS
from tests.jobs.merchants import MERCHANT, land, own
from tests.jobs.merchants import VIEW as RECORD
from tests.jobs.shop import DISPUTES, PAYMENTS
from tests.oracle import answer
from tests.snapshots import snapshot

__all__ = ["home", "raw"]  # the fixtures

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("view", [DAILY, LIVE], ids=["daily", "live"])
def test_a_frame_gives_what_the_oracle_gives(
    spark: SparkSession, home: Settings, raw: dict[str, list[dict[str, Any]]], view: FeatureView
) -> None:
    rng = random.Random(7)  # noqa: S311 - not for secrets
    keys = [key for key in days.KEYS if key is not None]
    edges = [days.START + n * days.DAY + h * 3_600_000_000 + d for n in range(1, 6) for h in (0, 2) for d in (-1, 0, 1)]
    asked = [(rng.choice(keys), rng.choice(edges)) for _ in range(150)]
    (group,) = entity_views((view,))
    asks = spark.createDataFrame(
        [(key, n, at) for n, (key, at) in enumerate(asked)], "k0 string, asof_row bigint, asof_time bigint"
    )
    instants = [at for _, at in asked]
    found = answers(spark, home, group, asks, earliest=min(instants), latest=max(instants), rows=len(asked))
    for row in found.collect():
        key, at = asked[row["asof_row"]]
        meant = answer(view, raw, (key,), at)
        got = {name: row[f"{view.name}__{name}"] for name in meant.values}
        assert (got, row[f"{view.name}__asof_status"]) == (meant.values, meant.status), (key, utc(at))


def test_a_snapshot_gives_what_the_oracle_gives(
    spark: SparkSession, home: Settings, raw: dict[str, list[dict[str, Any]]]
) -> None:
    for cut in (days.START + n * days.DAY for n in (2, 3, 4, 5)):
        rows = {row[DAILY.keys[0]]: row for row in snapshot(spark, home, DAILY, [cut])}
        for key in (key for key in days.KEYS if key is not None):
            meant = answer(DAILY, raw, (key,), cut + DAILY.schedule.lag_us)
            assert (rows[key]["asof_status"] if key in rows else "never_seen") == meant.status
            if key in rows:
                assert {name: rows[key][name] for name in meant.values} == meant.values, (key, cut)


def micros(day: int) -> int:
    return int(datetime(2026, 3, day, tzinfo=UTC).timestamp() * 1e6)


def sale(name: str, day: int, amount: int, *, void: bool = False, version: int = 0) -> dict[str, Any]:
    return {
        "id": name, "card": "c", "shop": "s", "status": None, "amount": amount, "version": version, "voided": void,
        "event_time": micros(1), "known": micros(day) + 1,
    }  # fmt: skip


@pytest.mark.parametrize(("rows", "released", "meant"), [
    pytest.param([sale("p", 1, 100), sale("p", 2, 200), sale("p", 3, 300)], None, (1, 300), id="versions before, in and after"),
    pytest.param([sale("p", 1, 100), sale("p", 2, 200), sale("p", 3, 200, void=True)], None, (0, 0), id="voided after"),
    pytest.param([sale("p", 2, 200), sale("p", 3, 200)], None, (1, 200), id="delivered again after"),
    pytest.param([sale("p", 2, 200, version=1), sale("p", 3, 300)], micros(3) + 9, (1, 200), id="released, and above what came after it"),
])  # fmt: skip
def test_a_held_day_is_known_to_no_version_after_it(
    spark: SparkSession,
    home: Settings,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    rows: list[dict[str, Any]],
    released: int | None,
    meant: tuple[int, int],
) -> None:
    name = f"held_{request.node.callspec.id.replace(' ', '_').replace(',', '')}"
    source = replace(PAYMENTS, name=name, table=f"held.{name}")
    view = FeatureView(name=name, entity=DAILY.entity, source=source, features=flat((count("9d"), sum_("amount", "9d"))), freshness=Schedule())  # fmt: skip
    for day in (1, 2, 3):
        known = [row for row in rows if micros(day) <= row["known"] < micros(day + 1)]
        days.write(known, source, tmp_path / f"ds=2026-03-{day:02d}" / "part-0.parquet")
        ingest(spark, home, source, str(tmp_path), only=date(2026, 3, day))
        if day == 2:
            close(home, source, "2026-03-02", released)
    found = [row for row in snapshot(spark, home, view, [micros(4)]) if row[view.keys[0]] == "c"]
    got = [(row["count_9d"], row["sum_amount_9d"]) for row in found] or [(0, 0)]
    assert got == [meant]


@pytest.mark.parametrize(("released", "meant"), [
    pytest.param(None, {3: {("m", "Rome"), ("n", "Bonn")}, 4: {("n", "Bonn"), ("o", "Kiel")}}, id="held"),
    pytest.param(micros(3) + 15 * 3_600_000_000, {3: {("m", "Rome"), ("n", "Bonn")}, 4: {("n", "Bonn"), ("o", "Kiel")}}, id="released after the next snapshot"),
    pytest.param(micros(3) + 5, {3: {("m", "Rome"), ("n", "Bonn")}, 4: {("n", "Bonn"), ("o", "Kiel")}}, id="released before the next snapshot"),
])  # fmt: skip
def test_a_held_snapshot_says_nothing_and_the_next_one_says_all(
    spark: SparkSession, home: Settings, tmp_path: Path, released: int | None, meant: dict[int, set[tuple[str, str]]]
) -> None:
    source = own(f"full_held_{released or 0}")
    view = replace(RECORD, name=source.name, entity=MERCHANT, source=source)
    ingest(spark, home, source, land(tmp_path, SNAPSHOTS))
    close(home, source, "2026-03-02", released)
    for day, cities in meant.items():
        rows = snapshot(spark, home, view, [micros(day)])
        assert {(row[view.keys[0]], row["city"]) for row in rows} == cities, day


def test_a_child_waits_for_a_parent_that_is_held(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    parent = replace(PAYMENTS, name="held_parents", table="held.parents")
    assert DISPUTES.enriched is not None
    child = replace(
        DISPUTES, name="held_children", table="held.children", enriched=replace(DISPUTES.enriched, parent=parent)
    )
    dispute = {"dispute": "d", "payment": "p", "event_time": micros(2), "known": micros(2) + 1}
    days.write([sale("p", 1, 100)], parent, tmp_path / "p" / "ds=2026-03-01" / "part-0.parquet")
    for day in (2, 3):
        days.write([], parent, tmp_path / "p" / f"ds=2026-03-{day:02d}" / "part-0.parquet")
        days.write([dispute][: 3 - day], child, tmp_path / "c" / f"ds=2026-03-{day:02d}" / "part-0.parquet")
    ingest(spark, home, parent, str(tmp_path / "p"))
    close(home, parent, "2026-03-01", micros(3) + 9)
    for day, known in ((2, []), (3, [micros(3) + 9])):
        ingest(spark, home, child, str(tmp_path / "c"), only=date(2026, 3, day))
        rows = spark.table("held.children").selectExpr("unix_micros(asof_known_at) AS known").collect()
        assert [row["known"] for row in rows] == known
    assert pa.table(spark.table("held.children").select("card").toArrow()).to_pylist() == [{"card": "c"}]


def test_a_child_keeps_what_it_took_of_a_parent_that_is_held_afterwards(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    parent = replace(PAYMENTS, name="kept_parents", table="held.kept_parents")
    assert DISPUTES.enriched is not None
    child = replace(
        DISPUTES, name="kept_children", table="held.kept_children", enriched=replace(DISPUTES.enriched, parent=parent)
    )
    disputes = [{"dispute": n, "payment": n, "event_time": micros(2), "known": micros(2) + 1} for n in ("p", "q", "r")]
    moved = {**sale("q", 2, 100), "card": "moved"}
    for day, rows in ((1, [sale("p", 1, 100), sale("q", 1, 100)]), (2, [moved, sale("r", 2, 100)])):
        days.write(rows, parent, tmp_path / "p" / f"ds=2026-03-{day:02d}" / "part-0.parquet")
    days.write(disputes[:2], child, tmp_path / "c" / "ds=2026-03-02" / "part-0.parquet")
    ingest(spark, home, parent, str(tmp_path / "p"))

    def there() -> list[tuple[str, ...]]:
        rows = spark.table("held.kept_children").select("dispute", "card", "asof_op", "ds").collect()
        return sorted(tuple(row) for row in rows)

    ingest(spark, home, child, str(tmp_path / "c"))
    meant = [("p", "c", "add", "2026-03-02"), ("q", "moved", "add", "2026-03-02")]
    assert there() == meant
    close(home, parent, "2026-03-01", None)
    close(home, parent, "2026-03-02", micros(5))
    # The third dispute comes when its parent is held already: it waits for the release.
    days.write(disputes, child, tmp_path / "c" / "ds=2026-03-02" / "part-0.parquet")
    ingest(spark, home, child, str(tmp_path / "c"), only=date(2026, 3, 2))
    assert there() == meant
    assert [row["dispute"] for row in spark.table("held.kept_children__waiting").select("dispute").collect()] == ["r"]


def test_children_that_wait_are_lost_by_no_ingest(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    parent = replace(PAYMENTS, name="waited_parents", table="held.waited_parents")
    assert DISPUTES.enriched is not None
    child = replace(
        DISPUTES,
        name="waiting_children",
        table="held.waiting_children",
        enriched=replace(DISPUTES.enriched, parent=parent),
    )
    disputes = [
        {"dispute": f"d{n}", "payment": f"p{n}", "event_time": micros(1), "known": micros(1) + n} for n in (1, 2, 3)
    ]
    sales = {1: [sale("p1", 1, 10)], 2: [], 3: [sale("p2", 3, 20)]}
    for day, rows in sales.items():
        days.write(rows, parent, tmp_path / "p" / f"ds=2026-03-{day:02d}" / "part-0.parquet")
        days.write(disputes if day == 1 else [], child, tmp_path / "c" / f"ds=2026-03-{day:02d}" / "part-0.parquet")

    def there() -> list[tuple[str, str]]:
        return sorted(tuple(row) for row in spark.table("held.waiting_children").select("dispute", "ds").collect())

    ingest(spark, home, parent, str(tmp_path / "p"))
    ingest(spark, home, child, str(tmp_path / "c"))
    assert there() == [("d1", "2026-03-01"), ("d2", "2026-03-03")]
    ingest(spark, home, child, str(tmp_path / "c"), only=date(2026, 3, 3))
    assert there() == [("d1", "2026-03-01"), ("d2", "2026-03-03")], "again is harmless"
    # The third parent comes with the first day after all; its child is known from the next day that is ingested.
    days.write([sale("p1", 1, 10), sale("p3", 1, 30)], parent, tmp_path / "p" / "ds=2026-03-01" / "part-0.parquet")
    for folder, source in (("p", parent), ("c", child)):
        days.write([], source, tmp_path / folder / "ds=2026-03-04" / "part-0.parquet")
    ingest(spark, home, parent, str(tmp_path / "p"))
    ingest(spark, home, child, str(tmp_path / "c"), only=date(2026, 3, 4))
    assert there() == [("d1", "2026-03-01"), ("d2", "2026-03-03"), ("d3", "2026-03-04")]


def test_an_attempt_during_which_a_day_was_held_is_one_of_the_past(
    spark: SparkSession, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = replace(PAYMENTS, name="held_meanwhile", table="held.meanwhile")
    view = FeatureView(name="held_meanwhile", entity=DAILY.entity, source=source, features=flat((count("9d"),)))
    days.write([sale("p", 1, 100)], source, tmp_path / "ds=2026-03-01" / "part-0.parquet")
    ingest(spark, home, source, str(tmp_path))
    right = write_attempts

    def slow(*given: Any) -> Any:
        close(home, source, "2026-03-01", None)
        return right(*given)

    monkeypatch.setattr("jobs.compute.write_attempts", slow)
    compute.compute(spark, home, (view,), [micros(2)])
    assert not compute.computed(home, view, micros(2))
