"""Tables of files that move with `tables.root`."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from features.settings import Settings
from jobs import tables
from jobs.files import write_rows

pytestmark = pytest.mark.slow


def test_a_table_of_files_follows_tables_root(spark: SparkSession, spark_settings: Settings, tmp_path: Path) -> None:
    name = "moved.numbers"
    for place, number in (("first", 1), ("second", 2), ("second", 2)):
        settings = spark_settings.model_copy(update={"home": tmp_path / place})
        write_rows(f"{settings.tables_root}/moved.db/numbers/a.parquet", pa.table({"number": [number]}))
        tables.ensure_files(spark, settings, name, {"number": "bigint"})
        assert [row["number"] for row in spark.table(name).collect()] == [number]
    spark.sql(f"DROP TABLE {name}")
    assert tables.partition_values(spark, name) == ()
    assert tables.location(spark, name, "ds", "2026-01-01") is None


def test_a_partition_is_found_by_question_and_by_statement(
    spark: SparkSession, spark_settings: Settings, tmp_path: Path
) -> None:
    name, folder = "found.days", f"{tmp_path}/a day, 100%"
    tables.ensure_table(spark, spark_settings, name, {"number": "bigint"}, "ds")
    tables.point_at(spark, name, "ds", {"2026-01-01": folder})
    statements_alone = cast("SparkSession", SimpleNamespace(sql=spark.sql))  # as a session of Spark Connect
    for session in (spark, statements_alone):
        assert tables.location(session, name, "ds", "2026-01-01") == folder
        for table in (name, "found.nothing", "nowhere.days"):
            assert tables.location(session, table, "ds", "2026-01-02") is None
    spark.sql(f"DROP TABLE {name}")
