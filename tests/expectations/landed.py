"""Landing files of the simulator as partitions of the sources' tables: what ingest makes of them, less what these tests do not need."""

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from features.definitions.sources import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPARK_TYPES = {"string": "string", "int64": "bigint", "float64": "double", "bool": "boolean", "timestamp": "timestamp"}


def partitions(spark: "SparkSession", out: Path, source: Source) -> "DataFrame":
    """All days of a source: a day's redeliveries left out, Asof's own columns added, columns of the parent null."""
    rows = spark.read.parquet(str(out / source.name)).withColumn("ds", F.col("ds").cast("string"))
    if source.event_id is not None:
        rows = rows.dropDuplicates(["ds", source.event_id, "version"])
    version = F.col(source.version) if source.version else F.lit(0).cast("bigint")
    absent = {
        name: F.lit(None).cast(SPARK_TYPES[kind]) for name, kind in source.types.items() if name not in rows.columns
    }
    return rows.withColumns(
        {
            "asof_op": F.lit("add"),
            "asof_known_at": F.col("ingested_at"),
            "asof_undoes": F.lit(None).cast("timestamp"),
            "asof_first": version == 0,
            **absent,
        }
    )
