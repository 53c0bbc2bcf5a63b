"""Which sources tasks read by themselves, and that those answer as the others do."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pytest
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Array, Float64, String, UnixTimestamp
from pyspark.sql import SparkSession

from features.errors import InputError, MissingError
from tests.jobs.feast_store import CARD, at, source, store_in, view

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def test_tables_folders_queries_and_views_of_the_same_rows_answer_alike(spark: SparkSession, tmp_path: Path) -> None:
    """Tasks open files of Parquet themselves, in folders of days too; what else Spark reads goes through Spark."""
    rows = pa.table({
        "card_id": [1, 1, 2, 2, None, 3], "event_timestamp": [at("01T10:00"), at("03T00:00"), at("02T00:00"), at("02T00:00"), at("02T00:00"), at("09T00:00")],
        "created": [at("01T11:00"), at("03T01:00"), at("02T02:00"), at("02T01:00"), at("02T01:00"), at("09T01:00")],
        "spent": [1.5, 2.5, 3.5, 4.5, 9.0, 9.0], "tags": [["a"], [], ["b", "c"], None, ["z"], ["y"]], "seen": [at("01T00:00")] * 6,
        "ds": ["2026-03-01", "2026-03-03", "2026-03-02", "2026-03-02", "2026-03-02", "2026-03-09"],
    })  # fmt: skip
    made, name = spark.createDataFrame(rows), f"spent_{uuid4().hex}"
    days = {"date_partition_column": "ds", "date_partition_column_format": "%Y-%m-%d"}
    made.drop("ds").repartition(2).write.parquet(str(tmp_path / "flat"))
    made.write.partitionBy("ds").parquet(str(tmp_path / "days"))
    made.write.partitionBy("ds").format("parquet").saveAsTable(name)
    spark.sql(f"CREATE TABLE {name}_hive STORED AS PARQUET AS TABLE {name}")
    spark.sql(f"CREATE VIEW {name}_view AS TABLE {name}")
    sources: dict[str, dict[str, Any]] = {
        "flat": {"path": str(tmp_path / "flat"), "file_format": "parquet"}, "days": {"path": str(tmp_path / "days"), "file_format": "parquet", **days},
        "table": {"table": name, **days}, "hive": {"table": f"{name}_hive"}, "query": {"query": f"TABLE {name}"}, "view": {"table": f"{name}_view"},
    }  # fmt: skip
    views = [
        view(n, SparkSource(name=n, timestamp_field="event_timestamp", created_timestamp_column="created", **more), CARD, ttl=timedelta(days=2), spent=Float64, tags=Array(String), seen=UnixTimestamp)
        for n, more in sources.items()
    ]  # fmt: skip
    store = store_in(tmp_path)
    store.apply([CARD, *views])
    refs = [f"{n}:{feature}" for n in sources for feature in ("spent", "tags", "seen")]
    frame = pd.DataFrame({"card_id": [2, 1, 1, 3, 7], "event_timestamp": [at("04T00:00"), at("03T00:00"), at("03T10:00"), at("03T00:00"), at("03T00:00")]})  # fmt: skip
    job: Any = store.get_historical_features(frame, refs, full_feature_names=True)
    assert [type(part).__name__ for part in job._found.parts] == ["Filed"] * 4 + ["Joined"]
    (of_days,) = [
        part.files for part in job._found.parts if "days__spent" in part.names.values() and hasattr(part, "files")
    ]
    assert all("ds=2026-03-09" not in path for path in of_days.paths)
    table = job.to_arrow()
    told: Any = spark.createDataFrame(pa.Table.from_pandas(frame))
    streamed = store.get_historical_features(told, refs, full_feature_names=True).to_arrow()
    for n in sources:
        for found in (table, streamed):
            assert found[f"{n}__spent"].to_pylist() == [3.5, 2.5, 2.5, None, None], n
            assert found[f"{n}__tags"].to_pylist() == [["b", "c"], [], [], None, None], n
            assert found[f"{n}__seen"].to_pylist() == [at("01T00:00")] * 3 + [None] * 2, n
    later = {row["event_timestamp"]: row["flat__spent"] for row in job.to_spark_df().where("card_id = 1").collect()}
    assert set(later.values()) == {2.5}
    for each in (f"VIEW {name}_view", f"TABLE {name}_hive", f"TABLE {name}"):
        spark.sql(f"DROP {each}")


def test_a_broken_file_of_a_source_is_named(spark: SparkSession, tmp_path: Path) -> None:
    made = source(spark, tmp_path, {"card_id": [1], "event_timestamp": [at("01T00:00")], "spent": [1.0]})
    store = store_in(tmp_path)
    store.apply([CARD, view("broken", made, CARD, spent=Float64)])
    (file, *_) = sorted(Path(str(made.path)).glob("part-*.parquet"))
    frame = pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")]})
    job = store.get_historical_features(frame, ["broken:spent"])
    file.write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=rf"^The source's file {file} cannot be read as Parquet: .* Write it again"):
        job.to_arrow()
    file.unlink()
    with pytest.raises(MissingError, match=rf"^The source's file {file} is gone: it was written anew .* Ask again\.$"):
        job.to_arrow()
