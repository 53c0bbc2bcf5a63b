"""How large the shuffle of an entity is, and how it is cut: from the rows that ingest counted. No Spark.

A Python worker holds one partition of the shuffle as Arrow, its rows in order, and the answers: about three times the partition.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from features.definitions.durations import DAY, duration, floor_to
from features.definitions.expressions import ColumnType
from features.definitions.freshness import Schedule
from features.definitions.names import utc
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import EntityViews
from jobs import ledger

__all__ = ["Read", "Size", "buckets", "earliest_anchor", "reached", "size"]

_WIDTHS: dict[ColumnType, int] = {"string": 24, "int64": 8, "float64": 8, "timestamp": 8, "bool": 1}
"""Bytes a value in Arrow; a text of twenty bytes and its offset."""
_OWN = 1 + 8 + 8 + 8 + 8 + 1 + 1
"""Of asof_part, asof_row, asof_time, asof_known, asof_undoes, asof_retract and asof_first; the last five may stay behind."""
PARTITION = 48 * 1024 * 1024
"""Bytes that a partition may have at the most."""
_SMALL = 4 * 1024 * 1024
"""Bytes below which a further partition costs more than it saves."""
_COPIES = 3
_CLUSTER = 200
_LARGEST = 1024
"""Buckets at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What is read of one source."""

    source: str
    partitions: int
    rows: int
    columns: tuple[str, ...]
    since: int | None
    """Of event_time, microseconds UTC; None: rows of any age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of the one shuffle of an entity."""

    reads: tuple[Read, ...]
    rows: int
    bytes: int
    """As Arrow, about."""
    partitions: int
    chosen: str
    """By what: `the data's size`, or the setting."""

    @property
    def worker_bytes(self) -> int:
        """Of a Python worker that holds an average partition, about; the keys' skew comes on top."""
        return _COPIES * self.bytes // self.partitions


def reached(group: EntityViews, source: Source, anchor: int) -> int | None:
    """The earliest event_time that a view's windows reach, of windows that end at `anchor` or later; None where rows of any age count."""
    views = [view for view in group.views if source.name in {each.name for each in view.sources}]
    if source.kind != "events" or any(view.source.name != source.name for view in views):
        return None  # attributes and outcomes
    return floor_to(anchor - max(view.remember_us for view in views), DAY)


def earliest_anchor(group: EntityViews, instant: int) -> int:
    """No ask from an instant on has a window that ends before this."""
    return min(_anchor(view, instant) for view in group.views)


def _anchor(view: FeatureView, instant: int) -> int:
    fresh = view.freshness
    return fresh.cut_served(instant) if isinstance(fresh, Schedule) and fresh.anchor == "cut" else instant


def size(settings: Settings, group: EntityViews, *, before: int, anchor: int, asks: int = 0) -> Size:
    """Of what is known before an instant and counts in windows that end at `anchor` or later; microseconds UTC."""
    reads = tuple(_read(settings, group, source, before, anchor) for source in group.sources)
    rows = sum(read.rows for read in reads) + asks
    total = rows * _width(group)
    if settings.spark.shuffle_partitions is not None:
        count, chosen = settings.spark.shuffle_partitions, "the setting spark.shuffle_partitions"
    else:
        least = 2 * (os.cpu_count() or 1) if settings.spark.master.startswith("local") else _CLUSTER
        count = max(1, -(-total // PARTITION), min(least, total // _SMALL))
        chosen = "the data's size"
    return Size(reads=reads, rows=rows, bytes=total, partitions=count, chosen=chosen)


def buckets(settings: Settings, group: EntityViews, cut: int) -> int:
    """How many buckets of keys a cut has: a power of two, so that cuts of more and of fewer find each other's rows."""
    count = size(settings, group, before=cut, anchor=cut).partitions
    return min(_LARGEST, 1 << (count - 1).bit_length())


def _read(settings: Settings, group: EntityViews, source: Source, before: int, anchor: int) -> Read:
    since = reached(group, source, anchor)
    last = str((utc(before) - timedelta(microseconds=1)).date())
    oldest = "" if since is None else str(utc(since - duration(source.max_future)).date())
    found = [
        item for item in ledger.partitions(settings, source.ingested_by) if oldest <= item.ds <= last and not item.held
    ]
    rows = sum(item.rows for item in found)
    return Read(source=source.name, partitions=len(found), rows=rows, columns=group.reads(source), since=since)


def _width(group: EntityViews) -> int:
    """Bytes of a row: each source's columns stand beside the others', null where the row is of another."""
    keys = len(group.keys) * _WIDTHS[group.views[0].entity.type]
    return _OWN + keys + sum(_widths([source.types[name] for name in group.reads(source)]) for source in group.sources)


def _widths(types: Sequence[ColumnType]) -> int:
    return sum(_WIDTHS[kind] for kind in types)
