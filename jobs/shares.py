"""Which task finishes what: a bucket of keys each, and of a heavy one a slice of time, with the rows that its windows reach. No Spark.

One key may have most of all rows, and no hash takes it apart. Its asks come apart by time: a slice has those of a span, and of the events all that a window
of theirs may hold, edges and all, so that each value is the same as in one piece. Slices overlap by the longest window; early ones are given more asks.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.values.partition import ASK, EntityViews
from jobs.sizing import earliest_anchor, reached

__all__ = ["Share", "shares", "slicing"]

Keep = Callable[[int, pa.RecordBatch], pa.RecordBatch]
_HEAVY = 200_000
"""Rows that a bucket must have before it is worth taking apart."""
_TIMES = 2
"""And so many times as many as one would have if all were alike."""
_MOST = 4
"""Slices at the most: what they have in common is read by each."""
_EARLY = 0.7
"""Of two slices the first has 0.5 ** 0.7 of the asks: what comes before a slice must be read for the later ones as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one task finishes."""

    bucket: int
    number: int = 0
    of: int = 1
    """Slices of the bucket."""


def shares(rows: Sequence[int]) -> tuple[Share, ...]:
    """The heavy ones first; `rows` of each bucket."""
    usual = max(_HEAVY, _TIMES * sum(rows) // max(len(rows), 1))
    heavy = [bucket for bucket, count in enumerate(rows) if count > usual]
    of = min(_MOST, max(2, os.cpu_count() or 1))
    slices = [Share(bucket=bucket, number=number, of=of) for bucket in heavy for number in reversed(range(of))]
    return (*slices, *(Share(bucket=bucket) for bucket in range(len(rows)) if bucket not in heavy))


def slicing(group: EntityViews, share: Share, instants: np.ndarray) -> Keep:
    """What a slice keeps of a part's rows.

    Args:
        group: the views that are finished.
        share: which slice.
        instants: of all asks of the bucket, microseconds UTC, in any order.
    """
    edges = np.quantile(instants, (np.arange(1, share.of) / share.of) ** _EARLY).astype(np.int64)
    slice_of = np.searchsorted(edges, instants, side="right")
    mine = instants[slice_of == share.number]
    if not len(mine):
        return lambda _, batch: batch.slice(0, 0)
    first, last = int(mine.min()), int(mine.max())
    anchor = earliest_anchor(group, first)

    def keep(part: int, batch: pa.RecordBatch) -> pa.RecordBatch:
        time = batch["asof_time"]
        if part == ASK:
            return batch.filter(pc.and_(pc.greater_equal(time, first), pc.less_equal(time, last)))
        since = reached(group, group.sources[part], anchor)
        if since is None:  # attributes and outcomes count whatever their age
            return batch
        return batch.filter(pc.and_(pc.greater_equal(time, since), pc.less_equal(time, last)))

    return keep
