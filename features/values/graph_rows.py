"""Edges, links, exposures and components of a graph as rows of its sources, where the rows are few: Arrow, numpy and numba. `jobs.graph_rows` gives the same in Spark.

Ids are text; where an order decides, it is that of their UTF-8 bytes. Instants are int64 microseconds UTC. A function that is told `most` gives None where
it would make more rows than that of links, pairs of a link and a mark, or steps of a component.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.expressions import columns_of
from features.definitions.graphs import Graph, Relation
from features.definitions.sources import Source
from features.values.components import Edges, grown
from features.values.expressions import mask
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, RETRACT

__all__ = ["component_rows", "edges", "exposure_rows", "link_rows", "links", "marks", "read_columns"]

Array = np.ndarray
_FOREVER = 2**63 - 1
_OWN = ("asof_op", "asof_known_at", "asof_undoes")
_EDGE = ("relation", "subject", "node")
_FOUND = pa.schema([*((name, pa.string()) for name in _EDGE), ("known", pa.int64())])
_MARKS = pa.schema([("other", pa.string()), ("mark", pa.string()), ("marked", pa.int64()), ("unmarked", pa.int64())])
_INSTANT = ARROW_TYPES["timestamp"]


def read_columns(graph: Graph, source: Source) -> tuple[str, ...]:
    """The columns of a source's stored rows that a graph is derived from: the source's in their order, then Asof's own."""
    ends = {relation.to for relation in graph.relations if source in relation.sources}
    event = {source.event_id} if source in graph.marks and source.event_id is not None else set[str]()
    wanted = {*source.key_columns(graph.entity.name, graph.entity.keys), source.event_time, *ends, *event}
    return (*(name for name in source.types if name in wanted | columns_of(source.filter)), *_OWN)


def edges(graph: Graph, known: Mapping[str, pa.Table], before: int) -> pa.Table:
    """Each edge once: relation, subject, node (ids as text; of a relation within one kind the lesser is the subject), known (< before).

    A row that names an entity twice, a loop, makes no edge.

    Args:
        graph: whose edges they are.
        known: of each source of the relations, by name, its additions and retractions known before the instant, `read_columns` of them.
        before: an instant.
    """
    parts = [_FOUND.empty_table()]
    for relation in graph.relations:
        for source in relation.sources:
            rows = _counting(source, known[source.name])
            rows = rows.filter(pc.equal(rows["asof_op"], ADD))
            (key,) = source.key_columns(graph.entity.name, graph.entity.keys)
            ends = rows[key].cast(pa.string()), rows[relation.to].cast(pa.string())
            parts.append(_edges_of(relation, *ends, _since(source, rows)))
    found = pa.concat_tables(parts)
    found = found.filter(pc.less(found["known"], before))
    return found.group_by(_EDGE).aggregate([("known", "min")]).rename_columns([*_EDGE, "known"])


