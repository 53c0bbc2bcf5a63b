"""Finishes every feature of a view at many instants of many keys, in one pass over sorted rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.expressions import Expression
from features.definitions.features import Aggregate, AnomalyReason, AnomalyScore, Attribute, Rate, Requested
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Window
from features.values import exact, generic, kernels
from features.values.anomalies import Moved, moved, part_values
from features.values.columns import as_type, at_places, numbers, usable
from features.values.derived import derive
from features.values.expressions import mask
from features.values.fits import Fits, curve_names
from features.values.rates import Fitted, Matched, matched, rate
from features.values.requests import Request, chosen_of, own_events, requested, rounds, with_asks
from features.values.streams import Stream, bounds, codes_of_line, encoded
from features.values.timeline import Asks, Rows, Taken, Timeline, anchors, timeline

__all__ = [
    "ARROW_TYPES", "NEVER_SEEN", "OK", "OVERFLOW", "STATUSES", "Counted", "Lines", "Sweep", "Values", "attributes", "line_of", "sweep",
]  # fmt: skip

Array = np.ndarray
_FEWER = 16
"""A condition that leaves fewer of so many rows than one has its values numbered by itself."""
Lines = dict[tuple[str, str], Timeline]
"""By source and freshness."""
STATUSES: tuple[Literal["ok"], Literal["never_seen"], Literal["overflow"]] = ("ok", "never_seen", "overflow")
OK, NEVER_SEEN, OVERFLOW = range(3)
ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """One element an ask, in the order of the asks."""

    columns: Mapping[str, pa.Array]
    """Feature to values, of the types that the view declares."""

    status: Array
    """int8 index into STATUSES: overflow if any integer of the row left int64 and is null for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted elsewhere, an element an ask."""

    columns: Mapping[str, pa.Array]
    overflow: Array
    seen: Array
    """Rows within what the view remembers."""


def sweep(
    view: FeatureView,
    rows: Mapping[str, Rows],
    asks: Asks,
    shared: Lines | None = None,
    anchor: Array | None = None,
    fits: Fits | None = None,
    request: Request | None = None,
) -> Values:
    """Every feature of the view at every ask.

    Args:
        view: its definition.
        rows: source name to rows; all rows of the asks' keys that are known by the latest ask.
        asks: sorted by (key, instant), microseconds UTC.
        shared: what other views put in order of the same rows, and this one leaves for others.
        anchor: where each ask's windows end; None: where the view's freshness says.
        fits: of the view, at every anchor; None: it has nothing that is fitted.
        request: the view's request fields, an element an ask; None: nobody asks, as at a cut.
    """
    shared = {} if shared is None else shared
    lines = {source.name: line_of(view, source, rows[source.name], shared) for source in view.sources}
    anchor = anchors(asks.instant, view.freshness) if anchor is None else anchor
    if view.source.kind != "events":
        return attributes(view, lines[view.source.name], asks, anchor)
    if request is None or not view.include_self:
        return Sweep(view, lines, asks, anchor, fits, request).values()
    return _with_selves(view, lines[view.source.name], asks, request)


def _with_selves(view: FeatureView, line: Timeline, asks: Asks, request: Request) -> Values:
    """Each ask an event of its key; asks of one key and instant, which know nothing of one another, in turns."""
    made, places = list[Values](), list[Array]()
    for chosen in rounds(asks):
        here, brought = asks.only(chosen), chosen_of(request, chosen)
        rows = line if chosen.all() else line.only(np.isin(line.key, here.key))
        lines = {view.source.name: with_asks(view, rows, here, own_events(view, here.instant, brought))}
        made.append(Sweep(view, lines, here, here.instant, None, brought).values())
        places.append(np.flatnonzero(chosen))
    order = np.argsort(np.concatenate(places))
    columns = {name: at_places(pa.concat_arrays([each.columns[name] for each in made]), order) for name in view.types}
    return Values(columns=columns, status=np.concatenate([each.status for each in made])[order])


def line_of(view: FeatureView, source: Source, rows: Rows, shared: Lines) -> Timeline:
    """Rows of events are in one order for all views that know them at the same instants; of changes, what a view reads decides."""
    if source.kind != "events":
        read = {name: rows.columns[name] for name in view.reads(source) if name in rows.columns}
        return timeline(replace(rows, columns=read), source, view.freshness)
    key = source.name, repr(view.freshness)
    if key not in shared:
        shared[key] = timeline(rows, source, view.freshness)
    return shared[key]


class Sweep:
    """One view at many asks, its rows in order; what several features need is made once."""

    def __init__(
        self, view: FeatureView, lines: Mapping[str, Timeline], asks: Asks, anchor: Array, fits: Fits | None = None, request: Request | None = None
    ) -> None:  # fmt: skip
        self.view, self.lines, self.asks, self.anchor, self.fits, self.request = (
            view,
            lines,
            asks,
            anchor,
            fits,
            request,
        )
        self.types = view.types
        self.streams: dict[tuple[str, str | None], Stream] = {}
        self.codes: dict[tuple[str, str | None], tuple[Array, int]] = {}
        self.limbs: dict[tuple[str, str | None], Array] = {}
        self.pairs: dict[tuple[str, str, str], Matched] = {}
        self.moved: dict[str, Moved] = {}
        self.overflow = np.zeros(len(asks.key), dtype=bool)

    def values(self, counted: Counted | None = None) -> Values:  # noqa: C901 - one branch a kind of feature
        """Every feature; those that are counted from rows that are not here are given."""
        seen = self.stream(None, None).count(EVER) if counted is None else counted.seen
        made: dict[str, pa.Array] = {}
        for feature in self.view.features:
            if counted is not None and feature.name in counted.columns:
                made[feature.name] = counted.columns[feature.name]
                continue
            match feature:
                case Aggregate():
                    made[feature.name], left = self.one(feature)
                    self.overflow |= left
                case Rate():
                    made[feature.name] = self.rate(feature)
                case AnomalyScore():
                    values = part_values(feature, made, seen > 0)
                    self.moved[feature.name] = moved(feature, values, self.kept().of_score(feature, self.anchor))
                    made[feature.name] = self.moved[feature.name].value()
                case AnomalyReason():
                    made[feature.name] = self.moved[feature.score].reason(feature.rank)
                case Requested():
                    made[feature.name] = requested(
                        feature, self.request, len(self.asks.key), ARROW_TYPES[self.types[feature.name]]
                    )
                case Attribute():
                    raise AssertionError(feature)  # views of events have none, see FeatureView
                case _:
                    made[feature.name], left = derive(feature, made)
                    self.overflow |= left
        overflow = self.overflow if counted is None else self.overflow | counted.overflow
        status = np.where(seen == 0, NEVER_SEEN, np.where(overflow, OVERFLOW, OK)).astype(np.int8)
        return Values(columns=made, status=status)

    def one(self, feature: Aggregate) -> tuple[pa.Array, Array]:
        """An aggregate, and where an integer left int64; of sums `overflow` says so too."""
        if not AGGREGATIONS[feature.operation].kernel:
            return self.folded(feature)
        return self.aggregate(feature), np.zeros(len(self.asks.key), dtype=bool)

    def stream(self, where: Expression | None, column: str | None) -> Stream:
        """The rows that meet a condition and have a usable value, and their windows' edges."""
        key = (repr(where), column)
        if key not in self.streams:
            self.streams[key] = self.met(where) if column is None else self.of_values(self.stream(where, None), column)
        return self.streams[key]

    def met(self, where: Expression | None) -> Stream:
        """The rows that meet a condition."""
        line = self.lines[self.view.source.name]
        chosen = mask(where, line.columns, len(line))
        ids = (self.view.source.event_id,) if self.view.outcomes and self.view.source.event_id else ()
        rows = line.only(chosen, ids)
        if rows is line:
            return self.streams.get(("None", None)) or self.over(line, None)
        return self.over(rows, np.flatnonzero(chosen))

    def of_values(self, of: Stream, column: str) -> Stream:
        """Those of them that have a usable value. Where none is left out, edges are found once for all columns."""
        line = self.lines[self.view.source.name]
        kept, held = _good(line, column), of.rows
        if of.places is not None:
            kept, held = kept[of.places], replace(held, columns=Taken(line.columns, of.places, (column,)))
        if self.view.source.event_id is None:
            return self.over(_by_value(held.only(kept, (column,)), column), None)
        if kept.all():
            return of if held is line else replace(of, rows=held)
        return self.over(held.only(kept, (column,)), np.flatnonzero(kept) if of.places is None else of.places[kept])

    def over(self, rows: Timeline, places: Array | None) -> Stream:
        """Windows over some rows; `places` of them in the view's line, None where they are all of them or in another order."""
        settled = rows.since - 1 if rows.settled is None else rows.settled  # without it all are odd
        watched = kernels.visibility(rows.since, rows.until, settled)
        return Stream(
            rows=rows, places=places, asks=self.asks, anchor=self.anchor, remember=self.view.remember_us, watched=watched
        )  # fmt: skip

    def aggregate(self, feature: Aggregate) -> pa.Array:
        """By a kernel."""
        stream = self.stream(feature.where, feature.column)
        lo, hi, clean = stream.span(feature.window)
        match feature.operation:
            case "count":
                return pa.array(stream.count(feature.window))
            case "sum" | "mean" | "std":
                return self.sums(feature, stream)
            case "distinct":
                codes, kinds = self.coded(feature, stream)
                found = kernels.distincts(codes, kinds, stream.watched, self.asks.instant, lo, hi, clean)
                return pa.array(np.minimum(found, feature.limit or 1))
            case "min" | "max":
                values = numbers(stream.rows.columns[feature.column or ""])
                at = kernels.extremes(
                    values, stream.watched, self.asks.instant, lo, hi, clean, feature.operation == "max"
                )
                return self.picked(feature, stream, at)
            case "first" | "time_since_first":
                at = kernels.oldest(*stream.seen, lo, hi)
            case "last" | "time_since_last":
                at = kernels.newest(*stream.seen, lo, hi)
            case _:
                raise AssertionError(feature)  # the registry says that there is a kernel for it
        if feature.column is not None:
            return self.picked(feature, stream, at)
        when = np.append(stream.rows.time, 0)[at]
        return pa.array(self.anchor - when, mask=at < 0)

    def folded(self, feature: Aggregate) -> tuple[pa.Array, Array]:
        """By the aggregation's own functions, and where an integer left int64: one that is 0 when empty is null there alone."""
        lower, upper = bounds(feature.window, self.anchor, self.view.remember_us)
        spans = generic.Spans(asks=self.asks, anchor=self.anchor, lower=lower, upper=upper)
        kind = ARROW_TYPES[self.types[feature.name]]
        made = generic.aggregate(self.view, feature, self.lines[self.view.source.name], spans, kind)
        counted = AGGREGATIONS[feature.operation].empty == "0" and pa.types.is_int64(kind)
        return made, np.asarray(made.is_null()) if counted else np.zeros(len(made), dtype=bool)

    def picked(self, feature: Aggregate, stream: Stream, at: Array) -> pa.Array:
        """The column's value at these rows, null at -1."""
        column = stream.rows.columns[feature.column or ""]
        if pa.types.is_floating(column.type):
            column = pa.array(numbers(column))
        return as_type(column.take(pa.array(at, mask=at < 0)), ARROW_TYPES[self.types[feature.name]])

    def coded(self, feature: Aggregate, stream: Stream) -> tuple[Array, int]:
        """The number of each row's value, and how many values there are."""
        key = (repr(feature.where), feature.column)
        if key not in self.codes:
            line, column = self.lines[self.view.source.name], feature.column or ""
            if stream.rows is line:
                self.codes[key] = codes_of_line(line, column)
            elif stream.places is not None and len(stream.rows) * _FEWER > len(line):
                codes, kinds = codes_of_line(line, column)  # views of one entity have this in common
                self.codes[key] = codes[stream.places], kinds
            else:
                self.codes[key] = encoded(stream.rows.columns[column])
        return self.codes[key]

    def sums(self, feature: Aggregate, stream: Stream) -> pa.Array:
        """A sum, mean or std."""
        lo, hi, _ = stream.span(feature.window)
        count = stream.count(feature.window)
        values = numbers(stream.rows.columns[feature.column or ""])
        if values.dtype == np.float64:
            added = kernels.float_sums(values, *stream.seen, lo, hi)
            if feature.operation == "sum":
                return pa.array(added)
            return pa.array(added / np.maximum(count, 1), mask=count == 0)
        sums = self.added(feature.where, feature.column, feature.window)
        squares = self.squared(feature, values, stream) if feature.operation == "std" else sums
        value, null, overflow = exact.finished(feature.operation, count, sums, squares)
        self.overflow |= overflow
        return pa.array(value, mask=null)

    def added(self, where: Expression | None, column: str | None, window: Window) -> Array:
        """int64[2, asks]: `exact.sum_limbs` summed over the window."""
        stream, key = self.stream(where, column), (repr(where), column)
        if key not in self.limbs:
            self.limbs[key] = exact.sum_limbs(numbers(stream.rows.columns[column or ""]))
        return stream.added(self.limbs[key], window)

    @staticmethod
    def squared(feature: Aggregate, values: Array, stream: Stream) -> Array:
        """int64[2 or 6, asks]: `exact.square_limbs` summed over the window."""
        return stream.added(exact.square_limbs(values), feature.window)

    def rate(self, feature: Rate) -> pa.Array:
        """Outcomes over events; of a key that was never seen null, whatever the rate is smoothed towards."""
        key = feature.outcomes, feature.of, repr(feature.eligible)
        if key not in self.pairs:
            self.pairs[key] = matched(self.view, feature, self.lines)
        lower, upper = bounds(feature.window, self.anchor, self.view.remember_us)
        spans = generic.Spans(asks=self.asks, anchor=self.anchor, lower=lower, upper=upper)
        made = rate(self.view, feature, self.pairs[key], spans, self.fitted(feature))
        if feature.smoothed is None:
            return made
        seen = self.stream(None, None).count(EVER)
        return pa.array(numbers(made.fill_null(0)), mask=np.asarray(made.is_null()) | (seen == 0))

    def fitted(self, feature: Rate) -> Fitted:
        """What is fitted for a rate, at each ask's cut."""
        if not feature.fitted:
            return Fitted()
        return self.kept().of(feature, curve_names(self.view).get(feature.name, ""), self.anchor)

    def kept(self) -> Fits:
        """What is fitted, at no cut if nothing was given."""
        return self.fits or Fits(view=self.view.name, cuts=np.empty(0, np.int64), values={})


