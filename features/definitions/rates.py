"""Whether a rate whose outcome comes late has all that it needs: events and outcomes that find each other, a delay, a schedule."""

from collections.abc import Iterator, Mapping

from features.definitions.durations import DAY, duration
from features.definitions.features import ArrivalRate, CohortRate, LagCorrectedRate, Rate
from features.definitions.freshness import Freshness, Schedule
from features.definitions.sources import Source

__all__ = ["rate_problems"]


def rate_problems(
    feature: Rate, source: Source, outcomes: Mapping[str, Source], freshness: Freshness, remember: str
) -> list[tuple[str, str]]:
    """Problems, each with its remedy.

    Args:
        feature: the rate.
        source: of the events.
        outcomes: the view's, by name.
        freshness: the view's.
        remember: how long the view remembers, a duration.
    """
    if feature.outcomes not in outcomes:
        problem = f"its outcomes are {feature.outcomes!r}, which is not among the view's outcomes."
        return [(problem, "Add the source to outcomes=(...).")]
    return [
        *_matching_problems(feature, source, outcomes[feature.outcomes]),
        *_window_problems(feature, remember),
        *_fitting_problems(feature, remember),
        *_freshness_problems(feature, freshness),
    ]


def _matching_problems(feature: Rate, source: Source, outcomes: Source) -> Iterator[tuple[str, str]]:
    if source.event_id is None:
        yield f"source {source.name!r} has no event_id, so outcomes cannot be matched.", "Declare event_id."
    if feature.of not in outcomes.types:
        yield f"outcomes {outcomes.name!r} have no column {feature.of!r}.", f"They have {sorted(outcomes.types)}."
    elif outcomes.types[feature.of] != source.types.get(source.event_id or ""):
        problem = f"outcomes name events by {feature.of!r}, whose type is not that of {source.event_id!r}."
        yield problem, "Give both one type."


def _window_problems(feature: Rate, remember: str) -> Iterator[tuple[str, str]]:
    window = feature.window
    if isinstance(feature, CohortRate) and window.offset_us == 0:
        yield "its delay is zero.", "Give the time after which most outcomes are known."
    if (window.length_us or 0) + window.offset_us > duration(remember):
        yield f"its window {window.label} reaches past remember={remember!r}.", "Shorten it or remember longer."


def _fitting_problems(feature: Rate, remember: str) -> Iterator[tuple[str, str]]:
    if feature.smoothed is not None and not 0 < feature.smoothed < float("inf"):
        problem = f"smoothed={feature.smoothed!r} is no weight."
        yield problem, "Give the number of events that the rate over all keys shall count as, above 0."
    if not isinstance(feature, LagCorrectedRate):
        return
    if not 0 < feature.least <= 1:
        problem = f"least={feature.least!r} is no share."
        yield problem, "Give the least G of ages that take part, above 0 and at most 1."
    try:
        mature = feature.mature_us
    except ValueError as error:
        yield f"its mature is wrong: {error}", ""
        return
    if mature % DAY or mature == 0:
        yield f"mature={feature.mature!r} is not whole days.", "Use whole days, at least one."
    if mature >= duration(remember):
        problem = f"no event that the view remembers is as old as mature={feature.mature!r}."
        yield problem, f"Make it shorter than remember={remember!r}, or remember longer."


def _freshness_problems(feature: Rate, freshness: Freshness) -> Iterator[tuple[str, str]]:
    if isinstance(freshness, Schedule) and freshness.anchor == "cut":
        return
    if feature.fitted or isinstance(feature, ArrivalRate):
        yield (
            "its view's windows do not end at cuts, but arrivals are counted, and lag curves and priors fitted, at cuts alone.",
            "Give the view a Schedule with anchor='cut', as DAILY; a cohort rate that is not smoothed goes with any freshness.",
        )
