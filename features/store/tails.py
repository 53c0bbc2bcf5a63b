"""The tail: events that became known since the cut, under every entity that event views look it up by (semantics 5). `tail_rows` has its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.definitions.expressions import columns_of
from features.definitions.freshness import EventFreshness
from features.definitions.views import FeatureView
from features.store.tail_rows import entries as entries
from features.store.tail_rows import known_of as known_of
from features.store.tail_rows import rows_of
from features.values.expressions import mask
from features.values.state.blocks import Block
from features.values.state.plan import plan_of

__all__ = ["Pushed", "entries", "known_of", "tail_of", "tail_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One version of an event, as a store takes it."""

    event_id: bytes
    order: str
    """Of the versions of one event the least one is the first that was known."""

    known: int
    """Microseconds UTC."""

    entry: bytes | None
    """None of a void, and of an event that no view counts."""

    keys: tuple[bytes, ...]
    """Of the entities, encoded by `entity_key`."""


def tail_source(view: FeatureView) -> str:
    """The source whose tail a view's lookups read; none of one that changes with its cuts alone."""
    return view.source.ingested_by if isinstance(view.freshness, EventFreshness) else ""


def tail_of(view: FeatureView, found: Sequence[tuple[int, bytes]], cut: int) -> Block | None:
    """What a lookup counts beside a state of a cut: first versions known since, soon enough after they happened.

    Args:
        view: of event freshness.
        found: place of the key, and what its tail holds; of one key beside each other.
        cut: of the state, in microseconds UTC.
    """
    source, fresh, names = view.source, view.freshness, plan_of(view).waiting_columns
    if not isinstance(fresh, EventFreshness):
        return None
    rows = rows_of(source, found, {*names, *columns_of(source.filter)})
    if not len(rows):
        return None
    known = np.maximum(rows.since, rows.time + source.lag_us) if source.lag_us else rows.since
    chosen = (known >= cut) & (known - rows.time <= fresh.lateness_us)
    chosen &= mask(source.filter, rows.columns, len(rows))
    order = np.lexsort((rows.time, rows.key))
    order = order[chosen[order]]
    columns = {name: rows.columns[name].take(pa.array(order)) for name in names}
    return Block(key=rows.key[order], time=rows.time[order], since=known[order] + fresh.lag_us, columns=columns)
