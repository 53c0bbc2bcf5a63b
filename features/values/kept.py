"""Which rows a later cut can still need, of those that one cut knows: what lets a day cost what the day brings.

Counted features need none: rows leave them by subtraction, see `counted`. Of the others each has a rule:

last, time_since_last     the newest row of a key
max, min                  rows that no later row of the key equals or exceeds (a monotone queue), nor any of the same tile
distinct                  the newest row of each value, of as many values as the limit
first, time_since_first   the oldest row of each tile, since windows begin where tiles do
all else                  every row of the longest window

A row that does not count yet, or lies behind a window's end, is kept as it is and outdoes no other. Of a row whose tile is all that a later cut can
tell of its time (see `tiled`) only that is kept.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import gcd

import numpy as np
from numba import njit

from features.definitions.expressions import Expression
from features.definitions.features import Aggregate
from features.definitions.tiling import grid_of
from features.definitions.views import FeatureView
from features.values.columns import numbers, usable
from features.values.counted import is_counted
from features.values.expressions import mask
from features.values.hashing import hash64
from features.values.timeline import Timeline

__all__ = ["forgets", "kept", "kept_for", "tiled"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """Features of one operation over the same rows."""

    operation: str
    where: Expression | None
    column: str | None
    limit: int
    lower: int
    """Microseconds: no window begins before it."""

    upper: int
    """And none ends before it."""

    grid: int
    """Windows begin at multiples of so many microseconds."""


def forgets(view: FeatureView) -> bool:
    """Whether rows within the windows are left out, so that one that is taken back may leave a gap."""
    return any(need.operation in _RULES for need in _needs(view, _uncounted(view), 0))


def kept(view: FeatureView, line: Timeline, cut: int) -> Array:
    """Bool a row: whether a value at a later cut may depend on it; `cut` in microseconds UTC."""
    return kept_for(view, _uncounted(view), line, cut + view.schedule.lag_us, cut, grid_of(view))


def tiled(view: FeatureView) -> int | None:
    """How long tiles are, in microseconds, of a view whose rows count by the tile that they are in alone; None where a value depends on their instants."""
    return grid_of(view) if all(need.operation in _BY_TILE for need in _needs(view, _uncounted(view), 0)) else None


def kept_for(
    view: FeatureView, features: Iterable[Aggregate], line: Timeline, instant: int, anchor: int, grid: int | None = None
) -> Array:
    """Bool a row: whether one of these features may depend on it at `instant` or later, its windows ending at `anchor` or later; microseconds UTC.

    Windows begin at multiples of `grid` microseconds; None: wherever their steps let them, as at lookups.
    """
    live = line.until > instant
    counts = live & (line.since <= instant)
    made = live & ~counts
    for need in _needs(view, features, anchor, grid):
        here = live & (line.time >= need.lower) & mask(need.where, line.columns, len(line))
        if need.column is not None:
            here &= usable(line.columns[need.column])
        settled = here & counts & (line.time < need.upper)
        made |= here & ~settled
        places = np.flatnonzero(settled)
        if need.operation in _RULES:
            places = places[_RULES[need.operation](line, places, need)]
        made[places] = True
    return made


def _uncounted(view: FeatureView) -> list[Aggregate]:
    return [feature for feature in view.features if isinstance(feature, Aggregate) and not is_counted(view, feature)]


def _needs(view: FeatureView, features: Iterable[Aggregate], anchor: int, grid: int | None = None) -> Iterator[_Need]:
    groups: dict[tuple[str, str, str | None, bool], list[Aggregate]] = {}
    for feature in features:
        # An aggregation of expressions has no column; all rows of its condition are kept for it.
        key = feature.operation, repr(feature.where), feature.column, bool(feature.inputs)
        groups.setdefault(key, []).append(feature)
    for (operation, _, column, expressed), alike in groups.items():
        bounds = [feature.window.bounds(anchor, view.remember_us) for feature in alike]
        yield _Need(
            operation=operation, where=alike[0].where, column=None if expressed else column,
            limit=max(feature.limit or 0 for feature in alike), lower=min(lower for lower, _ in bounds), upper=min(upper for _, upper in bounds),
            grid=grid or gcd(*(feature.window.step_us for feature in alike)),
        )  # fmt: skip


def _newest(line: Timeline, places: Array, _: _Need) -> Array:
    """Rows of one instant may stand in the order of a value, so all of the newest instant stay."""
    return _at_edge(line.key[places], line.time[places], last=True)


def _oldest_of_tiles(line: Timeline, places: Array, need: _Need) -> Array:
    key, time = line.key[places], line.time[places]
    tile = time // need.grid
    starts = np.ones(len(places), dtype=bool)
    starts[1:] = (key[1:] != key[:-1]) | (tile[1:] != tile[:-1])
    return _at_edge(np.cumsum(starts), time, last=False)


def _at_edge(group: Array, time: Array, *, last: bool) -> Array:
    """Rows at the first or last instant of their group; groups stand together, times in order."""
    if not len(group):
        return np.zeros(0, dtype=bool)
    change = np.flatnonzero(group[1:] != group[:-1])
    edge = np.append(change, len(group) - 1) if last else np.insert(change + 1, 0, 0)
    number = np.zeros(len(group), np.int64)
    number[change + 1] = 1
    made: Array = time == time[edge][np.cumsum(number)]
    return made


def _largest(line: Timeline, places: Array, need: _Need) -> Array:
    values = numbers(line.columns[need.column or ""].take(places))
    made: Array = _queue(line.key[places], line.time[places] // need.grid, values, need.operation == "max")
    return made


@njit(cache=True)
def _queue(key: Array, tile: Array, values: Array, largest: bool) -> Array:  # noqa: FBT001 - numba wants flat arguments
    """Of each key, rows whose value no later one, nor any of their tile, equals or exceeds (or undercuts)."""
    made = np.zeros(len(key), np.bool_)
    best = -1
    for i in range(len(key) - 1, -1, -1):
        if best < 0 or key[i] != key[best]:
            best = i
            made[i] = True
        elif values[i] > values[best] if largest else values[i] < values[best]:
            if tile[i] == tile[best]:
                made[best] = False
            best = i
            made[i] = True
    return made


def _newest_of_values(line: Timeline, places: Array, need: _Need) -> Array:
    item = hash64(line.columns[need.column or ""].take(places))
    key, number = line.key[places], np.arange(len(places))
    order = np.lexsort((number, item, key))
    ends = np.ones(len(places), dtype=bool)
    ends[:-1] = (key[order][1:] != key[order][:-1]) | (item[order][1:] != item[order][:-1])
    newest = np.sort(order[ends])
    made = np.zeros(len(places), dtype=bool)
    made[newest[_last_of_each(key[newest], need.limit)]] = True
    return made


def _last_of_each(key: Array, limit: int) -> Array:
    """The last `limit` elements of each run of equal keys."""
    if not len(key):
        return np.zeros(0, dtype=bool)
    ends = np.append(np.flatnonzero(key[1:] != key[:-1]), len(key) - 1)
    behind = np.repeat(ends, np.diff(np.append(-1, ends))) - np.arange(len(key))
    made: Array = behind < limit
    return made


_RULES: dict[str, Callable[[Timeline, Array, _Need], Array]] = {
    "last": _newest,
    "time_since_last": _newest,
    "max": _largest,
    "min": _largest,
    "distinct": _newest_of_values,
    "first": _oldest_of_tiles,
    "time_since_first": _oldest_of_tiles,
}
_BY_TILE = frozenset(("max", "min", "distinct"))
