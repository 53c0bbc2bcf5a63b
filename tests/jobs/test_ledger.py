"""The ledger of partitions: ingested, held, released, ingested anew; and what a cut is computed from, in a sentence a source."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.definitions.catalog import load_catalog
from features.errors import AsofError, SettingsError
from features.settings import Settings
from jobs import ledger
from jobs.files import open_system
from jobs.ledger import Partition

VIEW = load_catalog("tests.jobs.shop").view("shop_daily")
DAY = 86_400_000_000
CUT = 1_772_409_600_000_000  # 2026-03-02


def ingested(settings: Settings, ds: str, *, source: str = "shop_payments", at: int = 1) -> Partition:
    return ledger.record_ingest(settings, Partition(source=source, ds=ds, rows=5, quarantined=2, ingested_at=at))


def test_nothing_is_there_before_an_ingest(settings: Settings) -> None:
    assert ledger.partition(settings, "shop_payments", "2026-03-01") is None
    assert ledger.partitions(settings, "shop_payments") == ()


def test_partitions_come_back_as_they_were_recorded_oldest_first(settings: Settings) -> None:
    later, first = ingested(settings, "2026-03-01"), ingested(settings, "2026-02-27")
    ingested(settings, "2026-02-28", source="shop_cards")
    # A day's profile and verdict lie beside its record.
    (Path(settings.tables_root) / "asof/shop_payments/2026-03-01.profile.json").write_text("{}")
    assert ledger.partitions(settings, "shop_payments") == (first, later)
    assert ledger.partition(settings, "shop_payments", date(2026, 3, 1)) == later
    assert not later.held


def test_a_hold_stays_until_the_release_and_holding_twice_changes_nothing(settings: Settings) -> None:
    found = ingested(settings, "2026-03-01")
    held = ledger.hold(settings, found, at=10, reason="too few rows")
    assert held == replace(found, held_at=10, reason="too few rows")
    assert held.held
    assert ledger.hold(settings, held, at=99, reason="another") == held
    assert ledger.partition(settings, "shop_payments", "2026-03-01") == held
    released = ledger.release(settings, held, at=20)
    assert released == replace(held, released_at=20)
    assert not released.held
    assert ledger.partition(settings, "shop_payments", "2026-03-01") == released


def test_what_was_released_can_be_held_again(settings: Settings) -> None:
    released = ledger.release(
        settings, ledger.hold(settings, ingested(settings, "2026-03-01"), at=10, reason="x"), at=20
    )
    again = ledger.hold(settings, released, at=30, reason="y")
    assert (again.held, again.held_at, again.reason, again.released_at) == (True, 30, "y", None)


def test_an_ingest_anew_ends_a_hold(settings: Settings) -> None:
    ledger.hold(settings, ingested(settings, "2026-03-01"), at=10, reason="x")
    anew = ingested(settings, "2026-03-01", at=50)
    assert ledger.partition(settings, "shop_payments", "2026-03-01") == anew
    assert (anew.held, anew.held_at, anew.reason) == (False, None, None)


def test_the_state_of_a_cut_changes_with_what_it_would_see_and_with_nothing_else(settings: Settings) -> None:
    for ds in ("2026-02-28", "2026-03-01"):
        ingested(settings, ds, at=7)
    state = ledger.source_state(settings, VIEW, CUT)
    assert state == {
        "shop_payments": "2 partitions, newest ingest 7, held none",
        "shop_disputes": "0 partitions, newest ingest 0, held none",
    }
    today = ingested(settings, "2026-03-02", at=9)
    assert ledger.source_state(settings, VIEW, CUT) == state, "the cut does not see its own day"
    ledger.hold(settings, today, at=10, reason="x")
    assert ledger.source_state(settings, VIEW, CUT) == state
    last = ingested(settings, "2026-03-01", at=11)
    assert ledger.source_state(settings, VIEW, CUT)["shop_payments"] == "2 partitions, newest ingest 11, held none"
    held = ledger.hold(settings, last, at=12, reason="x")
    assert (
        ledger.source_state(settings, VIEW, CUT)["shop_payments"] == "2 partitions, newest ingest 11, held 2026-03-01"
    )
    ledger.release(settings, held, at=CUT)
    assert ledger.source_state(settings, VIEW, CUT)["shop_payments"].endswith("held 2026-03-01"), (
        "released, yet not to this cut"
    )
    assert (
        ledger.source_state(settings, VIEW, CUT + DAY)["shop_payments"]
        == "3 partitions, newest ingest 11, held 2026-03-02"
    )


def test_a_record_that_something_else_broke_is_named(settings: Settings) -> None:
    ingested(settings, "2026-03-01")
    path = Path(settings.tables_root) / "asof/shop_payments/2026-03-01.json"
    path.write_text("{")
    with pytest.raises(AsofError, match=rf"The record {path} is no JSON .*run again the step that writes it\."):
        ledger.partitions(settings, "shop_payments")


def test_an_object_store_has_one_name_for_spark_and_another_for_arrow() -> None:
    system, place = open_system("s3a://bucket/features?region=us-east-1")
    assert (system.type_name, place) == ("s3", "bucket/features")


def test_a_cluster_without_its_client_says_what_is_missing(settings: Settings) -> None:
    hdfs = settings.model_copy(update={"tables": settings.tables.model_copy(update={"root": "hdfs://nowhere:8020/x"})})
    with pytest.raises(SettingsError, match=r"hdfs://nowhere:8020/x\S* cannot be reached: .*HADOOP_HOME"):
        ledger.partitions(hdfs, "shop_payments")
