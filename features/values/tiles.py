"""Stored rows of a view's source as tiles: deltas by the cut that first knows them. Numpy and Arrow, no Spark.

Rows come with their keys as `asof_k0`, …, instants in microseconds as `asof_time`, `asof_known` and `asof_undoes` (null in additions), and
`asof_retract`; columns of the source are named `s_<column>`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.freshness import Schedule
from features.definitions.names import cut_text, utc
from features.definitions.tiling import Tiling, tiling
from features.definitions.views import FeatureView
from features.values.expressions import mask
from features.values.sweep import ARROW_TYPES
from features.values.tile_partials import Contributions, added, standing

__all__ = ["build", "dated", "key_names", "tiles"]

Array = np.ndarray
_FOREVER = np.iinfo(np.int64).max
_TILE = pa.timestamp("us", "UTC")


def key_names(view: FeatureView) -> tuple[str, ...]:
    """Names of the key columns among the rows that come in."""
    return tuple(f"asof_k{n}" for n in range(len(view.keys)))


def build(view: FeatureView, cuts: Sequence[int]) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """`tiles` as the function for mapInArrow, the cut as text, and `day` of the tile; a partition holds all rows of its (key, tile)s."""
    compiled, wanted = json.dumps(compile_definition(view)), tuple(cuts)

    def built(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        found = list(batches)
        if found:
            here = load_definition(json.loads(compiled), FeatureView)
            yield from dated(here, tiles(here, pa.Table.from_batches(found), wanted)).to_batches()

    return built


def tiles(view: FeatureView, rows: pa.Table, cuts: Sequence[int]) -> pa.Table:
    """What each cut newly knows, a row for each (key, tile): key columns, `asof_tile`, `cut` (both microseconds), `asof_replaces`, partials.

    Args:
        view: one with tiles, see `untileable`.
        rows: what becomes known between the cuts and the ones before them, in any order; of each (key, tile) in which they take back what an
            earlier cut knew, all that was known before as well.
        cuts: microseconds UTC.
    """
    plan = tiling(view)
    arrivals = _arrivals(view, plan, rows)
    parts = _contributions(arrivals, plan, np.array(sorted(cuts), np.int64))
    of_source, times = _of_source(view, arrivals.rows), _numbers(arrivals.rows["asof_time"])
    columns = added(plan, of_source, times, parts)
    keys = {
        name: arrivals.rows[key].take(pa.array(parts.row)) for name, key in zip(view.keys, key_names(view), strict=True)
    }
    places = _codes([pa.array(arrivals.place[parts.row]), pa.array(parts.cut)])
    table = pa.table({**keys, "asof_tile": pa.array(arrivals.tile[parts.row]), "cut": pa.array(parts.cut), "asof_replaces": pa.array(parts.replaces),
                      "asof_place": pa.array(places), **columns})  # fmt: skip
    merges = {"asof_replaces": "max", "asof_place": "min"}
    merges |= {partial.name: partial.merge for partial in plan.partials if partial.name in columns}
    made = table.group_by([*view.keys, "asof_tile", "cut"]).aggregate(list(merges.items()))
    made = made.rename_columns([*view.keys, "asof_tile", "cut", *merges])
    places_made = made["asof_place"].combine_chunks()
    for name, column in standing(plan, of_source, times, view.source.event_id, parts, places).items():
        made = made.append_column(name, column.take(places_made))
    made = made.select([*view.keys, "asof_tile", "cut", "asof_replaces", *(partial.name for partial in plan.partials)])
    counted = [made[p.name].combine_chunks() for p in plan.partials if p.merge == "sum"]
    says = np.asarray(made["asof_replaces"].combine_chunks().to_numpy(zero_copy_only=False)).astype(bool)
    for column in counted:
        says |= np.asarray(column) != 0
    return made.filter(pa.array(says)).combine_chunks()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrivals:
    """Rows that can count, each with the cuts between which it does."""

    rows: pa.Table
    tile: Array
    place: Array
    """int64 code of (key, tile)."""

    retract: Array
    since: Array
    """The first cut that knows the row."""

    until: Array
    """Of an addition: the first cut that knows it taken back."""

    undone: Array
    """Of a retraction: the first cut that knew what it takes back."""


def _arrivals(view: FeatureView, plan: Tiling, rows: pa.Table) -> _Arrivals:
    chosen = mask(view.source.filter, _of_source(view, rows), len(rows))
    for key in key_names(view):
        chosen = chosen & np.asarray(rows[key].is_valid())
    rows = rows.filter(pa.array(chosen)).combine_chunks()
    time, retract = _numbers(rows["asof_time"]), np.asarray(rows["asof_retract"].to_numpy()).astype(bool)
    stored, began = _numbers(rows["asof_known"]), _numbers(pc.coalesce(rows["asof_undoes"], rows["asof_known"]))
    lag, schedule = view.source.lag_us, view.schedule
    # A retraction counts no earlier than what it takes back, which a lag or a release may have delayed.
    undone = np.maximum(began, time + lag) if lag else began
    known = np.maximum(np.maximum(stored, undone), time + lag) if lag else np.maximum(stored, undone)
    since, gone = _first_cut(known, schedule), _first_cut(undone, schedule)
    tile = time // plan.grid_us * plan.grid_us
    place = _codes([*(rows[key] for key in key_names(view)), pa.array(tile)])
    until = np.full(len(rows), _FOREVER)
    if retract.any() and not plan.removable:
        ids = _codes([rows[f"s_{view.source.event_id}"]])
        order = np.lexsort((retract, began, ids, time, place))
        ends = order[1:][retract[order[1:]]]
        adds = order[:-1][retract[order[1:]]]
        same = ~retract[adds]
        for of in (place, time, ids, began):
            same &= of[adds] == of[ends]
        until[adds[same]] = since[ends[same]]
    return _Arrivals(rows=rows, tile=tile, place=place, retract=retract, since=since, until=until, undone=gone)


def _contributions(arrivals: _Arrivals, plan: Tiling, cuts: Array) -> Contributions:
    fresh = np.flatnonzero(np.isin(arrivals.since, cuts))
    at = np.searchsorted(cuts, arrivals.since[fresh])
    retract = arrivals.retract[fresh]
    hits = np.zeros(len(fresh), bool) if plan.removable else retract & (arrivals.undone[fresh] < arrivals.since[fresh])
    places = arrivals.place[fresh] * len(cuts) + at
    replaced = np.unique(places[hits])
    hit = np.isin(places, replaced)
    whole = [
        _standing(arrivals, replaced, len(cuts), n, cut)
        for n, cut in enumerate(cuts)
        if (replaced % max(len(cuts), 1) == n).any()
    ]
    again = np.concatenate([np.zeros(0, np.int64), *(row for row, _ in whole)])
    return Contributions(
        row=np.concatenate([fresh, again]),
        cut=np.concatenate([arrivals.since[fresh], *(cut for _, cut in whole)]),
        sign=np.concatenate([np.where(retract, -1, 1), np.zeros(len(again), np.int64)]),
        stands=np.concatenate([~hit & ~retract & (arrivals.until[fresh] > arrivals.since[fresh]), np.ones(len(again), bool)]),
        replaces=np.concatenate([hit, np.ones(len(again), bool)]),
    )  # fmt: skip


def _standing(arrivals: _Arrivals, replaced: Array, cuts: int, number: int, cut: int) -> tuple[Array, Array]:
    """The additions that count at a cut in the places that it replaces, and the cut as often."""
    places = replaced[replaced % cuts == number] // cuts
    known = ~arrivals.retract & (arrivals.since <= cut) & (cut < arrivals.until)
    rows = np.flatnonzero(known & np.isin(arrivals.place, places))
    return rows, np.full(len(rows), cut, np.int64)


def _of_source(view: FeatureView, rows: pa.Table) -> dict[str, pa.Array]:
    types = {f"s_{name}": ARROW_TYPES[kind] for name, kind in view.source.types.items()}
    return {
        name.removeprefix("s_"): rows[name].combine_chunks().cast(types[name]) for name in rows.column_names if name in types
    }  # fmt: skip


def dated(view: FeatureView, made: pa.Table) -> pa.Table:
    """With the tile as an instant, and behind all others the partitions' values as text."""
    tile, cut = made["asof_tile"].combine_chunks(), made["cut"].combine_chunks()
    days = [str(utc(instant).date()) for instant in pc.unique(tile).to_pylist()]
    cuts = [cut_text(instant) for instant in pc.unique(cut).to_pylist()]
    ordered = made.drop_columns(["cut", "asof_tile"])
    ordered = ordered.add_column(len(view.keys), "asof_tile", tile.cast(_TILE))
    ordered = ordered.append_column("cut", _spelled(cut, cuts))
    return ordered.append_column("day", _spelled(tile, days))


def _spelled(instants: pa.Array, texts: list[str]) -> pa.Array:
    """The text of each instant, given those of the different ones in order of appearance."""
    codes = instants.dictionary_encode().indices
    return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string())).cast(pa.string())


def _first_cut(known: Array, schedule: Schedule) -> Array:
    """The first cut after each instant: to a cut is known what has `known_at < c`."""
    period, phase = schedule.period_us, schedule.phase_us
    return ((known - phase) // period + 1) * period + phase


def _codes(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Array:
    """An int64 code a row, equal where all columns are."""
    made = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        indices = np.asarray(pc.fill_null(whole.dictionary_encode().indices, -1)).astype(np.int64) + 1
        made = np.unique(made * (indices.max(initial=0) + 1) + indices, return_inverse=True)[1].astype(np.int64)
    return made


def _numbers(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.cast(pa.int64()).to_numpy())
