"""What is fitted at a cut from all keys: lag curves, and the rates that smoothed ones lean towards (semantics 4, "Fitted things").

A fit comes from sums of integers over keys, which any number of workers may make and add up in any order, so it is the same to the bit wherever
it is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.definitions.durations import DAY
from features.definitions.features import LagCorrectedRate, Rate
from features.definitions.names import cut_text
from features.definitions.views import FeatureView
from features.definitions.windows import EVER
from features.errors import MissingError
from features.values.generic import Spans
from features.values.rates import Fitted, Matched, aged, arrivals, counted, lag_corrected, matched, oldest_age
from features.values.timeline import Asks, Timeline

__all__ = ["Fits", "Sums", "curve_names", "fit_names", "fit_places", "fitted", "sums"]

Array = np.ndarray
Sums = dict[str, Array]
"""By the name of what is fitted: int64[cuts, places], to be added up over workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """What is fitted for a view at some cuts."""

    view: str
    cuts: Array
    """int64 microseconds UTC, ascending."""

    values: Mapping[str, Array]
    """By name float64[cuts, places]: a prior has one place, a lag curve one for each age in days up to H. NaN where nothing can be fitted yet."""

    def of(self, feature: Rate, curve: str, anchor: Array) -> Fitted:
        """What a rate needs at each anchor.

        Raises:
            MissingError: an anchor's cut has no fit.
        """
        at = np.searchsorted(self.cuts, anchor)
        there = (
            self.cuts[np.minimum(at, len(self.cuts) - 1)] == anchor if len(self.cuts) else np.zeros(len(anchor), bool)
        )
        if not there.all():
            cut = cut_text(int(anchor[~there][0]))
            msg = f"View {self.view!r} has nothing fitted at cut {cut}, which {feature.name!r} needs. Fit the cut first (jobs.fits)."
            raise MissingError(msg)
        prior = {} if feature.smoothed is None else {"prior": self.values[_prior(feature)][at, 0]}
        return Fitted(**prior, **({"curve": self.values[curve][at]} if isinstance(feature, LagCorrectedRate) else {}))


def curve_names(view: FeatureView) -> dict[str, str]:
    """Of each lag-corrected rate the name of its lag curve: rates that differ in their windows alone share one, which has the first one's name."""
    firsts: dict[tuple[str, str, str, str], str] = {}
    made = {}
    for feature in _rates(view):
        if isinstance(feature, LagCorrectedRate):
            key = feature.outcomes, feature.of, repr(feature.eligible), feature.mature
            made[feature.name] = firsts.setdefault(key, f"{feature.name}__lag_curve")
    return made


def fit_names(view: FeatureView) -> tuple[str, ...]:
    """Of all that is fitted for a view."""
    return (
        *dict.fromkeys(curve_names(view).values()),
        *(_prior(feature) for feature in _rates(view) if feature.smoothed is not None),
    )


def fit_places(view: FeatureView) -> dict[str, int]:
    """By the name of what is fitted, how many integers its sums have a cut."""
    curves, made = curve_names(view), dict[str, int]()
    for feature in _rates(view):
        places = 1 if not isinstance(feature, LagCorrectedRate) else oldest_age(feature) + 1
        if isinstance(feature, LagCorrectedRate):
            made[curves[feature.name]] = places
        if feature.smoothed is not None:
            made[_prior(feature)] = 2 * places
    return made


def _rates(view: FeatureView) -> tuple[Rate, ...]:
    return tuple(feature for feature in view.features if isinstance(feature, Rate) and feature.fitted)


def _prior(feature: Rate) -> str:
    return f"{feature.name}__prior"


def sums(view: FeatureView, lines: Mapping[str, Timeline], cuts: Sequence[int]) -> Sums:
    """What some keys add to the fits of a view at some cuts, ascending; `lines` holds the rows of these keys, by source."""
    curves, made = curve_names(view), Sums()
    found: dict[tuple[str, str, str], Matched] = {}
    for feature in _rates(view):
        key = feature.outcomes, feature.of, repr(feature.eligible)
        if key not in found:
            found[key] = matched(view, feature, lines).pooled()
        if isinstance(feature, LagCorrectedRate) and curves[feature.name] not in made:
            made[curves[feature.name]] = _delays(view, feature, found[key], cuts)
        if feature.smoothed is not None:
            made[_prior(feature)] = _totals(view, feature, found[key], cuts)
    return made


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


def fitted(view: FeatureView, cuts: Sequence[int], total: Mapping[str, Array]) -> Fits:
    """The fits, from the sums over all keys."""
    curves, values = curve_names(view), dict[str, Array]()
    for name in dict.fromkeys(curves.values()):
        mature = total[name][:, -1:]
        values[name] = np.where(mature > 0, total[name] / np.maximum(mature, 1), np.nan)
    for feature in _rates(view):
        if feature.smoothed is None:
            continue
        counts = total[_prior(feature)]
        known, events = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
        if isinstance(feature, LagCorrectedRate):
            ages = ((age, counts[:, 2 * age], counts[:, 2 * age + 1]) for age in range(oldest_age(feature) + 1))
            known, events = lag_corrected(feature, ages, values[curves[feature.name]])
        share = np.where(events > 0, known / np.where(events > 0, events, 1.0), np.nan)
        values[_prior(feature)] = share[:, np.newaxis]
    return Fits(view=view.name, cuts=np.array(cuts, np.int64), values=values)
