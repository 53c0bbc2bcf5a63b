"""Asof's two stores for Feast's own universal tests, which Feast publishes in its repository alone (`sdk/python/tests`). docs/offline.md has the command.

Feast's tests take `AVAILABLE_OFFLINE_STORES` and `AVAILABLE_ONLINE_STORES` from the module that FULL_REPO_CONFIGS_MODULE names.
"""

import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.contrib.spark_offline_store.tests.data_source import SparkDataSourceCreator

from jobs.feast_offline import AsofOfflineStoreConfig, SparkLoggingDestination
from jobs.feast_sources import zoned

__all__ = ["AVAILABLE_OFFLINE_STORES", "AVAILABLE_ONLINE_STORES", "AsofDataSourceCreator"]


class AsofDataSourceCreator(SparkDataSourceCreator):
    """Data frames as folders of Parquet files, read by Asof's store. Feast's own creator takes no dictionaries of numpy's text, which its data now have."""

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
        path = Path(tempfile.mkdtemp(prefix="asof_data")) / self.get_prefixed_table_name(destination_name)
        session: Any = self.spark_session
        session.createDataFrame(table).write.parquet(str(path))
        self.tables.append(str(path))
        return SparkSource(
            name=path.name, path=str(path), file_format="parquet", timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column, field_mapping=field_mapping,
        )  # fmt: skip

    def create_logged_features_destination(self) -> SparkLoggingDestination:
        """A table of its own."""
        return SparkLoggingDestination(table=f"logs_{uuid4().hex}")


AVAILABLE_OFFLINE_STORES = [("local", AsofDataSourceCreator)]
AVAILABLE_ONLINE_STORES = {"asof": ({"type": "features.feast.online.AsofOnlineStore"}, None)}
