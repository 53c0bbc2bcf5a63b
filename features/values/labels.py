"""What became of events, as known at an instant: positive, negative, pending or unobserved (semantics 6). Arrow and numpy, no Spark.

Instants are int64 microseconds UTC. Rows are what engines see of a source: `asof_known` (additions and retractions), `asof_op`, `asof_undoes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.expressions import Expression
from features.definitions.services import Label
from features.definitions.sources import Source
from features.values.expressions import mask
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, RETRACT

__all__ = ["ASKED", "NEGATIVE", "PENDING", "POSITIVE", "STATUSES", "UNOBSERVED", "Labelled", "label_events"]

Array = np.ndarray
STATUSES = POSITIVE, NEGATIVE, PENDING, UNOBSERVED = "positive", "negative", "pending", "unobserved"
ASKED = "asof_asked_"
"""Before the name of a column that is as the event's first version has it: what whoever asked at the event brought."""
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Events and what became of them, and what is wrong with their outcomes."""

    rows: pa.Table
    """The events that stand, sorted by (time, id): their columns and `label` (int8: 1 positive, 0 negative, null otherwise), `label_status`,
    `label_known_at` (since when the label is what it is; null of pending and unobserved), `label_mature` (event_time + H <= as_of). Of events that
    are not mature only positives have a label: who learns from those learns that young events are fraud. Columns that were `asked` for stand beside them."""

    early: pa.Table
    """Outcomes that stand and arrived before their event happened: `outcome`, `event` (text), `arrived`, `happened`."""


def label_events(label: Label, events: pa.Table, outcomes: pa.Table, as_of: int, asked: Sequence[str] = ()) -> Labelled:
    """Labels the events that are known at `as_of`: what has known_at < as_of, as at a cut.

    Positive: an outcome that meets `positive`, became known before event_time + H, and still stands at `as_of`; of several one is enough. Unknown
    outcomes, and those taken back by then, are none. An outcome that is corrected stands from its first version on that meets `positive` without
    a gap. Negative: not positive, and event_time + H <= as_of. Unobserved: `blocked` and not `explored`, whatever else is known.

    Args:
        label: the definition.
        events: rows of its event source.
        outcomes: rows of its outcomes; those of other events are left aside.
        as_of: microseconds UTC.
        asked: columns of events that are given as `ASKED` and their name, too: as the first of an event's versions has them.
    """
    source = label.event_source
    rows = _standing_events(source, events, as_of)
    happened = _micros(rows, source.event_time)
    found = _Outcomes.of(label, outcomes, rows[source.event_id or ""], as_of)
    due = happened + label.horizon_us
    positive, since, taken_back = _verdicts(found, due, as_of)
    unobserved = _met(label.blocked, rows) & ~_met(label.explored, rows)
    negative = ~positive & (due <= as_of)
    status = np.select([unobserved, positive, negative], [3, 0, 1], default=2)
    known = np.where(positive, since, np.maximum(due, taken_back))
    final = status < 2  # noqa: PLR2004 - positive or negative
    made = rows.append_column("label", pa.array(np.where(status == 0, 1, 0).astype(np.int8), mask=~final))
    made = made.append_column(
        "label_status", pa.DictionaryArray.from_arrays(status.astype(np.int8), list(STATUSES)).cast(pa.string())
    )
    made = made.append_column("label_known_at", pa.array(known, pa.int64(), mask=~final).cast(ARROW_TYPES["timestamp"]))
    made = made.append_column("label_mature", pa.array(due <= as_of))
    for name, column in _asked_with(source, events, rows, as_of, asked).items():
        made = made.append_column(ASKED + name, column)
    return Labelled(rows=made, early=_early(found, rows, source, happened))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcomes:
    """Additions of outcomes whose event is among the rows, each with its span."""

    event: Array
    """Row of the event."""

    outcome: Array
    """Equal where the outcome's id is; every row its own without ids."""

    since: Array
    until: Array
    arrived: Array
    """When it was received."""

    meets: Array
    name: pa.Array
    """The outcome's id as text, null without ids."""

    as_of: int

    @classmethod
    def of(cls, label: Label, outcomes: pa.Table, ids: pa.ChunkedArray, as_of: int) -> "_Outcomes":
        source = label.outcomes
        added, since, until = _spans(source, outcomes, as_of)
        place = pc.index_in(
            added[label.of].cast(pa.string()), value_set=ids.cast(pa.string()).combine_chunks(), skip_nulls=True
        )
        there = np.asarray(pc.fill_null(place, -1).to_numpy()).astype(np.int64)
        mine = there >= 0
        added = added.filter(pa.array(mine))
        named = (
            added[source.event_id].cast(pa.string()).combine_chunks()
            if source.event_id
            else pa.nulls(len(added), pa.string())
        )
        own = np.asarray(named.dictionary_encode().indices.fill_null(-1)) if source.event_id else np.arange(len(added))
        return cls(
            event=there[mine], outcome=np.asarray(own).astype(np.int64), since=since[mine], until=until[mine],
            arrived=_micros(added, source.known_at) if source.known_at else since[mine],
            meets=mask(label.positive, _columns(added), len(added)), name=named, as_of=as_of,
        )  # fmt: skip


