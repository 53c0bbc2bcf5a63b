"""Definitions compiled to Feast's entities, views and services. No project code is needed to read them: the definition travels in the tags."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from feast import Entity as FeastEntity
from feast import FeatureService as FeastService
from feast import FeatureView as FeastView
from feast import Field, Project, PushSource, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Bool, Float64, Int64, PrimitiveFeastType, String

from features.definitions.catalog import Catalog
from features.definitions.expressions import ColumnType
from features.definitions.names import FEATURES_DATABASE, view_table
from features.definitions.services import FeatureService
from features.definitions.views import FeatureView
from features.errors import InvalidCatalogError
from features.feast.event_views import event_views
from features.feast.tags import OWN, definition_tags
from features.store.heads import STATUS
from features.store.keys import PROJECT, collisions

if TYPE_CHECKING:
    from features.definitions.entities import Entity

__all__ = ["Objects", "compile_catalog"]

_EVENT_TIMESTAMP = "event_timestamp"
_STATUS_SAYS = "ok, or overflow where a value left int64 and is null; through Asof's online store also never_seen, no_key, stale or damaged."
# Feast's timestamps keep only seconds; microseconds need an integer.
_TYPES: dict[ColumnType, PrimitiveFeastType] = {
    "string": String,
    "int64": Int64,
    "float64": Float64,
    "bool": Bool,
    "timestamp": Int64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What Feast's registry is to hold."""

    project: Project
    entities: tuple[FeastEntity, ...]
    sources: tuple[SparkSource | PushSource, ...]
    views: tuple[FeastView, ...]
    """Those of the catalogue, and one a source that may be pushed to."""
    services: tuple[FeastService, ...]


def compile_catalog(catalog: Catalog) -> Objects:
    """All of a catalogue.

    Raises:
        InvalidCatalogError: a key column has two types, or two features meet in one Redis field.
    """
    problems = [*_mixed_keys(catalog.views), *collisions(catalog.views, (STATUS,))]
    if problems:
        raise InvalidCatalogError(problems)
    entities = _entities(catalog.views)
    views = {view.name: _view(view, entities) for view in catalog.views}
    pushed = event_views(catalog)
    return Objects(
        project=Project(name=PROJECT, description="Features defined, computed and proved by Asof."),
        entities=(*entities.values(), *(entity for entity, _, _ in pushed)),
        sources=(
            *(_source(view) for view in catalog.views),
            *(source for _, sources, _ in pushed for source in sources),
        ),
        views=(*views.values(), *(view for _, _, view in pushed)),
        services=tuple(_service(catalog, service, views) for service in catalog.services),
    )


def _mixed_keys(views: Iterable[FeatureView]) -> list[str]:
    seen: dict[str, Entity] = {}
    return [
        f"{view.where}: FeatureView {view.name!r}: key column {name!r} is {view.entity.type} in entity {view.entity.name!r}, but {first.type} in "
        f"entity {first.name!r}. Feast knows one type a key column: rename one of them."
        for view in views
        for name in view.keys
        if (first := seen.setdefault(name, view.entity)).type != view.entity.type
    ]


def _entities(views: Iterable[FeatureView]) -> dict[str, FeastEntity]:
    """One a key column: Feast's entities have one join key, so a composite entity becomes several."""
    made: dict[str, FeastEntity] = {}
    for view in sorted(views, key=lambda view: len(view.keys)):
        for name in view.keys:
            kind = ValueType.STRING if view.entity.type == "string" else ValueType.INT64
            made.setdefault(
                name,
                FeastEntity(
                    name=name, join_keys=[name], value_type=kind, description=view.entity.description, tags=OWN
                ),
            )
    return made


def _source(view: FeatureView) -> SparkSource:
    name, description = view_table(view), f"Published values of {view.name}, one Hive partition a cut."
    query = _query(view) if "timestamp" in view.types.values() else None
    with warnings.catch_warnings():
        # "an experimental feature in alpha development", once a source.
        warnings.simplefilter("ignore", RuntimeWarning)
        made = SparkSource(
            name=name, table=None if query else name, query=query, timestamp_field=_EVENT_TIMESTAMP, owner=view.owner, description=description, tags=OWN
        )  # fmt: skip
        # Read back as a registry does, or Feast takes a missing table for a change at each apply.
        read: SparkSource = SparkSource.from_proto(made.to_proto())
        return read


def _query(view: FeatureView) -> str:
    """As online: a timestamp is microseconds UTC."""
    columns = [
        f"unix_micros(`{feature}`) AS `{feature}`" if kind == "timestamp" else f"`{feature}`"
        for feature, kind in view.types.items()
    ]
    chosen = ", ".join((*(f"`{key}`" for key in view.keys), *columns, f"`{STATUS}`", f"`{_EVENT_TIMESTAMP}`"))
    return f"SELECT {chosen} FROM `{FEATURES_DATABASE}`.`{view.name}`"  # noqa: S608 - names are identifiers


def _view(view: FeatureView, entities: dict[str, FeastEntity]) -> FeastView:
    key_type = String if view.entity.type == "string" else Int64
    described = {feature.name: feature.description for feature in view.features}
    fields = [Field(name=key, dtype=key_type) for key in view.keys]
    for name, kind in view.types.items():
        tags = {"unit": "microseconds since 1970-01-01T00:00:00Z"} if kind == "timestamp" else {}
        fields.append(Field(name=name, dtype=_TYPES[kind], description=described[name], tags=tags))
    fields.append(Field(name=STATUS, dtype=String, description=_STATUS_SAYS))
    return FeastView(
        name=view.name,
        entities=[entities[key] for key in view.keys],
        # Counted from the event timestamp, which is the cut and its publish lag.
        ttl=timedelta(microseconds=view.horizon_us - view.schedule.lag_us),
        schema=fields,
        source=_source(view),
        online=view.tabled,
        owner=view.owner,
        description=view.description,
        tags={**dict(view.tags), **definition_tags(view)},
    )


def _service(catalog: Catalog, service: FeatureService, views: dict[str, FeastView]) -> FeastService:
    return FeastService(
        name=service.name,
        # Untyped in Feast. Chosen by name, so that the status column is asked for only by who wants it.
        features=[cast("FeastView", views[view.name][list(features)]) for view, features in catalog.views_of(service)],
        owner=service.owner,
        description=service.description,
        tags={**dict(service.tags), **definition_tags(service)},
    )
