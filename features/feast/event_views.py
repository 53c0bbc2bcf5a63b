"""For each source that event views follow: the view through which Feast's `push` brings its events."""

import warnings

from feast import Entity as FeastEntity
from feast import FeatureView as FeastView
from feast import Field, PushSource, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Bool, Float64, Int64, PrimitiveFeastType, String

from features.definitions.catalog import Catalog
from features.definitions.expressions import ColumnType
from features.definitions.sources import Source
from features.feast.tags import OWN, event_tags
from features.serving.push import Followed, pushable
from features.store.tails import tail_source

__all__ = ["EventView", "event_views"]

EventView = tuple[FeastEntity, tuple[SparkSource, PushSource], FeastView]
# Feast's timestamps keep only seconds; as text a time comes whole.
_TYPES: dict[ColumnType, PrimitiveFeastType] = {
    "string": String, "int64": Int64, "float64": Float64, "bool": Bool, "timestamp": String,
}  # fmt: skip


def event_views(catalog: Catalog) -> list[EventView]:
    """One a source that may be pushed to; its push source has the source's name, as `POST /push` has it."""
    names = {tail_source(view) for view in catalog.views if view.stateful} - {""}
    sources = [source for source in catalog.sources if source.name in names and source.enriched is None]
    return [_event_view(pushable(catalog, source.name)) for source in sources]


def _event_view(followed: Followed) -> EventView:
    source = followed.source
    name, key = f"{source.name}__events", source.event_id or ""
    described = f"Events of {source.name} as they happen: a push counts in lookups of the views that follow it."
    kind = ValueType.STRING if source.types[key] == "string" else ValueType.INT64
    entity = FeastEntity(
        name=name, join_keys=[key], value_type=kind, description=f"An event of {source.name}.", tags=OWN
    )
    sources = _sources(source, described)
    view = FeastView(
        name=name,
        entities=[entity],
        schema=[_field(column.name, column.type) for column in source.given],
        source=sources[1],
        # It holds no values: nothing to make room for, to materialize or to read.
        online=False,
        description=described,
        tags=event_tags(followed),
    )
    return entity, sources, view


def _sources(source: Source, described: str) -> tuple[SparkSource, PushSource]:
    with warnings.catch_warnings():
        # "an experimental feature in alpha development", once a source.
        warnings.simplefilter("ignore", RuntimeWarning)
        table = SparkSource(name=source.table, table=source.table, timestamp_field=source.event_time, tags=OWN)
        made: PushSource = PushSource(name=source.name, batch_source=table, description=described, tags=OWN)
        # Read back as a registry does, or Feast takes a missing table for a change at each apply.
        return SparkSource.from_proto(table.to_proto()), PushSource.from_proto(made.to_proto())


def _field(name: str, kind: ColumnType) -> Field:
    tags = {"unit": "a time of a frame, or ISO 8601 text; UTC where it has no zone"} if kind == "timestamp" else {}
    return Field(name=name, dtype=_TYPES[kind], tags=tags)
