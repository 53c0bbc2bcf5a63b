"""Feast's views as `jobs.retrieval` takes them: whose rows they are, by which columns, and what is asked of them. With `jobs.feast_offline` and `jobs.feast_job` the only ones here that import Feast."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from feast import BatchFeatureView, FeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.feature_view_utils import get_transformation_function
from pyspark.sql import SparkSession

from features.errors import InputError
from features.feast.tags import HASH_TAG
from features.settings import Settings
from jobs.feast_sources import read
from jobs.retrieval import Asked, Stored, defined

__all__ = ["asked_of", "order_of"]


def asked_of(
    spark: SparkSession, view: FeatureView, names: list[str], settings: Settings | None, *, full: bool, tabled: bool
) -> Asked:
    """What is asked of a view. With `settings` its values are computed; its table is then looked at only if it is needed (`tabled`).

    Raises:
        MissingError: its source is not there, or the catalogue has no such view.
        InputError: it has no source, or another definition than the catalogue's.
    """
    called: str = view.projection.name_to_use()  # type: ignore[no-untyped-call]
    renamed = view.projection.join_key_map
    own = None if settings is None else defined(view.name, view.tags[HASH_TAG], settings)
    keys = own.keys if own is not None else [c.name for c in view.entity_columns if c.name != DUMMY_ENTITY_ID]
    back = {} if own is not None else _sources_names(view)
    return Asked(
        name=called,
        keys=tuple(renamed.get(key, key) for key in keys),
        features={(f"{called}__{name}" if full else name): back.get(name, name) for name in names},
        stored=_stored(spark, view) if tabled or own is None else None,
        view=own,
    )


def _sources_names(view: FeatureView) -> dict[str, str]:
    return {new: old for old, new in _source(view).field_mapping.items()}


def _stored(spark: SparkSession, view: FeatureView) -> Stored:
    """A batch view's rows are what its function makes of the source, or what was written of them before."""
    source, back, renamed = _source(view), _sources_names(view), view.projection.join_key_map
    batch = isinstance(view, BatchFeatureView)
    function = get_transformation_function(view) if batch else None
    written = batch and view.offline and bool(getattr(source, "path", None))
    if written:
        rows = source._load_dataframe_from_path(spark)  # noqa: SLF001 - it knows table formats
    else:
        rows = read(spark, source)
        rows = function(rows) if function is not None else rows
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    created = source.created_timestamp_column
    ttl = view.ttl if isinstance(view.ttl, timedelta) else timedelta(0)
    return Stored(
        source=source,
        rows=rows,
        time=str(back.get(source.timestamp_field, source.timestamp_field)),
        created=back.get(created, created) or None,
        keys={renamed.get(key, key): back.get(key, key) for key in keys},
        ttl_us=ttl // timedelta(microseconds=1),
        plain=function is None or written,
    )


def _source(view: FeatureView) -> Any:  # noqa: ANN401 - Feast's SparkSource
    if view.batch_source is None:
        msg = f"View {view.name!r} has no batch source, so it has no history. Give it one, and run `feast apply`."
        raise InputError(msg)
    return view.batch_source


def order_of(refs: list[str], asked: Mapping[FeatureView, Asked], *, full: bool) -> list[str]:
    """The features' names in the order they were asked for; on-demand ones come after."""
    views = {each.name: each for each in asked.values()}
    made = []
    for ref in refs:
        view, _, name = ref.partition(":")
        if view in views:
            made.append(f"{view}__{name}" if full else name)
    return list(dict.fromkeys(made))
