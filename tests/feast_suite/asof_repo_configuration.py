"""Asof's two stores for Feast's own universal tests, which Feast publishes in its repository alone (`sdk/python/tests`). docs/offline.md has the command.

Feast's tests take `AVAILABLE_OFFLINE_STORES` and `AVAILABLE_ONLINE_STORES` from the module that FULL_REPO_CONFIGS_MODULE names.
"""

import tempfile
from uuid import uuid4

from feast.infra.offline_stores.contrib.spark_offline_store.tests.data_source import SparkDataSourceCreator

from jobs.feast_offline import AsofOfflineStoreConfig, SparkLoggingDestination

__all__ = ["AVAILABLE_OFFLINE_STORES", "AVAILABLE_ONLINE_STORES", "AsofDataSourceCreator"]


class AsofDataSourceCreator(SparkDataSourceCreator):  # type: ignore[misc] - Feast's tests have no types
    """Data frames as Parquet folders, by Feast's own creator; read by Asof's store."""

    def create_offline_store_config(self) -> AsofOfflineStoreConfig:
        """Of `offline_store`."""
        self.spark_offline_store_config = AsofOfflineStoreConfig(
            spark_conf=self.spark_conf, staging_location=tempfile.mkdtemp(prefix="asof_staging")
        )
        return self.spark_offline_store_config

    def create_logged_features_destination(self) -> SparkLoggingDestination:
        """A table of its own."""
        return SparkLoggingDestination(table=f"logs_{uuid4().hex}")


AVAILABLE_OFFLINE_STORES = [("local", AsofDataSourceCreator)]
AVAILABLE_ONLINE_STORES = {"asof": ({"type": "features.feast.online.AsofOnlineStore"}, None)}
