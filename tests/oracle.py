"""semantics.md once more, in plain Python, slow and obvious: what every engine is tested against. It shares no code with the engines."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.definitions import expressions as e
from features.definitions.features import (
    Aggregate,
    AnomalyReason,
    AnomalyScore,
    Attribute,
    CohortRate,
    Difference,
    Rate,
    Ratio,
    Requested,
    Zscore,
)
from features.definitions.freshness import Schedule
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from tests import oracle_aggregations, oracle_anomalies, oracle_rates
from tests.oracle_expressions import INT64, evaluate

DAY = 86_400_000_000
HELD = math.inf
"""A row's `asof_released` where its partition is held."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """Feature to value, and the row's status."""

    values: dict[str, Any]
    status: str


def answer(  # noqa: C901 - one branch a kind of feature
    view: FeatureView, raw: Mapping[str, Sequence[Row]], key: tuple[Any, ...], t: int, request: Row | None = None
) -> Answer:
    """V(key, a, k) for the asked instant t. `raw` holds each source's versions as they arrived, instants as int microseconds; `request` what the ask brings."""
    a = anchor(view, t)
    if view.source.kind != "events":
        return attributes(view, raw[view.source.name], key, a, t)
    events = counting(view, view.source, raw[view.source.name], key, t)
    if view.include_self and request is not None:
        events = with_self(view, events, t, request)
    overflow = False
    made: dict[str, Any] = {}
    for feature in view.features:
        if isinstance(feature, Aggregate):
            value = aggregate(view, feature, events, a)
        elif isinstance(feature, Rate):
            value = rate(view, feature, events, raw, key, t)
        elif isinstance(feature, Requested):
            asked = None if request is None else request[feature.column]
            value = asked if usable(asked) else None
        elif isinstance(feature, AnomalyScore):
            value = oracle_anomalies.score(view, feature, raw, key, t)
        elif isinstance(feature, AnomalyReason):
            value = oracle_anomalies.reason(view, feature, raw, key, t)
        else:
            value = derived(feature, made)
        if isinstance(value, int) and not isinstance(value, bool) and value not in INT64:
            overflow, value = True, None
        made[feature.name] = value
    seen = within(events, Window("ever"), a, view)
    return Answer(made, "never_seen" if not seen else "overflow" if overflow else "ok")


def with_self(view: FeatureView, events: list[Row], t: int, request: Row) -> list[Row]:
    """The events, and last the one that the ask is: at t, of its request fields and what follows from them. One of its id that no cut knows yet is left out."""
    source = view.source
    asked: dict[str, Any] = dict.fromkeys(source.types)
    asked |= {name: request[name] for name in view.request} | {source.event_time: t, "asof_self": True}
    for column in source.columns:
        if column.computed is not None and e.columns_of(column.computed) <= {*view.request, source.event_time}:
            asked[column.name] = evaluate(column.computed, asked)
    event_id = asked[source.event_id] if source.event_id else None
    if source.filter is not None and evaluate(source.filter, asked) is not True:
        return events
    fresh = view.freshness
    cut = newest_cut(fresh if isinstance(fresh, Schedule) else fresh.cuts, t)
    kept = [
        row
        for row in events
        if event_id is None or row[source.event_id or ""] != event_id or known_at(source, row) < cut
    ]
    return [*kept, asked]


def anchor(view: FeatureView, t: int) -> int:
    fresh = view.freshness
    return newest_cut(fresh, t) if isinstance(fresh, Schedule) and fresh.anchor == "cut" else t


def newest_cut(schedule: Schedule, t: int) -> int:
    """The newest c = phase + n * period with c + P <= t."""
    return (t - schedule.lag_us - schedule.phase_us) // schedule.period_us * schedule.period_us + schedule.phase_us


def known_at(source: Source, row: Row) -> float:
    time: int = row[source.event_time]
    return max(arrival(source, row), time + source.lag_us) if source.lag_us else arrival(source, row)


def content(source: Source, row: Row) -> tuple[Any, ...]:
    return tuple(place(row.get(c)) for c in source.types if c != source.known_at)


def place(value: Any) -> tuple[Any, ...]:
    """What a value sorts by: null, then NaN, then the values."""
    return (0,) if value is None else (1,) if isinstance(value, float) and math.isnan(value) else (2, value)


def read(view: FeatureView, row: Row) -> tuple[Any, ...]:
    names = sorted(
        {f.column for f in view.features if isinstance(f, Attribute)}
        | ({view.source.deleted} if view.source.deleted else set())
    )
    return tuple(place(row[name]) for name in names)


