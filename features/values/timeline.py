"""One source's rows in the order that the sweep needs, each with the span of instants at which it counts (semantics 1 and 2).

Additions and retractions become one row an addition: visible from `since` on, until `until`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.freshness import EventFreshness, Freshness, Schedule
from features.definitions.sources import Source
from features.values.expressions import mask
from features.values.sorting import order_by

__all__ = [
    "FOREVER",
    "Asks",
    "Rows",
    "Taken",
    "Timeline",
    "anchors",
    "in_order",
    "settled",
    "timeline",
    "visible_at_cut",
]

FOREVER = np.iinfo(np.int64).max
Array = np.ndarray
_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a source for some keys, in any order. Instants are int64 microseconds UTC."""

    key: Array
    """int64 code of the entity's key, the same for asks."""

    time: Array
    known: Array
    retract: Array
    """True: takes back the addition of the same event that was known at `undoes`."""

    undoes: Array
    first: Array
    """True: nothing was known of the event before."""

    columns: Mapping[str, pa.Array]
    """Without the source's event id where no feature depends on the order of one instant's rows, and none takes another back."""

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """Sorted by (key, instant)."""

    key: Array
    instant: Array

    def only(self, chosen: Array) -> "Asks":
        """Those of a boolean mask."""
        return Asks(key=self.key[chosen], instant=self.instant[chosen])


class Taken(Mapping[str, pa.Array]):
    """Some rows of columns, each taken when it is asked for: many are not."""

    def __init__(self, columns: Mapping[str, pa.Array], rows: Array, names: Collection[str]) -> None:
        self._columns, self._rows, self._names = columns, pa.array(rows), tuple(names)
        self._taken: dict[str, pa.Array] = {}

    def __getitem__(self, name: str) -> pa.Array:
        if name not in self._taken:
            if name not in self._names:
                raise KeyError(name)
            self._taken[name] = self._columns[name].take(self._rows)
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Additions sorted by (key, event time, event id, version)."""

    key: Array
    time: Array
    since: Array
    until: Array
    columns: Mapping[str, pa.Array]
    plain: bool = False
    """Each counts from its event_time on, and for good: every row of a window is visible."""

    settled: Array | None = None
    """From when on most rows that will ever count do so; in the order of time. None: nothing is known of it."""

    known: Array | None = None
    """When each became known, a lag counted in; None where nobody asks."""

    own: Array | None = None
    """Rows that stand for an ask, at its instant before all others of that instant. None: there are none."""

    codes: dict[str, tuple[Array, int]] = field(default_factory=dict, repr=False)
    """By column the number of each row's value, and how many values there are: made where it is asked for, once for all views."""

    usable: dict[str, Array] = field(default_factory=dict, repr=False)
    """By column which rows have a value that counts; likewise."""

    def __len__(self) -> int:
        return len(self.key)

    def only(self, chosen: Array, names: Collection[str] | None = None) -> "Timeline":
        """The rows of a boolean mask, with some of the columns; itself where that is all rows."""
        if chosen.all():
            return self
        columns = Taken(self.columns, np.flatnonzero(chosen), self.columns if names is None else names)
        return Timeline(
            key=self.key[chosen], time=self.time[chosen], since=self.since[chosen], until=self.until[chosen],
            columns=columns, plain=self.plain,
            settled=None if self.settled is None else self.settled[chosen], known=None if self.known is None else self.known[chosen],
            own=None if self.own is None else self.own[chosen],
        )  # fmt: skip

    def behind_own(self, key: Array, end: Array, instant: Array) -> Array:
        """Ends of windows that end at the asks' instants, moved behind the row that stands for the ask, where it is here."""
        if self.own is None or not len(self):
            return end
        at = np.minimum(end, len(self) - 1)
        there: Array = (end < len(self)) & self.own[at] & (self.key[at] == key) & (self.time[at] == instant)
        made: Array = end + there
        return made


