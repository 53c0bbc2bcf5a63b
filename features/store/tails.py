"""The tail: events that became known since the cut, under every entity that event views look it up by (semantics 5). `tail_rows` has its bytes."""

from dataclasses import dataclass

import numpy as np

from features.definitions.freshness import EventFreshness
from features.definitions.views import FeatureView
from features.store.tail_rows import entries as entries
from features.store.tail_rows import known_of as known_of
from features.store.tail_rows import rows_of as rows_of
from features.values.expressions import mask
from features.values.state.blocks import Block, LazyColumns
from features.values.state.plan import plan_of

__all__ = ["Pushed", "entries", "known_of", "rows_of", "tail_of", "tail_source"]


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


def tail_of(view: FeatureView, rows: Block, cut: int) -> Block | None:
    """What a lookup counts beside a state of a cut: first versions known since, soon enough after they happened.

    Args:
        view: of event freshness.
        rows: of its source, as `rows_of` gives them, in the order of keys and instants.
        cut: of the state, in microseconds UTC.
    """
    source, fresh = view.source, view.freshness
    if not isinstance(fresh, EventFreshness) or not len(rows):
        return None
    known = np.maximum(rows.since, rows.time + source.lag_us) if source.lag_us else rows.since
    chosen = (known >= cut) & (known - rows.time <= fresh.lateness_us)
    if source.filter is not None:
        chosen &= mask(source.filter, rows.columns, len(rows))
    taken = rows.only(chosen)
    since = known if taken is rows else known[chosen]
    columns = LazyColumns(plan_of(view).waiting_columns, taken.columns.__getitem__)
    return Block(key=taken.key, time=taken.time, since=since + fresh.lag_us, columns=columns)
