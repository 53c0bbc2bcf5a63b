"""Cuts that follow from the cut before, through Spark and Hive, on hostile days that are ingested one by one: what the oracle counts from everything."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features import count, distinct, first, flat, last, max_, mean, min_, std, sum_, time_since_first, time_since_last
from features.definitions.behaviour import entropy
from features.definitions.freshness import Schedule
from features.definitions.names import cut_text, tiles_table, utc
from features.definitions.views import FeatureView
from features.definitions.windows import EVER
from features.settings import Settings
from jobs import attempts, carried, ledger, tile_builds, tiles
from jobs.compute import compute, wants_tiles
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.shop import CARD, PAIR, PAYMENTS
from tests.jobs.tiled_shop import DECLINED
from tests.oracle import answer

pytestmark = pytest.mark.slow
SEED = 23
COUNTED = FeatureView(
    name="carried_counts", entity=PAIR, source=PAYMENTS, remember="2d", tiles=True,
    features=flat((count("1h 1d 2d"), sum_("amount", "1d 2d"), std("amount", "2d"), count("1d", where=DECLINED, suffix="declined"))),
)  # fmt: skip
EVERY = FeatureView(
    name="carried_values", entity=CARD, source=PAYMENTS, remember="2d", tiles=True,
    features=flat((
        count("1d"), sum_("amount", "2d"), mean("amount", "1d"), min_("amount", "2d"), max_("amount", "1d 2d"), max_("known", "1d"),
        distinct("shop", "1d 2d", limit=2), first("status", EVER), last("status", EVER), time_since_first("2d"), time_since_last(EVER, where=DECLINED, suffix="declined"),
        entropy("shop", "2d"),
    )),
)  # fmt: skip
OFTEN = FeatureView(
    name="carried_often", entity=CARD, source=PAYMENTS.derive("slower_payments", lag="90m"), remember="2d", tiles=True,
    freshness=Schedule(period="12h", phase="1h", publish_lag="5m"), features=flat((count("12h 1d"), max_("amount", "1d"), distinct("shop", "1d"))),
)  # fmt: skip
VIEWS = (COUNTED, EVERY, OFTEN)
Raw = dict[str, list[dict[str, Any]]]


@pytest.fixture
def home(spark: SparkSession, spark_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    many = spark_settings.spark.model_copy(update={"few_bytes": 0})
    settings = spark_settings.model_copy(update={"home": tmp_path / "home", "spark": many})
    yield settings
    spark.sql(f"drop table if exists {PAYMENTS.table}")
    for view in VIEWS:
        spark.sql(f"drop table if exists {tiles_table(view)}")
    for name in ("asof", "tiles", "features"):
        shutil.rmtree(Path(settings.tables_root) / name, ignore_errors=True)


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    """Every version, and a folder of each day in tmp_path/landing."""
    made = days.days(SEED)
    days.write_days(made, tmp_path / "landing")
    return made


def arrive(spark: SparkSession, home: Settings, tmp_path: Path, day: date | None = None) -> None:
    """One day, as daily runs have it, or all of them."""
    ingest(spark, home, PAYMENTS, str(tmp_path / "landing" / PAYMENTS.name), only=day)


def cuts(view: FeatureView, day: int) -> list[int]:
    """Those that know something of a day, nothing of a later one, and all of the first."""
    start = days.START + day * days.DAY
    period, phase = view.schedule.period_us, view.schedule.phase_us
    first = (start - phase) // period * period + phase + period
    return [cut for cut in range(first, start + days.DAY + 1, period) if cut >= days.START + days.DAY]


def found(home: Settings, view: FeatureView, cut: int) -> tuple[dict[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    attempt = attempts.finished(home, view, cut)
    assert attempt is not None
    record = attempt.record("finished")
    assert record is not None
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in Path(attempt.location).glob("[!_]*.parquet")])
    assert len(table) == record["rows"]
    plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    rows = pa.table(plain, table.column_names).to_pylist()
    return {tuple(row[key] for key in view.keys): row for row in rows}, record


def check(home: Settings, view: FeatureView, raw: Raw, cut: int) -> dict[str, Any]:
    got, record = found(home, view, cut)
    keys = {tuple(row[name] for name in view.keys) for row in raw[PAYMENTS.name]}
    for key in (key for key in keys if None not in key):
        meant = answer(view, {view.source.name: raw[PAYMENTS.name]}, key, cut + view.schedule.lag_us)
        row = got.pop(key, {"asof_status": "never_seen"})
        assert row["asof_status"] == meant.status, (view.name, key)
        for name, value in meant.values.items():
            if meant.status != "never_seen":
                near = pytest.approx(value, rel=1e-12) if name.startswith("entropy") and value is not None else value
                assert row[name] == near, (view.name, utc(cut), key, name)
    assert not got
    return record


def test_days_that_follow_from_one_another_are_the_oracles(
    spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path
) -> None:
    followed = []
    for n in range(days.DAYS):
        arrive(spark, home, tmp_path, utc(days.START + n * days.DAY).date())
        for view in VIEWS:
            for cut in cuts(view, n):
                compute(spark, home, (view,), [cut])
                followed.append(check(home, view, raw, cut)["follows"])
    assert followed.count(False) <= 2 * len(VIEWS)  # the first cut, and the one that meets the first correction
    assert followed.count(True) > len(VIEWS) * 2


def test_what_has_changed_since_is_computed_from_all_rows(
    spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path
) -> None:
    dates = [utc(days.START + n * days.DAY).date() for n in range(days.DAYS)]
    arrive(spark, home, tmp_path)
    chain = [cut for n in range(2, days.DAYS) for cut in cuts(EVERY, n)]
    for cut in chain[:2]:
        compute(spark, home, (EVERY,), [cut])
    assert [check(home, EVERY, raw, cut)["follows"] for cut in chain[:2]] == [False, True]
    # Another definition, which has no cut before.
    other = replace(EVERY, features=flat((count("1d"), max_("amount", "2d"))))
    compute(spark, home, (other,), [chain[2]])
    assert not check(home, other, raw, chain[2])["follows"]
    # The cut before was computed from a partition that has been ingested anew since.
    again = ledger.partition(home, PAYMENTS.name, dates[0])
    assert again is not None
    ledger.record_ingest(home, replace(again, ingested_at=again.ingested_at + 10**9))
    compute(spark, home, (EVERY,), [chain[2]])
    assert not check(home, EVERY, raw, chain[2])["follows"]
    # A day that a gate holds is read around, so nothing follows while it does.
    held = ledger.hold(home, again, at=1, reason="doubtful")
    compute(spark, home, (EVERY,), [chain[2]])
    attempt = attempts.finished(home, EVERY, chain[2])
    assert attempt is not None
    assert "state" not in (attempt.record("finished") or {})
    ledger.release(home, held, at=chain[2] - 1)


def test_views_of_one_entity_follow_together_and_a_new_one_starts(
    spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path
) -> None:
    arrive(spark, home, tmp_path)
    one, two = cuts(EVERY, 3)[0], cuts(EVERY, 4)[0]
    young = replace(EVERY, name="carried_young", features=flat((count("1d"), last("amount", EVER))))
    compute(spark, home, (EVERY,), [one])
    compute(spark, home, (EVERY, young), [two])
    assert [check(home, view, raw, two)["follows"] for view in (EVERY, young)] == [True, False]
    spark.sql(f"drop table if exists {tiles_table(young)}")


def test_views_with_another_cut_before_do_not_follow_together(spark_settings: Settings) -> None:
    hourly = replace(EVERY, name="carried_hourly", freshness=Schedule(period="1h", publish_lag="5m"))
    found = carried.groups(spark_settings, (EVERY, hourly, COUNTED), days.START + days.DAY)
    assert [[view.name for view in group.views] for group in found] == [
        ["carried_values"], ["carried_hourly"], ["carried_counts"],
    ]  # fmt: skip


def test_a_killed_cut_leaves_nothing_that_a_later_one_follows(
    spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(spark, home, tmp_path)
    one, two = cuts(EVERY, 3)[0], cuts(EVERY, 4)[0]
    compute(spark, home, (EVERY,), [one])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.attempts.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            compute(spark, home, (EVERY,), [two])
    assert attempts.finished(home, EVERY, two) is None
    compute(spark, home, (EVERY,), [two])
    assert check(home, EVERY, raw, two)["follows"]
    assert tiles.in_place(home, EVERY, [two]) is not None
    assert list((home.home / "cuts").iterdir()) == []


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("view", [pytest.param(COUNTED, marks=pytest.mark.long), EVERY], ids=["counts", "states"])
def test_tiles_that_were_built_on_the_way_are_those_of_a_build_of_their_own(
    spark: SparkSession, home: Settings, tmp_path: Path, view: FeatureView
) -> None:
    plain = replace(view, name="carried_plain")
    chain = [cut for n in range(days.DAYS) for cut in cuts(view, n)]
    arrive(spark, home, tmp_path)
    for cut in chain:
        compute(spark, home, (view,), [cut])
    assert tiles.missing(home, view, chain[:-1]) == ()
    tiles.up_to_date(spark, home, view, chain)
    tiles.up_to_date(spark, home, plain, chain)
    mine, meant = (sorted(map(tuple, spark.table(tiles_table(each)).collect()), key=repr) for each in (view, plain))
    assert mine == meant != []
    shown = spark.table(tiles_table(view)).where("asof_replaces").count()
    said = [
        tile_builds.newest(home, view, ledger.partitions(home, PAYMENTS.name), [cut])[cut].cuts[cut_text(cut)]
        for cut in chain
    ]
    assert sum(item["replacing"] for item in said) == shown
    assert (shown > 0) == (view is EVERY)
    spark.sql(f"drop table if exists {tiles_table(plain)}")


def test_few_rows_leave_neither_state_nor_tiles_and_many_start_from_all_rows_once(
    spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path
) -> None:
    arrive(spark, home, tmp_path)
    few = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": 1 << 25})})
    one, two, three, four = (cuts(EVERY, n)[0] for n in (1, 2, 3, 4))
    for cut in (one, two):
        compute(spark, few, (EVERY, COUNTED), [cut])
        for view in (EVERY, COUNTED):
            record = check(few, view, raw, cut)
            assert (record["few"], "state" in record) == (True, False)
            assert not wants_tiles(few, view, [cut])
            assert tiles.missing(few, view, [cut]) == (cut,)
    for cut, follows in ((three, False), (four, True)):
        compute(spark, home, (EVERY, COUNTED), [cut])
        assert [check(home, view, raw, cut)["follows"] for view in (EVERY, COUNTED)] == [follows] * 2
    # The first cut that follows builds the tiles of those before it.
    assert [wants_tiles(home, EVERY, [cut]) for cut in (three, four)] == [False, False]
