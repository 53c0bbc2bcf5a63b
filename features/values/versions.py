"""Versions, voids and redeliveries of events as additions and retractions (semantics 2): what ingest stores and engines see.

Stored rows carry, beside their source's columns, `asof_op` (add: counts from now on; retract: an earlier addition no longer does; void: a
tombstone, so that lower versions stay dead), `asof_known_at`, `asof_undoes` (of a retraction, known_at of what it takes back), `asof_first`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.sources import Source

__all__ = [
    "ADD", "RETRACT", "STORED_FIELDS", "VOID", "Resolved", "equal_rows", "ordered", "resolve", "with_stored_fields",
]  # fmt: skip

Array = np.ndarray
ADD, RETRACT, VOID = "add", "retract", "void"
_TIMESTAMP = pa.timestamp("us", "UTC")
STORED_FIELDS = (
    pa.field("asof_op", pa.string()), pa.field("asof_known_at", _TIMESTAMP), pa.field("asof_undoes", _TIMESTAMP), pa.field("asof_first", pa.bool_()),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What to store, and what became of the rows that are not stored."""

    rows: pa.Table
    redelivered: int
    """Equal to the version before in all but known_at."""

    outranked: int
    """Below a version, or a void, that was known before."""


def resolve(source: Source, incoming: pa.Table, standing: pa.Table | None = None) -> Resolved:
    """Additions and retractions of versions that arrive.

    Args:
        source: its event_id, version and void say what a version is.
        incoming: the source's columns and `asof_known_at`; any order.
        standing: stored rows, the newest addition or void of each event in `incoming` that has one; known before all of `incoming`.
    """
    columns = [field.name for field in incoming.schema if field.name != "asof_known_at"]
    content = [name for name in columns if name != source.known_at]
    if source.event_id is None:
        return Resolved(
            rows=with_stored_fields(incoming, ADD, None, np.ones(len(incoming), bool)), redelivered=0, outranked=0
        )
    names = [*columns, "asof_known_at"]
    old = incoming.slice(0, 0) if standing is None else standing.select(names).cast(incoming.schema)
    table = pa.concat_tables([old, incoming]).combine_chunks()
    known = np.asarray(table["asof_known_at"].cast(pa.int64()))
    ids = np.asarray(table[source.event_id].combine_chunks().dictionary_encode().indices).astype(np.int64)
    rank = _ranks(source, table)
    order = ordered(table, columns, ids, known, rank)
    wins, before, opens = _winners(ids[order], rank[order], known[order])
    same = np.zeros(len(order), dtype=bool)
    follows = np.flatnonzero(wins & (before >= 0))
    same[follows] = equal_rows(table, content, order[follows], order[before[follows]])
    undone = _representatives(wins, before, same)
    fresh = order >= len(old)
    new = wins & fresh & ~same
    void = (rank & 1).astype(bool)[order]
    undoes = np.flatnonzero(new & (undone >= 0))
    undoes = undoes[~void[undone[undoes]]]
    taken = order[undone[undoes]]
    return Resolved(
        rows=pa.concat_tables([
            with_stored_fields(table.take(order[new & ~void]), ADD, None, opens[new & ~void]),
            with_stored_fields(table.take(order[new & void]), VOID, None, opens[new & void]),
            with_stored_fields(_known_at(table.take(taken), known[order[undoes]]), RETRACT, known[taken], np.zeros(len(taken), bool)),
        ]),
        redelivered=int((same & fresh).sum()),
        outranked=int((~wins & fresh).sum()),
    )  # fmt: skip


def _ranks(source: Source, table: pa.Table) -> Array:
    """Twice the version, and one more for a void: compares as (version, void)."""
    version = (
        np.zeros(len(table), np.int64) if source.version is None else np.asarray(table[source.version].fill_null(0))
    )
    void = np.zeros(len(table), np.int64)
    if source.void is not None:
        void = np.asarray(pc.fill_null(table[source.void], False).cast(pa.int8()))
    return version.astype(np.int64) * 2 + void


def ordered(table: pa.Table, columns: list[str], *keys: Array) -> Array:
    """Row numbers by the keys, the first of them first, and by content where all are equal."""
    order = np.lexsort(keys[::-1])
    tied = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        tied &= key[order][1:] == key[order][:-1]
    if not tied.any():
        return order
    content = [np.asarray(_rank_column(table[name])) for name in reversed(columns)]
    return np.lexsort((*content, *keys[::-1]))


def _rank_column(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks()
    values = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
    return pc.rank(values, sort_keys=[("", "ascending", "at_start")], tiebreaker="dense")


@njit(cache=True)
def _winners(ids: Array, rank: Array, known: Array) -> tuple[Array, Array, Array]:
    """Which rows count once known, the one that counted before each, and which open their event. Rows sorted by (event, known, rank)."""
    n = len(ids)
    wins, opens, before = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(n, -1, np.int64)
    top = -1
    began = np.int64(0)
    for i in range(n):
        if i == 0 or ids[i] != ids[i - 1]:
            top, began = -1, known[i]
        if i + 1 < n and ids[i + 1] == ids[i] and known[i + 1] == known[i]:
            continue  # outranked in the instant it became known
        if top >= 0 and rank[i] < rank[top]:
            continue
        wins[i], before[i], opens[i] = True, top, known[i] == began
        top = i
    return wins, before, opens


@njit(cache=True)
def _representatives(wins: Array, before: Array, same: Array) -> Array:
    """For each winner the stored row it replaces: the first of the equal ones before it."""
    stands, made = np.full(len(wins), -1, np.int64), np.full(len(wins), -1, np.int64)
    for i in range(len(wins)):
        if wins[i]:
            made[i] = stands[before[i]] if before[i] >= 0 else -1
            stands[i] = made[i] if same[i] else i
    return made


def equal_rows(table: pa.Table, columns: list[str], left: Array, right: Array) -> Array:
    """Whether two rows hold the same; null equals null and NaN equals NaN."""
    made = np.ones(len(left), dtype=bool)
    a, b = table.select(columns).take(left), table.select(columns).take(right)
    for name in columns:
        x, y = a[name], b[name]
        same = pc.or_(pc.and_(pc.is_null(x), pc.is_null(y)), pc.fill_null(pc.equal(x, y), False))
        if pa.types.is_floating(x.type):
            same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(x), pc.is_nan(y)), False))
        made &= np.asarray(same.to_numpy())
    return made


def _known_at(table: pa.Table, known: Array) -> pa.Table:
    return table.set_column(
        table.schema.get_field_index("asof_known_at"), "asof_known_at", pa.array(known).cast(_TIMESTAMP)
    )


def with_stored_fields(table: pa.Table, op: str, undoes: Array | None, first: Array) -> pa.Table:
    """Rows as they are stored: their `asof_known_at` and the other fields of STORED_FIELDS behind their columns."""
    known = table["asof_known_at"]
    undone = pa.nulls(len(table), _TIMESTAMP) if undoes is None else pa.array(undoes).cast(_TIMESTAMP)
    values = (pa.array([op] * len(table), pa.string()), known, undone, pa.array(first, pa.bool_()))
    table = table.drop_columns(["asof_known_at"])
    for made, column in zip(STORED_FIELDS, values, strict=True):
        table = table.append_column(made, column)
    return table
