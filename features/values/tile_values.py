"""Tiles merged for any grouping of keys, and their values: the same bits as a sweep over the same rows. Numpy and Arrow, no Spark."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.tiling import Group, Metric, Tiling
from features.values import exact
from features.values.sweep import ARROW_TYPES

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
    made = rows.group_by(list(by)).aggregate([(partial.name, partial.merge) for partial in plan.partials])
    return made.rename_columns([*by, *(partial.name for partial in plan.partials)])


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


def metrics(plan: Tiling, summed: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """Each metric of tiles merged by group, and how often one left int64 and is null for it, by name.

    Empty: counts and sums are 0, all else is null. The same bits as a sweep over the same rows.

    Args:
        plan: the view's.
        summed: one row a group; the partials, merged.
    """
    made: dict[str, pa.Array] = {}
    overflow: dict[str, int] = {}
    for metric in plan.metrics:
        made[metric.name], left = _finished(metric, summed)
        if left:
            overflow[metric.name] = left
    return pa.table(made), overflow


def _finished(metric: Metric, summed: pa.Table) -> tuple[pa.Array, int]:
    group, count = metric.group, _numbers(summed, f"{metric.group.label}__n")
    match metric.operation:
        case "count":
            return pa.array(count), 0
        case "min" | "max":
            return summed[f"{group.label}__{metric.operation}"].combine_chunks().cast(ARROW_TYPES[group.type]), 0
        case _ if group.type == "float64":
            added = np.asarray(summed[f"{group.label}__sum"].combine_chunks().to_numpy(zero_copy_only=False))
            whole = metric.operation == "sum"
            return pa.array(added if whole else added / np.maximum(count, 1), mask=None if whole else count == 0), 0
    return _of_integers(metric, summed, count)


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
