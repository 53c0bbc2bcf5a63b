"""What a feature means in one plain sentence, and when its value is null: its own description, or words made from its definition."""

from typing import assert_never

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.durations import duration_text
from features.definitions.features import (
    Aggregate,
    AnomalyReason,
    AnomalyScore,
    ArrivalRate,
    Attribute,
    CohortRate,
    Difference,
    Feature,
    Rate,
    Ratio,
    Requested,
    Zscore,
)
from features.definitions.freshness import EventFreshness
from features.definitions.phrases import (
    anchor_text,
    condition_text,
    entity_text,
    length_text,
    noun,
    plural,
    rows_text,
    window_text,
)
from features.definitions.views import FeatureView

__all__ = ["freshness_text", "meaning", "null_rule", "request_text"]

_SAYS = {
    "count": "How many {rows} {window}",
    "sum": "The sum of {column} of {rows} {window}",
    "mean": "The mean {column} of {rows} {window}",
    "min": "The smallest {column} of {rows} {window}",
    "max": "The largest {column} of {rows} {window}",
    "std": "The standard deviation of {column} of {rows} {window}",
    "first": "The {column} of the oldest of the {rows} {window}",
    "last": "The {column} of the newest of the {rows} {window}",
    "distinct": "How many different {columns} among {rows} {window}, counted up to {limit}",
    "distinct_sketch": "About how many different {columns} among {rows} {window}",
    "time_since_first": "How long before {anchor} the oldest of the {rows} was, of those {window}",
    "time_since_last": "How long before {anchor} the newest of the {rows} was, of those {window}",
    "gap_mean": "The mean gap between consecutive {rows} {window}",
    "gap_cv": "How uneven the gaps between consecutive {rows} {window} are",
    "burst": "The most {rows} in any {step}, {window}",
    "trend": "How fast {rows} grow in number from one {step} to the next, {window}",
    "entropy": "How evenly {columns} are spread over {rows} {window}",
    "pairs_max": "The largest change of {column} between consecutive {rows} {window}",
    "pairs_mean": "The mean change of {column} between consecutive {rows} {window}",
    "speed_max": "The largest speed between the places of consecutive {rows} {window}",
    "speed_mean": "The mean speed between the places of consecutive {rows} {window}",
    "runs": "How often at least {at_least} {rows} of one kind in a row were followed by one of another, {window}; kinds: {column}",
    "decayed_count": "How many {rows} {window}, each worth half as much with every {half_life} of its age",
    "decayed_sum": "The sum of {column} of {rows} {window}, each worth half as much with every {half_life} of its age",
    "decayed_mean": "The mean {column} of {rows} {window}, each worth half as much with every {half_life} of its age",
    "top_k": "The {column} that is number {rank} by frequency among {rows} {window}",
    "last_k": "The {column} of number {rank} from the newest of the {rows} {window}",
    "time_since_last_k": "How long before {anchor} number {rank} from the newest of the {rows} was, of those {window}",
    "quantile": "About the {column} below which a share of {q} of {rows} {window} lie",
}
_ATTRIBUTE = "null before the first row, after a deletion"


def meaning(view: FeatureView, feature: Feature) -> str:
    """The author's description, else a sentence from operation, column, condition and window."""
    text = feature.description.strip() or _sentence(view, feature)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _sentence(view: FeatureView, feature: Feature) -> str:  # noqa: C901, PLR0911 - one branch a kind of feature
    named = {each.name: each for each in view.features}
    match feature:
        case Aggregate():
            return _aggregate(view, feature)
        case Attribute():
            held = f", not older than {length_text(feature.ttl_us)}" if feature.ttl_us is not None else ""
            return f"The {feature.column} of the {entity_text(view.entity)}, as it stood at {anchor_text(view)}{held}"
        case Requested():
            return f"The {feature.column} that the ask itself brings, a request field"
        case Rate():
            return _rate(view, feature)
        case Ratio():
            return (
                f"{_part(view, named[feature.numerator])}, divided by: {_low(_part(view, named[feature.denominator]))}"
            )
        case Difference():
            return f"{_part(view, named[feature.minuend])}, less: {_low(_part(view, named[feature.subtrahend]))}"
        case Zscore():
            x = _low(_part(view, named[feature.x]))
            return f"How far this lies from {feature.mean}, in standard deviations ({feature.std}): {x}"
        case AnomalyScore():
            parts = ", ".join(feature.parts)
            return f"How far the {entity_text(view.entity)} lies from all others at the same cut, in robust standard deviations of {parts}"
        case AnomalyReason():
            return (
                f"Which feature moved {feature.score} most{f', but for {feature.rank - 1}' if feature.rank > 1 else ''}"
            )
        case _:
            assert_never(feature)