def visible_at_cut(known: Array, schedule: Schedule) -> Array:
    """When what was known at these instants is served: the first cut after, plus the publish lag."""
    period, phase = schedule.period_us, schedule.phase_us
    return ((known - phase) // period + 1) * period + phase + schedule.lag_us


def anchors(instant: Array, freshness: Freshness) -> Array:
    """Where windows end for an asked instant: at the cut served then, or at the instant."""
    if isinstance(freshness, EventFreshness) or freshness.anchor == "ask":
        return instant
    return (
        instant - freshness.lag_us - freshness.phase_us
    ) // freshness.period_us * freshness.period_us + freshness.phase_us


def timeline(rows: Rows, source: Source, freshness: Freshness) -> Timeline:
    """Puts rows in order, pairs retractions with what they take back, and says when each counts."""
    lag = source.lag_us
    known = np.maximum(rows.known, rows.time + lag) if lag else rows.known
    order = in_order(rows, source)
    if source.filter is not None:
        order = order[mask(source.filter, rows.columns, len(rows))[order]]
    taken_back = rows.retract[order]
    until = np.full(len(order), FOREVER)
    schedule = freshness.cuts if isinstance(freshness, EventFreshness) else freshness
    if taken_back.any():
        ends = np.flatnonzero(taken_back)
        paired = ends[(ends > 0) & ~taken_back[ends - 1]]
        add, end = order[paired - 1], order[paired]
        same = (
            (rows.key[add] == rows.key[end])
            & (rows.time[add] == rows.time[end])
            & (rows.known[add] == rows.undoes[end])
        )
        until[paired[same] - 1] = visible_at_cut(rows.known[end[same]], schedule)  # a lag delays additions only
        order, until = order[~taken_back], until[~taken_back]
    since = visible_at_cut(known[order], schedule)
    if isinstance(freshness, EventFreshness):
        prompt = rows.first[order] & (known[order] - rows.time[order] <= freshness.lateness_us)
        since = np.where(prompt, known[order] + freshness.lag_us, since)
    index, time = pa.array(order), rows.time[order]
    return Timeline(
        key=rows.key[order], time=time, since=since, until=until, columns={name: column.take(index) for name, column in rows.columns.items()},
        plain=bool((since <= time).all() and (until == FOREVER).all()), settled=settled(time, freshness),
        known=known[order],
    )  # fmt: skip


def settled(time: Array, freshness: Freshness) -> Array:
    """When what is known at once counts; a minute later where that is by the event, for those that are nearly so."""
    if isinstance(freshness, EventFreshness):
        return time + freshness.lag_us + _MINUTE
    return visible_at_cut(time, freshness)


def in_order(rows: Rows, source: Source) -> Array:
    """Row numbers by (key, time, event id, the addition's known_at, addition before retraction); without event ids by known_at, then content.

    A source's lag has no part in it: it would make one instant of several known_at, and a retraction lose what it takes back.
    """
    order = order_by(rows.key, rows.time)
    if source.event_id is not None and source.event_id not in rows.columns:
        return order  # nothing that is asked for depends on it
    key, time = rows.key[order], rows.time[order]
    tied = np.zeros(len(order), dtype=bool)
    same = (key[1:] == key[:-1]) & (time[1:] == time[:-1])
    tied[1:] |= same
    tied[:-1] |= same
    if not tied.any():
        return order
    places = np.flatnonzero(tied)
    among = order[places]
    names = [source.event_id] if source.event_id else sorted(rows.columns)
    content = [_ranks(rows.columns[name].take(pa.array(among))) for name in reversed(names)]
    began = np.where(rows.retract[among], rows.undoes[among], rows.known[among])
    inner = np.lexsort((rows.retract[among], *(() if source.event_id else content), began, *(content if source.event_id else ()),
                        rows.time[among], rows.key[among]))  # fmt: skip
    order[places] = among[inner]
    return order


def _ranks(values: pa.Array) -> Array:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    return np.asarray(pc.rank(values, sort_keys=[("", "ascending", "at_start")], tiebreaker="dense"))
