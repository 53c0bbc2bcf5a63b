"""All definitions of a project, found in its modules, checked together."""

import importlib
import pkgutil
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from features.definitions.checks import collecting
from features.definitions.entities import Entity
from features.definitions.graphs import Graph, graphs_of
from features.definitions.metrics import RiskMetrics
from features.definitions.requests import request_fields
from features.definitions.services import FeatureService, Label
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import AsofError, InvalidCatalogError, MissingError

__all__ = ["Catalog", "check", "load_catalog"]

_OWN = (str(Path(__file__).parent), importlib.__file__ or "<")
T = TypeVar("T", FeatureView, FeatureService, Source, Label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Valid together: names are unique, and every reference leads somewhere."""

    views: tuple[FeatureView, ...] = ()
    services: tuple[FeatureService, ...] = ()
    sources: tuple[Source, ...] = ()
    labels: tuple[Label, ...] = ()
    graphs: tuple[Graph, ...] = ()
    metrics: tuple[RiskMetrics, ...] = ()
    entities: tuple[Entity, ...] = field(default=())

    def view(self, name: str) -> FeatureView:
        """By name.

        Raises:
            MissingError: with the names there are.
        """
        return _named("view", name, self.views)

    def service(self, name: str) -> FeatureService:
        """By name; MissingError otherwise."""
        return _named("service", name, self.services)

    def source(self, name: str) -> Source:
        """By name; MissingError otherwise."""
        return _named("source", name, self.sources)

    def label(self, name: str) -> Label:
        """By name; MissingError otherwise."""
        return _named("label", name, self.labels)

    @property
    def ingested(self) -> tuple[Source, ...]:
        """Sources with a table of their own that views or labels read, or that sources or graphs are made of."""
        told = [source for view in self.views for source in view.sources]
        graphs = [source.graph for source in told if source.graph is not None]
        told += [source for graph in graphs for source in graph.reads]
        read = {source.ingested_by for source in told if source.graph is None}
        read |= {label.outcomes.ingested_by for label in self.labels}
        children = [source for source in self.sources if source.name in read]
        read |= {source.enriched.parent.ingested_by for source in children if source.enriched is not None}
        return tuple(source for source in self.sources if source.name in read)

    def views_of(self, service: FeatureService) -> tuple[tuple[FeatureView, tuple[str, ...]], ...]:
        """Each view of a service with the names of the features it takes."""
        return tuple(
            (view, selection.features or tuple(feature.name for feature in view.features))
            for selection in service.selections
            for view in (self.view(selection.view),)
        )


def _named(what: str, name: str, among: Iterable[T]) -> T:
    found = {item.name: item for item in among}
    if name not in found:
        raise MissingError.of(
            what, name, list(found), "The catalogue's modules define them; the setting `catalog` says which."
        )
    return found[name]


def load_catalog(module: str = "features.catalogue") -> Catalog:
    """Imports a module, all it names of its own package and all below it, and gathers what they define.

    Raises:
        InvalidCatalogError: all problems of all definitions, each with file, name, value and remedy.
        MissingError: there is no such module, or it defines nothing.
    """
    with collecting() as problems:
        try:
            modules = list(_modules(importlib.import_module(module)))
        except ModuleNotFoundError as error:
            if error.name and not module.startswith(error.name):
                raise _broken(module, error) from error
            msg = f"There is no module {module!r} with definitions. Set `catalog` in asof.toml, or ASOF_CATALOG, to one that can be imported."
            raise MissingError(msg) from error
        except AsofError:
            raise
        except Exception as error:
            raise _broken(module, error) from error
        catalog = _gather(modules)
        found = [*dict.fromkeys(problems), *check(catalog)]
    if found:
        raise InvalidCatalogError(found)
    if not (catalog.views or catalog.sources):
        msg = f"The module {module!r} defines no source and no view. Set `catalog` in asof.toml, or ASOF_CATALOG, to the module of your definitions."
        raise MissingError(msg)
    return catalog


def _broken(module: str, error: Exception) -> InvalidCatalogError:
    """Python's own words, and the author's line that they are about."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(("<", *_OWN))
        ]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else module
    return InvalidCatalogError(
        [f"{where}: {module} cannot be imported: {type(error).__name__}: {error}. Mend that line."]
    )


def _modules(root: ModuleType) -> Iterable[ModuleType]:
    yield root
    for value in vars(root).values():
        if isinstance(value, ModuleType) and value.__name__.split(".")[0] == root.__name__.split(".")[0]:
            yield value
    if hasattr(root, "__path__"):
        for item in sorted(pkgutil.walk_packages(root.__path__, root.__name__ + "."), key=lambda found: found.name):
            yield importlib.import_module(item.name)