def _part(view: FeatureView, feature: Feature) -> str:
    return meaning(view, feature).removesuffix(".")


def _low(text: str) -> str:
    return text[:1].lower() + text[1:]


def _aggregate(view: FeatureView, feature: Aggregate) -> str:
    read = ", ".join(condition_text(node) for node in feature.reads)
    given = dict(feature.parameters)
    words = {
        "rows": rows_text(view, view.source, feature.where), "window": window_text(view, feature.window), "anchor": anchor_text(view),
        "column": read, "columns": plural(noun(feature.column)) if feature.column else f"values of {read}", "limit": feature.limit,
        "step": length_text(feature.window.step_us).removeprefix("1 "), "at_least": given.get("at_least"), "rank": given.get("rank"), "q": given.get("q"),
        "half_life": length_text(int(given["half_life"])) if "half_life" in given else "",
    }  # fmt: skip
    if feature.operation in _SAYS:
        return _SAYS[feature.operation].format(**words)
    known = AGGREGATIONS.get(feature.operation)
    says = known.says.removesuffix(".") if known is not None else feature.operation
    return f"{says}. Of {f'{read} of ' if read else ''}{words['rows']} {words['window']}"


def _rate(view: FeatureView, feature: Rate) -> str:
    rows, window = rows_text(view, view.source, feature.eligible), window_text(view, feature.window)
    outcomes = feature.outcomes.replace("_", " ")
    match feature:
        case CohortRate():
            text = f"The share of {rows} {window} for which one of {outcomes} was known by {anchor_text(view)}"
        case ArrivalRate():
            text = f"How many of {rows} one of {outcomes} arrived for {window}, over those that happened then"
        case _:
            text = f"How many of {rows} {window} have one of {outcomes} by now, over how many would if each had one"
    if feature.smoothed is None:
        return text
    return f"{text}, drawn towards the rate of all keys as by {feature.smoothed:g} more events"


def null_rule(view: FeatureView, feature: Feature) -> str:  # noqa: C901, PLR0911 - one branch a kind of feature
    """When the value is null, in words."""
    match feature:
        case Aggregate():
            known = AGGREGATIONS.get(feature.operation)
            return known.nulls if known is not None else "not known"
        case Attribute():
            return f"{_ATTRIBUTE}, or past {length_text(feature.ttl_us)}" if feature.ttl_us is not None else _ATTRIBUTE
        case Requested():
            return (
                "null where the ask brings none, or no finite number; in published tables always, for nobody asks there"
            )
        case Rate():
            return "null where no event stands below the line, and for a key that was never seen"
        case Ratio():
            return "null if either part is null or the denominator is 0"
        case Difference():
            whole = ", or where it leaves int64" if view.types[feature.name] == "int64" else ""
            return f"null if either part is null{whole}"
        case Zscore():
            return "null if any part is null or the standard deviation is 0"
        case AnomalyScore():
            return f"null where fewer than {feature.least_parts} parts have a value and were fitted at the cut"
        case AnomalyReason():
            return "null where the score is, and where fewer parts moved it"
        case _:
            assert_never(feature)


def request_text(view: FeatureView) -> str:
    """What whoever asks brings, and what becomes of it; empty where only keys are asked for."""
    if not view.request and not view.include_self:
        return ""
    counts = "the ask counts as an event of its key" if view.include_self else "nothing of it is counted"
    return f"{', '.join(view.request) or 'nothing but the key'}; {counts}"


def freshness_text(view: FeatureView) -> str:
    """When a value may change, and from when it is served."""
    schedule = view.schedule
    phase = f" + {duration_text(schedule.phase_us)}" if schedule.phase_us else ""
    cuts = f"every {duration_text(schedule.period_us)}{phase}"
    if isinstance(view.freshness, EventFreshness):
        lag = duration_text(view.freshness.lag_us) if view.freshness.lag_us else "as soon as"
        return f"event: counts {lag} known; corrections from cuts {cuts} on"
    ends = "at the cut" if view.freshness.anchor == "cut" else "at the asked instant"
    served = duration_text(schedule.lag_us) if schedule.lag_us else "0"
    return f"cuts {cuts}, served {served} later; windows end {ends}"