def _edges_of(relation: Relation, subject: pa.ChunkedArray, node: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.Table:
    name = pa.array([relation.name] * len(known), pa.string())
    found = pa.table([name, subject, node, known], schema=_FOUND)
    found = found.filter(pc.and_(subject.is_valid(), node.is_valid()))
    if not relation.same:
        return found
    found = found.filter(pc.not_equal(found["subject"], found["node"]))
    ordered = pc.less(found["subject"], found["node"])
    lesser, greater = (
        pc.if_else(ordered, found[one], found[other]) for one, other in (("subject", "node"), ("node", "subject"))
    )
    return pa.table([found["relation"], lesser, greater, found["known"]], schema=_FOUND)


def _since(source: Source, rows: pa.Table) -> pa.ChunkedArray:
    """When a row counts: a lag delays it."""
    known = rows["asof_known_at"].cast(pa.int64())
    if not source.lag_us:
        return known
    return pc.max_element_wise(known, pc.add(rows[source.event_time].cast(pa.int64()), source.lag_us))


def _counting(source: Source, rows: pa.Table) -> pa.Table:
    """Rows that meet their source's filter."""
    if source.filter is None:
        return rows
    columns = {name: rows[name].combine_chunks() for name in columns_of(source.filter)}
    return rows.filter(pa.array(mask(source.filter, columns, len(rows))))


def links(graph: Graph, made: pa.Table, most: int) -> pa.Table | None:
    """Pairs of entities: relation, middle, subject, other, since, until (known from since on to before until, each exclusive at a cut)."""
    around = _around(graph, made)
    (middle, subject), _ = _ranks(around["middle"], around["subject"])
    relation, known = _relations(graph, around), _int64(around["known"])
    order = np.lexsort((subject, known, middle, relation))
    start, size = _groups(relation[order], middle[order])
    hub = _hubs(graph)[relation[order[start]]]
    linking = np.minimum(size, hub)
    direct = around.filter(pa.array(_same(graph)[relation]))
    if int((linking * (linking - 1)).sum()) + len(direct) > most:
        return None
    ended = np.full(len(start), _FOREVER)
    full = size > hub
    ended[full] = known[order[start[full] + hub[full]]]
    one = np.repeat(_spans(start, linking), np.repeat(linking, linking))
    other = _spans(np.repeat(start, linking), np.repeat(linking, linking))
    since, until = np.maximum(known[order[one]], known[order[other]]), np.repeat(ended, linking * linking)
    kept = (one != other) & (since < until)
    first, second = order[one[kept]], order[other[kept]]
    through = {
        **{name: around[name].take(pa.array(first)) for name in ("relation", "middle", "subject")},
        "other": around["subject"].take(pa.array(second)), "since": since[kept], "until": until[kept],
    }  # fmt: skip
    along = {
        "relation": direct["relation"], "middle": pa.nulls(len(direct), pa.string()), "subject": direct["subject"],
        "other": direct["middle"], "since": direct["known"], "until": np.full(len(direct), _FOREVER),
    }  # fmt: skip
    return pa.concat_tables([pa.table(through), pa.table(along)]).combine_chunks()


def _around(graph: Graph, made: pa.Table) -> pa.Table:
    """Both directions of each edge along which a link can go: relation, middle (a node), subject, known."""
    names = ["relation", "middle", "subject", "known"]
    back = made.filter(pa.array(_same(graph)[_relations(graph, made)]))
    parts = [
        made.select(["relation", "node", "subject", "known"]), back.select(["relation", "subject", "node", "known"]),
    ]  # fmt: skip
    return pa.concat_tables([part.rename_columns(names) for part in parts]).combine_chunks()


def link_rows(graph: Graph, linked: pa.Table, before: int) -> pa.Table:
    """Rows of `graph.links`, both versions of each link that ended, known before an instant."""
    named = _joined(*(linked[name] for name in ("relation", "middle", "subject", "other")))
    return _versions(graph, graph.links, linked.append_column("row_id", named), before)


def marks(graph: Graph, known: Mapping[str, pa.Table]) -> pa.Table:
    """From when until when a row marks an entity: other, mark, marked, unmarked.

    Args:
        graph: with marks.
        known: of each source that marks, by name, its additions and retractions, `read_columns` of them.
    """
    parts = [_MARKS.empty_table(), *(_marks_of(graph, source, known[source.name]) for source in graph.marks)]
    return pa.concat_tables(parts)


def _marks_of(graph: Graph, source: Source, rows: pa.Table) -> pa.Table:
    rows = _counting(source, rows)
    (key,) = source.key_columns(graph.entity.name, graph.entity.keys)
    event = pa.nulls(len(rows), pa.string()) if source.event_id is None else rows[source.event_id].cast(pa.string())
    told = pa.table({
        "event": event, "at": rows["asof_known_at"].cast(pa.int64()), "undoes": rows["asof_undoes"].cast(pa.int64()),
        "other": rows[key].cast(pa.string()), "marked": _since(source, rows),
    })  # fmt: skip
    added, taken = (told.filter(pc.equal(rows["asof_op"], op)) for op in (ADD, RETRACT))
    ended = taken.select(["event", "undoes", "at"]).rename_columns(["event", "at", "ended"])
    found = added.filter(added["other"].is_valid()).join(ended, ["event", "at"], join_type="left outer")
    mark = _joined(pa.array([source.name] * len(found), pa.string()), found["event"], found["at"].cast(pa.string()))
    found = found.append_column("mark", mark).group_by(["other", "mark", "marked"]).aggregate([("ended", "max")])
    until = pc.fill_null(found["ended_max"], _FOREVER)
    found = pa.table([found["other"], found["mark"], found["marked"], until], schema=_MARKS)
    return found.filter(pc.less(found["marked"], found["unmarked"]))


def exposure_rows(graph: Graph, linked: pa.Table, marked: pa.Table, before: int, most: int) -> pa.Table | None:
    """Rows of `graph.exposures`, known before an instant, of what `links` and `marks` give."""
    (of_link, of_mark), _ = _ranks(linked["other"], marked["other"])
    order = np.argsort(of_mark, kind="stable")
    start, end = (np.searchsorted(of_mark[order], of_link, side) for side in ("left", "right"))
    if int((end - start).sum()) > most:
        return None
    link, mark = np.repeat(np.arange(len(linked)), end - start), order[_spans(start, end - start)]
    since = np.maximum(_int64(linked["since"])[link], _int64(marked["marked"])[mark])
    until = np.minimum(_int64(linked["until"])[link], _int64(marked["unmarked"])[mark])
    there = since < until
    pairs = linked.take(pa.array(link[there])).append_column("mark", marked["mark"].take(pa.array(mark[there])))
    named = _joined(*(pairs[name] for name in ("relation", "middle", "subject", "other", "mark")))
    found = pa.table({
        "row_id": named, **{name: pairs[name] for name in ("relation", "middle", "subject", "other")},
        "since": since[there], "until": until[there],
    })  # fmt: skip
    return _versions(graph, graph.exposures, found, before)


def _versions(graph: Graph, source: Source, found: pa.Table, before: int) -> pa.Table:
    """Version 0 of each row from since on; a void of it from until on."""
    parts = []
    for version, at in enumerate(("since", "until")):
        rows = found.filter(pc.less(found[at], before))
        ends = {name: rows[of].cast(ARROW_TYPES[graph.entity.type]) for name, of in ((graph.key, "subject"), ("other", "other"))}  # fmt: skip
        parts.append(pa.table({
            "row_id": rows["row_id"], **ends, "relation": rows["relation"], "node": rows["middle"], "version": np.full(len(rows), version), "voided": np.full(len(rows), version == 1),
            "event_time": rows["since"].cast(_INSTANT), "known_at": rows[at].cast(_INSTANT),
        }))  # fmt: skip
    return pa.concat_tables(parts).select([column.name for column in source.columns])


def component_rows(graph: Graph, made: pa.Table, *, since: int, most: int) -> pa.Table | None:
    """Rows of `graph.components`, those of the cuts after `since`."""
    (subject, node), ids = _ranks(made["subject"], made["node"])
    relation, known = _relations(graph, made), _int64(made["known"])
    kind = np.where(_same(graph)[relation], 0, 1 + relation)  # a relation's nodes are a kind of their own
    joins = _joining(graph, relation, kind, (subject, node, known))
    numbered = Edges(left=subject, right=kind * len(ids) + node, known=known, joins=joins, entity=kind == 0)
    names = ("node", "known", "entities", "entities_added", "nodes", "nodes_added")
    parts, count = [[np.empty(0, np.int64)] * len(names)], 0
    for growth in grown(numbered, period=graph.schedule.period_us, phase=graph.schedule.phase_us, since=since):
        parts.append([getattr(growth, name) for name in names])
        count += len(growth.node)
        if count > most:
            return None
    found = dict(zip(names, (pa.array(np.concatenate(column)) for column in zip(*parts, strict=True)), strict=True))
    entity, known_at = ids.take(found.pop("node")), found.pop("known")
    rows = pa.table({
        "row_id": _joined(entity, known_at.cast(pa.string())), graph.key: entity.cast(ARROW_TYPES[graph.entity.type]), **found,
        "event_time": known_at.cast(_INSTANT), "known_at": known_at.cast(_INSTANT),
    })  # fmt: skip
    return rows.select([column.name for column in graph.components.columns])


def _joining(graph: Graph, relation: Array, kind: Array, edge: tuple[Array, Array, Array]) -> Array:
    """Of each edge whether both ends had at most `hub` neighbours just before it."""
    subject, node, known = edge
    count = len(known)
    halves = [
        np.concatenate(pair)
        for pair in ((node, node), (subject, subject), (known, known), (subject, node), (np.zeros_like(kind), kind), (relation, relation))
    ]  # fmt: skip
    order = np.lexsort(halves)
    start, size = _groups(*(part[order] for part in halves[3:]))
    before = np.empty(2 * count, np.int64)
    before[order] = np.arange(2 * count) - np.repeat(start, size)
    joins: Array = np.maximum(before[:count], before[count:]) <= _hubs(graph)[relation]
    return joins


def _hubs(graph: Graph) -> Array:
    """Of each relation the most neighbours of an end."""
    return np.array([relation.hub for relation in graph.relations], np.int64)


def _same(graph: Graph) -> Array:
    """Of each relation whether both its ends are entities of one kind."""
    return np.array([relation.same for relation in graph.relations], bool)


def _relations(graph: Graph, rows: pa.Table) -> Array:
    """Of each row the place of its relation among the graph's."""
    return _int64(pc.index_in(rows["relation"], pa.array([relation.name for relation in graph.relations])))


def _ranks(*columns: pa.ChunkedArray) -> tuple[list[Array], pa.Array]:
    """Of each text its place in the order of bytes, null before all, and the texts in that order."""
    every = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    texts = pc.unique(every).drop_null()
    texts = texts.take(pc.array_sort_indices(texts))
    return [_int64(pc.fill_null(pc.index_in(column, texts), -1)) for column in columns], texts


def _joined(*parts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts as one that no others give: each with its length in characters before it."""
    told = (pc.binary_join_element_wise(pc.utf8_length(part).cast(pa.string()), part, ":") for part in parts)
    return pc.binary_join_element_wise(*(pc.fill_null(part, "-") for part in told), "")


def _groups(*keys: Array) -> tuple[Array, Array]:
    """Of sorted rows where each group of equal keys begins, and how many it has."""
    first = np.ones(len(keys[0]), bool)
    first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    start = np.flatnonzero(first)
    return start, np.diff(start, append=len(first))


def _spans(start: Array, count: Array) -> Array:
    """The numbers start, start + 1, … of each span, one span after another."""
    made: Array = np.arange(int(count.sum())) + np.repeat(start - np.cumsum(count) + count, count)
    return made


def _int64(column: pa.Array | pa.ChunkedArray) -> Array:
    return np.asarray(column.to_numpy()).astype(np.int64)
