"""Tables of files that move with `tables.root`."""

from pathlib import Path

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
