"""Request fields: what an ask brings beside its key, and the event that it counts as (semantics 3)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from features.definitions.expressions import ColumnType, columns_of
from features.definitions.features import Rate, Requested
from features.definitions.sources import Source

if TYPE_CHECKING:
    from features.definitions.views import FeatureView

__all__ = ["followers", "request_fields", "request_problems", "requested_problems"]

Problem = tuple[str, str, str]
"""Feature, what is wrong, what to do."""


def followers(source: Source, request: tuple[str, ...]) -> tuple[str, ...]:
    """Computed columns of a source that follow from request fields and the asked instant: all that they are computed from is one of these."""
    there = {*request, source.event_time}
    return tuple(
        each.name
        for each in source.columns
        if each.computed is not None and each.name not in request and columns_of(each.computed) <= there
    )


def request_fields(views: Iterable["FeatureView"]) -> dict[str, ColumnType]:
    """The request fields that some views need together, with their types, in the order of the views."""
    return {name: view.source.types[name] for view in views for name in view.request}


def request_problems(view: "FeatureView") -> list[Problem]:
    """What is wrong with a view's request fields."""
    if not view.request and not view.include_self:
        return []
    if view.source.kind != "events" or view.served or view.unkept is not None:
        problem = "it has request fields or include_self, but nothing of it is finished when it is asked."
        return [
            (
                "",
                problem,
                'Give it EventFreshness, or a schedule with anchor="ask", over a source of events that can be looked up.',
            )
        ]
    source = view.source
    taken = {
        *source.key_columns(view.entity.name, view.keys),
        source.event_time,
        source.known_at,
        source.void,
        source.version,
    }
    found = [_column_problem(view, name, taken) for name in view.request]
    if len(set(view.request)) != len(view.request):
        found.append(("", "a request field is named twice.", "Name each once."))
    used = {feature.column for feature in view.features if isinstance(feature, Requested)}
    if not view.include_self and (idle := [name for name in view.request if name not in used]):
        found.append(
            ("", f"nothing uses the request fields {idle}.", "Take them out, or use requested() or include_self.")
        )
    if view.include_self:
        found += _self_problems(view)
    return [each for each in found if each is not None]


def _column_problem(view: "FeatureView", name: str, taken: set[str | None]) -> Problem | None:
    source = view.source
    if name not in source.types:
        return (
            "",
            f"request field {name!r} is no column of source {source.name!r}.",
            f"Use {sorted(set(source.types) - taken)}.",
        )
    if name in taken:
        return (
            "",
            f"request field {name!r} is what the ask says by its key or its instant, or tells one version from another.",
            "Leave it out.",
        )
    computed = next((each.computed for each in source.columns if each.name == name), None)
    if computed is not None:
        return (
            "",
            f"request field {name!r} is computed.",
            f"Ask for {sorted(columns_of(computed))}, from which it follows.",
        )
    return None


def _self_problems(view: "FeatureView") -> list[Problem | None]:
    found: list[Problem | None] = [
        (feature.name, "a rate counts outcomes, and an ask has none.", "Put rates into a view without include_self.")
        for feature in view.features
        if isinstance(feature, Rate)
    ]
    there = {*view.request, view.source.event_time, *followers(view.source, view.request)}
    if lacking := sorted(columns_of(view.source.filter) - there):
        problem = f"its source keeps rows by {lacking}, which no request field gives: no ask would ever count."
        found.append(("", problem, "Declare them as request fields."))
    return found


def requested_problems(feature: Requested, request: tuple[str, ...]) -> list[tuple[str, str]]:
    """What is wrong with a feature that is a request field."""
    if feature.column in request:
        return []
    return [
        (f"{feature.column!r} is no request field of the view.", f"Add it to request; there are {sorted(request)}.")
    ]