def _gather(modules: Iterable[ModuleType]) -> Catalog:
    seen = {id(item): item for item in _defined(modules)}
    views = tuple(item for item in seen.values() if isinstance(item, FeatureView))
    for view in views:
        for part in (view.entity, *view.sources, *(s.enriched.parent for s in view.sources if s.enriched)):
            seen.setdefault(id(part), part)
    metrics = tuple(item for item in seen.values() if isinstance(item, RiskMetrics))
    for item in metrics:
        seen.setdefault(id(item.label), item.label)
    labels = tuple(item for item in seen.values() if isinstance(item, Label))
    graphs = _graphs_among(seen.values())
    told = [source for label in labels for source in _sources_of(label)]
    for source in (*told, *(source for graph in graphs for source in (*graph.reads, *graph.sources))):
        seen.setdefault(id(source), source)
    return Catalog(
        views=views,
        services=tuple(item for item in seen.values() if isinstance(item, FeatureService)),
        sources=tuple(item for item in seen.values() if isinstance(item, Source)),
        labels=labels,
        graphs=graphs,
        metrics=metrics,
        entities=tuple(item for item in seen.values() if isinstance(item, Entity)),
    )


def _graphs_among(items: Iterable[object]) -> tuple[Graph, ...]:
    """Those that are there, and those that sources which are there are derived from."""
    there = list(items)
    derived = graphs_of(item for item in there if isinstance(item, Source))
    return tuple(dict.fromkeys((*(item for item in there if isinstance(item, Graph)), *derived)))


def _defined(modules: Iterable[ModuleType]) -> Iterable[object]:
    for value in (value for module in modules for value in vars(module).values()):
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, FeatureView | FeatureService | Source | Label | Entity | Graph | RiskMetrics):
                yield item


def _sources_of(label: Label) -> Iterable[Source]:
    link = label.outcomes.enriched
    parent = None if link is None else link.parent
    return (source for source in (label.outcomes, label.events, parent) if source is not None)


def check(catalog: Catalog) -> list[str]:
    """What is wrong between definitions; each on its own was checked when it was made."""
    found: list[str] = []
    for kind, items in (
        ("FeatureView", catalog.views),
        ("FeatureService", catalog.services),
        ("Source", catalog.sources),
        ("Label", catalog.labels),
        ("Graph", catalog.graphs),
        ("RiskMetrics", catalog.metrics),
    ):
        names: dict[str, str] = {}
        for item in items:
            if (lower := item.name.lower()) in names:  # Hive knows no case
                found.append(
                    f"{item.where}: {kind} {item.name!r}: the name is taken by the one at {names[lower]}. Rename one of them."
                )
            names.setdefault(lower, item.where)
    views = {view.name: view for view in catalog.views}
    for service in catalog.services:
        for selection in service.selections:
            place = f"{service.where}: FeatureService {service.name!r}:"
            if selection.view not in views:
                found.append(
                    f"{place} there is no view {selection.view!r}. Known: {', '.join(sorted(views)) or 'none'}."
                )
                continue
            names_ = {feature.name for feature in views[selection.view].features}
            found += [f"{place} view {selection.view!r} has no feature {name!r}. It has {', '.join(sorted(names_)[:10])}."
                      for name in selection.features or () if name not in names_]  # fmt: skip
        found += [
            f"{service.where}: FeatureService {service.name!r}: it has a policy for {policy.view}.{policy.feature}, which view {policy.view!r} does not have. "
            "Name one of its features."
            for policy in service.policies
            if policy.feature is not None
            and policy.view in views
            and policy.feature not in {feature.name for feature in views[policy.view].features}
        ]
    return found + _reads(catalog) + _cuts_of_graphs(catalog) + _one_type_a_request_field(catalog)


def _one_type_a_request_field(catalog: Catalog) -> list[str]:
    """Whoever asks a service brings one value of a name, for all views, as a key or as a request field."""
    found, views = [], {view.name: view for view in catalog.views}
    for service in catalog.services:
        kinds: dict[str, set[str]] = {}
        taken = [views[selection.view] for selection in service.selections if selection.view in views]
        for name, kind in (pair for view in taken for pair in request_fields([view]).items()):
            kinds.setdefault(name, set()).add(kind)
        for view in taken:
            for name in (name for name in view.keys if name in kinds):
                kinds[name].add(view.entity.type)
        found += [
            f"{service.where}: FeatureService {service.name!r}: its views want {name!r} as {' and as '.join(sorted(several))}. Rename one of the columns, or make two services."
            for name, several in kinds.items()
            if len(several) > 1
        ]
    return found


def _cuts_of_graphs(catalog: Catalog) -> list[str]:
    """Components are told at a graph's cuts alone: at any other, a view would miss what the graph knows."""
    found = []
    for view in catalog.views:
        for source in view.sources:
            if source.graph is None or source is not source.graph.components:
                continue
            grid, own = source.graph.schedule, view.schedule
            if not view.served or own.period_us % grid.period_us or (own.phase_us - grid.phase_us) % grid.period_us:
                found.append(
                    f"{view.where}: FeatureView {view.name!r}: it reads {source.name!r}, which is told at the cuts of graph {source.graph.name!r}, {grid.period} apart. "
                    "Give the view a schedule with no other cuts."
                )
    return found


def _reads(catalog: Catalog) -> list[str]:
    known = {source.name for source in catalog.sources}
    return [
        f"{source.where}: Source {source.name!r}: it reads the table of {source.reads!r}, which is not defined. Define that source, or leave reads away."
        for source in catalog.sources
        if source.reads is not None and source.reads not in known
    ]
