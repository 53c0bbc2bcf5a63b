"""Tiles merged for any grouping of keys, and their values: the same bits as a sweep over the same rows. Numpy and Arrow, no Spark."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.aggregations.aggregation import Ends
from features.definitions.expressions import ColumnType
from features.definitions.tiling import Group, Held, Listed, Metric, Tiling, tiling
from features.definitions.views import FeatureView
from features.values import exact, tile_lists
from features.values.columns import as_type
from features.values.ordered import unpacked
from features.values.partition import codes_of
from features.values.sweep import ARROW_TYPES
from features.values.tile_states import finished, joined

__all__ = ["merged", "metrics"]

Array = np.ndarray


def merged(plan: Tiling, keys: Sequence[str], rows: pa.Table, by: Sequence[str]) -> pa.Table:
    """The partials of each group; without grouping one row.

    Args:
        plan: the view's.
        keys: its key columns.
        rows: tiles of a window, from all cuts that may know events of it: `by`, the partials; with rows that replace also all keys,
            `asof_tile`, `cut` (any type that sorts as cuts do) and `asof_replaces`.
        by: some of the keys.
    """
    if "asof_replaces" in rows.column_names:
        rows = _without_replaced(plan, keys, rows)
    places, count = np.zeros(len(rows), np.int64), 1
    if by:
        places, firsts = codes_of([rows[name] for name in by])
        count = len(firsts)
    numbers = [partial for partial in plan.partials if partial.held is None]
    merges = [*((partial.name, partial.merge) for partial in numbers), ("asof_place", "min")]
    made = rows.append_column("asof_place", pa.array(places)).group_by(list(by)).aggregate(merges)
    made = made.rename_columns([*by, *(name for name, _ in merges)])
    at = made["asof_place"].combine_chunks()
    for group in plan.groups:
        for partial in group.partials:
            if partial.held is None:
                continue
            if isinstance(partial.held, Held):
                found = joined(partial.held, group.type, rows[partial.name].combine_chunks(), places, count)
            else:
                found = tile_lists.joined(partial.held, rows[partial.name], places, count)
            made = made.append_column(partial.name, found.take(at))
    return made.select([*by, *(partial.name for partial in plan.partials)])


def _without_replaced(plan: Tiling, keys: Sequence[str], rows: pa.Table) -> pa.Table:
    """What cannot be undone counts from the newest replacing row of its (key, tile) on."""
    places = [*keys, "asof_tile"]
    newest = rows.filter(pc.field("asof_replaces")).group_by(places).aggregate([("cut", "max")])
    rows = rows.join(newest.rename_columns([*places, "asof_newest"]), places, join_type="left outer")
    stands = pc.fill_null(pc.greater_equal(rows["cut"], rows["asof_newest"]), True)
    for name in (partial.name for partial in plan.partials if not partial.removable):
        column = pc.if_else(stands, rows[name], pa.scalar(None, rows[name].type))
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def metrics(view: FeatureView, summed: pa.Table, lower: int, cut: int) -> tuple[pa.Table, dict[str, int]]:
    """Each metric of tiles merged by group, and how often one left int64 and is null for it, by name.

    Empty: counts and sums are 0, all else is null. The same bits as a sweep over the same rows.

    Args:
        view: its definition.
        summed: one row a group; the partials, merged.
        lower: where the window begins, microseconds UTC.
        cut: where it ends.
    """
    plan, ids, ends = tiling(view), view.source.types.get(view.source.event_id or ""), Ends(cut, lower, cut)
    made: dict[str, pa.Array] = {}
    overflow: dict[str, int] = {}
    lists = {
        partial.name: tile_lists.read(partial.held, summed[partial.name].combine_chunks())
        for partial in plan.partials if isinstance(partial.held, Listed)
    }  # fmt: skip
    for metric in plan.metrics:
        made[metric.name], left = _finished(metric, summed, lists, ends, ids)
        if left:
            overflow[metric.name] = left
    return pa.table(made), overflow


def _finished(
    metric: Metric, summed: pa.Table, lists: Mapping[str, list[tile_lists.Read]], ends: Ends, ids: ColumnType | None
) -> tuple[pa.Array, int]:
    group, count = metric.group, _numbers(summed, f"{metric.group.label}__n")
    match metric.operation:
        case "count":
            return pa.array(count), 0
        case "sum" | "mean" if group.type == "float64":
            added = np.asarray(summed[f"{group.label}__sum"].combine_chunks().to_numpy(zero_copy_only=False))
            whole = metric.operation == "sum"
            return pa.array(added if whole else added / np.maximum(count, 1), mask=None if whole else count == 0), 0
        case "sum" | "mean" | "std":
            return _of_integers(metric, summed, count)
        case _ if metric.operation in _PICKED:
            return _picked(metric, summed, ends, ids), 0
    kind, partial = ARROW_TYPES[metric.type], group.partial_of(metric.of)
    if isinstance(partial.held, Listed):
        made = tile_lists.finished(metric.of, partial.held, lists[partial.name], ends, kind)
    else:
        value, valid = finished(metric.of, group.type, summed[partial.name].combine_chunks(), ends)
        made = as_type(pa.array(value, mask=~valid), kind)
    # Of what is 0 where no row counts, an integer that is none left int64.
    left = metric.type == "int64" and AGGREGATIONS[metric.operation].empty == "0"
    return made, made.null_count if left else 0


_PICKED = {
    "min": "min", "max": "max", "first": "first", "last": "last", "time_since_first": "oldest", "time_since_last": "newest",
}  # fmt: skip
"""Operation to the column of which the smallest or largest was taken."""


def _picked(metric: Metric, summed: pa.Table, ends: Ends, ids: ColumnType | None) -> pa.Array:
    found = summed[f"{metric.group.label}__{_PICKED[metric.operation]}"].combine_chunks()
    if metric.operation in {"time_since_first", "time_since_last"}:
        return pc.subtract(pa.scalar(ends.anchor), found.cast(pa.int64()))
    if metric.operation in {"first", "last"}:
        found = unpacked(found, ids, metric.group.type)
    return found.cast(ARROW_TYPES[metric.type])


def _of_integers(metric: Metric, summed: pa.Table, count: Array) -> tuple[pa.Array, int]:
    group = metric.group
    pieces = [p.name.removeprefix(f"{group.label}__") for p in group.partials if "__square_" in p.name]
    sums = _limbs(group, summed, ["high", "low"])
    squares = _limbs(group, summed, pieces) if pieces else sums
    value, null, overflow = exact.finished(metric.operation, count, sums, squares)
    return pa.array(value, mask=null), int(overflow.sum())


def _limbs(group: Group, summed: pa.Table, names: Sequence[str]) -> Array:
    return np.stack([_numbers(summed, f"{group.label}__{name}") for name in names])


def _numbers(summed: pa.Table, name: str) -> Array:
    return np.asarray(summed[name].combine_chunks())
