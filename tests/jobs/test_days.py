"""Which day a row belongs to, and what becomes of days that are ingested again, late, or too late."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features import Entity, FeatureView, count, flat
from features.errors import InputError
from features.settings import Settings
from features.values.partition import entity_views
from jobs import ingest, ledger
from jobs.frame import answers
from tests.jobs.sales import HEADER, home, known, land, own, refused, sale, stored

__all__ = ["home"]  # the fixture

pytestmark = pytest.mark.slow


def days_of(spark: SparkSession, table: str) -> list[tuple[Any, ...]]:
    rows = spark.table(table).selectExpr("sale", "ds", "date_format(asof_known_at, 'dd HH:mm:ss')", "asof_op").collect()
    return sorted(tuple(row) for row in rows)


LANDED = {
    1: [known("a", "2026-03-01T12:00:00Z"), known("b", "2026-03-02T00:00:01Z")],
    2: [known("c", "2026-03-01T23:59:59Z"), known("d", "2026-03-02T12:00:00Z"), known("e", "2026-03-04T00:00:00Z")],
    3: [known("f", "2026-03-04T08:00:00Z")],
}
MEANT = [
    ("a", "2026-03-01", "01 12:00:00", "add"),
    ("b", "2026-03-02", "02 00:00:01", "add"),
    ("c", "2026-03-02", "02 00:00:00", "add"),
    ("d", "2026-03-02", "02 12:00:00", "add"),
]


@pytest.mark.parametrize("daily", [True, False], ids=["day by day", "at once"])
def test_a_row_belongs_to_the_later_of_its_known_day_and_its_folders_day(
    spark: SparkSession,
    home: Settings,
    tmp_path: Path,
    daily: bool,  # noqa: FBT001 - a parameter of the test
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = own(f"bad_folders_{daily}")
    path = land(tmp_path, LANDED)
    for only in [date(2026, 3, day) for day in (1, 2, 3)] if daily else [None]:
        ingest.ingest(spark, home, source, path, only=only)
    assert days_of(spark, source.table) == MEANT
    assert [(item.ds, item.rows, item.quarantined) for item in ledger.partitions(home, source.name)] == [
        ("2026-03-01", 1, 0), ("2026-03-02", 3, 1), ("2026-03-03", 0, 0),
    ]  # fmt: skip
    bad = spark.table(f"{source.table}__quarantine").select("ds", "asof_reason").collect()
    assert [tuple(row) for row in bad] == [(
        "2026-03-02", "known: the row became known at 2026-03-04T00:00:00+00:00, more than a day after the folder ds=2026-03-02 that it lies in",
    )]  # fmt: skip
    assert "1 known from their folder's day on, after their known_at" in capsys.readouterr().out
    # What folder 3 holds of the fourth comes with the fourth.
    land(tmp_path, {4: []})
    ingest.ingest(spark, home, source, path, only=date(2026, 3, 4))
    assert days_of(spark, source.table)[4:] == [("f", "2026-03-04", "04 08:00:00", "add")]


@pytest.mark.parametrize("daily", [True, False], ids=["day by day", "at once"])
def test_what_comes_too_late_to_correct_goes_to_quarantine(
    spark: SparkSession,
    home: Settings,
    tmp_path: Path,
    daily: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    source = own(f"bad_late_{daily}", correctable="1d")
    path = land(tmp_path, {1: [sale("a")], 2: [sale("a", amount="2.00")], 3: [sale("b", 3)], 4: [known("a", "2026-03-04T10:00:00Z", amount="3.00")]})  # fmt: skip
    for only in [date(2026, 3, day) for day in (1, 2, 3, 4)] if daily else [None]:
        ingest.ingest(spark, home, source, path, only=only)
    assert {(name, amount, op) for name, _, amount, op, _ in stored(spark, source)} == {
        ("a", 100, "add"), ("a", 100, "retract"), ("a", 200, "add"), ("b", 100, "add"),
    }  # fmt: skip
    (bad,) = spark.table(f"{source.table}__quarantine").select("ds", "asof_reason", "asof_row").collect()
    assert bad["asof_reason"] == (
        "sale: sale a was last heard of at 2026-03-02T00:00:00.000000Z, more than 1d before this row; older events are not corrected"
    )
    assert (bad["ds"], '"amount":300' in bad["asof_row"]) == ("2026-03-04", True)
    assert ledger.partitions(home, source.name)[3].quarantined == 1


@pytest.mark.parametrize("daily", [True, False], ids=["day by day", "at once"])
def test_what_was_received_before_a_redelivery_stays_below_it(
    spark: SparkSession,
    home: Settings,
    tmp_path: Path,
    daily: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    source = own(f"bad_redelivered_{daily}")
    noon = "2026-03-02T12:00:00Z"
    path = land(tmp_path, {
        1: [known("a", "2026-03-01T12:00:00Z"), known("b", "2026-03-01T12:00:00Z")],
        2: [known("a", noon), known("b", noon)],
        3: [known("a", "2026-03-02T10:00:00Z", amount="2.00"), known("b", "2026-03-02T13:00:00Z", amount="2.00")],
    })  # fmt: skip
    for only in [date(2026, 3, day) for day in (1, 2, 3)] if daily else [None]:
        ingest.ingest(spark, home, source, path, only=only)
    assert [(name, amount, op, ds[-2:]) for name, _, amount, op, ds in stored(spark, source)] == [
        ("a", 100, "add", "01"), ("a", 100, "again", "02"), ("a", 200, "again", "03"),
        ("b", 100, "add", "01"), ("b", 100, "again", "02"), ("b", 100, "retract", "03"), ("b", 200, "add", "03"),
    ]  # fmt: skip


def test_an_earlier_day_again_must_be_the_same(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_again")
    path = land(tmp_path, {1: [sale("a")], 2: [sale("b", 2)]})
    ingest.ingest(spark, home, source, path)
    rows = stored(spark, source)
    ingest.ingest(spark, home, source, path, only=date(2026, 3, 1))
    assert stored(spark, source) == rows
    # The later day has `b` as a first version: brought by an earlier day too, it would be there twice.
    land(tmp_path, {1: [sale("a"), sale("b")]})
    said = refused(spark, home, source, path, InputError, only=date(2026, 3, 1))
    assert said == (
        "The input has other rows for 2026-03-01 of source 'bad_again' than its table, and the later partition 2026-03-02 was built on those. "
        "Nothing was changed. Ingest from 2026-03-01 on to the end in one input, so that corrections find what they replace."
    )
    assert stored(spark, source) == rows
    ingest.ingest(spark, home, source, path)
    assert sorted(row[:1] + row[3:] for row in stored(spark, source)) == [
        ("a", "add", "2026-03-01"), ("b", "add", "2026-03-01"), ("b", "add", "2026-03-02"), ("b", "retract", "2026-03-02"),
    ]  # fmt: skip


def test_a_csv_may_hold_newlines_and_empty_texts_within_quotes_and_nothing_but_utf_8(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_texts")
    at = "2026-03-01T10:00:00Z"
    rows = [f'"a\nb",s1,1.00,{at},{at}', f'c,"",1.00,{at},{at}', f"d,,1.00,{at},{at}"]
    bad = [f"e,caf\xe9,1.00,{at},{at}", f"f\xe8,s1,1.00,{at},{at}"]
    text = "\n".join([HEADER, *rows]).encode() + b"\n" + "\n".join(bad).encode("latin-1") + b"\n"
    (tmp_path / "sales.csv").write_bytes(text)
    ingest.ingest(spark, home, source, f"{tmp_path}/sales.csv")
    assert [row[:2] for row in stored(spark, source)] == [("a\nb", "s1"), ("c", ""), ("d", None)]
    found = {row["asof_reason"] for row in spark.table(f"{source.table}__quarantine").collect()}
    assert found == {
        "shop: 'caf\ufffd' holds bytes that are not UTF-8; write the file in UTF-8",
        "sale: 'f\ufffd' holds bytes that are not UTF-8; write the file in UTF-8",
    }


def test_a_days_folder_as_input_is_that_day_of_the_folder_above(
    spark: SparkSession, home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = own("bad_one_folder")
    path = land(tmp_path, {1: [known("a", "2026-03-01T12:00:00Z"), known("b", "2026-03-02T00:00:01Z")], 2: []})
    ingest.ingest(spark, home, source, f"{path}/ds=2026-03-01")
    assert days_of(spark, source.table) == [("a", "2026-03-01", "01 12:00:00", "add")]
    ingest.ingest(spark, home, source, f"{path}/ds=2026-03-02")
    assert days_of(spark, source.table)[1:] == [("b", "2026-03-02", "02 00:00:01", "add")]
    globbed = own("bad_globbed")
    land(tmp_path, {2: [known("c", "2026-03-03T00:00:01Z")]})
    ingest.ingest(spark, home, globbed, f"{tmp_path}/ds=*/*.csv")
    assert [item.ds for item in ledger.partitions(home, "bad_globbed")] == ["2026-03-01", "2026-03-02"]
    assert "1 known after 2026-03-02, left for their own day" in capsys.readouterr().out


def test_a_day_without_a_folder_is_read_once_from_what_is_there(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_no_folder", event_id=None)
    path = land(tmp_path, {1: [known("a", "2026-03-01T12:00:00Z"), known("b", "2026-03-02T00:00:01Z")]})
    ingest.ingest(spark, home, source, path, only=date(2026, 3, 2))
    assert days_of(spark, source.table) == [("b", "2026-03-02", "02 00:00:01", "add")]


def test_rows_that_nothing_places_stay_with_their_input(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_nowhere_rows")
    for day in (1, 2):
        (tmp_path / f"{day}.csv").write_text(f"{HEADER}\n{sale(f'good{day}', day)}\nbad{day},s1,1.00,someday,someday\n")
        ingest.ingest(spark, home, source, f"{tmp_path}/{day}.csv")
    rows = spark.table(f"{source.table}__quarantine").select("ds", "asof_row").collect()
    assert sorted((row["ds"], f"bad{n}" in row["asof_row"]) for n, row in enumerate(sorted(rows), 1)) == [
        ("2026-03-01", True), ("2026-03-02", True),
    ]  # fmt: skip
    assert [item.quarantined for item in ledger.partitions(home, source.name)] == [1, 1]


def test_the_same_rows_again_end_no_hold_and_other_rows_do(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_held_again")
    path = land(tmp_path, {1: [sale("a")], 2: [sale("b", 2)]})
    ingest.ingest(spark, home, source, path)
    for ds, released in (("2026-03-01", None), ("2026-03-02", 99)):
        found = ledger.partition(home, source.name, ds)
        assert found is not None
        held = ledger.hold(home, found, at=1, reason="doubtful")
        if released:
            ledger.release(home, held, at=released)
    ingest.ingest(spark, home, source, path)
    now = ledger.partitions(home, source.name)
    assert [(item.held_at, item.reason, item.released_at) for item in now] == [
        (1, "doubtful", None),
        (1, "doubtful", 99),
    ]
    land(tmp_path, {1: [sale("a", amount="2.00")]})
    ingest.ingest(spark, home, source, path)
    assert [item.held_at for item in ledger.partitions(home, source.name)] == [None, 1]


def test_a_row_known_from_its_folders_day_on_is_so_on_every_path(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_raised", known_at=None)
    path = land(tmp_path, {1: [sale("a")], 2: [sale("b"), sale("c", 2)]})
    ingest.ingest(spark, home, source, path)
    assert [item.raised for item in ledger.partitions(home, source.name)] == [0, 1]
    view = FeatureView(name="bad_raised", entity=Entity(name="bad_shop", keys=("shop",)), source=source, features=flat((count("7d"),)))  # fmt: skip
    (group,) = entity_views((view,))
    at = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp() * 1e6)
    asks = spark.createDataFrame([("s1", 0, at)], "k0 string, asof_row bigint, asof_time bigint")
    (row,) = answers(spark, home, group, asks, earliest=at, latest=at, rows=1).collect()
    assert row["bad_raised__count_7d"] == 1, "the cut of the second day does not know b yet"
