"""Many cuts in one pass give the tables that daily runs give; what is missing is named; a killed one goes on where it stood."""

import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features import EventFreshness
from features.definitions.catalog import load_catalog
from features.definitions.names import cut_text, micros, view_table
from features.errors import HeldError, InputError, MissingError
from features.settings import Settings
from jobs import attempts, backfill, compute, ledger, publish, tables, validate
from jobs.commands import Backfill, Compute, Publish, Validate
from tests.jobs.audited_days import CATALOG, sales, store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(10)]
DAMAGED = DAYS[-2]
START, END = datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC)
CUTS = [START + timedelta(days=n) for n in range(4)]
COMMAND = Backfill(start=START, end=END, at_once=3)
VIEWS = ("shop_sales", "shop_returns", "shop_now")


@pytest.fixture
def home(spark: "SparkSession", spark_settings: Settings) -> Iterator[Settings]:
    settings = spark_settings.model_copy(update={"catalog": CATALOG})
    spark.sql("create database if not exists audits")
    store(spark, settings, "sales", {day: sales(day, amount=100_000 if day == DAMAGED else 100) for day in DAYS})
    store(spark, settings, "returns", {day: sales(day, rows=110) for day in DAYS})
    yield settings
    for name in ("audits.sales", "audits.returns"):
        spark.sql(f"drop table if exists {name}")
    forget(spark, settings)
    shutil.rmtree(Path(settings.tables_root) / "asof", ignore_errors=True)


def forget(spark: "SparkSession", settings: Settings) -> None:
    """All that is computed and published, and what was found out about the sources."""
    for view in VIEWS:
        spark.sql(f"drop table if exists {view_table(view)}")
    shutil.rmtree(Path(settings.tables_root) / "features", ignore_errors=True)
    for path in (Path(settings.tables_root) / "asof").rglob("*.json"):
        if path.name.endswith((".profile.json", ".verdict.json")):
            path.unlink()
    for name in ("sales", "returns"):
        for item in ledger.partitions(settings, name):
            again = ledger.Partition(source=name, ds=item.ds, rows=item.rows, ingested_at=item.ingested_at)
            ledger.record_ingest(settings, again)


def shown(spark: "SparkSession") -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """What readers see: view and cut to rows, floats as their bits."""
    made: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for view in VIEWS:
        for row in spark.table(view_table(view)).collect():
            values = tuple(struct.pack("<d", item) if isinstance(item, float) else item for item in row)
            made.setdefault((view, row["cut"]), []).append(values)
    return {name: sorted(rows, key=repr) for name, rows in made.items()}


def daily(settings: Settings) -> None:
    for cut in CUTS:
        assert compute.run(Compute(cut=cut), settings) == 0
        validate.run(Validate(cut=cut), settings)
        publish.run(Publish(cut=cut), settings)


def test_it_gives_the_tables_of_daily_runs_with_a_bad_day_among_them(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    daily(home)
    wanted = shown(spark)
    held_cut = cut_text(micros(datetime(DAMAGED.year, DAMAGED.month, DAMAGED.day, tzinfo=UTC) + timedelta(days=1)))
    assert set(wanted) == {(view, cut_text(micros(cut))) for view in VIEWS for cut in CUTS} - {
        ("shop_sales", held_cut),
        ("shop_now", held_cut),
    }
    assert all(len(rows) == 40 for rows in wanted.values())
    forget(spark, home)
    capsys.readouterr()
    with pytest.raises(HeldError) as held:
        backfill.run(COMMAND, home)
    assert str(held.value) == (
        f"2 attempt(s) are held and were not published: shop_sales at {held_cut}, shop_now at {held_cut}. `asof held --cut CUT` says why."
    )
    assert shown(spark) == wanted
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0].rstrip(".") for line in said] == [
        f"{cut_text(micros(cut))}: {n} of 4 cuts" for n, cut in enumerate(CUTS, 1)
    ]
    # Again: nothing is computed, and readers see the same files.
    files = {name: tables.location(spark, view_table(name[0]), "cut", name[1]) for name in wanted}
    with pytest.raises(HeldError):
        backfill.run(COMMAND, home)
    assert {name: tables.location(spark, view_table(name[0]), "cut", name[1]) for name in wanted} == files


def test_what_was_computed_before_it_was_killed_stands(spark: "SparkSession", home: Settings) -> None:
    catalog = load_catalog(CATALOG)
    view = catalog.view("shop_returns")
    (made,) = compute.compute(spark, home, (view,), [micros(CUTS[1])])
    assert backfill.run(Backfill(start=START, end=END, views=("shop_returns",)), home) == 0
    assert tables.location(spark, view_table(view), "cut", cut_text(micros(CUTS[1]))) == made.location
    others = [attempts.finished(home, view, micros(cut)) for cut in (CUTS[0], *CUTS[2:])]
    assert all(attempt is not None and attempt.record("published") is not None for attempt in others)


def test_missing_partitions_are_all_named_and_nothing_is_computed(home: Settings) -> None:
    for ds in ("2026-03-04", "2026-03-05", "2026-03-08"):
        (Path(home.tables_root) / f"asof/sales/{ds}.json").unlink()
    (Path(home.tables_root) / "asof/returns/2026-03-11.json").unlink()
    with pytest.raises(MissingError) as missing:
        backfill.run(COMMAND, home)
    assert str(missing.value) == (
        "Source partitions that these cuts need are missing; nothing was computed:\n"
        "  returns: 2026-03-11\n"
        "  sales: 2026-03-04 … 2026-03-05, 2026-03-08\n"
        "Load them (`asof ingest --source returns --input … --ds 2026-03-11`), or backfill another span."
    )
    assert not any((Path(home.tables_root) / "features" / view).exists() for view in VIEWS)


def test_before_the_first_partition_days_are_missing_too(home: Settings) -> None:
    plans = backfill.plan(
        load_catalog(CATALOG), ("shop_sales",), micros(datetime(2026, 3, 1, tzinfo=UTC)), micros(START)
    )
    assert backfill.missing_days(home, plans) == {"sales": ("2026-02-28", "2026-03-01")}


@pytest.mark.parametrize(("view", "hours", "said"), [
    ("shop_nameless", 48, ("View 'shop_nameless' has no table to backfill: its source 'sales' has no event_id, so an event that is pushed twice would count twice. "
                          "`asof frame` gives its values at any instant; a view with Schedule(anchor='cut') is published at cuts.")),
    ("shop_sales", 12, "No view has a cut from 2026-03-09T06:00:00+00:00 to before 2026-03-09T18:00:00+00:00. Daily cuts are at midnight UTC; --end is not included."),
])  # fmt: skip
def test_what_has_no_cut_is_refused(view: str, hours: int, said: str) -> None:
    start, catalog = START + timedelta(hours=6), load_catalog(CATALOG)
    sold = catalog.view("shop_sales")
    source = replace(sold.source, event_id=None, version=None, void=None)
    nameless = replace(sold, name="shop_nameless", source=source, freshness=EventFreshness())
    with pytest.raises(InputError) as refused:
        backfill.plan(
            replace(catalog, views=(*catalog.views, nameless)),
            (view,),
            micros(start),
            micros(start + timedelta(hours=hours)),
        )
    assert str(refused.value) == said
