"""Which entities are linked, and through what: a graph as it was known at any instant, made into sources that any view can read.

A graph's nodes are the keys of one entity and what they use: devices, cards, addresses. An edge is there from the instant on at which the first row
that names both its ends became known; once known it stays. `asof graph` derives three sources from a graph, and views aggregate them as they do all others:

links        an entity and another that it shares a node with, from when on, until that node became a hub
exposures    a link whose other end is marked (known fraud), while it is
components   how the entity's component grew, one row an entity and cut at which it did
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from features.definitions.checks import complain, where_defined
from features.definitions.entities import Entity
from features.definitions.freshness import DAILY, Schedule
from features.definitions.sources import Field, Source, fields

__all__ = ["Graph", "Relation", "graphs_of"]

_NEVER_TOO_LATE = "36500d"
_TIMES = fields("timestamp", "event_time known_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One kind of edge: rows that name an entity and something it uses."""

    name: str
    sources: tuple[Source, ...]
    """Any of their rows makes an edge."""

    to: str
    """The column of each source that holds the other end; null makes no edge."""

    hub: int = 50
    """The most neighbours of an end: one with more tells nothing. See `Graph`."""

    same: bool = False
    """The other end is an entity of the same kind, as in transfers; else it is a node of the relation's own kind."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """Entities and what they share, as known at any instant.

    Neighbours are counted within a relation. Two entities are linked through a node from the instant on at which both edges are known, while the node has
    at most `hub` neighbours; of a relation between entities of the same kind they are also linked directly. An edge joins the components of its ends iff
    both had at most `hub` neighbours just before it, in the order (known, relation, ends); later growth never undoes a join (semantics 4).
    """

    name: str
    entity: Entity
    """With one key column."""

    relations: tuple[Relation, ...]
    marks: tuple[Source, ...] = ()
    """Sources whose rows mark an entity, such as fraud reports: from when they are known until they are taken back."""

    schedule: Schedule = DAILY
    """Components are told at its cuts; views of them have no others."""

    database: str = "graphs"
    owner: str = ""
    description: str = ""
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        for problem, remedy in _problems(self):
            complain(self.where, f"Graph {self.name!r}", problem, remedy)

    @property
    def key(self) -> str:
        """The entity's key column."""
        return self.entity.keys[0]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The sources that it is derived from, each once."""
        found = [source for relation in self.relations for source in relation.sources]
        return tuple(dict.fromkeys((*found, *self.marks)))

    @property
    def links(self) -> Source:
        """A row a pair of linked entities, relation and node between them; voided when that becomes a hub.

        Columns: the entity's key, `other` (a key of the same kind), `relation`, `node` (its id as text; null where the two are linked directly).
        """
        return _derived(self)[0]

    @property
    def components(self) -> Source:
        """A row an entity and cut before which its component grew: how many entities and nodes it has, and how many were added since the row before.

        Columns: the entity's key, `entities`, `entities_added`, `nodes`, `nodes_added`. Its first row counts the entity itself.
        """
        return _derived(self)[1]

    @property
    def exposures(self) -> Source:
        """A row a link and mark of its other end; voided when either ends. Columns as of `links`. Only of a graph with marks."""
        return _derived(self)[2]

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that are derived from it: links, components, and exposures of a graph with marks."""
        return _derived(self)


@cache
def _derived(graph: Graph) -> tuple[Source, ...]:
    """The same objects whenever they are asked for."""
    ends = (Field(name="other", type=graph.entity.type), *fields("string", "relation node"))
    voids = (*fields("int64", "version"), *fields("bool", "voided"))
    sizes = fields("int64", "entities entities_added nodes nodes_added")
    parts = [
        ("links", (*ends, *voids), "Entities that share a node."),
        ("components", sizes, "How entities' components grew."),
        ("exposures", (*ends, *voids), "Links to marked entities."),
    ]
    return tuple(
        Source(
            name=f"{graph.name}_{part}",
            table=f"{graph.database}.{graph.name}_{part}",
            columns=(*fields("string", "row_id"), Field(name=graph.key, type=graph.entity.type), *columns, *_TIMES),
            known_at="known_at",
            event_id="row_id",
            version="version" if part != "components" else None,
            void="voided" if part != "components" else None,
            correctable=_NEVER_TOO_LATE,
            graph=graph,
            owner=graph.owner,
            description=f"{description} Derived by `asof graph`.",
            where=graph.where,
        )
        for part, columns, description in parts
        if part != "exposures" or graph.marks
    )


def graphs_of(sources: Iterable[Source]) -> tuple[Graph, ...]:
    """The graphs that sources are derived from, by name, each once."""
    found = {source.graph.name: source.graph for source in sources if source.graph is not None}
    return tuple(found[name] for name in sorted(found))


def _problems(graph: Graph) -> Iterator[tuple[str, str]]:
    if len(graph.entity.keys) != 1:
        yield (
            f"its entity {graph.entity.name!r} has the keys {graph.entity.keys}.",
            "A node has one key column: name an entity with one.",
        )
        return
    if not graph.relations:
        yield "it has no relations.", "Name at least one: what entities share."
    names = [relation.name for relation in graph.relations]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"it has two relations {name!r}.", "Join their sources, or rename one."
    for relation in graph.relations:
        yield from _relation_problems(graph, relation)
    for source in graph.marks:
        yield from _column_problems(graph, source, f"the mark {source.name!r}", graph.entity.type)


def _relation_problems(graph: Graph, relation: Relation) -> Iterator[tuple[str, str]]:
    place = f"relation {relation.name!r}"
    if relation.hub < 1:
        yield f"{place} has the hub {relation.hub}.", "At least 1 neighbour."
    if not relation.sources:
        yield f"{place} has no sources.", "Name at least one."
    for source in relation.sources:
        yield from _column_problems(graph, source, place, graph.entity.type)
        if relation.to not in source.types:
            yield (
                f"{place} leads to {relation.to!r}, which source {source.name!r} does not have.",
                f"It has {sorted(source.types)}.",
            )
        elif source.types[relation.to] not in ({graph.entity.type} if relation.same else {"string", "int64"}):
            kind = source.types[relation.to]
            yield (
                f"{place} leads to {relation.to!r}, which is {kind} in source {source.name!r}.",
                "A node is named by text or an int64; of the same kind, as the entity's key is.",
            )


def _column_problems(graph: Graph, source: Source, place: str, kind: str) -> Iterator[tuple[str, str]]:
    (key,) = source.key_columns(graph.entity.name, graph.entity.keys)
    if source.types.get(key) != kind:
        yield (
            f"{place} reads source {source.name!r}, whose column {key!r} is {source.types.get(key, 'not there')}.",
            f"The key of {graph.entity.name!r} is {kind}; say which column holds it with keys=.",
        )
    if source.kind != "events":
        yield f"{place} reads source {source.name!r} of kind {source.kind}.", "Edges and marks come from events."
    if source.graph is not None:
        yield (
            f"{place} reads source {source.name!r}, which is derived from a graph.",
            "Edges and marks come from sources that are ingested.",
        )
