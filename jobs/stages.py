"""What the stages of a cut have in common: which views it is of, and what is said to a person."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import cut_text, micros, utc
from features.definitions.views import FeatureView
from features.errors import InputError
from features.settings import Settings
from jobs.commands import Stage

__all__ = ["say", "side_by_side", "stage_views"]

T = TypeVar("T")
R = TypeVar("R")


def stage_views(command: Stage, settings: Settings) -> tuple[Catalog, tuple[FeatureView, ...], int]:
    """The catalogue, the views of the stage that are published as tables, and the cut in microseconds UTC.

    A view whose state cannot be kept has no table and is left out.

    Raises:
        InputError: the cut is on no view's schedule.
        MissingError: a named view does not exist.
    """
    catalog = load_catalog(settings.catalog)
    cut = micros(command.cut)
    named = tuple(catalog.view(name) for name in command.views) or catalog.views
    tabled = tuple(view for view in named if view.tabled)
    fitting = tuple(view for view in tabled if view.schedule.is_cut(cut))
    if command.views and (off := [view for view in tabled if view not in fitting]):
        view = off[0]
        before = view.schedule.cut_before(cut)
        msg = (
            f"{utc(cut).isoformat()} is no cut of view {view.name!r}, whose cuts are {view.schedule.period} apart. "
            f"The nearest are {utc(before).isoformat()} and {utc(before + view.schedule.period_us).isoformat()}."
        )
        raise InputError(msg)
    if not fitting:
        msg = f"No view has a cut at {cut_text(cut)}. Daily cuts are at midnight UTC: write --cut 2026-03-02."
        raise InputError(msg)
    return catalog, fitting, cut


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results in the items' order, two at a time: one plans while the other's tasks run. The first error is raised once all have ended."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [future.result() for future in [pool.submit(work, item) for item in items]]


def say(text: str) -> None:
    """One sentence on what was done."""
    print(text, flush=True)  # noqa: T201