def rank(source: Source, row: Row) -> tuple[Any, ...]:
    version = (row.get(source.version) or 0) if source.version else 0
    return (version, bool(row.get(source.void)) if source.void else False, received(source, row), content(source, row))


def counting(view: FeatureView, source: Source, rows: Sequence[Row], key: tuple[Any, ...] | None, t: int) -> list[Row]:
    """The versions that count at t, of one key, in order."""
    groups: dict[Any, list[Row]] = {}
    for n, row in enumerate(rows):
        groups.setdefault(row[source.event_id] if source.event_id else n, []).append(row)
    found = []
    for delivered in groups.values():
        versions = stood(source, delivered)
        above: list[Row] = []
        for row in sorted(versions, key=lambda row: rank(source, row), reverse=True):
            if visible(view, source, row, versions, t) and not any(
                taken_back(view, source, other, t) for other in above
            ):
                if not (source.void and row.get(source.void)):
                    found.append(row)
                break
            above.append(row)
    columns = source.key_columns(view.entity.name, view.entity.keys)
    of_key = [
        row for row in found if None not in (got := tuple(row[c] for c in columns)) and (key is None or got == key)
    ]
    kept = [row for row in of_key if source.filter is None or evaluate(source.filter, row) is True]
    return sorted(
        kept,
        key=lambda row: (row[source.event_time], row[source.event_id] if source.event_id else (), content(source, row)),
    )


def stood(source: Source, delivered: Sequence[Row]) -> list[Row]:
    """The versions of an event that came to stand: each the highest when it arrived, and more than what stood before once again."""
    made: list[Row] = []
    for instant in sorted({arrival(source, row) for row in delivered} - {HELD}):
        highest = max((row for row in delivered if arrival(source, row) <= instant), key=lambda row: rank(source, row))
        again = bool(made) and content(source, made[-1]) == content(source, highest)
        if arrival(source, highest) == instant and not again:
            made.append(highest)
    return made


def visible(view: FeatureView, source: Source, row: Row, versions: Sequence[Row], t: int) -> bool:
    known, fresh = known_at(source, row), view.freshness
    if isinstance(fresh, Schedule):
        return known < newest_cut(fresh, t)
    if row is versions[0] and known - row[source.event_time] <= fresh.lateness_us:
        return known + fresh.lag_us <= t
    return known < newest_cut(fresh.cuts, t)


def taken_back(view: FeatureView, source: Source, by: Row, t: int) -> bool:
    """A higher version takes lower ones back from the first cut that knows it; a lag of the source delays what counts, not this."""
    fresh = view.freshness
    return arrival(source, by) < newest_cut(fresh if isinstance(fresh, Schedule) else fresh.cuts, t)


def received(source: Source, row: Row) -> int:
    """The order in which versions came, whatever a gate made of them; where nothing says it, when they landed."""
    return landed(source, row) if source.known_at is None else int(row[source.known_at])


def landed(source: Source, row: Row) -> int:
    """When a version could be known at the earliest: from the start of the day on in whose folder it lies (`asof_landed`), if it lies in a later one."""
    instant: int = row[source.known_at or source.event_time]
    folder: int = row.get("asof_landed", instant)
    return max(instant, folder)


def arrival(source: Source, row: Row) -> float:
    """Before the source's lag: from when on a version is known, which a hold delays until the release (`asof_released`), or for good."""
    released: float = row.get("asof_released", -HELD)
    return max(landed(source, row), released)


def within(events: Iterable[Row], window: Window, a: int, view: FeatureView, source: Source | None = None) -> list[Row]:
    lower, upper = edges(window, a, view)
    time = (source or view.source).event_time
    return [row for row in events if (window.offset_us == 0 if "asof_self" in row else lower <= row[time] < upper)]


def edges(window: Window, a: int, view: FeatureView) -> tuple[int, int]:
    step = 1 if window.step == "exact" else window.step_us
    length = view.remember_us if window.length_us is None else window.length_us
    upper = a - window.offset_us
    lower = (upper - length) // step * step
    if window.offset_us > 0:
        upper = upper // step * step
    return lower, upper


