"""The columns of tiles, made of rows: what is added or of which the smallest or largest is taken, a row at a time; values and states, a tile at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.tiling import Group, Held, Tiling
from features.values import exact, tile_lists
from features.values.generic import inputs_of
from features.values.ordered import packed
from features.values.sweep import ARROW_TYPES
from features.values.tile_states import folded

__all__ = ["Contributions", "added", "standing"]

Array = np.ndarray
_OF_TIME = {"oldest", "newest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """What rows do to the tiles of a cut."""

    row: Array
    cut: Array
    sign: Array
    """1 and -1 of counts and sums; 0 where only what cannot be undone is given."""

    stands: Array
    """Whether the row takes part in what cannot be undone."""

    replaces: Array


def added(plan: Tiling, columns: Mapping[str, pa.Array], times: Array, parts: Contributions) -> dict[str, pa.Array]:
    """Each partial's part in the sum, minimum or maximum, a contribution.

    Args:
        plan: the view's.
        columns: of the source, by name.
        times: of its rows, microseconds.
        parts: what they do.
    """
    made: dict[str, pa.Array] = {}
    for group in plan.groups:
        _, met = inputs_of(group.where, group.reads, columns, len(times))
        chosen = met[parts.row]
        stands = chosen & parts.stands
        sign = np.where(chosen, parts.sign, 0)
        names = {p.name.removeprefix(f"{group.label}__") for p in group.partials if p.type != "binary"}
        here: dict[str, pa.Array] = {"n": pa.array(sign)}
        for name in names & _OF_TIME:
            here[name] = pa.array(times[parts.row], mask=~stands).cast(ARROW_TYPES["timestamp"])
        if group.column is not None and names - _OF_TIME > {"n"}:
            values = _values(columns[group.column])[parts.row]
            here |= _summed(values, sign, stands, names)
            for name in names & {"min", "max"}:
                here[name] = pa.array(values, mask=~stands).cast(ARROW_TYPES[group.type])
        made |= {f"{group.label}__{name}": here[name] for name in names}
    return made


def _summed(values: Array, sign: Array, stands: Array, names: set[str]) -> dict[str, pa.Array]:
    made: dict[str, pa.Array] = {}
    if "sum" in names:
        made["sum"] = pa.array(np.where(stands, values, 0.0))
    if "high" in names:
        high, low = exact.sum_limbs(values)
        made |= {"high": pa.array(high * sign), "low": pa.array(low * sign)}
    if "square_0" in names:
        pieces = exact.square_limbs(values)
        nothing = np.zeros(len(values), np.int64)
        wanted = [name for name in names if name.startswith("square_")]
        for name in wanted:
            n = int(name.removeprefix("square_"))
            made[name] = pa.array(pieces[n] * sign if n < len(pieces) else nothing)
    return made


def _values(column: pa.Array) -> Array:
    """int64 or float64 a row, anything where null; -0.0 is 0.0."""
    if pa.types.is_floating(column.type):
        return np.asarray(pc.fill_null(column, 0.0)) + 0.0
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))


@dataclass(frozen=True, slots=True)
class _Standing:
    """What rows of a group count in what cannot be undone, place by place."""

    group: Group
    columns: list[pa.Array]
    """What the group reads, a row."""

    row: Array
    place: Array
    """Ascending."""


def standing(
    plan: Tiling,
    columns: Mapping[str, pa.Array],
    times: Array,
    event_id: str | None,
    parts: Contributions,
    places: Array,
) -> dict[str, pa.Array]:
    """Each partial that is bytes, a place: the (key, tile, cut) of a row of the tiles.

    Args:
        plan: the view's.
        columns: of the source, by name.
        times: of its rows, microseconds.
        event_id: the column's name.
        parts: what rows do.
        places: the place of each contribution, from 0 on without a gap.
    """
    made: dict[str, pa.Array] = {}
    count = int(places.max(initial=-1)) + 1
    for group in plan.groups:
        if all(partial.type != "binary" for partial in group.partials):
            continue
        read, met = inputs_of(group.where, group.reads, columns, len(times))
        some = np.flatnonzero(met[parts.row] & parts.stands)
        some = some[np.argsort(places[some], kind="stable")]
        rows = _Standing(group, read, parts.row[some], places[some])
        for partial in group.partials:
            if partial.held is None:
                continue
            at = pa.array(rows.row)
            mine = [column.take(at) for column in read]
            if isinstance(partial.held, Held):
                made[partial.name] = folded(partial.held, group.type, rows.place, times[rows.row], mine, count)
                continue
            ids = columns[event_id].take(at) if event_id and partial.held.id is not None else None
            made[partial.name] = tile_lists.folded(partial.held, rows.place, times[rows.row], ids, mine, count)
        if group.operations & {"first", "last"}:  # else the event id may have stayed behind
            made |= _ends(rows, times, columns[event_id] if event_id else None, count)
    return made


def _ends(rows: _Standing, times: Array, ids: pa.Array | None, count: int) -> dict[str, pa.Array]:
    """The first and the last value of each place, whichever the group asks for."""
    values = rows.columns[0]
    tie = _ranks((values if ids is None else ids).take(pa.array(rows.row)))
    order = np.lexsort((tie, times[rows.row], rows.place))
    row, place = rows.row[order], rows.place[order]
    made = {}
    for name in rows.group.operations & {"first", "last"}:
        edge = np.ones(len(place), bool)
        if name == "first":
            edge[1:] = place[1:] != place[:-1]
        else:
            edge[:-1] = place[1:] != place[:-1]
        at = np.full(count, -1)
        at[place[edge]] = np.arange(int(edge.sum()))
        chosen = pa.array(row[edge])
        found = packed(times[row[edge]], None if ids is None else ids.take(chosen), values.take(chosen))
        made[f"{rows.group.label}__{name}"] = found.take(pa.array(at, mask=at < 0))
    return made


def _ranks(column: pa.Array) -> Array:
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(pc.rank(column, tiebreaker="dense"))
