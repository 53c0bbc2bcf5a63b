"""Inputs that are no tables, headers that do not agree, years without a row: each said in a sentence."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.errors import MissingError
from features.settings import Settings
from jobs import ledger
from tests.jobs.sales import HEADER, home, land, own, refused, sale

__all__ = ["home"]  # the fixture

pytestmark = pytest.mark.slow


def test_inputs_that_are_no_tables(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_kinds")
    (tmp_path / "empty").mkdir()
    assert "The input holds no Parquet and no CSV file." in refused(spark, home, source, f"{tmp_path}/empty")
    (tmp_path / "notes").write_text("no table\n")
    assert "A file of the input is no Parquet file, or a broken one" in refused(
        spark, home, source, f"{tmp_path}/notes"
    )
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "rows.json").write_text("{}")
    assert "holds neither Parquet nor CSV files but, for instance, rows.json." in refused(
        spark, home, source, f"{tmp_path}/json"
    )
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"x" * 100)
    assert "A file of the input is no Parquet file, or a broken one" in refused(
        spark, home, source, f"{tmp_path}/broken.parquet"
    )


@pytest.mark.parametrize("only", [None, date(2026, 3, 2)], ids=["all days", "its day"])
def test_a_parquet_file_that_lacks_a_column_is_named(
    spark: SparkSession, home: Settings, tmp_path: Path, only: date | None
) -> None:
    source, at = own("bad_lacking"), datetime(2026, 3, 1, 10, tzinfo=UTC)
    row = {"sale": "a", "shop": "s1", "amount": 1.0, "event_time": at, "known": at}
    for day, names in ((1, list(row)), (2, ["sale", "shop", "event_time", "known"]), (3, list(row))):
        folder = tmp_path / "in a folder" / f"ds=2026-03-{day:02d}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([row]).select(names), folder / "part-0.parquet")
    said = refused(spark, home, source, f"{tmp_path}/in a folder", MissingError, only=only)
    assert said.startswith(
        f"The input {tmp_path}/in a folder/ds=2026-03-02/part-0.parquet has no column amount, which source 'bad_lacking' ("
    )
    assert said.endswith("It has sale, shop, event_time, known. Deliver the file with it, or correct the definition.")
    assert ledger.partitions(home, "bad_lacking") == ()


def test_a_broken_parquet_file_among_good_ones_is_named(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    row = {"sale": "a", "shop": "s1", "amount": 1.0, "event_time": at, "known": at}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1" + b"x" * 100)
    said = refused(spark, home, own("bad_broken"), str(tmp_path))
    assert "A file of the input is no Parquet file, or a broken one: " in said
    assert f"{tmp_path}/b.parquet" in said


def test_csv_files_whose_headers_are_not_one(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    source = own("bad_headers")
    (tmp_path / "twice.csv").write_text(f"{HEADER},sale\n{sale('a')},b\n")
    assert "has the column sale twice" in refused(spark, home, source, f"{tmp_path}/twice.csv")
    (tmp_path / "case.csv").write_text(f"{HEADER},SALE\n{sale('a')},b\n")
    assert "has the columns SALE, sale twice" in refused(spark, home, source, f"{tmp_path}/case.csv")
    many = tmp_path / "many"
    many.mkdir()
    (many / "1.csv").write_text(f"{HEADER}\n{sale('a')}\n")
    (many / "2.csv").write_text(
        "shop,sale,amount,event_time,known\ns1,b,1.00,2026-03-01T10:00:00Z,2026-03-01T10:00:00Z\n"
    )
    assert "has its columns in another order than the other files" in refused(spark, home, source, str(many))


def test_a_glob_of_folders_of_csv_files_is_told_how_to_end(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    path = land(tmp_path, {1: [sale("a")]})
    said = refused(spark, home, own("bad_glob"), f"{path}/ds=*")
    assert "A file of the input is no Parquet file, or a broken one" in said
    assert "a glob of CSV files must end with .csv itself, as in ds=*/*.csv." in said


def test_a_row_of_another_year_does_not_make_a_partition_a_day(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    source = own("bad_years")
    old = "b,s1,1.00,2019-03-01T10:00:00Z,2019-03-01T10:00:00Z"
    (tmp_path / "sales.csv").write_text("\n".join([HEADER, sale("a"), old]) + "\n")
    said = refused(spark, home, source, f"{tmp_path}/sales.csv")
    assert said == (
        f"The input {tmp_path}/sales.csv of source 'bad_years' has no row that became known between 2019-03-01 and 2026-03-01: more than a year, and a partition "
        "would be made for each day of it. Look at known; if both are right, ingest the earlier days with --ds, one by one."
    )
    assert ledger.partitions(home, "bad_years") == ()
