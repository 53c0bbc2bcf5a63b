"""Components of a graph that only grows, told at the cuts of a schedule: union by size over edges in the order in which they became known. Numpy and numba, no Spark.

Nodes are any int64 numbers; instants are int64 microseconds UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["Edges", "Growth", "grown"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How the components of some entities grew before one cut: aligned arrays, one row an entity."""

    node: Array
    known: Array
    """When the last edge became known that its component had grown by, int64 microseconds."""

    entities: Array
    """In its component from then on, itself included."""

    entities_added: Array
    """Since its row before."""

    nodes: Array
    nodes_added: Array


class Edges(NamedTuple):
    """Aligned arrays, one row an edge, in any order."""

    left: Array
    """An entity, by its number."""

    right: Array
    known: Array
    """When the edge became known, int64 microseconds."""

    joins: Array
    """Whether it joins the components of its ends."""

    entity: Array
    """Whether right is an entity."""


def grown(edges: Edges, *, period: int, phase: int, since: int) -> Iterator[Growth]:
    """Goes through all edges, and yields what has changed before each cut after `since`, cut by cut.

    A component's size at a cut is that of the graph of all edges known before it that join. Rows of one entity add up: `entities_added` of all its rows
    before a cut is `entities` of the last.

    Args:
        edges: all that were ever known.
        period: of the cuts, which are phase + n x period; microseconds.
        phase: of the cuts.
        since: rows known before it are not yielded; they were told before.
    """
    if not len(edges.known):
        return
    order = np.argsort(edges.known, kind="stable")
    edges = Edges(*(part[order] for part in edges))
    names, ends = np.unique(np.concatenate((edges.left, edges.right)), return_inverse=True)
    edges = edges._replace(left=ends[: len(order)], right=ends[len(order) :])
    is_entity = np.zeros(len(names), bool)
    is_entity[edges.left] = True
    is_entity[edges.right[edges.entity]] = True
    forest = _forest(is_entity)
    told_nodes, told_entities = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    # A row belongs to the first cut after it was known: known < cut.
    spans = (edges.known - phase) // period
    starts = np.flatnonzero(np.append(True, spans[1:] != spans[:-1]))
    for begin, end in pairwise((*starts, len(order))):
        touched = _join(Edges(*(part[begin:end] for part in edges)), forest)
        member, root = _members(np.unique(touched), forest, is_entity)
        nodes, entities = forest.nodes[root], forest.entities[root]
        if len(member) and edges.known[begin] >= since:
            yield Growth(
                node=names[member], known=forest.at[root], entities=entities, entities_added=entities - told_entities[member],
                nodes=nodes, nodes_added=nodes - told_nodes[member],
            )  # fmt: skip
        told_nodes[member], told_entities[member] = nodes, entities


class _Forest(NamedTuple):
    parent: Array
    ring: Array
    """The members of each component, each with the next one."""

    nodes: Array
    """Of each root, its component's size."""

    entities: Array
    at: Array
    """Of each root, when its component last grew; the least integer before it was first seen."""


def _forest(is_entity: Array) -> _Forest:
    count = len(is_entity)
    return _Forest(
        parent=np.arange(count), ring=np.arange(count), nodes=np.ones(count, np.int64), entities=is_entity.astype(np.int64),
        at=np.full(count, np.iinfo(np.int64).min),
    )  # fmt: skip


@njit(cache=True)
def _root(parent: Array, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(cache=True)
def _join(edges: Edges, forest: _Forest) -> Array:
    """The roots, at the end, of components that were first seen or grew; some twice. An edge brings two new nodes and one join at most."""
    seen = np.iinfo(np.int64).min
    parent, ring, nodes, entities, at = forest
    changed = np.empty(3 * len(edges.known), np.int64)
    count = 0
    for i in range(len(edges.known)):
        known = edges.known[i]
        for node in (edges.left[i], edges.right[i]):
            if at[node] == seen:
                at[node] = known
                changed[count] = node
                count += 1
        if not edges.joins[i]:
            continue
        large, small = _root(parent, edges.left[i]), _root(parent, edges.right[i])
        if large == small:
            continue
        if nodes[large] < nodes[small]:
            large, small = small, large
        parent[small] = large
        nodes[large] += nodes[small]
        entities[large] += entities[small]
        ring[large], ring[small] = ring[small], ring[large]
        at[large] = known
        changed[count] = large
        count += 1
    for i in range(count):
        changed[i] = _root(parent, changed[i])
    return changed[:count]


@njit(cache=True)
def _members(roots: Array, forest: _Forest, is_entity: Array) -> tuple[Array, Array]:
    """The entities of some components, each with its root."""
    total = 0
    for root in roots:
        total += forest.entities[root]
    member, of = np.empty(total, np.int64), np.empty(total, np.int64)
    count = 0
    for root in roots:
        node = root
        while True:
            if is_entity[node]:
                member[count], of[count] = node, root
                count += 1
            node = forest.ring[node]
            if node == root:
                break
    return member, of
