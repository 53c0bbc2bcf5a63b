"""What no section holds, finished from rows by the sweep that finishes frames: sums of floats, first, last, how rows follow one another, changes."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values.columns import as_type, at_places
from features.values.requests import OwnEvents, with_asks
from features.values.state.blocks import Block
from features.values.state.plan import Plan
from features.values.sweep import Sweep, Values, attributes
from features.values.timeline import FOREVER, Asks, Rows, Timeline, in_order

__all__ = ["others", "swept"]

Array = np.ndarray


def others(
    plan: Plan, rows: Block, more: Block, key: Array, instant: Array, own: OwnEvents | None = None
) -> Mapping[str, tuple[pa.Array, Array]]:
    """Each feature of `plan.others` at each ask, and where an integer left int64.

    Args:
        plan: of a view of events.
        rows: of the states.
        more: beside them.
        key: of each ask, in any order.
        instant: of each, in microseconds UTC.
        own: the events that the asks are, each of which has a key of its own; None: they do not count.
    """
    asks, back = _sorted(key, instant)
    line = _line(plan.view.source, rows, more)
    if own is not None:
        # Of distinct keys in their order: nothing was moved.
        line = with_asks(plan.view, line, asks, own, replacing=False)
    sweep = Sweep(plan.view, {plan.view.source.name: line}, asks, asks.instant)
    made: dict[str, tuple[pa.Array, Array]] = {}
    for feature in plan.others:
        column, left = sweep.one(feature)
        made[feature.name] = at_places(column, back), left[back]
    return made


def swept(view: FeatureView, rows: Block, more: Block, key: Array, instant: Array) -> Values:
    """A view of changes at each ask; see `others`."""
    asks, back = _sorted(key, instant)
    found = attributes(view, _line(view.source, rows, more), asks, asks.instant)
    columns = {name: at_places(column, back) for name, column in found.columns.items()}
    return Values(columns=columns, status=found.status[back])


def _sorted(key: Array, instant: Array) -> tuple[Asks, Array]:
    order = np.lexsort((instant, key))
    return Asks(key=key[order], instant=instant[order]), np.argsort(order)


def _line(source: Source, rows: Block, more: Block) -> Timeline:
    """The states' rows and those beside them, in order."""
    if not len(more):
        return _timeline(rows.key, rows.time, rows.time, rows.columns, plain=True)
    both = {
        name: pa.concat_arrays([column, as_type(more.columns[name], column.type)]) for name, column in rows.columns.items()
    }  # fmt: skip
    key, time = np.concatenate([rows.key, more.key]), np.concatenate([rows.time, more.time])
    since = np.concatenate([rows.time, more.since])
    never, zeros = np.zeros(len(key), bool), np.zeros(len(key), np.int64)
    unordered = Rows(key=key, time=time, known=zeros, retract=never, undoes=zeros, first=never, columns=both)
    order = in_order(unordered, source)
    columns = {name: at_places(column, order) for name, column in both.items()}
    return _timeline(key[order], time[order], since[order], columns, plain=False)


def _timeline(key: Array, time: Array, since: Array, columns: Mapping[str, pa.Array], *, plain: bool) -> Timeline:
    return Timeline(
        key=key, time=time, since=since, until=np.full(len(key), FOREVER), columns=columns, plain=plain
    )  # fmt: skip
