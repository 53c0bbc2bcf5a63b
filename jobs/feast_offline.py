"""Feast's offline store over Spark: `offline_store: {type: jobs.feast_offline.AsofOfflineStore}`. Views of Asof and plain ones, one row out for each row in.

The classes that Feast asks for, and what of its objects the work needs; the work is done by `jobs.retrieval` and `jobs.feast_sources`.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingDestination, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.protos.feast.core.FeatureService_pb2 import LoggingConfig as LoggingConfigProto
from feast.repo_config import RepoConfig
from feast.utils import (
    _get_requested_feature_views_to_features_dict,
    _get_requested_on_demand_feature_views,
    compute_non_entity_date_range,
)

from features.definitions.names import micros, utc
from features.errors import InputError
from features.feast.tags import DEFINITION_TAG
from jobs import worker_daemon
from jobs.feast_job import AsofRetrievalJob, options, settings_of, told, translating

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["AsofOfflineStore", "AsofOfflineStoreConfig", "AsofRetrievalJob", "SparkLoggingDestination"]

_TIME = "event_timestamp"


class AsofOfflineStoreConfig(SparkOfflineStoreConfig):
    """The block `offline_store` of `feature_store.yaml`; `asof apply` writes it."""

    type: str = "jobs.feast_offline.AsofOfflineStore"
    asof_values: Literal["instant", "published"] = "instant"
    """Of Asof's views: values as they could be known at each row's instant, or those of the newest published snapshot served then. May be set between
    calls: `store.config.offline_store.asof_values = "published"`."""

    settings: dict[str, Any] | None = None
    """What `asof` was run with, where it matters here (home, catalog, tables, spark, metastore); else Asof's own settings are read."""


