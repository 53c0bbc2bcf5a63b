"""Components that grow, against a graph rebuilt at each cut."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.values.components import Edges, grown

Edge = tuple[str, str, int, bool]
PERIOD, PHASE = 10, 3
ENTITIES, NODES = "abcdef", "uvw"


def sizes(edges: list[Edge], since: int = -100) -> dict[int, dict[str, list[tuple[int, int, int, int, int]]]]:
    """Of each cut the rows of each entity: known, entities, entities_added, nodes, nodes_added."""
    number = {name: ord(name) for name in ENTITIES + NODES}
    made: dict[int, dict[str, list[tuple[int, int, int, int, int]]]] = {}
    left, right = (
        np.array([number[name] for name in names], np.int64)
        for names in ([edge[0] for edge in edges], [edge[1] for edge in edges])
    )
    known, joins = np.array([edge[2] for edge in edges], np.int64), np.array([edge[3] for edge in edges], bool)
    entity = np.array([edge[1] in ENTITIES for edge in edges], bool)
    for growth in grown(Edges(left, right, known, joins, entity), period=PERIOD, phase=PHASE, since=since):
        for node, *row in zip(
            growth.node,
            growth.known,
            growth.entities,
            growth.entities_added,
            growth.nodes,
            growth.nodes_added,
            strict=True,
        ):
            cut = (row[0] - PHASE) // PERIOD * PERIOD + PHASE + PERIOD
            made.setdefault(int(cut), {}).setdefault(chr(node), []).append(tuple(map(int, row)))  # type: ignore[arg-type]
    return made


def component(edges: list[Edge], entity: str, cut: int) -> set[str]:
    """Of the graph of the edges known before a cut, by walking it; empty where no edge names the entity."""
    before = [edge for edge in edges if edge[2] < cut]
    found = {entity} if any(entity in edge[:2] for edge in before) else set()
    while more := {end for a, b, _, joins in before if joins and {a, b} & found for end in (a, b)} - found:
        found |= more
    return found


def test_a_first_row_counts_the_entity_itself_and_later_ones_what_came() -> None:
    edges = [("a", "u", 4, True), ("b", "u", 25, True), ("c", "v", 25, False)]
    assert sizes(edges) == {
        13: {"a": [(4, 1, 1, 2, 2)]},
        33: {"a": [(25, 2, 1, 3, 1)], "b": [(25, 2, 2, 3, 3)], "c": [(25, 1, 1, 1, 1)]},
    }


def test_an_edge_that_is_known_at_a_cut_counts_after_it() -> None:
    assert list(sizes([("a", "u", 13, True)])) == [23]


def test_what_was_told_before_is_not_told_again() -> None:
    assert sizes([("a", "u", 4, True), ("b", "u", 25, True)], since=13) == {
        33: {"a": [(25, 2, 1, 3, 1)], "b": [(25, 2, 2, 3, 3)]}
    }


def test_no_edges() -> None:
    assert sizes([]) == {}


ENDS = st.one_of(
    st.tuples(st.sampled_from(ENTITIES), st.sampled_from(NODES)),
    st.lists(st.sampled_from(ENTITIES), min_size=2, max_size=2, unique=True).map(lambda pair: (pair[0], pair[1])),
)
EDGES = st.lists(
    st.builds(
        lambda ends, known, joins: (*ends, known, joins), ENDS, st.integers(-20, 40), st.booleans() | st.just(True)
    ),
    max_size=14,
)


@settings(max_examples=300)
@given(EDGES)
@example([("a", "b", 0, True), ("c", "d", 0, True), ("a", "c", 12, True), ("b", "d", 13, True)])
def test_rows_add_up_to_the_graph_of_each_cut(edges: list[Edge]) -> None:
    told = sizes(edges)
    for cut in range(-17, 54, PERIOD):
        for entity in ENTITIES:
            there = component(edges, entity, cut)
            rows = [row for at in sorted(told) if at <= cut for row in told[at].get(entity, [])]
            assert all(row[0] < cut for row in rows)
            members = sum(name in ENTITIES for name in there)
            assert (sum(row[2] for row in rows), sum(row[4] for row in rows)) == (members, len(there))
            assert not rows or rows[-1][1::2] == (members, len(there))
    assert all(len(rows) == 1 for rows_of in told.values() for rows in rows_of.values())
