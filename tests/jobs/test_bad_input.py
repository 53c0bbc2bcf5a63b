"""Bad input through real Spark and Hive: what is refused and with which words, what is set aside, what stays."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import micros, quarantine_of, view_table
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.versions import resolve
from jobs import attempts, compute, frame, ingest, ledger, publish, tables
from jobs.commands import Compute, Frame, Ingest, Publish
from jobs.known import known_rows
from tests.jobs.sales import CATALOG, HEADER, REFUNDS, SALES, home, land, own, refused, sale, stored

__all__ = ["home"]  # the fixture

pytestmark = pytest.mark.slow


def test_a_missing_input_path(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    said = refused(spark, home, own("bad_nowhere"), f"{tmp_path}/none", MissingError)
    assert (
        said
        == f"There is no input {tmp_path}/none for source 'bad_nowhere'. Name a Parquet or CSV file, a folder of them, or a glob with --input."
    )


def test_a_folder_of_both_kinds(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    pq.write_table(pa.table({"sale": ["a"]}), tmp_path / "b.parquet")
    said = refused(spark, home, own("bad_mixed"), str(tmp_path))
    assert said == f"The input {tmp_path} holds csv, parquet files. Give Parquet files or CSV files, not a mixture."


def test_a_missing_column_of_csv_and_of_parquet(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_columns")
    path = str(tmp_path / "a.csv")
    Path(path).write_text("sale,shop,event_time\na,s1,2026-03-01T10:00:00Z\n")
    said = refused(spark, home, source, path, MissingError)
    assert said.startswith(f"The CSV {path} has no column amount, known, which source 'bad_columns' (")
    assert said.endswith("declares. Its header: sale, shop, event_time.")
    pq.write_table(pa.table({"sale": ["a"], "shop": ["s1"]}), tmp_path / "b.parquet")
    said = refused(spark, home, source, str(tmp_path / "b.parquet"), MissingError)
    assert said.startswith(
        f"The input {tmp_path}/b.parquet has no column amount, event_time, known, which source 'bad_columns' ("
    )
    assert said.endswith("declares. It has sale, shop. Deliver the file with it, or correct the definition.")
    assert ledger.partitions(home, "bad_columns") == ()


def test_rows_that_do_not_fit_are_set_aside_with_their_reason_and_the_good_ones_land(
    spark: SparkSession, home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = own("bad_rows")
    bad = [f"{sale('many')},1,2", "few,s1,1.00", sale("half", amount="0.005"), sale(""), sale("word", amount="much")]
    late = "late,s1,1.00,2026-03-01T10:00:00,2026-03-01T10:00:00Z"
    path = land(
        tmp_path, {1: [sale("a"), *bad[:3], sale("b", amount="inf"), *bad[3:], late, sale("c")], 2: [sale("d", day=2)]}
    )
    made = ingest.ingest(spark, home, source, path)
    assert [(item.ds, item.rows, item.quarantined) for item in made] == [("2026-03-01", 3, 6), ("2026-03-02", 1, 0)]
    assert [row[:3] for row in stored(spark, source)] == [
        ("a", "s1", 100),
        ("b", "s1", None),
        ("c", "s1", 100),
        ("d", "s1", 100),
    ]
    aside = spark.table(quarantine_of(source)).collect()
    assert {row["ds"] for row in aside} == {"2026-03-01"}
    assert sorted(row["asof_reason"] for row in aside) == [
        "amount: 'much' is not a number",
        "amount: 0.005 is not a whole number of 1e-2 within 64 bits",
        "event_time: '2026-03-01T10:00:00' has no zone, and the column declares none",
        "sale: it is null, and an event needs its id",
        "the row has too many or too few fields: few,s1,1.00",
        f"the row has too many or too few fields: {bad[0]}",
    ]
    assert any('"sale": "word"' in row["asof_row"] for row in aside)
    assert f"6 in quarantine ({quarantine_of(source)}); 1 NaN or infinite values made null." in capsys.readouterr().out


def test_quotes_within_quotes_and_backslashes_are_kept_as_they_are_meant(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_quotes")
    rows = [sale("a", shop='"the ""best"" shop"'), sale("b", shop='"C:\\dir\\"'), sale("c", shop='"one, two"')]
    made = ingest.ingest(spark, home, source, land(tmp_path, {1: rows}))
    assert [(item.rows, item.quarantined) for item in made] == [(3, 0)]
    assert [row[1] for row in stored(spark, source)] == ['the "best" shop', "C:\\dir\\", "one, two"]


def test_an_event_delivered_twice_is_stored_once_and_a_second_ingest_changes_nothing(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_twice")
    path = land(tmp_path, {1: [sale("a"), sale("a"), sale("b")], 2: [sale("a"), sale("c", day=2)]})
    first = ingest.ingest(spark, home, source, path)
    rows = stored(spark, source)
    assert rows == [
        ("a", "s1", 100, "add", "2026-03-01"),
        ("a", "s1", 100, "again", "2026-03-02"),
        ("b", "s1", 100, "add", "2026-03-01"),
        ("c", "s1", 100, "add", "2026-03-02"),
    ]
    second = ingest.ingest(spark, home, source, path)
    assert stored(spark, source) == rows
    assert (
        [(item.ds, item.rows) for item in second]
        == [(item.ds, item.rows) for item in first]
        == [("2026-03-01", 2), ("2026-03-02", 1)]
    )
    assert sorted(tables.partition_values(spark, source.table)) == ["2026-03-01", "2026-03-02"]
    ingest.ingest(spark, home, source, path, only=date(2026, 3, 2))
    assert stored(spark, source) == rows


def test_an_event_delivered_again_later_changes_nothing() -> None:
    first, later = datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)
    kind = pa.timestamp("us", "UTC")
    known = pa.array([first, later], kind)
    columns = {
        "sale": ["a", "a"],
        "shop": ["s1", "s1"],
        "amount": pa.array([100, 100]),
        "event_time": pa.array([first] * 2, kind),
    }
    made = resolve(SALES, pa.table({**columns, "known": known, "asof_known_at": known}))
    assert made.rows["asof_op"].to_pylist() == ["add", "again"]  # semantics 2: equal in all but known_at


def test_an_input_without_rows(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_empty")
    (tmp_path / "empty.csv").write_text(f"{HEADER}\n")
    said = refused(spark, home, source, f"{tmp_path}/empty.csv")
    assert said == (
        f"The input {tmp_path}/empty.csv of source 'bad_empty' has no rows that fit. Nothing was changed; look at the path, and at the declared columns."
    )
    assert ledger.partitions(home, "bad_empty") == ()
    assert not spark.catalog.tableExists(source.table)
    day = ingest.ingest(spark, home, source, land(tmp_path / "days", {1: []}), only=date(2026, 3, 1))
    assert [(item.ds, item.rows) for item in day] == [("2026-03-01", 0)], "a day named by hand may be empty"
    assert sorted(tables.partition_values(spark, source.table)) == ["2026-03-01"]


def test_a_derived_source_is_not_ingested(home: Settings) -> None:
    with pytest.raises(
        InputError,
        match=r"Source 'bad_large' reads the table of 'bad_sales'\. Ingest that one: `asof ingest --source bad_sales`\.",
    ):
        ingest.run(Ingest(source="bad_large", input="/none"), home)


def test_an_earlier_partition_after_a_later_one_is_refused(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_order")
    ingest.ingest(spark, home, source, land(tmp_path / "late", {2: [sale("a", day=2)]}))
    said = refused(spark, home, source, land(tmp_path / "early", {1: [sale("b")]}))
    assert said == (
        "Source 'bad_order' has the later partition 2026-03-02, which was built on what stood before 2026-03-01 … 2026-03-01. "
        "Ingest from 2026-03-01 on to the end in one input, so that corrections find what they replace."
    )
    assert [row[0] for row in stored(spark, source)] == ["a"]


def test_a_child_before_its_parent_is_refused(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    assert REFUNDS.enriched is not None
    parent = own("bad_parent")
    child = replace(
        REFUNDS, name="bad_child", table="bad_input.bad_child", enriched=replace(REFUNDS.enriched, parent=parent)
    )
    rows = {1: ["r1,a,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z", "r2,zz,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z"]}
    path = land(tmp_path / "child", rows, "refund,sale,event_time,known")
    said = refused(spark, home, child, path, MissingError)
    assert said == (
        "Source 'bad_child' takes columns of 'bad_parent', whose newest partition is none; 2026-03-01 is needed. Run `asof ingest --source bad_parent` first."
    )
    ingest.ingest(spark, home, parent, land(tmp_path / "parent", {1: [sale("a", shop="s9")]}))
    ingest.ingest(spark, home, child, path)
    assert [tuple(row) for row in spark.table(child.table).select("refund", "shop").collect()] == [("r1", "s9")]


def test_a_table_whose_column_has_another_type(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_types")
    tables.ensure_table(spark, home, source.table, {**tables.source_columns(source), "amount": "string"}, "ds")
    said = refused(spark, home, source, land(tmp_path, {1: [sale("a")]}))
    assert said == (
        "Table bad_input.bad_types does not fit its definition: amount is string there, bigint in the definition. "
        "Give the changed column another name, or the view another name."
    )
    assert ledger.partitions(home, "bad_types") == ()


def test_a_missing_table_and_a_missing_column_of_a_table(spark: SparkSession, home: Settings) -> None:
    source = own("bad_table")
    ledger.record_ingest(home, ledger.Partition(source=source.name, ds="2026-03-01", rows=1))
    before = micros(datetime(2026, 3, 2, tzinfo=UTC))
    with pytest.raises(MissingError) as caught:
        known_rows(spark, home, source, before=before)
    assert str(caught.value) == (
        "There is no Hive table bad_input.bad_table, which source 'bad_table' reads. Load it: `asof ingest --source bad_table --input …`."
    )
    columns = {name: kind for name, kind in tables.source_columns(source).items() if name != "shop"}
    tables.ensure_table(spark, home, source.table, columns, "ds")
    with pytest.raises(
        MissingError,
        match=r"Table bad_input\.bad_table has no column shop, which source 'bad_table' \(.*`asof ingest --source bad_table`\.",
    ):
        known_rows(spark, home, source, before=before)


def test_missing_partitions_are_named_with_the_command_that_loads_them(spark: SparkSession, home: Settings) -> None:
    source = own("bad_gaps")
    before = micros(datetime(2026, 3, 10, tzinfo=UTC))
    with pytest.raises(MissingError) as caught:
        known_rows(spark, home, source, before=before)
    assert str(caught.value) == (
        "Source 'bad_gaps' has no partition before 2026-03-10. Load it: `asof ingest --source bad_gaps --input …`, "
        "or ask for an instant after its first partition."
    )
    for day in (1, 3):
        ledger.record_ingest(home, ledger.Partition(source=source.name, ds=f"2026-03-0{day}", rows=1))
    with pytest.raises(MissingError) as caught:
        known_rows(spark, home, source, before=before)
    assert str(caught.value) == (
        "Source 'bad_gaps': 7 partition(s) of bad_input.bad_gaps before 2026-03-10 are missing: "
        "2026-03-02, 2026-03-04, 2026-03-05, 2026-03-06, 2026-03-07 …. Load them: `asof ingest --source bad_gaps --input … --ds 2026-03-02`."
    )


def test_an_unknown_service(home: Settings) -> None:
    with pytest.raises(MissingError, match=r"There is no .*service 'bad_v2'\. Known: bad_v1\."):
        frame.run(Frame(labels="/none", service="bad_v2", out="/none"), home)


def test_null_keys_repeated_labels_and_the_order_of_publishing(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    """Through bad_sales itself: one ingest serves the frame and the publish."""
    for table in (SALES.table, view_table("bad_daily")):  # the test of the full disk has the same
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    rows = [sale("a"), sale("b", shop=""), sale("c"), sale("d", shop="s2", amount="")]
    ingest.ingest(spark, home, SALES, land(tmp_path / "days", {1: rows, 2: []}))
    assert [row[:2] for row in stored(spark, SALES)] == [("a", "s1"), ("b", None), ("c", "s1"), ("d", "s2")]

    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    shops = ["s1", None, "s1", "s2", "unknown", "s1"]
    labels = pa.table(
        {"shop": shops, "event_timestamp": pa.array([noon] * 6, pa.timestamp("us", "UTC")), "n": list(range(6))}
    )
    pq.write_table(labels, tmp_path / "labels.parquet")
    assert (
        frame.run(Frame(labels=f"{tmp_path}/labels.parquet", service="bad_v1", out=f"{tmp_path}/frame.parquet"), home)
        == 0
    )
    got = pq.read_table(tmp_path / "frame.parquet").to_pylist()
    assert [(row["n"], row["shop"], row["bad_daily__count_1d"], row["bad_daily__asof_status"]) for row in got] == [
        (0, "s1", 2, "ok"), (1, None, None, "no_key"), (2, "s1", 2, "ok"), (3, "s2", 1, "ok"), (4, "unknown", 0, "never_seen"), (5, "s1", 2, "ok"),
    ]  # fmt: skip
    assert [row["bad_daily__sum_amount_1d"] for row in got][:4] == [200, None, 200, 0]
    _publish_in_order(spark, home, tmp_path)


def _publish_in_order(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    cut = datetime(2026, 3, 2, tzinfo=UTC)
    view, command = load_catalog(CATALOG).view("bad_daily"), Publish(cut=cut, views=("bad_daily",))
    with pytest.raises(
        InputError,
        match=r"2026-03-02T05:00:00\+00:00 is no cut of view 'bad_daily', whose cuts are .* apart\. The nearest are 2026-03-02T00",
    ):
        compute.run(Compute(cut=cut.replace(hour=5), views=("bad_daily",)), home)
    with pytest.raises(
        MissingError,
        match=r"has no finished attempt at 2026-03-02T00-00Z .* Run `asof compute --cut 2026-03-02T00:00:00\+00:00 --view bad_daily`",
    ):
        publish.run(command, home)
    assert compute.run(Compute(cut=cut, views=("bad_daily",)), home) == 0
    with pytest.raises(
        MissingError,
        match=r"was never validated\. Run `asof validate --cut 2026-03-02T00:00:00\+00:00 --view bad_daily`",
    ):
        publish.run(command, home)
    attempt = attempts.finished(home, view, micros(cut))
    assert attempt is not None
    attempt.write("verdict", {"verdict": "pass"})
    ingest.ingest(spark, home, SALES, land(tmp_path / "anew", {1: [sale("a"), sale("e")], 2: []}))
    with pytest.raises(
        MissingError,
        match=r"The sources of view 'bad_daily' changed since it was computed .*Run `asof compute .*; nothing was published\.",
    ):
        publish.run(command, home)
    assert not spark.catalog.tableExists(view_table(view))
    assert compute.run(Compute(cut=cut, views=("bad_daily",)), home) == 0
    newer = attempts.finished(home, view, micros(cut))
    assert newer is not None
    assert newer != attempt
    newer.write("verdict", {"verdict": "pass"})
    assert publish.run(command, home) == 0
    assert [tuple(row) for row in tables.published(spark, view, micros(cut)).select("shop", "count_1d").collect()] == [
        ("s1", 2)
    ]
