"""`asof page`: the catalogue as one HTML file, from the definitions and what the last runs left. Neither Spark nor a network (docs/catalogue-page.md)."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.meanings import freshness_text, request_text
from features.definitions.phrases import condition_text
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.state.bounds import bound_text
from jobs.files import write_text
from jobs.page.cards import Expectation, FeatureCard, feature_cards, view_expectations
from jobs.page.runs import Problems, SourceRuns, ViewRuns, last_proofs, source_runs, view_runs
from jobs.stages import say

if TYPE_CHECKING:
    from jobs.commands import Page

__all__ = ["catalogue_page", "run"]

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class _ViewPart:
    view: FeatureView
    freshness: str
    request: str
    """What an ask brings; empty where it brings its key alone."""

    state: str
    """How large a key's state gets; empty where lookups need none."""

    runs: ViewRuns
    cards: tuple[FeatureCard, ...]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourcePart:
    source: Source
    views: tuple[str, ...]
    """Those that read it, through a parent or a graph too."""

    runs: SourceRuns

    @property
    def computed(self) -> dict[str, str]:
        """What computed columns are made of, in words."""
        return {
            column.name: condition_text(column.computed)
            for column in self.source.columns if column.computed is not None
        }  # fmt: skip


def run(command: "Page", settings: Settings) -> int:
    """Writes the file whole or not at all, and says where it is."""
    path = str(Path(command.out).absolute()) if command.out is not None else str(settings.docs / "catalogue.html")
    catalog, problems = load_catalog(settings.catalog), Problems()
    write_text(path, catalogue_page(settings, catalog, problems, cuts=command.cuts))
    damaged = f"; pieces damaged and named on it: {len(problems.found)}" if problems.found else ""
    features = sum(len(view.features) for view in catalog.views)
    say(f"The catalogue page of {features} features in {len(catalog.views)} views is {path}{damaged}.")
    return 0


def catalogue_page(settings: Settings, catalog: Catalog, problems: Problems, *, cuts: int) -> str:
    """The page's text, with the last `cuts` cuts of each view; what cannot be read is added to `problems`, and named on it."""
    proofs = last_proofs(settings, catalog, problems)
    views = []
    for view in catalog.views:
        runs = view_runs(settings, view, cuts, problems)
        cards = feature_cards(view, catalog.services, _taken(catalog, view), runs, proofs.get(view.name))
        views.append(
            _ViewPart(view=view, freshness=freshness_text(view), request=request_text(view), state=bound_text(view) if view.stateful else "", runs=runs, cards=tuple(cards), expectations=view_expectations(view, runs))
        )  # fmt: skip
    sources = [
        _SourcePart(source=source, views=_readers(source, views), runs=source_runs(settings, source, problems))
        for source in catalog.sources if source.reads is None
    ]  # fmt: skip
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return _template().render(
        catalog=catalog, views=views, sources=sources, problems=problems.found, at=settings.now(), cuts=cuts, proofs=proofs,
        services=[(service, catalog.views_of(service)) for service in catalog.services], choices=_choices(views),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")), script=Markup(script), digest=_digest(script),  # noqa: S704 - our own files
    )  # fmt: skip


@cache
def _template() -> jinja2.Template:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )  # fmt: skip
    made.filters["words"] = condition_text
    return made.get_template("page.html")


def _digest(script: str) -> str:
    """The one script that the page's policy lets run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _taken(catalog: Catalog, view: FeatureView) -> dict[str, Sequence[str]]:
    return {
        service.name: names for service in catalog.services for each, names in catalog.views_of(service) if each is view
    }


def _readers(source: Source, views: Sequence[_ViewPart]) -> tuple[str, ...]:
    derived = {part.name for part in source.graph.sources} if source.graph is not None else set[str]()
    return tuple(
        part.view.name for part in views
        if any(origin.source == source.name for card in part.cards for origin in card.origins)
        or any(each.name == source.name and each.name in derived for each in part.view.sources)
    )  # fmt: skip


def _choices(views: Sequence[_ViewPart]) -> dict[str, list[tuple[str, int]]]:
    """Each filter's values, with how many features each has."""
    found: dict[str, dict[str, int]] = {"entity": {}, "view": {}, "service": {}, "owner": {}}
    for part in views:
        for kind, name in (("entity", part.view.entity.name), ("view", part.view.name), ("owner", part.view.owner)):
            found[kind][name] = found[kind].get(name, 0) + len(part.cards)
        for card in part.cards:
            for name in card.services:
                found["service"][name] = found["service"].get(name, 0) + 1
    return {kind: sorted(counts.items()) for kind, counts in found.items()}