def aggregate(view: FeatureView, feature: Aggregate, events: list[Row], a: int) -> Any:  # noqa: C901, PLR0911, PLR0912
    rows = [
        row
        for row in within(events, feature.window, a, view)
        if feature.where is None or evaluate(feature.where, row) is True
    ]
    time = view.source.event_time
    if feature.operation in oracle_aggregations.AGGREGATIONS:
        return by_course(view, feature, rows, a)
    match feature.operation:
        case "count":
            return len(rows)
        case "time_since_first":
            return a - rows[0][time] if rows else None
        case "time_since_last":
            return a - rows[-1][time] if rows else None
    column = feature.column or ""
    if view.source.event_id is None:  # rows of one instant stand in the order of the value
        rows = sorted(rows, key=lambda row: (row[time], usable(row[column]), row[column] if usable(row[column]) else 0))
    values = [v for row in rows if usable(v := row[column])]
    n = len(values)
    match feature.operation:
        case "sum":
            return sum(values)
        case "mean":
            return float(sum(values)) / float(n) if n else None
        case "min":
            return min(values, default=None)
        case "max":
            return max(values, default=None)
        case "first":
            return values[0] if values else None
        case "last":
            return values[-1] if values else None
        case "distinct":
            return min(len({oracle_aggregations.hash64(v) for v in values}), feature.limit or 0)
        case "std":
            return (
                math.sqrt(float(n * sum(v * v for v in values) - sum(values) ** 2) / float(n * (n - 1)))
                if n > 1
                else None
            )
    raise AssertionError(feature)


def by_course(view: FeatureView, feature: Aggregate, rows: list[Row], a: int) -> Any:
    """Of rows all of whose inputs are values; without event ids, rows of one instant stand in the order of these."""
    time = view.source.event_time
    inputs = ([] if feature.column is None else [e.Column(feature.column)]) + list(feature.inputs)
    items = [(row[time], tuple(evaluate(node, row) for node in inputs)) for row in rows]
    items = [item for item in items if all(usable(value) for value in item[1])]
    if view.source.event_id is None:
        items.sort()
    lower, upper = edges(feature.window, a, view)
    step = 1 if feature.window.step == "exact" else feature.window.step_us
    asked = oracle_aggregations.Asked(a, lower, upper, step, dict(feature.parameters))
    return oracle_aggregations.AGGREGATIONS[feature.operation](items, asked)


def usable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def rate(
    view: FeatureView,
    feature: Rate,
    events: list[Row],
    raw: Mapping[str, Sequence[Row]],
    key: tuple[Any, ...],
    t: int,
) -> float | None:
    """A cohort's, which is not smoothed, as short as it is said; of the others see `oracle_rates`."""
    if not isinstance(feature, CohortRate) or feature.fitted:
        return oracle_rates.rate(view, feature, raw, key, t)
    a = anchor(view, t)
    outcomes = view.outcome(feature.outcomes)
    known = {row[feature.of] for row in counting(view, outcomes, raw[outcomes.name], key, t)}
    rows = [
        row
        for row in within(events, feature.window, a, view)
        if feature.eligible is None or evaluate(feature.eligible, row) is True
    ]
    return sum(row[view.source.event_id or ""] in known for row in rows) / len(rows) if rows else None


def derived(feature: Any, made: Mapping[str, Any]) -> Any:
    match feature:
        case Ratio(numerator=top, denominator=bottom):
            x, y = made[top], made[bottom]
            return None if x is None or not y else float(x) / float(y)
        case Difference(minuend=left, subtrahend=right):
            x, y = made[left], made[right]
            return None if x is None or y is None else x - y
        case Zscore(x=value, mean=mean, std=std):
            x, m, s = made[value], made[mean], made[std]
            return None if x is None or m is None or not s else (float(x) - float(m)) / float(s)
    raise AssertionError(feature)


def attributes(view: FeatureView, rows: Sequence[Row], key: tuple[Any, ...], a: int, t: int) -> Answer:
    source = view.source
    columns = source.key_columns(view.entity.name, view.entity.keys)
    fresh = view.freshness
    held = [
        row for row in rows
        if tuple(row[c] for c in columns) == key and row[source.event_time] <= a and (source.filter is None or evaluate(source.filter, row) is True)
        and (known_at(source, row) < newest_cut(fresh, t) if isinstance(fresh, Schedule) else visible(view, source, row, [row], t))
    ]  # fmt: skip
    newest = max(held, key=lambda row: (row[source.event_time], arrival(source, row), read(view, row)), default=None)
    gone = newest is None or bool(source.deleted and newest[source.deleted])
    made: dict[str, Any] = {}
    for feature in view.features:
        if isinstance(feature, Attribute):
            past = gone or (
                feature.ttl_us is not None and newest is not None and a - newest[source.event_time] > feature.ttl_us
            )
            made[feature.name] = None if past or newest is None else newest[feature.column]
        else:
            made[feature.name] = derived(feature, made)
    left = {name for name, value in made.items() if type(value) is int and value not in INT64}
    return Answer(
        {name: None if name in left else value for name, value in made.items()},
        "never_seen" if gone else "overflow" if left else "ok",
    )
