"""The tail: events that became known since the cut, one entry an event id, under every entity that event views look it up by (semantics 5).

An entry says when its event became known (8 bytes, little endian) and which columns it has (4 bytes of a hash); what follows is one row, as
docs/state.md has it, of all columns of the source.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.definitions.freshness import EventFreshness
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values.expressions import mask
from features.values.state.blocks import Block, read_blocks, write_blocks
from features.values.state.plan import plan_of

__all__ = ["Pushed", "entries", "known_of", "tail_of", "tail_source"]

Array = np.ndarray
_HEADER = struct.Struct("<q4s")


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


def entries(source: Source, columns: Mapping[str, pa.Array], time: Array, known: Array) -> list[bytes]:
    """One entry a row."""
    count, kind = len(time), _kind(source)
    block = Block(key=np.arange(count), time=time, since=known, columns={name: columns[name] for name in source.types})
    rows = write_blocks(count, block, 0, timed=True)
    return [_HEADER.pack(at, kind) + row for at, row in zip(known.tolist(), rows, strict=True)]


def known_of(entry: bytes) -> int:
    """When its event became known."""
    return int(_HEADER.unpack_from(entry)[0])


def _kind(source: Source) -> bytes:
    return hashlib.sha256(repr(sorted(source.types.items())).encode()).digest()[:4]


def tail_of(view: FeatureView, found: Sequence[tuple[int, bytes]], cut: int) -> Block | None:
    """What a lookup counts beside a state of a cut: first versions known since, soon enough after they happened.

    Args:
        view: of event freshness.
        found: place of the key, and entry; entries of other columns than the source has now are left out.
        cut: of the state, in microseconds UTC.
    """
    source, fresh, kind = view.source, view.freshness, _kind(view.source)
    fitting = [(key, entry) for key, entry in found if entry[8 : _HEADER.size] == kind]
    if not fitting or not isinstance(fresh, EventFreshness):
        return None
    data = b"".join(entry[_HEADER.size :] for _, entry in fitting)
    ends = np.cumsum([len(entry) - _HEADER.size for _, entry in fitting])
    begins = np.array([0, *ends[:-1]], np.int64)
    rows = read_blocks(data, begins, ends, 0, source.types, timed=True)
    known = np.maximum(rows.since, rows.time + source.lag_us) if source.lag_us else rows.since
    chosen = (known >= cut) & (known - rows.time <= fresh.lateness_us)
    chosen &= mask(source.filter, rows.columns, len(rows))
    keys = np.array([key for key, _ in fitting], np.int64)[rows.key]
    order = np.lexsort((rows.time, keys))
    order = order[chosen[order]]
    columns = {name: rows.columns[name].take(pa.array(order)) for name in plan_of(view).waiting_columns}
    return Block(key=keys[order], time=rows.time[order], since=known[order] + fresh.lag_us, columns=columns)
