"""Known-wrong engines of rates whose outcome comes late: of what is known, of cohorts, lag curves, priors and smoothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.definitions.features import CohortRate, LagCorrectedRate, Rate
from features.definitions.views import FeatureView
from features.definitions.windows import EVER
from features.values import fits, outcomes, rates, summing
from features.values.generic import Spans
from features.values.rates import Matched
from features.values.sweep import Sweep
from features.values.timeline import FOREVER, Asks, Timeline
from tests.properties.registered import mutant
from tests.strategies import DAY

__all__: list[str] = []

Array = np.ndarray

# What is known


def with_outcomes(patch: pytest.MonkeyPatch, change: Callable[[Timeline], Timeline]) -> None:
    """Lies about the outcomes, to values and fits alike."""
    right = outcomes.with_outcomes
    patch.setattr(rates, "with_outcomes", lambda events, source, told, of: right(events, source, change(told), of))


@mutant("rates")
def label_known_a_day_too_early(patch: pytest.MonkeyPatch) -> None:
    with_outcomes(patch, lambda told: replace(told, since=told.since - DAY))


@mutant("rates")
def label_known_with_its_event(patch: pytest.MonkeyPatch) -> None:
    with_outcomes(patch, lambda told: replace(told, since=np.full(len(told), -FOREVER)))


@mutant("rates")
def label_taken_back_is_kept(patch: pytest.MonkeyPatch) -> None:
    with_outcomes(patch, lambda told: replace(told, until=np.full(len(told), FOREVER)))


@mutant("rates")
def own_label_included(patch: pytest.MonkeyPatch) -> None:
    """The event of the asked instant, and its outcome whenever that comes, stand in the value that a model is to tell it by."""
    right = rates.counted

    def wrong(view: FeatureView, feature: Rate, found: Matched, spans: Spans) -> tuple[Array, Array]:
        known, total = right(view, feature, found, spans)
        later = Asks(key=spans.asks.key, instant=np.full(len(spans.asks.key), FOREVER - 1))
        t = spans.asks.instant
        return known + found.known.between(later, t, t + 1), total + found.eligible.between(later, t, t + 1)

    patch.setattr(rates, "counted", wrong)


@mutant("rates")
def last_outcome_says_when_it_arrived(patch: pytest.MonkeyPatch) -> None:
    def wrong(told: Timeline, ids: Array) -> dict[tuple[int, int], int]:
        instants = told.since if told.known is None else told.known
        order = np.argsort(instants, kind="stable")
        keys = zip(told.key[order].tolist(), ids[order].tolist(), strict=True)
        return dict(zip(keys, instants[order].tolist(), strict=True))

    patch.setattr(outcomes, "_arrivals", wrong)


@mutant("rates")
def arrivals_of_the_window_s_events_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rates, "_by_arrival", lambda _, known: known)


# Cohorts


@mutant("rates")
def cohort_not_mature_counted(patch: pytest.MonkeyPatch) -> None:
    """Events of the delay count too, in values and priors, as if their outcomes were told already."""
    right = rates.counted

    def wrong(view: FeatureView, feature: Rate, found: Matched, spans: Spans) -> tuple[Array, Array]:
        if isinstance(feature, CohortRate):
            spans = replace(spans, upper=spans.anchor)
        return right(view, feature, found, spans)

    for module in (rates, summing):
        patch.setattr(module, "counted", wrong)


# Lag curves


def with_curve(
    patch: pytest.MonkeyPatch, change: Callable[[LagCorrectedRate, Array], tuple[LagCorrectedRate, Array]]
) -> None:
    """Lies about the curve, or about the rate, where outcomes are corrected, in values and priors."""
    right = rates.lag_corrected

    def wrong(feature: LagCorrectedRate, ages: Any, curve: Array) -> tuple[Array, Array]:
        changed, other = change(feature, curve)
        return right(changed, ages, other)

    for module in (rates, fits):
        patch.setattr(module, "lag_corrected", wrong)


@mutant("rates")
def lag_correction_left_out(patch: pytest.MonkeyPatch) -> None:
    with_curve(patch, lambda feature, curve: (feature, np.where(np.isnan(curve), np.nan, 1.0)))


@mutant("rates")
def ages_that_show_too_little_count(patch: pytest.MonkeyPatch) -> None:
    with_curve(patch, lambda feature, curve: (replace(feature, least=-1.0), curve))


@mutant("rates")
def curve_a_day_early(patch: pytest.MonkeyPatch) -> None:
    """What arrives on day d is taken as there within d days."""
    right = summing._delays

    def wrong(view: FeatureView, feature: LagCorrectedRate, found: Matched, cuts: Sequence[int]) -> Array:
        made = right(view, feature, found, cuts)
        return np.concatenate([made[:, 1:], made[:, -1:]], axis=1)

    patch.setattr(summing, "_delays", wrong)


@mutant("rates")
def curve_of_events_that_are_not_mature(patch: pytest.MonkeyPatch) -> None:
    """Those of yesterday have quick outcomes alone."""
    right, spans = summing._delays, summing._spans

    def wrong(view: FeatureView, feature: LagCorrectedRate, found: Matched, cuts: Sequence[int]) -> Array:
        def to_the_cut(view: FeatureView, cuts: Sequence[int], edges: Iterable[tuple[int, int]]) -> Spans:
            return spans(view, cuts, [(low, cut) for (low, _), cut in zip(edges, cuts, strict=True)])

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(summing, "_spans", to_the_cut)
            return right(view, feature, found, cuts)

    patch.setattr(summing, "_delays", wrong)


# Priors and smoothing


@mutant("rates")
def prior_fitted_on_the_future(patch: pytest.MonkeyPatch) -> None:
    """Over the window of the cut, with all that is known today."""
    right = summing._totals

    def wrong(view: FeatureView, feature: Rate, found: Matched, cuts: Sequence[int]) -> Array:
        spans = summing._spans

        def later(view: FeatureView, cuts: Sequence[int], edges: Sequence[tuple[int, int]]) -> Spans:
            made = spans(view, cuts, edges)
            return replace(made, asks=replace(made.asks, instant=made.asks.instant + 100 * DAY))

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(summing, "_spans", later)
            return right(view, feature, found, cuts)

    patch.setattr(summing, "_totals", wrong)


@mutant("rates")
def fits_of_the_next_cut(patch: pytest.MonkeyPatch) -> None:
    right = summing.sums
    patch.setattr(
        "tests.engine.sums", lambda view, lines, cuts: right(view, lines, [cut + view.schedule.period_us for cut in cuts])
    )  # fmt: skip


@mutant("rates")
def prior_of_all_that_is_remembered(patch: pytest.MonkeyPatch) -> None:
    right = summing._totals

    def wrong(view: FeatureView, feature: Rate, found: Matched, cuts: Sequence[int]) -> Array:
        return right(view, replace(feature, window=EVER), found, cuts)

    patch.setattr(summing, "_totals", wrong)


def with_rate(patch: pytest.MonkeyPatch, change: Callable[[Rate], Rate]) -> None:
    """Lies to the value of a rate about the rate."""
    right = Sweep.rate
    patch.setattr(Sweep, "rate", lambda self, feature: right(self, change(feature)))


@mutant("rates")
def smoothing_weight_doubled(patch: pytest.MonkeyPatch) -> None:
    with_rate(patch, lambda feature: replace(feature, smoothed=feature.smoothed and 2 * feature.smoothed))


@mutant("rates")
def smoothing_left_out(patch: pytest.MonkeyPatch) -> None:
    with_rate(patch, lambda feature: replace(feature, smoothed=None))


@mutant("rates")
def a_key_that_was_never_seen_has_the_prior(patch: pytest.MonkeyPatch) -> None:
    right = Sweep.rate

    def wrong(self: Sweep, feature: Rate) -> pa.Array:
        made = right(self, feature)
        if feature.smoothed is None:
            return made
        prior = self.fitted(feature).prior
        return pa.array(
            np.where(np.asarray(made.is_null()), prior, np.asarray(made.fill_null(0.0))), mask=np.isnan(prior)
        )

    patch.setattr(Sweep, "rate", wrong)
