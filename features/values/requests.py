"""What an ask brings: its request fields as values, and itself as an event of its key (semantics 3, include_self)."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.features import Requested
from features.definitions.freshness import EventFreshness
from features.definitions.requests import followers
from features.definitions.views import FeatureView
from features.values import kernels
from features.values.columns import as_type, at_places
from features.values.expressions import evaluate_column, mask
from features.values.timeline import Asks, Timeline, anchors, settled

__all__ = ["OwnEvents", "Request", "chosen_of", "own_events", "own_rows", "requested", "rounds", "with_asks"]

Array = np.ndarray
Request = Mapping[str, pa.Array]
"""Request fields by name, of the types that the view's source declares; an element an ask, in the order of the asks."""


class OwnEvents(NamedTuple):
    """The events that asks are (include_self), one an ask."""

    columns: Mapping[str, pa.Array]
    """Their instants, request fields, and the computed columns that follow from these. All others are null."""

    counting: Array
    """bool[asks]: those that are events of the source at all."""


def chosen_of(request: Request, chosen: Array) -> Request:
    """That of some asks."""
    return request if chosen.all() else {name: column.filter(pa.array(chosen)) for name, column in request.items()}


def requested(feature: Requested, request: Request | None, count: int, kind: pa.DataType) -> pa.Array:
    """The values of a feature that is a request field; all null where nobody asks."""
    if request is None:
        return pa.nulls(count, kind)
    column = as_type(request[feature.column], kind)
    if not pa.types.is_floating(kind):
        return column
    return pc.if_else(pc.fill_null(pc.is_finite(column), False), pc.add(column, 0.0), pa.scalar(None, kind))


def rounds(asks: Asks) -> Iterator[Array]:
    """Masks of the asks, which are sorted by (key, instant): in none two of one key and instant; of most asks one takes all."""
    count = len(asks.key)
    new = np.ones(count, bool)
    new[1:] = (asks.key[1:] != asks.key[:-1]) | (asks.instant[1:] != asks.instant[:-1])
    turn = np.arange(count) - np.maximum.accumulate(np.where(new, np.arange(count), 0))
    for number in range(int(turn.max(initial=0)) + 1):
        yield turn == number


def own_events(view: FeatureView, instant: Array, request: Request) -> OwnEvents:
    """The events that asks are.

    Args:
        view: with include_self.
        instant: of each ask, in microseconds UTC.
        request: what they bring.
    """
    made = {name: request[name] for name in view.request}
    made[view.source.event_time] = as_type(pa.array(instant), pa.timestamp("us", "UTC"))
    how = {each.name: each.computed for each in view.source.columns}
    for name in followers(view.source, view.request):
        node = how[name]
        if node is not None:
            made[name] = evaluate_column(node, made, len(instant))
    return OwnEvents(made, counting_asks(view, made, len(instant)))


def counting_asks(view: FeatureView, columns: Mapping[str, pa.Array], count: int) -> Array:
    """Which asks are events of the source at all: those that meet its filter."""
    return mask(view.source.filter, columns, count)


def own_rows(names: Mapping[str, pa.DataType], columns: Mapping[str, pa.Array], chosen: Array) -> dict[str, pa.Array]:
    """These columns of the chosen asks' events."""
    count = int(chosen.sum())
    index = None if count == len(chosen) else pa.array(np.flatnonzero(chosen))
    made: dict[str, pa.Array] = {}
    for name, kind in names.items():
        if name in columns:
            made[name] = as_type(columns[name] if index is None else columns[name].take(index), kind)
        else:
            made[name] = pa.nulls(count, kind)
    return made


def with_asks(view: FeatureView, line: Timeline, asks: Asks, events: OwnEvents, *, replacing: bool = True) -> Timeline:
    """The rows of a view, and for each ask one that counts for it alone.

    Args:
        view: with include_self.
        line: its rows in order.
        asks: no two of one key and instant.
        events: that they are.
        replacing: whether rows of an ask's event_id that became known since its cut are hidden from it; of states they are not here.
    """
    columns, chosen = events
    ids = columns.get(view.source.event_id or "")
    if replacing and ids is not None and isinstance(view.freshness, EventFreshness):
        line = _hidden(view, line, asks, ids, chosen)
    here, kinds = asks.only(chosen), {name: column.type for name, column in line.columns.items()}
    places = kernels.edges(line.key, line.time, here.key, here.instant)
    order = np.insert(np.arange(len(line)), places, len(line) + np.arange(len(places)))
    own = own_rows(kinds, columns, chosen)

    def woven(rows: Array, asked: Array) -> Array:
        return np.concatenate([rows, asked])[order]

    return Timeline(
        key=woven(line.key, here.key), time=woven(line.time, here.instant),
        since=woven(line.since, here.instant), until=woven(line.until, here.instant + 1),
        columns={name: at_places(pa.concat_arrays([column, own[name]]), order) for name, column in line.columns.items()},
        settled=None if line.settled is None else woven(line.settled, settled(here.instant, view.freshness)),
        known=None if line.known is None else woven(line.known, here.instant), own=order >= len(line),
    )  # fmt: skip


def _hidden(view: FeatureView, line: Timeline, asks: Asks, ids: pa.Array, chosen: Array) -> Timeline:
    """Rows that an ask stands for do not count at its instant: each is cut in two there."""
    row, instant = _replaced(view, line, asks, ids, chosen)
    if not len(row):
        return line
    order = np.lexsort((instant, row))
    row, instant = row[order], instant[order]
    index = np.sort(np.concatenate([np.arange(len(line)), row]))
    first = np.diff(index, prepend=-1) != 0
    last = np.diff(index, append=len(line)) != 0
    since, until = line.since[index].copy(), line.until[index].copy()
    since[~first], until[~last] = instant + 1, instant
    return Timeline(
        key=line.key[index], time=line.time[index], since=since, until=until,
        columns={name: column.take(pa.array(index)) for name, column in line.columns.items()},
        settled=None if line.settled is None else line.settled[index], known=None if line.known is None else line.known[index],
    )  # fmt: skip


def _replaced(view: FeatureView, line: Timeline, asks: Asks, ids: pa.Array, chosen: Array) -> tuple[Array, Array]:
    """Rows of the key and event_id of an ask that its cut did not know, and the ask's instant."""
    known = line.since if line.known is None else line.known
    chosen = chosen & np.asarray(ids.is_valid())
    here, different = asks.only(chosen), ids.filter(pa.array(chosen)).unique()
    code = pc.index_in(line.columns[view.source.event_id or ""], value_set=different)
    rows = np.flatnonzero(np.asarray(code.is_valid()))
    if not len(rows):
        return rows, np.zeros(0, np.int64)
    of_ask = np.asarray(pc.index_in(ids.filter(pa.array(chosen)), value_set=different)).astype(np.int64)
    of_row = np.asarray(code.take(pa.array(rows))).astype(np.int64)
    pairs, wanted = here.key * len(different) + of_ask, line.key[rows] * len(different) + of_row
    order = np.argsort(pairs, kind="stable")
    low, high = np.searchsorted(pairs[order], wanted), np.searchsorted(pairs[order], wanted, side="right")
    row = np.repeat(rows, high - low)
    ask = order[
        np.arange(len(row)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + np.repeat(low, high - low)
    ]
    instant = here.instant[ask]
    cut = anchors(instant, view.schedule)
    hit = (line.time[row] < instant) & (line.since[row] <= instant) & (instant < line.until[row]) & (known[row] >= cut)
    return row[hit], instant[hit]
