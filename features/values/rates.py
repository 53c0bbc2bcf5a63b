"""Rates whose outcome comes late, at many instants of many keys: cohort, arrival and lag-corrected, smoothed or not (semantics 4).

What is fitted at cuts from all keys comes from `features.values.fits`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.definitions.durations import DAY
from features.definitions.features import ArrivalRate, LagCorrectedRate, Rate
from features.definitions.freshness import Schedule
from features.definitions.views import FeatureView
from features.values import kernels
from features.values.expressions import mask
from features.values.generic import Spans
from features.values.outcomes import with_outcomes
from features.values.sorting import order_by
from features.values.timeline import Asks, Timeline, visible_at_cut

__all__ = [
    "Fitted",
    "Matched",
    "aged",
    "arrivals",
    "counted",
    "finished",
    "lag_corrected",
    "matched",
    "oldest_age",
    "rate",
]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a rate needs of each ask's cut."""

    prior: Array = field(default_factory=lambda: np.empty(0))
    """The rate over all keys; NaN where there is none. Empty: the rate is not smoothed."""

    curve: Array = field(default_factory=lambda: np.empty((0, 1)))
    """The lag curve by age in whole days, float64[asks, H + 1]; NaN where there is none. Empty: the rate needs none."""


class Matched:
    """The eligible events of some keys, and those of them that have an outcome."""

    def __init__(self, eligible: Timeline, known: Timeline) -> None:
        self.eligible, self.known = _Counter(eligible), _Counter(known)

    def pooled(self) -> "Matched":
        """All keys as one, key 0: what is matched stays so."""
        return Matched(_pooled(self.eligible.rows), _pooled(self.known.rows))


class _Counter:
    """Rows whose visible ones are counted in windows."""

    def __init__(self, rows: Timeline) -> None:
        self.rows = rows
        settled = rows.since - 1 if rows.settled is None else rows.settled
        self.watched = kernels.visibility(rows.since, rows.until, settled)

    def between(self, asks: Asks, lower: Array, upper: Array) -> Array:
        """Visible rows with lower <= time < upper, an ask; none where the bounds cross."""
        rows = self.rows
        low = kernels.edges(rows.key, rows.time, asks.key, lower)
        high = np.maximum(kernels.edges(rows.key, rows.time, asks.key, np.maximum(lower, upper)), low)
        clean = (
            np.ones(len(low), dtype=bool) if rows.plain
            else kernels.clean(rows.since, rows.until, asks.instant, low, high)
        )  # fmt: skip
        return kernels.counts(self.watched, asks.instant, low, high, clean)


def matched(view: FeatureView, feature: Rate, lines: Mapping[str, Timeline]) -> Matched:
    """Of the rows that are there, each outcome with its event."""
    line = lines[view.source.name]
    ids = (view.source.event_id,) if view.source.event_id else ()
    eligible = line.only(mask(feature.eligible, line.columns, len(line)), ids)
    return Matched(eligible, with_outcomes(eligible, view.source, lines[feature.outcomes], feature.of))


def _pooled(rows: Timeline) -> Timeline:
    order = np.argsort(rows.time, kind="stable")
    return Timeline(
        key=np.zeros(len(order), np.int64), time=rows.time[order], since=rows.since[order], until=rows.until[order], columns={},
        known=None if rows.known is None else rows.known[order], plain=rows.plain,
    )  # fmt: skip


def counted(view: FeatureView, feature: Rate, found: Matched, spans: Spans) -> tuple[Array, Array]:
    """Outcomes and events of a cohort or arrival rate, an ask."""
    total = found.eligible.between(spans.asks, spans.lower, spans.upper)
    if isinstance(feature, ArrivalRate):
        arrived = _Counter(_by_arrival(view, found.known.rows))
        return arrived.between(spans.asks, spans.lower, spans.upper), total
    return found.known.between(spans.asks, spans.lower, spans.upper), total


def _by_arrival(view: FeatureView, known: Timeline) -> Timeline:
    """Events by when their outcome arrived, each for as long as it has happened and the view remembers it."""
    schedule, arrived = view.schedule, arrivals(known)
    happened = visible_at_cut(known.time, schedule)
    forgotten = _reached(known.time // DAY * DAY + DAY + view.remember_us, schedule)
    since, until = np.maximum(known.since, happened), np.minimum(known.until, forgotten)
    order = order_by(known.key, arrived)
    order = order[since[order] < until[order]]
    return Timeline(key=known.key[order], time=arrived[order], since=since[order], until=until[order], columns={})


def arrivals(known: Timeline) -> Array:
    """When the outcome of each event arrived."""
    return known.since if known.known is None else known.known


def _reached(instant: Array, schedule: Schedule) -> Array:
    """When the first cut at or after an instant is served."""
    return visible_at_cut(instant - 1, schedule)


def oldest_age(feature: LagCorrectedRate) -> int:
    """H in days: older events count as of this age."""
    return feature.mature_us // DAY


def aged(feature: LagCorrectedRate, found: Matched, spans: Spans) -> Iterator[tuple[int, Array, Array]]:
    """Youngest first: an age in whole days, the known outcomes and the events of that age in the window, an ask."""
    oldest = oldest_age(feature)
    for age in range(oldest + 1):
        upper = np.minimum(spans.upper, spans.anchor - age * DAY + 1)
        lower = spans.lower if age == oldest else np.maximum(spans.lower, spans.anchor - (age + 1) * DAY + 1)
        if (upper <= spans.lower).all():
            return
        yield age, found.known.between(spans.asks, lower, upper), found.eligible.between(spans.asks, lower, upper)


def lag_corrected(
    feature: LagCorrectedRate, ages: Iterator[tuple[int, Array, Array]], curve: Array
) -> tuple[Array, Array]:
    """float64 outcomes, and events weighed by G(age), an ask; both 0 where there is no curve. `curve` is float64[asks, H + 1]."""
    known, events = np.zeros(len(curve)), np.zeros(len(curve))
    for age, seen, total in ages:
        share = curve[:, age]
        counts = share >= feature.least  # never, of NaN
        known += np.where(counts, seen.astype(np.float64), 0.0)
        events += np.where(counts, total.astype(np.float64) * np.where(counts, share, 0.0), 0.0)
    return known, events


def rate(view: FeatureView, feature: Rate, found: Matched, spans: Spans, fitted: Fitted) -> pa.Array:
    """The rate at every ask; null without events, of a smoothed one without a prior."""
    if isinstance(feature, LagCorrectedRate):
        known, events = lag_corrected(feature, aged(feature, found, spans), fitted.curve)
        missing = np.isnan(fitted.curve[:, -1])
    else:
        known, events = (part.astype(np.float64) for part in counted(view, feature, found, spans))
        missing = np.zeros(len(known), dtype=bool)
    if feature.smoothed is None:
        return finished(known, events)
    made = (fitted.prior * feature.smoothed + known) / (feature.smoothed + events)
    return pa.array(made, mask=missing | np.isnan(fitted.prior))


def finished(known: Array, events: Array) -> pa.Array:
    """Known / events, null where there are no events."""
    empty = events == 0
    return pa.array(known / np.where(empty, 1.0, events), mask=empty)
