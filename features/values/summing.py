"""What some keys add to what is fitted at cuts: counts of outcomes by age, and histograms of the parts of anomaly scores (semantics 4, "Fitted things")."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.definitions.durations import DAY
from features.definitions.features import AnomalyScore, LagCorrectedRate, Rate, taken
from features.definitions.views import FeatureView
from features.definitions.windows import EVER
from features.values.anomalies import BUCKETS, fit_name, histogram, part_values
from features.values.fits import curve_names, fitted_rates, prior_name, scores
from features.values.generic import Spans
from features.values.rates import Matched, aged, arrivals, counted, matched, oldest_age
from features.values.sweep import NEVER_SEEN, Sweep
from features.values.timeline import Asks, Timeline

__all__ = ["Sums", "runs_of_cuts", "sums"]

Array = np.ndarray
Sums = dict[str, Array]
"""By the name of what is fitted: int64[cuts, places], to be added up over workers."""

_AT_ONCE = 16
"""Cuts of which histograms are held in memory at a time."""


def runs_of_cuts(view: FeatureView, cuts: Sequence[int]) -> list[Sequence[int]]:
    """Cuts to be summed at a time: all of them, or few where a cut has many places."""
    step = _AT_ONCE if scores(view) else max(len(cuts), 1)
    return [cuts[first : first + step] for first in range(0, len(cuts), step)]


def sums(view: FeatureView, lines: Mapping[str, Timeline], cuts: Sequence[int]) -> Sums:
    """What some keys add to the fits of a view at some cuts, ascending; `lines` holds the rows of these keys, by source."""
    curves, made = curve_names(view), Sums()
    found: dict[tuple[str, str, str], Matched] = {}
    for feature in fitted_rates(view):
        key = feature.outcomes, feature.of, repr(feature.eligible)
        if key not in found:
            found[key] = matched(view, feature, lines).pooled()
        if isinstance(feature, LagCorrectedRate) and curves[feature.name] not in made:
            made[curves[feature.name]] = _delays(view, feature, found[key], cuts)
        if feature.smoothed is not None:
            made[prior_name(feature)] = _totals(view, feature, found[key], cuts)
    for score in scores(view):
        made |= _histograms(view, score, lines, cuts)
    return made


def _histograms(view: FeatureView, score: AnomalyScore, lines: Mapping[str, Timeline], cuts: Sequence[int]) -> Sums:
    """Of each part, how many of these keys have a value in each bucket at each cut."""
    small = replace(view, features=tuple(f for f in view.features if f.name in _needed(view, score)))
    keys = np.unique(lines[view.source.name].key)
    made = {fit_name(score, part): np.zeros((len(cuts), BUCKETS), np.int64) for part in score.parts}
    for place, cut in enumerate(cuts):
        anchor = np.full(len(keys), cut, np.int64)
        asks = Asks(key=keys, instant=anchor + view.schedule.lag_us)
        found = Sweep(small, lines, asks, anchor).values()
        values = part_values(score, found.columns, found.status != NEVER_SEEN)
        for part, some in zip(score.parts, values, strict=True):
            made[fit_name(score, part)][place] = histogram(some)
    return made


def _needed(view: FeatureView, score: AnomalyScore) -> set[str]:
    of = {feature.name: feature for feature in view.features}
    found, todo = set[str](), list(taken(score))
    while todo:
        name = todo.pop()
        found.add(name)
        todo += taken(of[name])
    return found


def _spans(view: FeatureView, cuts: Sequence[int], edges: Sequence[tuple[int, int]]) -> Spans:
    """Every cut asked once of the one key that all are."""
    anchor = np.array(cuts, np.int64)
    asks = Asks(key=np.zeros(len(anchor), np.int64), instant=anchor + view.schedule.lag_us)
    lower, upper = np.array(edges, np.int64).reshape(-1, 2).T
    return Spans(asks=asks, anchor=anchor, lower=lower, upper=upper)


def _delays(view: FeatureView, feature: LagCorrectedRate, found: Matched, cuts: Sequence[int]) -> Array:
    """Of mature events, how many outcomes had arrived within d whole days, at each cut and for each d up to H."""
    oldest, known = oldest_age(feature), found.known.rows
    # Arrived within d days of the event: before event_time + d days, as known by a cut there.
    within = np.maximum((arrivals(known) - known.time) // DAY + 1, 0)
    edges = [(EVER.bounds(cut, view.remember_us).lower, cut - feature.mature_us + 1) for cut in cuts]
    spans = _spans(view, cuts, edges)
    made = np.zeros((len(cuts), oldest + 1), np.int64)
    for days in range(oldest + 1):
        some = Matched(known.only(within == days), known.only(within == days))
        made[:, days] = some.known.between(spans.asks, spans.lower, spans.upper)
    return np.cumsum(made, axis=1)


def _totals(view: FeatureView, feature: Rate, found: Matched, cuts: Sequence[int]) -> Array:
    """Outcomes and events of all keys in the window of each cut; of a lag-corrected rate by age, outcomes first."""
    spans = _spans(view, cuts, [feature.window.bounds(cut, view.remember_us) for cut in cuts])
    if not isinstance(feature, LagCorrectedRate):
        return np.stack(counted(view, feature, found, spans), axis=1)
    made = np.zeros((len(cuts), 2 * (oldest_age(feature) + 1)), np.int64)
    for age, known, events in aged(feature, found, spans):
        made[:, 2 * age], made[:, 2 * age + 1] = known, events
    return made
