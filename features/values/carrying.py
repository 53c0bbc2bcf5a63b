"""A cut's values from the cut before, what is newly known, and the tiles that its windows leave: a day costs what the day brings. No Spark.

A cut hands two tables to the next one. `sums`: of each key what is counted (see `counted`). `rows`: of each key the rows that a later cut
may still need for what cannot be undone (see `kept`). Key columns are k0, k1 and so on, other columns those of `features.values.partition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.tiling import tiling
from features.definitions.views import FeatureView
from features.values.counted import Slot, Sums, finished, slots, summed
from features.values.kept import forgets, kept, tiled
from features.values.partition import codes_of, rows_of
from features.values.sweep import NEVER_SEEN, STATUSES, Sweep
from features.values.tiles import key_names
from features.values.timeline import Asks, Timeline, timeline
from features.values.versions import equal_rows

__all__ = ["Carried", "carriable", "carry", "edges", "start", "tile_rows"]

Array = np.ndarray
_PLACE = "asof_place"
_OWN = {"asof_known": 0, "asof_undoes": 0, "asof_retract": False, "asof_first": True}
"""Asof's columns that may be there, and what they are of an addition that stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a cut comes to."""

    values: pa.Table
    """Keys and features by their names, `asof_status`, `event_timestamp`; sorted by key; keys that are never seen left out."""

    sums: pa.Table
    rows: pa.Table
    by_tile: bool
    """Whether rows lie at the start of their tile."""

    gaps: pa.Table
    """Keys of which a row was taken back that had outdone others, which are not here: they are in no other table, and start from all their rows."""


def carriable(view: FeatureView) -> str | None:
    """Why a view's cuts cannot follow from one another; None where they can."""
    if not view.tiles:
        return "it has no tiles (tiles=True)"
    if view.fitted and len(view.sources) == 1:
        return "it has anomaly scores, which need all keys at each cut"
    if len(view.sources) > 1:
        return f"its outcomes come from another source, {view.sources[1].name!r}"
    return None


