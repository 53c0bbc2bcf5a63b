"""What of the fits of a cut went into one value, number by number: priors and their weights, lag curves by age, centres and scales. No Spark."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from features.definitions.expressions import Expression
from features.definitions.features import AnomalyReason, AnomalyScore, Feature, LagCorrectedRate, Rate, taken
from features.definitions.phrases import condition_text, length_text
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Bounds
from features.values.anomalies import fit_name, moved, part_values
from features.values.derived import floats
from features.values.fits import Fits, curve_names, prior_name
from features.values.generic import Spans
from features.values.rates import Matched, aged, counted, lag_corrected, matched
from features.values.sweep import NEVER_SEEN, Values
from features.values.timeline import Asks, Timeline

__all__ = ["FitUse", "fit_uses"]

Array = np.ndarray
Number = float | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitUse:
    """One thing that is fitted, and what it did to a value."""

    feature: str
    """That is made with it: what was asked for, or what that is derived from."""

    name: str
    """Of the fit, as in the table of fits."""

    cut: int
    """At which it was fitted: from what was known at it. Microseconds UTC."""

    over: str
    """Which rows of all keys it was fitted from."""

    span: Bounds | None
    """Of the event times of these rows; None where what is fitted over are values at the cut."""

    numbers: Mapping[str, Number]
    """Those that went into the value. None: there is no such number yet."""

    ages: tuple[Mapping[str, Number], ...] = ()
    """Of a lag curve: of each age in whole days that the key has events of, `share`, G(age); `events`, `outcomes`; and whether the age `counts`."""

    sum: str = ""
    """The value, or what the fit makes of the key's own numbers, with the numbers in place of their names. Empty where there is none."""


def fit_uses(
    view: FeatureView, name: str, lines: Mapping[str, Timeline], asks: Asks, anchor: int, fits: Fits, values: Values
) -> tuple[FitUse, ...]:  # fmt: skip
    """All that is fitted and went into a feature's value, in the order of the view's features; empty where nothing is.

    Args:
        view: its definition.
        name: of the feature.
        lines: the key's rows, by source.
        asks: one, of the key.
        anchor: where its windows end.
        fits: of the view, at the anchor.
        values: of every feature of the view, at the ask.
    """
    seen = values.status[0] != NEVER_SEEN
    behind = _behind(view, name)
    found: list[FitUse] = []
    for feature in (each for each in view.features if each.name in behind):
        if isinstance(feature, Rate) and feature.fitted:
            found += _of_rate(view, feature, matched(view, feature, lines), asks, anchor, fits, seen=seen)
        elif isinstance(feature, AnomalyScore):
            found += _of_score(feature, anchor, fits, values)
    return tuple(found)


def _behind(view: FeatureView, name: str) -> set[str]:
    """The feature and all that it is made of; the parts of a score are values as they are, and have nothing fitted."""
    of: dict[str, Feature] = {feature.name: feature for feature in view.features}
    feature = of[name]
    if isinstance(feature, AnomalyReason):
        return {name, feature.score}
    return {name}.union(*(_behind(view, part) for part in taken(feature)))


def _of_rate(
    view: FeatureView, feature: Rate, found: Matched, asks: Asks, anchor: int, fits: Fits, *, seen: bool
) -> Iterator[FitUse]:  # fmt: skip
    at = np.array([anchor], np.int64)
    curve_name = curve_names(view).get(feature.name, "")
    fit = fits.of(feature, curve_name, at)
    window = feature.window.bounds(anchor, view.remember_us)
    spans = Spans(asks=asks, anchor=at, lower=at * 0 + window.lower, upper=at * 0 + window.upper)
    if isinstance(feature, LagCorrectedRate):
        ages = [(age, known, total) for age, known, total in aged(feature, found, spans) if total[0]]
        known, events = (float(part[0]) for part in lag_corrected(feature, iter(ages), fit.curve))
        yield _of_curve(view, feature, curve_name, anchor, ages, fit.curve[0], (known, events))
    else:
        known, events = (float(part[0]) for part in counted(view, feature, found, spans))
    if feature.smoothed is not None:
        prior, m = _number(fit.prior[0]), feature.smoothed
        yield FitUse(
            feature=feature.name, name=prior_name(feature), cut=anchor, over=_over(view, feature.eligible), span=window,
            numbers={"prior": prior, "weight": m, "outcomes": known, "events": events},
            sum="" if prior is None or not seen else f"({prior:.6g} x {m:g} + {known:.6g}) / ({m:g} + {events:.6g}) = {(prior * m + known) / (m + events):.6g}",
        )  # fmt: skip


def _of_curve(
    view: FeatureView, feature: LagCorrectedRate, name: str, cut: int, ages: list[tuple[int, Array, Array]], curve: Array,
    counts: tuple[float, float],
) -> FitUse:  # fmt: skip
    known, expected = counts
    there = not math.isnan(curve[-1])
    told: list[Mapping[str, Number]] = [
        {
            "age": age, "share": _number(curve[age]), "outcomes": int(seen[0]), "events": int(total[0]),
            "counts": bool(curve[age] >= feature.least),
        }
        for age, seen, total in ages
    ]  # fmt: skip
    events = sum(int(total[0]) for age, _, total in ages if curve[age] >= feature.least)
    terms = " + ".join(f"{row['events']} x {row['share']:.6g}" for row in told if row["counts"])
    return FitUse(
        feature=feature.name, name=name, cut=cut, over=f"{_over(view, feature.eligible)} at least {length_text(feature.mature_us)} old",
        span=Bounds(EVER.bounds(cut, view.remember_us).lower, cut - feature.mature_us + 1),
        numbers={
            "least": feature.least, "outcomes": known, "events": events, "expected": expected if there else None,
            "shown": expected / events if there and events else None,
        },
        ages=tuple(told),
        sum=f"{known:.6g} / ({terms}) = {known / expected:.6g}" if there and expected else "",
    )  # fmt: skip


def _of_score(
    score: AnomalyScore, cut: int, fits: Fits, values: Values
) -> Iterator[FitUse]:  # fmt: skip
    fitted = fits.of_score(score, np.array([cut], np.int64))
    found = part_values(score, values.columns, values.status != NEVER_SEEN)
    distances = moved(score, found, fitted).distances[:, 0]
    over = "keys that were seen" if score.active is None else f"keys whose {score.active} is above 0"
    for part, (centre, scale), distance in zip(score.parts, fitted, distances, strict=True):
        value, known = floats(values.columns[part])
        own = float(value[0]) if known[0] else None
        away = _number(distance)
        yield FitUse(
            feature=score.name, name=fit_name(score, part), cut=cut, over=f"{part} of all {over}", span=None,
            numbers={
                "value": own, "centre": _number(centre[0]), "scale": _number(scale[0]), "distance": away,
                "counted": None if away is None else min(away, score.cap),
            },
            sum="" if away is None else f"|{own:.6g} - {centre[0]:.6g}| / {scale[0]:.6g} = {away:.6g}",
        )  # fmt: skip


def _over(view: FeatureView, eligible: Expression | None) -> str:
    met = "" if eligible is None else f" with {condition_text(eligible)}"
    return f"{view.source.name.replace('_', ' ')} of all keys{met}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
