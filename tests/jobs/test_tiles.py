"""Tiles in Hive: what each cut newly knows, built once, shown whole, and made anew where the source or the definition has changed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features import count, flat, max_, sum_
from features.definitions.catalog import load_catalog
from features.definitions.names import cut_text, micros, tiles_table
from features.settings import Settings
from jobs import compute, ledger, tables, tile_builds, tiles
from jobs.backfill import backfill, plan
from jobs.commands import Compute
from tests.jobs.audited_days import store
from tests.jobs.catalogue_of_audits import SHOP_SALES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]
CUTS = [micros(datetime(2026, 3, 3, tzinfo=UTC)) + n * 86_400_000_000 for n in range(4)]
VIEW = replace(
    SHOP_SALES,
    name="shop_tiled",
    tiles=True,
    features=flat((count("1d 2d"), sum_("amount", "1d"), max_("amount", "1d"))),
)
Row = tuple[Any, ...]


def sale(
    event: str,
    at: datetime,
    amount: int,
    *,
    known: datetime | None = None,
    undoes: datetime | None = None,
    shop: str = "s",
) -> Row:
    """As ingest stores it: an addition, or what takes back the one known at `undoes`."""
    seen = known or at
    op = "retract" if undoes else "add"
    return (event, shop, amount, at, undoes or seen, str(seen.date()), op, seen, undoes, undoes is None)


def at(day: int, hour: int = 12) -> datetime:
    """March, the second being the first day."""
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def sales() -> dict[date, list[Row]]:
    """Four days: one sale late by a day, one corrected downwards two days later."""
    return {
        DAYS[0]: [sale("a", at(2), 10), sale("b", at(2), 90), sale("c", at(2), 5, shop="t")],
        DAYS[1]: [sale("d", at(3), 20)],
        DAYS[2]: [sale("e", at(4), 30), sale("f", at(3), 7, known=at(4)), sale("b", at(2), 90, known=at(4), undoes=at(2)),
                  sale("b", at(2), 40, known=at(4))],
        DAYS[3]: [sale("g", at(5), 1)],
    }  # fmt: skip


@pytest.fixture
def home(spark: "SparkSession", spark_settings: Settings) -> Iterator[Settings]:
    many = spark_settings.spark.model_copy(update={"few_bytes": 0})
    settings = spark_settings.model_copy(update={"catalog": "tests.jobs.test_tiles", "spark": many})
    spark.sql("create database if not exists audits")
    store(spark, settings, "sales", sales())
    yield settings
    spark.sql("drop table if exists audits.sales")
    spark.sql(f"drop table if exists {tiles_table(VIEW)}")
    spark.sql(f"drop table if exists features.{VIEW.name}")
    for name in ("asof", "tiles", "features"):
        shutil.rmtree(Path(settings.tables_root) / name, ignore_errors=True)


def shown(spark: "SparkSession") -> dict[tuple[str, str, str], tuple[int, int, int | None, bool]]:
    """Cut, day and shop to rows, sum, maximum, and whether it replaces."""
    rows = spark.table(tiles_table(VIEW)).collect()
    made = {
        (row["cut"][:10], row["day"], row["shop_id"]): (row["rows__n"], row["amount__low"] + (row["amount__high"] << 32), row["amount__max"],
                                                        row["asof_replaces"])
        for row in rows
    }  # fmt: skip
    assert len(made) == len(rows)
    return made


TILES = {
    ("2026-03-03", "2026-03-02", "s"): (2, 100, 90, False),
    ("2026-03-03", "2026-03-02", "t"): (1, 5, 5, False),
    ("2026-03-04", "2026-03-03", "s"): (1, 20, 20, False),
    ("2026-03-05", "2026-03-04", "s"): (1, 30, 30, False),
    ("2026-03-05", "2026-03-03", "s"): (1, 7, 7, False),
    ("2026-03-05", "2026-03-02", "s"): (0, -50, 40, True),
    ("2026-03-06", "2026-03-05", "s"): (1, 1, 1, False),
}


def runs(settings: Settings) -> dict[int, str]:
    """The number of a cut to the build that is shown of it."""
    said = tile_builds.shown(settings, VIEW)
    return {n: said[cut_text(cut)] for n, cut in enumerate(CUTS) if cut_text(cut) in said}


@pytest.mark.parametrize("daily", [True, False], ids=["a-cut-at-a-time", "in-one-pass"])
def test_late_rows_and_corrections_come_in_the_cut_that_knows_them(
    spark: "SparkSession", home: Settings, *, daily: bool
) -> None:
    for part in [[cut] for cut in CUTS] if daily else [CUTS]:
        tiles.up_to_date(spark, home, VIEW, part)
    assert shown(spark) == TILES
    before = runs(home)
    assert len(set(before.values())) == (4 if daily else 1)
    tiles.up_to_date(spark, home, VIEW, CUTS)  # again: nothing is built, nothing moves
    assert (runs(home), shown(spark)) == (before, TILES)


def test_a_day_ingested_anew_makes_new_the_cuts_that_read_it_and_no_other(
    spark: "SparkSession", home: Settings
) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS)
    before, days = runs(home), sales()
    days[DAYS[0]].append(sale("h", at(2), 60))
    store(spark, home, "sales", days)
    old = {n: ledger.Partition(source="sales", ds=str(day), rows=1, ingested_at=n + 1) for n, day in enumerate(DAYS)}
    for n, item in old.items():
        ledger.record_ingest(home, replace(item, ingested_at=9) if n == 0 else item)
    # The third cut reads the first day again for the maximum that a correction took back.
    assert tiles.missing(home, VIEW, CUTS) == (CUTS[0], CUTS[2])
    assert not tiles.in_place(home, VIEW, CUTS)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert tiles.in_place(home, VIEW, CUTS)
    assert {n for n, run in runs(home).items() if run != before[n]} == {0, 2}
    assert shown(spark) == TILES | {
        ("2026-03-03", "2026-03-02", "s"): (3, 160, 90, False),
        ("2026-03-05", "2026-03-02", "s"): (0, -50, 60, True),
    }


def test_a_held_day_is_in_no_tile_and_a_released_one_comes_when_it_is_known(
    spark: "SparkSession", home: Settings
) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS)
    first = ledger.partition(home, "sales", DAYS[0])
    assert first is not None
    held = ledger.hold(home, first, at=1, reason="doubtful")
    tiles.up_to_date(spark, home, VIEW, CUTS)
    # Nothing of the day, and what takes it back takes nothing back; the new version came on a day that is not held.
    without = {place: tile for place, tile in TILES.items() if place[1] != "2026-03-02"}
    assert shown(spark) == without | {("2026-03-05", "2026-03-02", "s"): (1, 40, 40, False)}
    ledger.release(home, held, at=CUTS[1] + 1)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert shown(spark) == without | {
        ("2026-03-05", "2026-03-02", "s"): (2, 50, 40, False),
        ("2026-03-05", "2026-03-02", "t"): (1, 5, 5, False),
    }
    ledger.release(home, held, at=CUTS[2] + 1)  # later than the correction: both meet in the fourth cut
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert shown(spark) == without | {
        ("2026-03-05", "2026-03-02", "s"): (1, 40, 40, False),
        ("2026-03-06", "2026-03-02", "s"): (1, 10, 10, False),
        ("2026-03-06", "2026-03-02", "t"): (1, 5, 5, False),
    }


def test_a_build_that_was_killed_before_it_is_shown_leaves_readers_with_the_old(
    spark: "SparkSession", home: Settings
) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS[:2])
    before = shown(spark)
    half = Path(tile_builds.new_location(home, VIEW))
    shutil.copytree(Path(home.tables_root) / "tiles" / VIEW.name / runs(home)[0], half)
    (half / "_finished.json").unlink()  # killed while it wrote
    tiles.build_tiles(spark, home, VIEW, CUTS[2:])  # killed once it was complete
    assert shown(spark) == before
    assert tiles.missing(home, VIEW, CUTS) == ()
    assert not tiles.in_place(home, VIEW, CUTS)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert shown(spark) == TILES
    # Killed while Hive was changed: half of a cut is shown, and the record does not vouch for it.
    tile_builds.mark_shown(home, VIEW, {}, unsure=[cut_text(CUTS[2])])
    spark.sql(f"alter table {tiles_table(VIEW)} drop partition (cut='{cut_text(CUTS[2])}', day='2026-03-03')")
    assert not tiles.in_place(home, VIEW, CUTS)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert shown(spark) == TILES


def test_a_table_that_was_dropped_comes_back_from_the_builds(spark: "SparkSession", home: Settings) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS)
    spark.sql(f"drop table {tiles_table(VIEW)}")
    before = runs(home)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    assert (runs(home), shown(spark)) == (before, TILES)


def test_what_readers_see_of_a_cut_is_told_whichever_others_there_are(
    spark: "SparkSession", home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS)
    one_by_one = [tiles.seen(spark, home, VIEW, [cut]) for cut in CUTS]
    assert one_by_one[2] == {("2026-03-05T00-00Z", day) for day in ("2026-03-02", "2026-03-03", "2026-03-04")}
    assert tiles.seen(spark, home, VIEW, [CUTS[-1] + 30 * 86_400_000_000]) == frozenset()
    monkeypatch.setattr(tables, "_FEW_CUTS", 0)
    assert [tiles.seen(spark, home, VIEW, [cut]) for cut in CUTS] == one_by_one


def test_another_definition_has_tiles_of_its_own(spark: "SparkSession", home: Settings) -> None:
    tiles.up_to_date(spark, home, VIEW, CUTS)
    longer = replace(VIEW, features=flat((count("1d 4d"), sum_("amount", "2d"), max_("amount", "1d"))))
    assert tiles.missing(home, longer, CUTS) == ()  # other windows, the same tiles
    hourly = replace(VIEW, features=flat((count("1h"), sum_("amount", "1d"))))
    assert tiles.missing(home, hourly, CUTS) == tuple(CUTS)
    tiles.up_to_date(spark, home, hourly, CUTS[:1])
    assert set(spark.table(tiles_table(VIEW)).columns) == {*tables.tile_columns(hourly), "cut", "day"}
    assert {row["cut"] for row in spark.table(tiles_table(VIEW)).collect()} == {cut_text(CUTS[0])}
    tiles.up_to_date(spark, home, VIEW, CUTS)  # and back: what was built is shown again
    assert shown(spark) == TILES


def test_compute_keeps_the_tiles_of_a_view_that_asks_for_them(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Compute(cut=datetime(2026, 3, 3, tzinfo=UTC), views=(VIEW.name,))
    assert compute.run(command, home) == 0
    said = "shop_tiled at 2026-03-03T00-00Z: tiles of what the cut newly knows are in tiles.shop_tiled.\n"
    assert said in capsys.readouterr().out
    assert shown(spark) == {place: tile for place, tile in TILES.items() if place[0] == "2026-03-03"}
    before = runs(home)
    assert compute.run(command, home) == 0
    assert (runs(home), said in capsys.readouterr().out) == (before, False)


def test_a_backfill_leaves_the_tiles_that_daily_runs_leave(spark: "SparkSession", home: Settings) -> None:
    catalog = load_catalog("tests.jobs.test_tiles")
    (what,) = plan(catalog, [VIEW.name], CUTS[0], CUTS[-1] + 1)
    assert [cut for cut, _ in backfill(spark, home, catalog, what, at_once=3)] == CUTS
    assert shown(spark) == TILES


def test_a_correction_after_a_release_replaces_what_the_released_day_brought(
    spark: "SparkSession", home: Settings
) -> None:
    first = ledger.partition(home, "sales", str(DAYS[0]))
    assert first is not None
    ledger.release(home, ledger.hold(home, first, at=1, reason="doubtful"), at=CUTS[0] + 1)
    tiles.up_to_date(spark, home, VIEW, CUTS)
    found = shown(spark)
    assert found[("2026-03-04", "2026-03-02", "s")] == (2, 100, 90, False)
    assert found[("2026-03-05", "2026-03-02", "s")] == (0, -50, 40, True)