def _good(line: Timeline, column: str) -> Array:
    """Which rows of a line have a usable value, found once."""
    if column not in line.usable:
        line.usable[column] = usable(line.columns[column])
    return line.usable[column]


def _by_value(kept: Timeline, column: str) -> Timeline:
    """Without event ids, rows of one instant stand in the order of the value that is asked for."""
    values = kept.columns[column]
    values = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
    own = np.zeros(len(kept), bool) if kept.own is None else kept.own
    order = np.lexsort((np.asarray(pc.rank(values, tiebreaker="dense")), ~own, kept.time, kept.key))
    index = pa.array(order)
    return Timeline(
        key=kept.key[order], time=kept.time[order], since=kept.since[order], until=kept.until[order],
        columns={name: values.take(index) for name, values in kept.columns.items()},
        settled=None if kept.settled is None else kept.settled[order], own=None if kept.own is None else own[order],
    )  # fmt: skip


def attributes(view: FeatureView, line: Timeline, asks: Asks, anchor: Array) -> Values:
    """Every feature of a view of changes: the newest row at each anchor."""
    at = kernels.last_at_or_before(line.key, line.time, line.since, asks.key, anchor, asks.instant)
    deleted = np.zeros(len(line) + 1, dtype=bool)
    if view.source.deleted is not None:
        deleted[:-1] = mask_of(line.columns[view.source.deleted])
    gone = (at < 0) | deleted[at]
    age = anchor - np.append(line.time, 0)[at]
    overflow = np.zeros(len(at), dtype=bool)
    made: dict[str, pa.Array] = {}
    types = view.types
    for feature in view.features:
        if isinstance(feature, Attribute):
            past = gone if feature.ttl_us is None else gone | (age > feature.ttl_us)
            made[feature.name] = as_type(
                line.columns[feature.column].take(pa.array(at, mask=past)), ARROW_TYPES[types[feature.name]]
            )
        else:
            made[feature.name], left = derive(feature, made)
            overflow |= left
    return Values(columns=made, status=np.where(gone, NEVER_SEEN, np.where(overflow, OVERFLOW, OK)).astype(np.int8))


def mask_of(column: pa.Array) -> Array:
    """A boolean column with its nulls as false."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False))