def _verdicts(found: _Outcomes, due: Array, as_of: int) -> tuple[Array, Array, Array]:
    """Of each event: whether it is positive, since when, and when the last outcome in time was taken back (the least integer: none was)."""
    chosen = np.flatnonzero(found.meets)
    order = chosen[np.lexsort((found.since[chosen], found.outcome[chosen], found.event[chosen]))]
    event, outcome, since, until = (part[order] for part in (found.event, found.outcome, found.since, found.until))
    opens = np.ones(len(order), bool)
    opens[1:] = (event[1:] != event[:-1]) | (outcome[1:] != outcome[:-1]) | (since[1:] > until[:-1])
    starts = np.flatnonzero(opens)
    ends = np.append(starts[1:], len(order)) - 1
    event, since, until = event[starts], since[starts], until[ends[: len(starts)]]
    in_time = since < due[event]
    stands = in_time & (until >= as_of)
    first, last = np.full(len(due), _FOREVER), np.full(len(due), np.iinfo(np.int64).min)
    np.minimum.at(first, event[stands], since[stands])
    np.maximum.at(last, event[in_time & ~stands], until[in_time & ~stands])
    return first != _FOREVER, first, last


def _early(found: _Outcomes, rows: pa.Table, source: Source, happened: Array) -> pa.Table:
    wrong = np.flatnonzero((found.arrived < happened[found.event]) & (found.until >= found.as_of))
    ids = rows[source.event_id or ""].cast(pa.string())
    event = found.event[wrong]
    return pa.table({"outcome": found.name.take(pa.array(wrong)), "event": ids.take(pa.array(event)).combine_chunks(),
                     "arrived": pa.array(found.arrived[wrong], pa.int64()), "happened": pa.array(happened[event], pa.int64())})  # fmt: skip


def _standing_events(source: Source, events: pa.Table, as_of: int) -> pa.Table:
    """Those known at an instant that nothing has taken back by then, by time and id."""
    added, _, until = _spans(source, events, as_of)
    rows = added.filter(pa.array(until >= as_of))
    by_id = np.asarray(pc.rank(rows[source.event_id or ""].combine_chunks(), tiebreaker="dense"))
    return rows.take(pa.array(np.lexsort((by_id, _micros(rows, source.event_time)))))


def _asked_with(
    source: Source, events: pa.Table, rows: pa.Table, as_of: int, names: Sequence[str]
) -> Mapping[str, pa.ChunkedArray]:
    """Columns of the first version of each event, whether or not it meets the source's filter."""
    if not names or not len(rows):
        return {name: rows[name] for name in names}
    event_id = source.event_id or ""
    added = events.filter(pc.and_(pc.equal(events["asof_op"], ADD), pa.array(_micros(events, "asof_known") < as_of)))
    codes = np.asarray(pc.rank(added[event_id].combine_chunks(), tiebreaker="dense")).astype(np.int64)
    order = np.lexsort((_micros(added, "asof_known"), codes))
    first = added.take(pa.array(order[np.diff(codes[order], prepend=0) > 0]))  # ranks begin at 1
    place = pc.index_in(rows[event_id].combine_chunks(), value_set=first[event_id].combine_chunks())
    return {name: first[name].take(place) for name in names}


def _met(condition: Expression | None, rows: pa.Table) -> Array:
    """True where there is a condition and it is true."""
    return np.zeros(len(rows), bool) if condition is None else mask(condition, _columns(rows), len(rows))


def _spans(source: Source, rows: pa.Table, as_of: int) -> tuple[pa.Table, Array, Array]:
    """Additions that counted at some instant before `as_of`, each from when on and until when; a lag delays additions only."""
    rows = rows.filter(pa.array(_micros(rows, "asof_known") < as_of)).combine_chunks()
    rows = rows.filter(pa.array(mask(source.filter, _columns(rows), len(rows))))
    op = rows["asof_op"]
    added, taken = rows.filter(pc.equal(op, ADD)), rows.filter(pc.equal(op, RETRACT))
    known = _micros(added, "asof_known")
    until = np.full(len(added), _FOREVER)
    if len(taken) and source.event_id is not None:
        until = _taken_back(source.event_id, added, known, taken)
    since = np.maximum(known, _micros(added, source.event_time) + source.lag_us) if source.lag_us else known
    counts = (since < until) & (since < as_of)
    return added.filter(pa.array(counts)), since[counts], until[counts]


def _taken_back(event_id: str, added: pa.Table, known: Array, taken: pa.Table) -> Array:
    """When each addition was: a retraction names its event and the known_at of what it takes back."""
    ids = pa.chunked_array(
        [*added[event_id].chunks, *taken[event_id].chunks], added.schema.field(event_id).type
    ).combine_chunks()
    codes = np.asarray(ids.dictionary_encode().indices.fill_null(-1)).astype(np.int64)
    undone = np.concatenate([known, _micros(taken, "asof_undoes")])
    order = np.lexsort((np.arange(len(codes)) >= len(added), undone, codes))  # the addition, then what takes it back
    left, right = order[:-1], order[1:]
    pairs = (
        (codes[left] == codes[right]) & (undone[left] == undone[right]) & (left < len(added)) & (right >= len(added))
    )
    until = np.full(len(added), _FOREVER)
    until[left[pairs]] = _micros(taken, "asof_known")[right[pairs] - len(added)]
    return until


def _columns(rows: pa.Table) -> dict[str, pa.Array]:
    return {name: rows[name].combine_chunks() for name in rows.column_names}


def _micros(rows: pa.Table, name: str) -> Array:
    return np.asarray(rows[name].cast(pa.int64()).to_numpy()).astype(np.int64)
