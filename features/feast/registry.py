"""Feast's registry: filled from the catalogue through Feast's own API, and told of every load."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from feast import FeatureStore
from feast.errors import FeatureViewNotFoundException
from sqlalchemy.exc import OperationalError

from features.definitions.catalog import Catalog
from features.definitions.names import utc
from features.errors import BusyError, MissingError
from features.feast.objects import Objects, compile_catalog
from features.feast.repository import write_repository
from features.feast.tags import is_own
from features.settings import Settings
from features.store.keys import PROJECT

__all__ = ["Applied", "Watermarks", "apply"]

_DUMMY = "__dummy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the registry holds after an apply, by name."""

    entities: tuple[str, ...]
    views: tuple[str, ...]
    services: tuple[str, ...]
    deleted: tuple[str, ...]
    """Names of what was no longer defined, the kind before each."""


def apply(catalog: Catalog, settings: Settings) -> Applied:
    """Makes the registry say what the catalogue says: no folder is scanned, no Spark starts, watermarks stay. Twice is as good as once.

    Raises:
        InvalidCatalogError: definitions that Feast's stores cannot tell apart.
        BusyError: the registry is held by somebody else, or does not answer.
    """
    objects = compile_catalog(catalog)
    with _feast(settings) as store:
        _keep_watermarks(store, objects)
        gone = _undefined(store, objects)
        store.apply(
            [objects.project, *objects.entities, *objects.sources, *objects.views, *objects.services],
            objects_to_delete=[item for _, item in gone],
            partial=False,
        )
    return Applied(
        entities=tuple(item.name for item in objects.entities),
        views=tuple(item.name for item in objects.views),
        services=tuple(item.name for item in objects.services),
        deleted=tuple(f"{kind} {item.name}" for kind, item in gone),
    )


class Watermarks:
    """Tells the registry which spans of a view are online. A view never enters Feast's state MATERIALIZING, in which it is not served."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def require(self, view: str) -> None:
        """Checks that the registry knows the view.

        Raises:
            MissingError: it does not; the message says what to run.
            BusyError: the registry does not answer.
        """
        with _feast(self._settings) as store:
            _registered(store, view)

    def record(self, view: str, *, cut: int, valid_from: int) -> None:
        """The span from a cut to its valid_from (microseconds UTC) is online. Recording it twice changes nothing.

        Raises:
            MissingError: the registry does not know the view.
            BusyError: the registry does not answer.
        """
        with _feast(self._settings) as store:
            known = _registered(store, view)
            span = (utc(cut), utc(valid_from))
            if span not in known.materialization_intervals:
                store.registry.apply_materialization(known, PROJECT, *span)


def _registered(store: FeatureStore, view: str) -> Any:  # noqa: ANN401 - Feast's FeatureView
    try:
        return store.registry.get_feature_view(view, PROJECT, allow_cache=False)
    except FeatureViewNotFoundException as error:
        msg = f"Feast's registry has no view {view!r}. Run `asof apply` first; it writes all definitions there."
        raise MissingError(msg) from error


@contextmanager
def _feast(settings: Settings) -> Iterator[FeatureStore]:
    folder = write_repository(settings)
    try:
        with warnings.catch_warnings():
            # Feast warns of its own alpha parts and of its own deprecations at each call.
            warnings.simplefilter("ignore")
            yield FeatureStore(repo_path=str(folder))
    except OperationalError as error:
        msg = f"Feast's registry ({settings.registry.kind}, under {folder}) does not answer: {error.orig}. Try again; nothing was half written that a second run does not mend."
        raise BusyError(msg) from error


def _keep_watermarks(store: FeatureStore, objects: Objects) -> None:
    """What the registry learned of a view since its first apply stays, so an unchanged view is equal to the one it holds."""
    known = {view.name: view for view in store.registry.list_feature_views(PROJECT, allow_cache=False)}
    for view in objects.views:
        if (old := known.get(view.name)) is not None:
            view.materialization_intervals = old.materialization_intervals
            view.state = old.state
            view.enabled = old.enabled


def _undefined(store: FeatureStore, objects: Objects) -> list[tuple[str, Any]]:
    """Of Asof's own; what a team registered beside it through Feast stays."""
    registry, found = store.registry, list[tuple[str, Any]]()
    for kind, held, wanted in (
        ("service", registry.list_feature_services(PROJECT, allow_cache=False), objects.services),
        ("view", registry.list_feature_views(PROJECT, allow_cache=False), objects.views),
        ("source", registry.list_data_sources(PROJECT, allow_cache=False), objects.sources),
        ("entity", registry.list_entities(PROJECT, allow_cache=False), objects.entities),
    ):
        names = {item.name for item in wanted} | {_DUMMY}
        found += [(kind, item) for item in held if item.name not in names and is_own(item)]
    return found
