"""Asks that count as events of their key, beside states: each ask has a state of its own, so nothing of it meets another's (semantics 3, include_self)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.views import FeatureView
from features.values.requests import OwnEvents, own_rows
from features.values.state.blocks import Block
from features.values.state.plan import plan_of
from features.values.sweep import ARROW_TYPES

__all__ = ["before_asks", "selves", "unreplaced"]

Array = np.ndarray


def selves(view: FeatureView, instant: Array, own: OwnEvents) -> Block:
    """The events that asks are, key n that of ask n; without those that the source's filter keeps out. `instant`: of each ask, in microseconds UTC."""
    columns, chosen = own
    types = view.source.types
    kinds = {name: ARROW_TYPES[types[name]] for name in plan_of(view).waiting_columns}
    at = instant[chosen]
    return Block(key=np.flatnonzero(chosen), time=at, since=at, columns=own_rows(kinds, columns, chosen))


def unreplaced(view: FeatureView, tail: Block, own: OwnEvents) -> Block:
    """The rows of a tail without those of the asks' own event_id, for which the asks stand."""
    name = view.source.event_id or ""
    if name not in own.columns:
        return tail
    asked = own.columns[name].take(pa.array(tail.key))
    same = np.asarray(pc.fill_null(pc.equal(tail.columns[name], asked), False)) & own.counting[tail.key]
    return tail.only(~same)


def before_asks(rows: Block, instant: Array) -> Block:
    """Rows before each ask: those of its very instant do not count, and windows reach on to it."""
    return rows.only(rows.time < instant[rows.key])
