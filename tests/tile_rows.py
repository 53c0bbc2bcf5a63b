"""Stored rows in the shape that tiles are built from, and what tiles answer, for tests that compare them with the oracle."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.durations import duration_text
from features.definitions.features import Aggregate
from features.definitions.tiling import tiling
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.values.tile_values import merged, metrics
from features.values.tiles import key_names
from features.values.versions import ADD, RETRACT
from tests import oracle
from tests.oracle_expressions import INT64

__all__ = ["answered", "arrivals", "cuts_of", "expected", "needed"]

Row = Mapping[str, Any]


def arrivals(view: FeatureView, stored: pa.Table) -> pa.Table:
    """Rows as ingest stored them, as `features.values.tiles` takes them."""
    source = view.source
    stored = stored.filter(pa.array([op in {ADD, RETRACT} for op in stored["asof_op"].to_pylist()], pa.bool_()))
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


def answered(
    view: FeatureView, built: Sequence[pa.Table], lower: int, upper: int, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Group to metrics over `[lower, upper)`, of groups that have events."""
    plan = tiling(view)
    tile = pc.field("asof_tile")
    rows = pa.concat_tables(built).filter((tile >= lower) & (tile < upper))
    summed = merged(plan, view.keys, rows, by)
    summed = summed.filter(pc.fill_null(pc.greater(summed["rows__n"], 0), False)).combine_chunks()
    found, _ = metrics(view, summed, lower, upper)
    plain = pa.table(
        [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in found.columns], found.column_names
    )
    groups = [tuple(row[name] for name in by) for row in summed.to_pylist()]
    return dict(zip(groups, plain.to_pylist(), strict=True))


def expected(
    view: FeatureView, raw: Sequence[Row], cut: int, length: int, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The oracle's rows at a cut, grouped, and the same aggregates over them. Sums beyond int64 are null."""
    plan = tiling(view)
    window = Window(f"{length}us", step="exact")
    asked = {metric.name: replace(metric.of, window=_stepped(metric.of, length)) for metric in plan.metrics}
    events = oracle.counting(view, view.source, raw, None, cut + view.schedule.lag_us)
    columns = dict(zip(view.keys, view.source.key_columns(view.entity.name, view.entity.keys), strict=True))
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in oracle.within(events, window, cut, view):
        groups.setdefault(tuple(row[columns[key]] for key in by), []).append(row)
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group, rows in groups.items():
        values = {name: oracle.aggregate(view, feature, rows, cut) for name, feature in asked.items()}
        made[group] = {
            name: None if isinstance(value, int) and value not in INT64 else value for name, value in values.items()
        }
    return made


def _stepped(feature: Aggregate, length: int) -> Window:
    """The length that is asked for, in the steps of the feature's own window if its value depends on them."""
    stepped = AGGREGATIONS[feature.operation].stepped
    return Window(f"{length}us", step=duration_text(feature.window.step_us) if stepped else "exact")