def edges(view: FeatureView, cut: int) -> tuple[tuple[int, int], ...]:
    """Spans of event time, in microseconds, whose tiles leave or enter a window at a cut, though they were known before."""
    found = {span for slot in slots(view) for span in _moves(view, slot, cut).spans}
    return tuple(sorted(span for span in found if span[0] < span[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moves:
    """How a window moves from the cut before to this one."""

    anew: bool
    """It has nothing in common with the one before."""

    window: tuple[int, int]
    entering: tuple[int, int]
    leaving: tuple[int, int]

    @property
    def spans(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.entering, self.leaving


def _moves(view: FeatureView, slot: Slot, cut: int) -> _Moves:
    before = slot.window.bounds(cut - view.schedule.period_us, view.remember_us)
    now = slot.window.bounds(cut, view.remember_us)
    anew = now.lower >= before.upper
    return _Moves(
        anew=anew, window=(now.lower, now.upper), entering=(now.lower if anew else before.upper, now.upper),
        leaving=(0, 0) if anew else (before.lower, now.lower),
    )  # fmt: skip


def start(view: FeatureView, cut: int, rows: pa.Table) -> Carried:
    """From all rows of some keys known before the cut that one of its windows reaches."""
    rows = rows.select(_own(view, rows))
    codes, firsts = _in_order(rows.select(_keys(view)))
    made = _sweep(view, cut, _line(view, rows, codes), len(firsts))
    return _result(view, cut, rows, rows.select(_keys(view)).take(pa.array(firsts)), made, summed(view, made), set())


def carry(
    view: FeatureView, cut: int, sums: pa.Table, rows: pa.Table, fresh: pa.Table, tiles: pa.Table, older: pa.Table
) -> Carried:
    """From the cut before.

    Args:
        view: its definition; see `carriable`.
        cut: microseconds UTC; the one before is a period earlier.
        sums: of the cut before.
        rows: of the cut before.
        fresh: additions and retractions known since the cut before.
        tiles: what this cut newly knows, as `features.values.tiles` has it, keys as k0 and so on.
        older: tiles in the spans of `edges`, of the cuts before.
    """
    names, fresh = _keys(view), fresh.select(_own(view, fresh))
    both = pa.concat_tables([_standing(rows, fresh.schema), fresh]).combine_chunks()
    parts = [sums.select(names), both.select(names), tiles.select(names), older.select(names)]
    every = pa.concat_tables(parts)
    codes, firsts = _in_order(every)
    of_sums, of_rows, of_tiles, of_older = np.split(codes, np.cumsum([len(part) for part in parts])[:-1])
    line = _line(view, both, of_rows)
    moved = _Moving(
        view, cut, len(firsts), _numbers(sums, of_sums), _numbers(tiles, of_tiles), _numbers(older, of_older)
    )
    made = _sweep(view, cut, line, len(firsts))
    gaps = _gaps(view, cut, both, line, len(rows)) if forgets(view) else set()
    return _result(view, cut, both, every.take(pa.array(firsts)), made, moved.sums(), gaps)


def _keys(view: FeatureView) -> list[str]:
    return [f"k{n}" for n in range(len(view.keys))]


def _in_order(keys: pa.Table) -> tuple[Array, Array]:
    """A code a row and the first row of each code, as `codes_of` has them; codes are in the order of keys."""
    codes, firsts = codes_of(keys.columns)
    different = keys.take(pa.array(firsts))
    order = np.asarray(pc.sort_indices(different, [(name, "ascending") for name in keys.column_names]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], firsts[order]


def _own(view: FeatureView, table: pa.Table) -> list[str]:
    """Columns of a partition of the shuffle that the view reads, Asof's own among them."""
    reads = {f"s0_{name}" for name in view.reads(view.source)}
    return [
        name for name in table.column_names
        if name in reads or name in _OWN or name in _keys(view) or name == "asof_time"
    ]  # fmt: skip


def _standing(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of an earlier cut beside newer ones: they stand, whatever else is asked of them."""
    made = {
        name: rows[name] if name in rows.column_names else pa.array([_OWN[name]] * len(rows), schema.field(name).type)
        for name in schema.names
    }
    return pa.table(made, schema=schema)


def _line(view: FeatureView, table: pa.Table, codes: Array) -> Timeline:
    """Rows in order, each with its place in the table."""
    source = view.source
    rows = rows_of(source, 0, view.reads(source), table, codes)
    rows = replace(rows, columns={**rows.columns, _PLACE: pa.array(np.arange(len(table)))})
    return timeline(rows, source, view.freshness)


def _sweep(view: FeatureView, cut: int, line: Timeline, keys: int) -> Sweep:
    asks = Asks(key=np.arange(keys), instant=np.full(keys, cut + view.schedule.lag_us))
    return Sweep(view, {view.source.name: line}, asks, np.full(keys, cut))


def _numbers(table: pa.Table, codes: Array) -> tuple[Array, Mapping[str, Array]]:
    """Key codes, and the columns that are numbers or instants."""
    found = {
        name: np.asarray(table[name].cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False))
        for name, kind in zip(table.column_names, table.schema.types, strict=True)
        if (pa.types.is_int64(kind) and not table[name].null_count) or pa.types.is_timestamp(kind)
    }
    return codes, found


@dataclass(frozen=True, slots=True)
class _Moving:
    """Sums of a cut from those of the one before."""

    view: FeatureView
    cut: int
    keys: int
    before: tuple[Array, Mapping[str, Array]]
    tiles: tuple[Array, Mapping[str, Array]]
    older: tuple[Array, Mapping[str, Array]]

    def sums(self) -> Sums:
        made: Sums = {}
        for slot in slots(self.view):
            moves = _moves(self.view, slot, self.cut)
            for part in slot.parts:
                total = np.zeros(self.keys, np.int64)
                if not moves.anew:
                    codes, columns = self.before
                    total[codes] = columns[slot.name(part)]
                partial = f"{slot.group.label}__{part}"
                for (codes, columns), (lower, upper), sign in (
                    (self.tiles, moves.window, 1), (self.older, moves.entering, 1), (self.older, moves.leaving, -1),
                ):  # fmt: skip
                    inside = np.flatnonzero((columns["asof_tile"] >= lower) & (columns["asof_tile"] < upper))
                    np.add.at(total, codes[inside], sign * columns[partial][inside])
                made[slot.name(part)] = total
        return made


def _gaps(view: FeatureView, cut: int, table: pa.Table, line: Timeline, old: int) -> set[int]:
    """Codes of keys one of whose earlier rows was taken back, unless a version that is the same to the view follows it."""
    place = np.asarray(line.columns[_PLACE])
    gone = line.until <= cut + view.schedule.lag_us
    lost = np.flatnonzero(gone & (place < old))
    after = np.minimum(lost + 1, len(place) - 1)
    follows = (lost + 1 < len(place)) & (line.key[after] == line.key[lost]) & (line.time[after] == line.time[lost])
    follows &= ~gone[after] & (line.since[after] <= cut + view.schedule.lag_us)
    content = [name for name in table.column_names if name.startswith("s0_")]
    known = view.source.known_at
    same = equal_rows(table, [name for name in content if name != f"s0_{known}"], place[lost], place[after])
    return set(line.key[lost[~(follows & same)]].tolist())


def _result(
    view: FeatureView, cut: int, table: pa.Table, keys: pa.Table, made: Sweep, sums: Sums, gaps: set[int]
) -> Carried:
    line = made.lines[view.source.name]
    whole = np.ones(len(keys), dtype=bool)
    whole[list(gaps)] = False
    values = made.values(finished(view, sums))
    status = pa.DictionaryArray.from_arrays(values.status, list(STATUSES)).cast(pa.string())
    columns = {name: keys[key] for name, key in zip(view.keys, _keys(view), strict=True)} | dict(values.columns)
    columns |= {"asof_status": status, "event_timestamp": _served(view, cut, len(keys))}
    shown = pa.table(columns).filter(pa.array(whole & (values.status != NEVER_SEEN)))
    held = whole & np.logical_or.reduce([column != 0 for column in sums.values()])
    stay = kept(view, line, cut) & whole[line.key]
    place = np.asarray(line.columns[_PLACE])[stay]
    lasting = [name for name in table.column_names if name not in {"asof_undoes", "asof_retract", "asof_first"}]
    of_keys = {name: keys[name] for name in keys.column_names} | {
        name: pa.array(column) for name, column in sums.items()
    }
    lasts = table.select(lasting).take(pa.array(place))
    grid = tiled(view) if "asof_retract" not in table.column_names else None
    if grid is not None:
        lasts = _tiled(lasts, grid, line.since[stay] <= cut + view.schedule.lag_us)
    # All is in the order of keys, rows of their times too, which makes the files small.
    return Carried(
        values=shown.combine_chunks(),
        sums=pa.table(of_keys).filter(pa.array(held)).combine_chunks(),
        rows=lasts.combine_chunks(),
        by_tile=grid is not None,
        gaps=keys.filter(pa.array(~whole)),
    )


def _tiled(rows: pa.Table, grid: int, counts: Array) -> pa.Table:
    """Rows that count, at the start of their tile: no later cut can tell, and no retraction looks for them by their instant."""
    time = np.asarray(rows["asof_time"].combine_chunks())
    floored = pa.array(np.where(counts, time // grid * grid, time))
    return rows.set_column(rows.schema.get_field_index("asof_time"), "asof_time", floored)


def _served(view: FeatureView, cut: int, length: int) -> pa.Array:
    return pa.array(np.full(length, cut + view.schedule.lag_us), pa.int64()).cast(pa.timestamp("us", "UTC"))


def tile_rows(view: FeatureView, rows: pa.Table) -> pa.Table:
    """Rows of a partition of the shuffle in the shape that `features.values.tiles` takes."""
    made = {name: rows[key] for name, key in zip(key_names(view), _keys(view), strict=True)}
    nothing = pa.nulls(len(rows), pa.int64())
    made["asof_time"] = rows["asof_time"]
    made["asof_known"] = rows["asof_known"] if "asof_known" in rows.column_names else rows["asof_time"]
    retract = rows["asof_retract"] if "asof_retract" in rows.column_names else pa.array(np.zeros(len(rows), bool))
    undoes = rows["asof_undoes"] if "asof_undoes" in rows.column_names else nothing
    made["asof_retract"] = retract
    made["asof_undoes"] = pc.if_else(retract, undoes, pa.scalar(None, pa.int64()))
    wanted = tiling(view).columns
    return pa.table(made | {f"s_{name}": rows[f"s0_{name}"] for name in wanted if f"s0_{name}" in rows.column_names})