class AsofOfflineStore(SparkOfflineStore):
    """Feast's reads and writes of history. Monitoring is the Spark store's own."""

    @staticmethod
    @translating
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,  # noqa: ANN401 - pandas, SQL, Spark or None
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - the same
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002 - the same
        **kwargs: Any,  # noqa: ANN401 - start_date, end_date
    ) -> RetrievalJob:
        """One row for each of the entity frame, or, without one, for each key and instant that the views have a row for in the span.

        Raises:
            MissingError: the frame has no instants or lacks a join key; a source is not there; the catalogue lacks a view.
            InputError: the frame cannot be used, or the registry's definition of a view is not the catalogue's.
        """
        from jobs.feast_frames import entity_frame, of_spark  # noqa: PLC0415 - Feast's commands import this module
        from jobs.feast_sources import Span  # noqa: PLC0415 - the same
        from jobs.feast_views import asked_of, order_of  # noqa: PLC0415 - the same
        from jobs.retrieval import ranged, retrieval  # noqa: PLC0415 - the same

        spark = _session(config)
        wanted, _ = _get_requested_feature_views_to_features_dict(
            feature_refs, feature_views, _get_requested_on_demand_feature_views(feature_refs, project, registry)
        )
        settings = settings_of(config) if any(_computed(config, view) for view in wanted) else None
        asked = {
            view: asked_of(
                spark, view, names, settings if _computed(config, view) else None,
                full=full_feature_names, tabled=entity_df is None,
            )
            for view, names in wanted.items()
        }  # fmt: skip
        if entity_df is None:
            first, last = compute_non_entity_date_range(
                feature_views, start_date=kwargs.get("start_date"), end_date=kwargs.get("end_date")
            )
            span = Span(first=micros(first), last=micros(last))
            frame = of_spark(spark, ranged(spark, list(asked.values()), span, _TIME), empty=span.last)
        else:
            frame = entity_frame(spark, entity_df)
        columns = order_of(feature_refs, asked, full=full_feature_names)
        found = retrieval(frame, list(asked.values()), settings, columns, known=filter_by_created_timestamp)
        return AsofRetrievalJob(
            spark, config, found,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in frame.schema.names if name != frame.time],
                min_event_timestamp=utc(frame.earliest),
                max_event_timestamp=utc(frame.latest),
            ),
        )  # fmt: skip

    @staticmethod
    @translating
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest row of each key in a span, both ends inclusive; of equal instants the one created last, nulls before all."""
        from pyspark.sql import Window  # noqa: PLC0415 - Feast's commands import this module
        from pyspark.sql import functions as F  # noqa: PLC0415 - the same

        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        names = [*join_key_columns, *feature_name_columns, *times]
        rows = _pulled(config, data_source, names, timestamp_field, start_date, end_date)
        called = {name: F.col(f"`{data_source.field_mapping.get(name, name)}`") for name in names}
        newest = Window.partitionBy(*(called[name] for name in join_key_columns)).orderBy(
            *(called[name].desc_nulls_last() for name in times)
        )
        rows = rows.withColumn("asof_row", F.row_number().over(newest)).where(F.col("asof_row") == 1).drop("asof_row")
        if not join_key_columns:
            rows = rows.withColumn(DUMMY_ENTITY_ID, F.lit(DUMMY_ENTITY_VAL))
        return _pulled_job(config, rows)

    @staticmethod
    @translating
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The rows of a span, both ends inclusive; without names of features all columns."""
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        names = [*join_key_columns, *feature_name_columns, *times] if feature_name_columns else None
        rows = _pulled(config, data_source, names, timestamp_field, start_date, end_date)
        return _pulled_job(config, rows)

    @staticmethod
    @translating
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Appends rows to the view's table or path. Columns go by their names; times without a zone are UTC. A second call appends again.

        Raises:
            ColumnsError: columns are missing, or there are others.
            InputError: the view's source is a query.
        """
        from jobs.feast_sources import append  # noqa: PLC0415 - Feast's commands import this module

        append(_session(config), feature_view.batch_source, table)
        if progress is not None:
            progress(len(table))

    @staticmethod
    @translating
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Appends logs to a `SparkLoggingDestination`, which is made if it is not there, a partition a day.

        Raises:
            InputError: the destination is another one.
            ColumnsError: the logs have other columns than the source says.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 - only here

        from jobs.feast_sources import logged  # noqa: PLC0415 - Feast's commands import this module

        if not isinstance(logging_config.destination, SparkLoggingDestination):
            msg = f"Logs of a feature service go to a SparkLoggingDestination here, not to a {type(logging_config.destination).__name__}. Import it from jobs.feast_offline."
            raise InputError(msg)
        rows = data if isinstance(data, pa.Table) else pq.read_table(str(data))
        logged(_session(config), logging_config.destination.to_data_source(), rows, source.get_schema(registry))

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Checks that a source is there.

        Raises:
            MissingError: it is not.
        """
        self.get_table_column_names_and_types_from_data_source(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> list[tuple[str, str]]:
        """Columns and Spark's types of them; unlike the source's own method it leaves the session as it is."""
        from jobs.feast_sources import read  # noqa: PLC0415 - Feast's commands import this module

        with told(config):
            return [(f.name, f.dataType.simpleString()) for f in read(_session(config), data_source).schema]


class SparkLoggingDestination(LoggingDestination):
    """Where the logs of a feature service go: a table, or a folder of Parquet files; partitions by `__log_date`."""

    _proto_kind = "asof_spark"

    def __init__(self, *, table: str = "", path: str = "") -> None:
        if bool(table) == bool(path):
            msg = f"A SparkLoggingDestination has a table or a path; this one has table={table!r} and path={path!r}. Give one of them."
            raise InputError(msg)
        self.table, self.path = table, path

    @classmethod
    def from_proto(cls, config_proto: LoggingConfigProto) -> "SparkLoggingDestination":
        """From the registry."""
        return cls(**dict(config_proto.custom_destination.config))

    def to_proto(self) -> LoggingConfigProto:
        """For the registry."""
        where = {name: value for name, value in (("table", self.table), ("path", self.path)) if value}
        custom = LoggingConfigProto.CustomDestination(kind=self._proto_kind, config=where)
        return LoggingConfigProto(custom_destination=custom)

    def to_data_source(self) -> SparkSource:
        """By which the logs are read again."""
        return SparkSource(
            name=f"logs_{(self.table or self.path).replace('/', '_')}",
            table=self.table or None, path=self.path or None, file_format="parquet" if self.path else None,
            timestamp_field="__log_timestamp", date_partition_column="__log_date", date_partition_column_format="%Y-%m-%d",
        )  # fmt: skip


def _session(config: RepoConfig) -> "SparkSession":
    """The person's session; where there is none Asof's, or one with the configuration's `spark_conf`."""
    from pyspark import SparkContext  # noqa: PLC0415 - Feast's commands import this module
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the same

    active = SparkSession.getActiveSession()
    if active is not None or SparkContext._active_spark_context is not None:  # noqa: SLF001 - in another thread none is active
        return active or SparkSession.builder.getOrCreate()
    if options(config).settings is not None:
        from jobs.session import spark  # noqa: PLC0415 - the same

        return spark(settings_of(config), "feast")
    given = options(config).spark_conf or {}
    if given.get("spark.master", "local").startswith("local"):
        # Else tasks take the first python3 of the PATH, which need not have Asof.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        given = {"spark.python.daemon.module": worker_daemon.MODULE, **given}
    builder = SparkSession.builder.appName("feast")
    for name, value in given.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _computed(config: RepoConfig, view: FeatureView) -> bool:
    return DEFINITION_TAG in view.tags and options(config).asof_values == "instant"


def _pulled(
    config: RepoConfig,
    source: DataSource,
    names: list[str] | None,
    time: str,
    start: datetime | None,
    end: datetime | None,
) -> "DataFrame":
    """The rows of a span, under Feast's names; None: all columns under their own."""
    from pyspark.sql import functions as F  # noqa: PLC0415 - Feast's commands import this module

    from jobs.feast_sources import Span, read, within  # noqa: PLC0415 - the same

    span = Span(first=None if start is None else _micros(start), last=None if end is None else _micros(end))
    rows = within(read(_session(config), source), source, time, span)
    if names is None:
        return rows
    return rows.select(*(F.col(f"`{name}`").alias(source.field_mapping.get(name, name)) for name in names))


def _pulled_job(config: RepoConfig, rows: "DataFrame") -> AsofRetrievalJob:
    from jobs.retrieval import Pulled  # noqa: PLC0415 - Feast's commands import this module

    return AsofRetrievalJob(rows.sparkSession, config, Pulled(held=rows))


def _micros(instant: datetime) -> int:
    return micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
