"""Stored rows in the shape that tiles are built from, and tiles merged the plain way, for tests that compare them with the oracle."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from features.definitions.features import Aggregate
from features.definitions.tiling import MERGED, tiling
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.values.tile_values import metrics
from features.values.tiles import key_names
from features.values.versions import RETRACT, VOID
from tests import oracle

__all__ = ["arrivals", "cuts_of", "expected", "merged", "needed"]

Row = Mapping[str, Any]


def arrivals(view: FeatureView, stored: pa.Table) -> pa.Table:
    """Rows as ingest stored them, as `features.values.tiles` takes them."""
    source = view.source
    stored = stored.filter(pa.array([op != VOID for op in stored["asof_op"].to_pylist()], pa.bool_()))
    keys = source.key_columns(view.entity.name, view.entity.keys)
    return pa.table({
        **{name: stored[key] for name, key in zip(key_names(view), keys, strict=True)},
        "asof_time": stored[source.event_time].cast(pa.int64()), "asof_known": stored["asof_known_at"].cast(pa.int64()),
        "asof_undoes": stored["asof_undoes"].cast(pa.int64()),
        "asof_retract": pa.array([op == RETRACT for op in stored["asof_op"].to_pylist()], pa.bool_()),
        **{f"s_{name}": stored[name] for name in tiling(view).columns},
    })  # fmt: skip


def cut_after(view: FeatureView, instant: int) -> int:
    """The first cut that knows what is known at an instant."""
    return view.schedule.cut_before(instant) + view.schedule.period_us


def _knows(view: FeatureView, row: Row) -> tuple[int, int]:
    """The first cut that knows a row, and the first that knew what it takes back."""
    began = row["asof_undoes"] if row["asof_retract"] else row["asof_known"]
    delayed = max(began, row["asof_time"] + view.source.lag_us) if view.source.lag_us else began
    return cut_after(view, max(row["asof_known"], delayed)), cut_after(view, delayed)


def cuts_of(view: FeatureView, rows: pa.Table) -> list[int]:
    """Every cut that knows something new."""
    return sorted({_knows(view, row)[0] for row in rows.to_pylist()})


def needed(view: FeatureView, rows: pa.Table, cuts: Sequence[int]) -> pa.Table:
    """The least that a pass over these cuts must be given: what they newly know, and all of the tiles in which that takes something back."""
    grid = tiling(view).grid_us
    keys = key_names(view)
    listed = [(row, *_knows(view, row)) for row in rows.to_pylist()]
    place = [(*(row[key] for key in keys), row["asof_time"] // grid) for row, _, _ in listed]
    hit = {
        place[n] for n, (row, cut, undone) in enumerate(listed) if row["asof_retract"] and cut in cuts and undone < cut
    }
    kept = [n for n, (_, cut, _) in enumerate(listed) if cut in cuts or (place[n] in hit and cut <= max(cuts))]
    return rows.take(pa.array(kept, pa.int64()))


def merged(
    view: FeatureView, built: Sequence[pa.Table], lower: int, upper: int, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Group to metrics over `[lower, upper)`, as docs/tiles.md says that tiles are read."""
    plan = tiling(view)
    rows = [row for table in built for row in table.to_pylist() if lower <= row["asof_tile"] < upper]
    newest: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        place = (*(row[key] for key in view.keys), row["asof_tile"])
        if row["asof_replaces"]:
            newest[place] = max(newest.get(place, row["cut"]), row["cut"])
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        old = row["cut"] < newest.get((*(row[key] for key in view.keys), row["asof_tile"]), row["cut"])
        parts = {p.name: None if old and not p.removable else row[p.name] for p in plan.partials}
        groups.setdefault(tuple(row[key] for key in by), []).append(parts)
    summed = {
        group: {p.name: _merge(p.merge, [row[p.name] for row in parts]) for p in plan.partials}
        for group, parts in groups.items()
    }
    kinds = {p.name: table.schema.field(p.name).type for table in built[:1] for p in plan.partials}
    found, _ = metrics(
        plan,
        pa.table({name: pa.array([parts[name] for parts in summed.values()], kind) for name, kind in kinds.items()}),
    )
    plain = pa.table(
        [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in found.columns], found.column_names
    )
    return {group: row for group, row in zip(summed, plain.to_pylist(), strict=True) if summed[group]["rows__n"]}


def _merge(how: str, values: Sequence[Any]) -> Any:
    there = [value for value in values if value is not None]
    return sum(there) if how == "sum" else (min if how == "min" else max)(there, default=None)


def expected(
    view: FeatureView, raw: Sequence[Row], cut: int, length: int, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The oracle's rows at a cut, grouped, and the same aggregates over them. Sums beyond int64 are null."""
    plan = tiling(view)
    first: dict[str, Aggregate] = {}
    aggregates = [f for f in view.features if isinstance(f, Aggregate) and f.operation in MERGED]
    for metric in plan.metrics:
        where, column = repr(metric.group.where), metric.group.column
        first[metric.name] = next(
            f for f in aggregates if (f.operation, repr(f.where), f.column) == (metric.operation, where, column)
        )
    window = Window(f"{length}us", step="exact")
    events = oracle.counting(view, view.source, raw, None, cut + view.schedule.lag_us)
    columns = dict(zip(view.keys, view.source.key_columns(view.entity.name, view.entity.keys), strict=True))
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in oracle.within(events, window, cut, view):
        groups.setdefault(tuple(row[columns[key]] for key in by), []).append(row)
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group, rows in groups.items():
        values = {name: oracle.aggregate(view, replace(f, window=window), rows, cut) for name, f in first.items()}
        made[group] = {
            name: None if isinstance(value, int) and value not in oracle.INT64 else value
            for name, value in values.items()
        }
    return made
