"""Versions, voids and redeliveries of events as additions and retractions (semantics 2): what ingest stores and engines see.

Stored rows carry, beside their source's columns, `asof_op` (add: counts from now on; retract: an earlier addition no longer does; void: a
tombstone, so that lower versions stay dead; again: a version that changed nothing when it came, and may where what stood before is held),
`asof_known_at`, `asof_undoes` (of a retraction, known_at of what it takes back), `asof_first`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.durations import duration
from features.definitions.sources import Source

__all__ = [
    "ADD", "AGAIN", "RETRACT", "STORED_FIELDS", "VOID", "Resolved", "equal_rows", "ordered", "resolve", "stand", "with_stored_fields",
]  # fmt: skip

Array = np.ndarray
ADD, RETRACT, VOID, AGAIN = "add", "retract", "void", "again"
_TIMESTAMP = pa.timestamp("us", "UTC")
_NEVER = np.iinfo(np.int64).min
STORED_FIELDS = (
    pa.field("asof_op", pa.string()), pa.field("asof_known_at", _TIMESTAMP), pa.field("asof_undoes", _TIMESTAMP), pa.field("asof_first", pa.bool_()),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What to store, and what is refused."""

    rows: pa.Table
    late: pa.Table
    """Versions that came too late to correct anything, with `asof_heard`: when their event was last heard of."""


def resolve(source: Source, incoming: pa.Table, standing: pa.Table | None = None) -> Resolved:
    """What to store of versions that arrive.

    Args:
        source: its event_id, version and void say what a version is; its correctable span, how long after the last one of its event it may come.
        incoming: the source's columns and `asof_known_at`; any order.
        standing: stored rows, the newest addition or void of each event in `incoming` that has one, known before all of `incoming`. With
            `asof_heard`, the known_at of the newest row of any kind that is stored of the event, and `asof_received`, when the newest row
            of its own version and void was received, redeliveries among them; without, its own.
    """
    if source.event_id is None:
        rows = with_stored_fields(incoming, ADD, None, np.ones(len(incoming), bool))
        return Resolved(rows=rows, late=_heard(incoming.slice(0, 0), np.empty(0, np.int64)))
    old = incoming.slice(0, 0) if standing is None else standing.select(incoming.column_names).cast(incoming.schema)
    table = pa.concat_tables([old, incoming]).combine_chunks()
    heard = _micros(table, "asof_known_at").copy()
    received = _micros(table, source.known_at or "asof_known_at").copy()
    for name, instants in (("asof_heard", heard), ("asof_received", received)):
        if standing is not None and name in standing.column_names:
            instants[: len(old)] = _micros(standing, name)
    return _resolved(source, table, len(old), received, heard, duration(source.correctable))


def stand(source: Source, delivered: pa.Table) -> pa.Table:
    """Additions and retractions of events whose rows are known at other instants than they were stored with: some were held and released.

    A release delays when a version counts; it stays below the versions that were received after it.

    Args:
        source: with an event_id.
        delivered: the source's columns and `asof_known_at` of every stored version of these events, tombstones and those that changed nothing
            among them, and `asof_from`: from when on each is known, microseconds.
    """
    known = np.asarray(delivered["asof_from"].to_numpy()).astype(np.int64)
    received = _micros(delivered, source.known_at or "asof_known_at")
    names = [name for name in delivered.column_names if name != "asof_from"]
    table = _known_at(delivered.select(names), known).combine_chunks()
    made = _resolved(source, table, 0, received, known, np.iinfo(np.int64).max).rows
    return made.filter(pc.is_in(made["asof_op"], pa.array([ADD, RETRACT])))


