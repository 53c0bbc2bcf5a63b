"""What is fitted at a cut from all keys: lag curves, the rates that smoothed ones lean towards, centres and scales of anomalies (semantics 4, "Fitted things").

A fit comes from sums of integers over keys (`features.values.summing`), which any number of workers may make and add up in any order, so it is the same
to the bit wherever it is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.definitions.features import AnomalyScore, LagCorrectedRate, Rate
from features.definitions.names import cut_text
from features.definitions.views import FeatureView
from features.errors import MissingError
from features.values.anomalies import BUCKETS, centre_and_scale, fit_name
from features.values.rates import Fitted, lag_corrected, oldest_age

__all__ = ["Fits", "curve_names", "fit_names", "fit_places", "fitted", "fitted_rates", "prior_name", "scores"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """What is fitted for a view at some cuts."""

    view: str
    cuts: Array
    """int64 microseconds UTC, ascending."""

    values: Mapping[str, Array]
    """By name float64[cuts, places]: a prior has one place, a lag curve one for each age in days up to H, a part of an anomaly score centre and scale.
    NaN where nothing can be fitted yet."""

    def of(self, feature: Rate, curve: str, anchor: Array) -> Fitted:
        """What a rate needs at each anchor.

        Raises:
            MissingError: an anchor's cut has no fit.
        """
        at = self._places(feature.name, anchor)
        prior = {} if feature.smoothed is None else {"prior": self.values[prior_name(feature)][at, 0]}
        return Fitted(**prior, **({"curve": self.values[curve][at]} if isinstance(feature, LagCorrectedRate) else {}))

    def of_score(self, score: AnomalyScore, anchor: Array) -> list[tuple[Array, Array]]:
        """Centre and scale of each part of an anomaly score at each anchor.

        Raises:
            MissingError: an anchor's cut has no fit.
        """
        at = self._places(score.name, anchor)
        found = [self.values[fit_name(score, part)][at] for part in score.parts]
        return [(fit[:, 0], fit[:, 1]) for fit in found]

    def _places(self, name: str, anchor: Array) -> Array:
        at = np.searchsorted(self.cuts, anchor)
        there = (
            self.cuts[np.minimum(at, len(self.cuts) - 1)] == anchor if len(self.cuts) else np.zeros(len(anchor), bool)
        )
        if not there.all():
            cut = cut_text(int(anchor[~there][0]))
            msg = f"View {self.view!r} has nothing fitted at cut {cut}, which {name!r} needs. Fit the cut first (jobs.fits)."
            raise MissingError(msg)
        return at


def curve_names(view: FeatureView) -> dict[str, str]:
    """Of each lag-corrected rate the name of its lag curve: rates that differ in their windows alone share one, which has the first one's name."""
    firsts: dict[tuple[str, str, str, str], str] = {}
    made = {}
    for feature in fitted_rates(view):
        if isinstance(feature, LagCorrectedRate):
            key = feature.outcomes, feature.of, repr(feature.eligible), feature.mature
            made[feature.name] = firsts.setdefault(key, f"{feature.name}__lag_curve")
    return made


def fit_names(view: FeatureView) -> tuple[str, ...]:
    """Of all that is fitted for a view."""
    return (
        *dict.fromkeys(curve_names(view).values()),
        *(prior_name(feature) for feature in fitted_rates(view) if feature.smoothed is not None),
        *(fit_name(score, part) for score in scores(view) for part in score.parts),
    )


def fit_places(view: FeatureView) -> dict[str, int]:
    """By the name of what is fitted, how many integers its sums have a cut."""
    curves, made = curve_names(view), dict[str, int]()
    for feature in fitted_rates(view):
        places = 1 if not isinstance(feature, LagCorrectedRate) else oldest_age(feature) + 1
        if isinstance(feature, LagCorrectedRate):
            made[curves[feature.name]] = places
        if feature.smoothed is not None:
            made[prior_name(feature)] = 2 * places
    return made | {fit_name(score, part): BUCKETS for score in scores(view) for part in score.parts}


def fitted_rates(view: FeatureView) -> tuple[Rate, ...]:
    """Those that need something fitted."""
    return tuple(feature for feature in view.features if isinstance(feature, Rate) and feature.fitted)


def scores(view: FeatureView) -> tuple[AnomalyScore, ...]:
    """The view's anomaly scores."""
    return tuple(feature for feature in view.features if isinstance(feature, AnomalyScore))


def prior_name(feature: Rate) -> str:
    """Of what a smoothed rate leans towards."""
    return f"{feature.name}__prior"


def fitted(view: FeatureView, cuts: Sequence[int], total: Mapping[str, Array]) -> Fits:
    """The fits, from the sums over all keys."""
    curves, values = curve_names(view), dict[str, Array]()
    for name in dict.fromkeys(curves.values()):
        mature = total[name][:, -1:]
        values[name] = np.where(mature > 0, total[name] / np.maximum(mature, 1), np.nan)
    for feature in fitted_rates(view):
        if feature.smoothed is None:
            continue
        counts = total[prior_name(feature)]
        known, events = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
        if isinstance(feature, LagCorrectedRate):
            ages = ((age, counts[:, 2 * age], counts[:, 2 * age + 1]) for age in range(oldest_age(feature) + 1))
            known, events = lag_corrected(feature, ages, values[curves[feature.name]])
        share = np.where(events > 0, known / np.where(events > 0, events, 1.0), np.nan)
        values[prior_name(feature)] = share[:, np.newaxis]
    for score in scores(view):
        for name in (fit_name(score, part) for part in score.parts):
            values[name] = np.array([centre_and_scale(counts, score.least_keys) for counts in total[name]], np.float64)
    return Fits(view=view.name, cuts=np.array(cuts, np.int64), values=values)
