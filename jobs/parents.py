"""A child row takes columns of its parent as both were known, once and for good (semantics 4, enrich). Arrow and numpy only."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.sources import Enrich, Source
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD

__all__ = ["enrich", "enriched_schema", "keep", "parented"]


def parented(link: Enrich, children: pa.Table, parents: pa.Table) -> pa.Array:
    """Which children's parents are among them: a boolean a row."""
    added = parents.filter(pc.equal(parents["asof_op"], ADD))[link.parent.event_id or ""].cast(pa.string())
    return pc.is_in(children[link.on].cast(pa.string()), added.combine_chunks().drop_null())


def enriched_schema(source: Source) -> pa.Schema:
    """The source's columns, the parent's among them, and `asof_known_at`."""
    columns = [(name, ARROW_TYPES[kind]) for name, kind in source.types.items()]
    return pa.schema([*columns, ("asof_known_at", ARROW_TYPES["timestamp"])])


def enrich(source: Source, link: Enrich, children: pa.Table, parents: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The children that found a parent, their known_at raised to the parent's where that is later; and those that did not.

    Args:
        source: the child's.
        link: what is taken of whom.
        children: fitted rows.
        parents: stored rows of the parents that the children name; each parent's first known version is among them.
    """
    added = parents.filter(pc.equal(parents["asof_op"], ADD))
    both = pa.chunked_array(
        [*_text(added[link.parent.event_id or ""]), *_text(children[link.on])], pa.string()
    ).combine_chunks()
    codes = np.asarray(both.dictionary_encode().indices.fill_null(-1)).astype(np.int64)
    of_parent, of_child = codes[: len(added)], codes[len(added) :]
    known = _micros(added, "asof_known_at")
    order = np.lexsort((known, of_parent))
    first = np.searchsorted(of_parent[order], of_child, "left")
    found = (first < len(order)) & (of_child >= 0)
    found[found] = of_parent[order][first[found]] == of_child[found]
    at = np.maximum(_micros(children, "asof_known_at")[found], known[order][first[found]])
    # The newest version of the parent that is known then: parents are sorted by (id, known_at).
    known = known[order]
    end = np.searchsorted(of_parent[order], of_child[found], "right")
    newest = (
        order[[_last(known, int(lo), int(hi), int(t)) for lo, hi, t in zip(first[found], end, at, strict=True)]]
        if found.any()
        else np.array([], np.int64)
    )
    taken = added.take(pa.array(newest, pa.int64()))
    made = children.filter(pa.array(found))
    columns = {name: made[name] for name in made.column_names if name != "asof_known_at"}
    columns |= {name: taken[name] for name in link.columns}
    if link.time is not None:
        columns[link.time] = taken[link.parent.event_time]
    columns["asof_known_at"] = pa.chunked_array([pa.array(at).cast(ARROW_TYPES["timestamp"])])
    return pa.table(columns).select(enriched_schema(source).names).cast(enriched_schema(source)), children.filter(
        pa.array(~found)
    )


def keep(source: Source, link: Enrich, children: pa.Table, stored: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The children that are stored already, with what they took then and their own known_at in `asof_waits`; and the others.

    Args:
        source: the child's.
        link: what was taken of whom.
        children: fitted rows.
        stored: rows as they were stored: the child's own columns, `t_…` for each that was taken, `asof_known_at`.
    """
    own = [column.name for column in source.columns]
    there: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for n, (row, known) in enumerate(zip(_rows(stored, own), _micros(stored, "asof_known_at").tolist(), strict=True)):
        there.setdefault(row, []).append((known, n))
    of_those = pc.is_in(children[link.on].cast(pa.string()), stored[link.on].cast(pa.string()).combine_chunks())
    mine = pc.indices_nonzero(of_those)
    came = _micros(children, "asof_known_at")
    found: dict[int, int] = {}
    for n, row in zip(mine.to_pylist(), _rows(children.take(mine), own), strict=True):
        # The same row may have come twice; each was stored no earlier than it came.
        if later := [(known, at) for known, at in there.get(row, []) if known >= came[n]]:
            found[n] = min(later)[1]
    taken = stored.take(pa.array(list(found.values()), pa.int64()))
    columns = {name: taken[name if name in own else f"t_{name}"] for name in source.types}
    columns |= {"asof_known_at": taken["asof_known_at"]}
    made = pa.table(columns).cast(enriched_schema(source))
    waits = children["asof_known_at"].take(pa.array(list(found), pa.int64()))
    left = pa.array([n not in found for n in range(len(children))], pa.bool_())
    return made.append_column("asof_waits", waits), children.filter(left)


def _rows(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def _text(column: pa.ChunkedArray) -> list[pa.Array]:
    return list(column.cast(pa.string()).chunks)


def _micros(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def _last(known: np.ndarray, low: int, high: int, at: int) -> int:
    return low + int(np.searchsorted(known[low:high], at, "right")) - 1
