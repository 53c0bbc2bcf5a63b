"""Which columns of which source tables a feature's value comes from: through conditions, parents, outcomes and graphs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from features.definitions.expressions import Expression, columns_of
from features.definitions.features import Aggregate, Attribute, Feature, Rate, Requested, taken
from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = ["Read", "bases", "lineage"]

Role = Literal["value", "condition", "key", "time", "outcome", "edge", "mark", "filter", "match"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One column of a source that is ingested."""

    source: str
    """Name of the source whose ingest fills the table."""

    table: str
    column: str
    role: Role
    """value: what is aggregated · condition: which rows count · filter: which rows the source has · key: whose row it is · time: when it happened ·
    outcome, match: what tells of an event, and by which id · edge, mark: what a graph is made of."""

    through: tuple[str, ...] = ()
    """What stands between the column and the feature: a reading of the table, a child that took the column, a graph's source; nearest to the feature first."""


def bases(view: FeatureView, name: str) -> tuple[Feature, ...]:
    """The features that a feature is derived from, itself where it is derived from none; each once."""
    of = {feature.name: feature for feature in view.features}
    if not (parts := taken(of[name])):
        return (of[name],)
    return tuple(dict.fromkeys(feature for part in parts for feature in bases(view, part)))


def lineage(view: FeatureView, name: str) -> tuple[Read, ...]:
    """All columns behind a feature's value, by source, then in the order of reading; each once for each role."""
    found = [read for feature in bases(view, name) for read in _of_feature(view, feature)]
    return tuple(sorted(dict.fromkeys(found), key=lambda read: read.source))


def _of_feature(view: FeatureView, feature: Feature) -> Iterator[Read]:
    source = view.source
    match feature:
        case Aggregate():
            for node in feature.reads:
                yield from _nodes(source, node, "value")
            yield from _nodes(source, feature.where, "condition")
        case Attribute():
            yield from _column(source, feature.column, "value")
        case Rate():
            outcomes = view.outcome(feature.outcomes)
            yield from _nodes(source, feature.eligible, "condition")
            yield from _column(outcomes, feature.of, "match")
            yield from _rows(view, outcomes, "outcome")
        case Requested():
            return  # the ask brings it
        case _:
            pass
    yield from _rows(view, source, "time")


def _rows(view: FeatureView, source: Source, time: Role) -> Iterator[Read]:
    """What says that a row is there at all: its key, when it happened, the source's filter."""
    for column in source.key_columns(view.entity.name, view.keys):
        yield from _column(source, column, "key")
    yield from _column(source, source.event_time, time)
    yield from _nodes(source, source.filter, "filter")


def _nodes(source: Source, node: Expression | None, role: Role) -> Iterable[Read]:
    return (read for column in sorted(columns_of(node)) for read in _column(source, column, role))


def _column(source: Source, column: str, role: Role, through: tuple[str, ...] = ()) -> Iterator[Read]:
    """A column where it was ingested: of a graph's source those the graph is made of, of an enriched one the parent's."""
    passed = (*through, source.name) if source.reads is not None or source.graph is not None else through
    link = source.enriched
    if source.graph is not None:
        yield from _of_graph(source, passed)
    elif link is not None and column not in {own.name for own in source.columns}:
        taken = link.parent.event_time if column == link.time else column
        yield from _column(link.parent, taken, role, (*passed, f"{source.name}.{link.on}"))
    elif (made := next((own.computed for own in source.columns if own.name == column), None)) is not None:
        for name in sorted(columns_of(made)):
            yield from _column(source, name, role, (*through, f"{source.name}.{column}"))
    else:
        yield Read(source=source.ingested_by, table=source.table, column=column, role=role, through=passed)


def _of_graph(source: Source, through: tuple[str, ...]) -> Iterator[Read]:
    graph = source.graph
    if graph is None:
        return
    for relation in graph.relations:
        for part in relation.sources:
            for column in (*part.key_columns(graph.entity.name, graph.entity.keys), relation.to):
                yield from _column(part, column, "edge", through)
    if source in graph.sources[2:]:
        for part in graph.marks:
            for column in part.key_columns(graph.entity.name, graph.entity.keys):
                yield from _column(part, column, "mark", through)