def _resolved(source: Source, table: pa.Table, old: int, received: Array, heard: Array, correctable: int) -> Resolved:
    """Of a table whose first `old` rows are stored already."""
    columns = [field.name for field in table.schema if field.name != "asof_known_at"]
    content = [name for name in columns if name != source.known_at]
    known, rank = _micros(table, "asof_known_at"), _ranks(source, table)
    ids = np.asarray(table[source.event_id or ""].combine_chunks().dictionary_encode().indices).astype(np.int64)
    order = ordered(table, columns, ids, known, rank, received)
    place = _places(table, content, ids, rank, received, known)
    wins, before, opens, lost, last = _winners(
        ids[order], rank[order], place[order], known[order], heard[order], correctable
    )
    same = np.zeros(len(order), dtype=bool)
    follows = np.flatnonzero(wins & (before >= 0))
    same[follows] = equal_rows(table, content, order[follows], order[before[follows]])
    undone = _representatives(wins, before, same)
    fresh = order >= old
    late = last != _NEVER
    new = wins & fresh & ~same
    again = fresh & ~new & ~lost & ~late
    void = (rank & 1).astype(bool)[order]
    undoes = np.flatnonzero(new & (undone >= 0))
    undoes = undoes[~void[undone[undoes]]]
    taken = order[undone[undoes]]
    rows = pa.concat_tables([
        with_stored_fields(table.take(order[new & ~void]), ADD, None, opens[new & ~void]),
        with_stored_fields(table.take(order[new & void]), VOID, None, opens[new & void]),
        with_stored_fields(table.take(order[again]), AGAIN, None, np.zeros(again.sum(), bool)),
        with_stored_fields(_known_at(table.take(taken), known[order[undoes]]), RETRACT, known[taken], np.zeros(len(taken), bool)),
    ])  # fmt: skip
    return Resolved(rows=rows, late=_heard(table.take(order[late]), last[late]))


def _heard(table: pa.Table, heard: Array) -> pa.Table:
    return table.append_column("asof_heard", pa.array(heard, pa.int64()).cast(_TIMESTAMP))


def _micros(table: pa.Table, name: str) -> Array:
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def _ranks(source: Source, table: pa.Table) -> Array:
    """Twice the version, and one more for a void: compares as (version, void)."""
    version = (
        np.zeros(len(table), np.int64) if source.version is None else np.asarray(table[source.version].fill_null(0))
    )
    void = np.zeros(len(table), np.int64)
    if source.void is not None:
        void = np.asarray(pc.fill_null(table[source.void], False).cast(pa.int8()))
    return version.astype(np.int64) * 2 + void


def _places(table: pa.Table, content: list[str], ids: Array, rank: Array, received: Array, known: Array) -> Array:
    """What compares as (received, content) among rows of one event and rank."""
    if not (received < known).any():
        return received  # what was received at one instant is known at one, and `ordered` has put it in order
    places = np.empty(len(known), np.int64)
    places[ordered(table, content, ids, rank, received)] = np.arange(len(known))
    return places


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
def _winners(
    ids: Array, rank: Array, place: Array, known: Array, heard: Array, correctable: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Which rows count once known, the one that counted before each, which open their event, and which lost in the instant they became known.

    Last, of rows that came more than `correctable` after the event was heard of: when that was (else the least integer, and they take part).
    Rows sorted by (event, known, rank, place); see `_places`.
    """
    n = len(ids)
    wins, opens, lost = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    before, late = np.full(n, -1, np.int64), np.full(n, _NEVER, np.int64)
    top = -1
    began = last = np.int64(0)
    for i in range(n):
        if i == 0 or ids[i] != ids[i - 1]:
            top, began, last = -1, known[i], known[i]
        if known[i] - last > correctable:
            late[i] = last
            continue
        last = max(last, heard[i])
        if i + 1 < n and ids[i + 1] == ids[i] and known[i + 1] == known[i]:
            lost[i] = True
            continue
        if top >= 0 and (rank[i] < rank[top] or (rank[i] == rank[top] and place[i] < place[top])):
            continue
        wins[i], before[i], opens[i] = True, top, known[i] == began
        top = i
    return wins, before, opens, lost, late


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
