"""A Feast repository with Asof's offline store, and sources and views for it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Int64
from feast.value_type import ValueType
from pyspark.sql import SparkSession

from jobs.feast_offline import AsofOfflineStoreConfig

__all__ = ["CARD", "SHOP", "at", "source", "store_in", "view"]

CARD = Entity(name="card", join_keys=["card_id"], value_type=ValueType.INT64)
SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)


def at(text: str) -> datetime:
    """Of March 2026, UTC."""
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=UTC)


def store_in(folder: Path) -> FeatureStore:
    """Of a repository in a folder."""
    return FeatureStore(
        config=RepoConfig(
            project="tests", provider="local", registry=str(folder / "registry.db"), entity_key_serialization_version=3,
            online_store={"type": "sqlite", "path": str(folder / "online.db")}, repo_path=str(folder),
            offline_store=AsofOfflineStoreConfig(staging_location=str(folder / "staging"), settings={"home": str(folder / "asof")}),
        )
    )  # fmt: skip


def source(spark: SparkSession, path: Path, columns: dict[str, Any], **more: Any) -> SparkSource:
    folder = str(path / uuid4().hex)
    spark.createDataFrame(pa.table(columns)).write.parquet(folder)
    return SparkSource(
        name=uuid4().hex, path=folder, file_format="parquet", timestamp_field="event_timestamp", **more
    )  # fmt: skip


def view(name: str, made: SparkSource, *entities: Entity, ttl: timedelta | None = None, **fields: Any) -> FeatureView:
    return FeatureView(
        name=name, entities=list(entities), ttl=ttl, source=made,
        schema=[*(Field(name=e.join_key, dtype=Int64) for e in entities), *(Field(name=n, dtype=t) for n, t in fields.items())],
    )  # fmt: skip
