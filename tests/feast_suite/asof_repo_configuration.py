"""Asof's two stores for Feast's own universal tests, which Feast publishes in its repository alone (`sdk/python/tests`). docs/offline.md has the command.

Feast's tests take `AVAILABLE_OFFLINE_STORES` and `AVAILABLE_ONLINE_STORES` from the module that FULL_REPO_CONFIGS_MODULE names.
"""

import os
import shutil
import sys
import tempfile
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.contrib.spark_offline_store.tests.data_source import SparkDataSourceCreator
from pyspark.sql import DataFrame

from jobs.feast_offline import AsofOfflineStoreConfig, SparkLoggingDestination
from jobs.feast_sources import zoned

__all__ = ["AVAILABLE_OFFLINE_STORES", "AVAILABLE_ONLINE_STORES", "AsofDataSourceCreator", "AsofTableDataSourceCreator"]

_ONLINE = "features.feast.online.AsofOnlineStore"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the tests make the session themselves


class AsofDataSourceCreator(SparkDataSourceCreator):
    """Data frames as folders of Parquet files, read by Asof's store. Feast's own creator takes no dictionaries of numpy's text, which its data now have."""

    def __init__(self, project_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(project_name, *args, **kwargs)
        session: Any = self.spark_session
        session.conf.set("spark.sql.shuffle.partitions", "2")  # the frames have tens of rows

    def teardown(self) -> None:
        """Removes the data; the session serves the next test."""
        for table in self.tables:
            shutil.rmtree(table)

    def create_offline_store_config(self) -> AsofOfflineStoreConfig:
        """Of `offline_store`."""
        self.spark_offline_store_config = AsofOfflineStoreConfig(
            spark_conf=self.spark_conf, staging_location=tempfile.mkdtemp(prefix="asof_staging")
        )
        return self.spark_offline_store_config

    def create_data_source(
        self,
        df: pd.DataFrame,
        destination_name: str,
        created_timestamp_column: str | None = "created_ts",
        field_mapping: dict[str, str] | None = None,
        timestamp_field: str | None = "ts",
    ) -> SparkSource:
        """The source of a data frame that was written."""
        back = {new: old for old, new in (field_mapping or {}).items()}
        time = back.get(str(timestamp_field), str(timestamp_field))
        table = zoned(
            pa.Table.from_pandas(df.assign(**{time: pd.to_datetime(df[time], utc=True)}), preserve_index=False)
        )
        session: Any = self.spark_session
        return SparkSource(
            timestamp_field=timestamp_field, created_timestamp_column=created_timestamp_column, field_mapping=field_mapping,
            **self._written(session.createDataFrame(table), self.get_prefixed_table_name(destination_name)),
        )  # fmt: skip

    def _written(self, rows: DataFrame, name: str) -> dict[str, Any]:
        """Where the source finds them."""
        path = f"{tempfile.mkdtemp(prefix='asof_data')}/{name}"
        rows.write.parquet(path)
        self.tables.append(path)
        return {"name": name, "path": path, "file_format": "parquet"}

    def create_logged_features_destination(self) -> SparkLoggingDestination:
        """A table of its own."""
        return SparkLoggingDestination(table=f"logs_{uuid4().hex}")


class AsofTableDataSourceCreator(AsofDataSourceCreator):
    """Data frames as tables; Feast asks for an entity frame by SQL of these alone."""

    def teardown(self) -> None:
        """Drops them."""
        session: Any = self.spark_session
        for table in self.tables:
            session.sql(f"DROP TABLE {table}")

    def _written(self, rows: DataFrame, name: str) -> dict[str, Any]:
        rows.write.saveAsTable(name)
        self.tables.append(name)
        return {"name": name, "table": name}


AVAILABLE_OFFLINE_STORES = [("local", AsofDataSourceCreator), ("local", AsofTableDataSourceCreator)]
AVAILABLE_ONLINE_STORES: dict[str, tuple[dict[str, Any], None]] = {"sqlite": ({"type": _ONLINE}, None)}
if url := os.environ.get("ASOF_TEST_REDIS_URL"):
    place = urlsplit(url)
    AVAILABLE_ONLINE_STORES["redis"] = (
        {"type": _ONLINE, "connection_string": f"{place.netloc},db={place.path.strip('/') or 0}"},
        None,
    )
