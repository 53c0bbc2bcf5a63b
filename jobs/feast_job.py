"""What Feast is given back for a retrieval, and how what Spark says of it reaches a person. With `jobs.feast_offline` and `jobs.feast_views` the only ones here that import Feast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

import pyarrow as pa
from feast import OnDemandFeatureView
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.spark_offline_store.spark import SparkRetrievalJob
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage, SparkSource
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from features.errors import InputError, SettingsError
from features.settings import Settings, load

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.feast_offline import AsofOfflineStoreConfig
    from jobs.retrieval import Pulled, Retrieval

__all__ = ["AsofRetrievalJob", "options", "settings_of", "told", "translating"]

Method = TypeVar("Method", bound=Callable[..., Any])


def options(config: RepoConfig) -> "AsofOfflineStoreConfig":
    """The block `offline_store`."""
    return cast("AsofOfflineStoreConfig", config.offline_store)


def settings_of(config: RepoConfig) -> Settings:
    """What Asof was run with."""
    return load(**(options(config).settings or {}))


@contextmanager
def told(config: RepoConfig) -> Iterator[None]:
    """Around Spark's work: what Spark raises is an AsofError with cause and remedy; the rest, Feast's own errors too, goes on as it is."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # noqa: PLC0415 - Feast's commands import this module
    from pyspark.errors import PySparkException  # noqa: PLC0415 - the same

    from jobs.spark_errors import translate  # noqa: PLC0415 - the same

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise translate(error, settings_of(config).logs) from error


def translating(method: Method) -> Method:
    """`told` around a method that takes the configuration first."""

    @wraps(method)
    def called(config: RepoConfig, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
        with told(config):
            return method(config, *args, **kwargs)

    return cast("Method", called)


def _source_of(storage: SavedDatasetSparkStorage) -> SparkSource:
    """Of a saved dataset; Feast 0.67 gives a path no name, and then cannot read it."""
    held = storage.spark_options
    return SparkSource(
        name=None if held.table or not held.path else held.path, table=held.table, query=held.query, path=held.path,
        file_format=held.file_format, table_format=held.table_format,
    )  # fmt: skip


SavedDatasetSparkStorage.to_data_source = _source_of  # type: ignore[method-assign, assignment]


class AsofRetrievalJob(SparkRetrievalJob):
    """What a retrieval will give. Nothing is computed before it is asked for, and each time anew; the entity frame is read once."""

    def __init__(
        self,
        spark: "SparkSession",
        config: RepoConfig,
        found: "Retrieval | Pulled",
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        super().__init__(spark, "", full_feature_names, config, on_demand_feature_views, metadata)
        self._found = found

    def to_spark_df(self) -> "DataFrame":
        """The rows, in no order, without on-demand features (Feast computes those in pandas)."""
        with told(self._config):
            return self._found.rows()

    def to_sql(self) -> str:
        """Not to be had: the join is no SQL."""
        raise NotImplementedError

    def _to_df_internal(self, timeout: int | None = None) -> Any:  # noqa: ANN401 - pandas
        return self._to_arrow_internal(timeout).to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's signature
        """One piece a column: Feast's own materialization reads the first piece only. Times are microseconds UTC."""
        with told(self._config):
            return self._found.table()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,  # noqa: FBT001, FBT002 - Feast's signature
        timeout: int | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Writes the rows to a table or a path, on-demand features too.

        Raises:
            SavedDatasetLocationAlreadyExists: something is there, and may not be overwritten.
            InputError: the storage is a query.
        """
        held = storage.spark_options if isinstance(storage, SavedDatasetSparkStorage) else None
        if held is None or not (held.path or held.table):
            msg = f"A saved dataset needs a table or a path, not {storage!r}: SavedDatasetSparkStorage(table=…) or (path=…, file_format='parquet')."
            raise InputError(msg)
        from pyspark.errors import AnalysisException  # noqa: PLC0415 - as above

        rows = (
            self.spark_session.createDataFrame(self.to_arrow()) if self.on_demand_feature_views else self.to_spark_df()
        )
        place = held.path or str(held.table)
        writer = rows.write.mode("overwrite" if allow_overwrite else "error").format(held.file_format or "parquet")
        with told(self._config):
            try:
                writer.save(place) if held.path else writer.saveAsTable(place)
            except AnalysisException as error:
                if error.getCondition() in {"PATH_ALREADY_EXISTS", "TABLE_OR_VIEW_ALREADY_EXISTS"}:
                    raise SavedDatasetLocationAlreadyExists(place) from error
                raise

    def to_remote_storage(self) -> list[str]:
        """Writes Parquet files under `staging_location`, wherever Spark can write; gives their names.

        Raises:
            SettingsError: the setting is not there.
        """
        place = options(self._config).staging_location
        if not place:
            msg = "offline_store.staging_location is not set; it names the folder of exported files. Set it in feature_store.yaml."
            raise SettingsError(msg)
        folder = f"{place.replace('s3://', 's3a://', 1).rstrip('/')}/{uuid4().hex}"
        with told(self._config):
            self.to_spark_df().write.parquet(folder)
            files = self.spark_session.read.parquet(folder).inputFiles()
        return [name.removeprefix("file://").replace("s3a://", "s3://", 1) for name in files]
