"""Whole snapshots as changes (semantics 4, kind="full"): what a key's rows said day by day, stored where they say something new."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.definitions.sources import Source
from features.values.versions import ADD, equal_rows, ordered, with_stored_fields

__all__ = ["Snapshot", "changes", "standing_snapshots"]

Array = np.ndarray
_DAY = 86_400_000_000
_TIMESTAMP = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of a full source that became known on one UTC day."""

    known_at: int
    """Microseconds; of the last of its rows, when the snapshot was whole."""

    complete: bool
    """Every row of it fits. A key that is missing is gone; of an incomplete snapshot it may be among the rows in quarantine."""

    taken_at: int
    """Microseconds, on the UTC day of its rows. Earlier than `known_at` where a gate held it until then."""


def standing_snapshots(taken: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """Those that say something once they are known: a snapshot that is released when a later one is known already says nothing new."""
    made: list[Snapshot] = []
    for snapshot in sorted(taken, key=lambda item: item.taken_at, reverse=True):
        if not made or snapshot.known_at < made[-1].known_at:
            made.append(snapshot)
    return tuple(reversed(made))


def changes(source: Source, incoming: pa.Table, standing: pa.Table | None, snapshots: Sequence[Snapshot]) -> pa.Table:
    """A row for each key and snapshot that says something else than the one before, and one where a key is gone.

    A change is known when its snapshot was whole. It holds from its own event_time, but never from before the change it replaces, so that
    what a later snapshot says wins; a deletion holds from when it is known.

    Args:
        source: of kind full; its event_id tells one row of a snapshot from another.
        incoming: the source's columns and `asof_known_at` of the snapshots; any order. Of a key twice in one snapshot the last known counts.
        standing: the newest stored row of each key before the first snapshot, with `asof_known_at`.
        snapshots: of the days of `incoming`, oldest first. A day without rows is no snapshot.

    Returns:
        Stored rows, all of them additions.
    """
    columns = [field.name for field in incoming.schema if field.name != "asof_known_at"]
    said = [name for name in columns if name not in {source.event_time, source.known_at}]
    old = incoming.slice(0, 0) if standing is None else standing.select(incoming.column_names).cast(incoming.schema)
    table = _without_nulls(pa.concat_tables([old, incoming]).combine_chunks(), source)
    known = _micros(table, "asof_known_at")
    ids = np.asarray(table[source.event_id or ""].combine_chunks().dictionary_encode().indices).astype(np.int64)
    days = np.array([snapshot.taken_at // _DAY for snapshot in snapshots], np.int64)
    at = np.where(np.arange(len(table)) < len(old), -1, np.searchsorted(days, known // _DAY))
    order = ordered(table, columns, ids, at, known)
    last = np.ones(len(order), bool)
    last[:-1] = (ids[order][1:] != ids[order][:-1]) | (at[order][1:] != at[order][:-1])
    order = order[last]
    same = np.zeros(len(order), bool)
    follows = 1 + np.flatnonzero(ids[order][1:] == ids[order][:-1])
    same[follows] = equal_rows(table, said, order[follows], order[follows - 1])
    row, when, holds, gone = _told(
        ids[order], at[order], _micros(table, source.event_time)[order], np.asarray(table[source.deleted or ""])[order], same,
        np.array([snapshot.known_at for snapshot in snapshots], np.int64), _next_complete(snapshots),
    )  # fmt: skip
    return _rows(source, table.take(order[row]), when, holds, gone)


def _without_nulls(table: pa.Table, source: Source) -> pa.Table:
    name = source.deleted or ""
    return table.set_column(table.schema.get_field_index(name), name, pc.fill_null(table[name], False))


def _micros(table: pa.Table, name: str) -> Array:
    return np.asarray(table[name].cast(pa.int64()))


def _next_complete(snapshots: Sequence[Snapshot]) -> Array:
    """For each snapshot, and for what stood before them (first), the next complete one after it; their number where there is none."""
    made = np.full(len(snapshots) + 1, len(snapshots), np.int64)
    for n in range(len(snapshots) - 1, -1, -1):
        made[n] = n if snapshots[n].complete else made[n + 1]
    return made


@njit(cache=True)
def _told(
    ids: Array, at: Array, time: Array, deleted: Array, same: Array, known: Array, next_complete: Array
) -> tuple[Array, Array, Array, Array]:
    """The changes: row they are of, known at, hold from, and whether the key is gone. Rows sorted by (id, snapshot), one a snapshot."""
    n = len(ids)
    row, when = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    holds, gone = np.empty(2 * n, np.int64), np.empty(2 * n, np.bool_)
    made = 0
    since = np.int64(0)
    there = False
    for i in range(n):
        opens = i == 0 or ids[i] != ids[i - 1]
        if opens:
            since, there = time[i], False
        if at[i] < 0:
            there = not deleted[i]
        elif deleted[i] == there or not (deleted[i] or same[i]):
            since, there = max(time[i], since), not deleted[i]
            row[made], when[made], holds[made], gone[made] = i, known[at[i]], since, deleted[i]
            made += 1
        missing = next_complete[at[i] + 1]
        until = at[i + 1] if i + 1 < n and ids[i + 1] == ids[i] else len(known)
        if there and missing < until:
            since, there = max(known[missing], since), False
            row[made], when[made], holds[made], gone[made] = i, known[missing], since, True
            made += 1
    return row[:made], when[:made], holds[:made], gone[:made]


def _rows(source: Source, table: pa.Table, when: Array, holds: Array, gone: Array) -> pa.Table:
    known = pa.array(when).cast(_TIMESTAMP)
    values: dict[str, pa.Array] = {
        source.event_time: pa.array(holds).cast(_TIMESTAMP),
        source.deleted or "": pa.array(gone),
        "asof_known_at": known,
    }
    if source.known_at is not None:
        values[source.known_at] = known
    for name, column in values.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    return with_stored_fields(table, ADD, None, np.ones(len(table), bool))
