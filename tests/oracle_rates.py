"""Rates whose outcome comes late, once more in plain Python: every eligible event a pair, from the whole history of all keys (semantics 4)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from features.definitions.features import ArrivalRate, LagCorrectedRate, Rate
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from tests import oracle
from tests.oracle_expressions import evaluate

Row = Mapping[str, Any]
Raw = Mapping[str, Sequence[Row]]


class Event(NamedTuple):
    """An eligible event that counts, and when its outcome arrived; None where it has none that stands."""

    time: int
    arrived: float | None


def rate(view: FeatureView, feature: Rate, raw: Raw, key: tuple[Any, ...], t: int) -> float | None:
    """The value at t."""
    a = oracle.anchor(view, t)
    own, everyone = events_of(view, feature, raw, key, t), events_of(view, feature, raw, None, t)
    curve = lag_curve(feature, everyone, a) if isinstance(feature, LagCorrectedRate) else None
    if isinstance(feature, LagCorrectedRate) and curve is None:
        return None
    known, events = parts(view, feature, own, a, curve)
    if feature.smoothed is None:
        return known / events if events else None
    top, bottom = parts(view, feature, everyone, a, curve)
    seen = oracle.within(
        oracle.counting(view, view.source, raw[view.source.name], key, t), Window("ever"), a, view
    )  # fmt: skip
    if not bottom or not seen:
        return None
    return (top / bottom * feature.smoothed + known) / (feature.smoothed + events)


def events_of(view: FeatureView, feature: Rate, raw: Raw, key: tuple[Any, ...] | None, t: int) -> list[Event]:
    """Of a key, or of all: those that the view remembers at t and that have happened."""
    source, outcomes = view.source, view.outcome(feature.outcomes)
    rows = oracle.counting(view, source, raw[source.name], key, t)
    standing = {
        (owner(view, outcomes, row), row[feature.of])
        for row in oracle.counting(view, outcomes, raw[outcomes.name], key, t)
    }
    told = first_told(view, feature, outcomes, raw[outcomes.name], t)
    made = []
    for row in oracle.within(rows, Window("ever"), oracle.anchor(view, t), view):
        if feature.eligible is None or evaluate(feature.eligible, row) is True:
            name = owner(view, source, row), row[source.event_id or ""]
            made.append(Event(row[source.event_time], told[name] if name in standing else None))
    return made


def owner(view: FeatureView, source: Source, row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in source.key_columns(view.entity.name, view.entity.keys))


def first_told(view: FeatureView, feature: Rate, outcomes: Source, rows: Sequence[Row], t: int) -> dict[Any, float]:
    """(key, event) to when the first version of an outcome of it was known, whatever replaced that since."""
    groups: dict[Any, list[Row]] = {}
    for n, row in enumerate(rows):
        groups.setdefault(row[outcomes.event_id] if outcomes.event_id else n, []).append(row)
    made: dict[Any, float] = {}
    for delivered in groups.values():
        for row in oracle.stood(outcomes, delivered):
            counts = outcomes.filter is None or evaluate(outcomes.filter, row) is True
            gone = bool(outcomes.void and row.get(outcomes.void))
            if counts and not gone and oracle.visible(view, outcomes, row, [row], t):
                name = owner(view, outcomes, row), row[feature.of]
                made[name] = min(oracle.known_at(outcomes, row), made.get(name, oracle.HELD))
    return made


def parts(
    view: FeatureView, feature: Rate, events: list[Event], a: int, curve: list[float] | None
) -> tuple[float, float]:
    """Above and below the line."""
    lower, upper = oracle.edges(feature.window, a, view)
    inside = [event for event in events if lower <= event.time < upper]
    if isinstance(feature, ArrivalRate):
        arrived = [event for event in events if event.arrived is not None and lower <= event.arrived < upper]
        return float(len(arrived)), float(len(inside))
    if not isinstance(feature, LagCorrectedRate):
        return float(sum(event.arrived is not None for event in inside)), float(len(inside))
    assert curve is not None
    known, weight = 0.0, 0.0
    for age in range(len(curve)):
        of_age = [event for event in inside if min((a - event.time) // oracle.DAY, len(curve) - 1) == age]
        if curve[age] >= feature.least:
            known += sum(event.arrived is not None for event in of_age)
            weight += len(of_age) * curve[age]
    return known, weight


def lag_curve(feature: LagCorrectedRate, everyone: list[Event], a: int) -> list[float] | None:
    """G by age in whole days, up to H; None where no event that is old enough has an outcome that came within H."""
    delays = [
        event.arrived - event.time
        for event in everyone
        if event.arrived is not None and a - event.time >= feature.mature_us
    ]
    mature = sum(delay < feature.mature_us for delay in delays)
    days = range(feature.mature_us // oracle.DAY + 1)
    return [sum(delay < day * oracle.DAY for delay in delays) / mature for day in days] if mature else None
