"""A view: features of one entity from one main source, with one freshness."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import assert_never, cast

from features.definitions.aggregated import operation_problems
from features.definitions.anomalies import reason_problems, score_problems
from features.definitions.checks import complain, where_defined
from features.definitions.durations import DAY, duration
from features.definitions.entities import Entity
from features.definitions.expressions import ColumnType, Expression, columns_of, type_of
from features.definitions.features import (
    Aggregate,
    AnomalyReason,
    AnomalyScore,
    Attribute,
    Difference,
    Feature,
    Rate,
    Ratio,
    Requested,
    Zscore,
    taken,
)
from features.definitions.freshness import DAILY, EventFreshness, Freshness, Schedule
from features.definitions.rates import rate_problems
from features.definitions.requests import request_problems, requested_problems
from features.definitions.sources import Source

__all__ = ["FeatureView", "flat"]

_NAME_LIMIT = 64
_ORDERLESS = {"count", "sum", "mean", "min", "max", "std", "distinct", "time_since_first", "time_since_last"}
"""Operations over integers, texts and instants that any order of one instant's rows gives the same."""


def flat(parts: Iterable["Feature | Iterable[Feature]"]) -> tuple[Feature, ...]:
    """Features and groups of features in one tuple."""
    made: list[Feature] = []
    for part in parts:
        if isinstance(part, Feature):
            made.append(part)
        else:
            made += part
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureView:
    """Features of one entity. A `changes` source gives attributes, an `events` source all else."""

    name: str
    entity: Entity
    source: Source
    features: tuple[Feature, ...]
    freshness: Freshness = DAILY
    outcomes: tuple[Source, ...] = ()
    """Sources of outcomes that rates refer to by name."""

    remember: str = "730d"
    """Length of "ever". A key without events in it is `never_seen`."""

    horizon: str | None = None
    """How long after a cut its values serve before they are `stale`; None: two periods and the publish lag."""

    tiles: bool = False
    """Whether the compute stage keeps its tiles up to date and makes each cut from the one before, unless its rows are few (`spark.few_bytes`); `asof stats` else
    builds those it needs. Changes no value."""

    feast_layout: bool = True
    """Whether the online store holds its plain values in Feast's own layout as well, which Feast's stock online stores read. Without it a key takes
    about half the room; Asof's reader, service and online store plugin read the same either way. Changes no value."""

    request: tuple[str, ...] = ()
    """Request fields: columns of the source that whoever asks brings, by their names; null is a value of each. Of views that are finished at the asked instant."""

    include_self: bool = False
    """Whether an ask counts as an event of its key at the asked instant, made of its request fields, in all windows without offset. It stands for the version of its
    event_id that became known since the cut, if the event_id is a request field."""

    description: str = ""
    owner: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        for name, problem, remedy in _problems(self):
            complain(self.where, f"FeatureView {self.name!r}{f', feature {name!r}' if name else ''}", problem, remedy)

    @property
    def schedule(self) -> Schedule:
        """Its cuts: of an event view, those at which corrections begin to count."""
        return self.freshness.cuts if isinstance(self.freshness, EventFreshness) else self.freshness

    @property
    def served(self) -> bool:
        """Whether plain stored values are exact, so that any Feast client reads them: scheduled and anchored at the cut."""
        return isinstance(self.freshness, Schedule) and self.freshness.anchor == "cut"

    @property
    def unkept(self) -> str | None:
        """Why no state can be kept of a view that is not served from plain values, so that it has no lookups; None where it can."""
        if not isinstance(self.freshness, EventFreshness):
            return None
        if any(isinstance(feature, Rate) for feature in self.features):
            return "its rates would have to hear of outcomes between cuts"
        if self.source.kind != "events":
            return f"its source {self.source.name!r} is of changes, which are looked up as of a cut"
        if self.source.event_id is None:
            return (
                f"its source {self.source.name!r} has no event_id, so an event that is pushed twice would count twice"
            )
        return None

    @property
    def fitted(self) -> bool:
        """Whether values need what is fitted at each cut from all keys: lag curves, what rates are smoothed towards, centres and scales of anomalies."""
        return any(
            isinstance(feature, AnomalyScore) or (isinstance(feature, Rate) and feature.fitted)
            for feature in self.features
        )

    @property
    def stateful(self) -> bool:
        """Whether a cut leaves a state that lookups finish at the asked instant (semantics 5)."""
        return not self.served and self.unkept is None

    @property
    def tabled(self) -> bool:
        """Whether cuts of it are computed, published and looked up."""
        return self.served or self.stateful

    @property
    def sources(self) -> tuple[Source, ...]:
        """The main source, then those of outcomes."""
        return (self.source, *self.outcomes)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return self.entity.keys

    @property
    def remember_us(self) -> int:
        """Microseconds."""
        return duration(self.remember)

    @property
    def horizon_us(self) -> int:
        """Microseconds after the cut."""
        return duration(self.horizon) if self.horizon else 2 * self.schedule.period_us + self.schedule.lag_us

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Feature name to the type of its value."""
        columns = self.source.types
        types: dict[str, ColumnType] = {}
        for feature in self.features:
            match feature:
                case Aggregate():
                    types[feature.name] = feature.type(columns.get(feature.column or ""))
                case Attribute() | Requested():
                    types[feature.name] = columns.get(feature.column, "string")
                case Difference():
                    both = {types.get(feature.minuend), types.get(feature.subtrahend)}
                    types[feature.name] = "int64" if both == {"int64"} else "float64"
                case Rate() | Ratio() | Zscore() | AnomalyScore():
                    types[feature.name] = "float64"
                case AnomalyReason():
                    types[feature.name] = "string"
        return types

    @property
    def ordered(self) -> bool:
        """Whether a value depends on which of several rows of one instant comes first, or on which event a row is of."""
        types = self.source.types
        return any(
            isinstance(feature, Rate)
            or (isinstance(feature, Aggregate) and (feature.operation not in _ORDERLESS or types.get(feature.column or "") == "float64"))
            for feature in self.features
        )  # fmt: skip

    def reads(self, source: Source, *, ids: bool = True) -> tuple[str, ...]:
        """Columns that its values depend on, keys and times aside; sorted. With `ids` the event id is one of them whatever is asked for."""
        found = set(columns_of(source.filter)) | ({source.deleted} if source.deleted else set())
        for feature in self.features:
            match feature:
                case Aggregate() if source.name == self.source.name:
                    found |= columns_of(feature.where).union(*(columns_of(node) for node in feature.reads))
                case Attribute() if source.name == self.source.name:
                    found.add(feature.column)
                case Rate() if source.name == self.source.name:
                    found |= columns_of(feature.eligible)
                case Rate() if source.name == feature.outcomes:
                    found.add(feature.of)
                case _:
                    pass
        if source.name == self.source.name:
            found |= set(self.request)
        return tuple(sorted(found | ({source.event_id} if source.event_id and ids else set())))

    def outcome(self, name: str) -> Source:
        """The source of outcomes of that name."""
        return next(source for source in self.outcomes if source.name == name)


def _problems(view: FeatureView) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    names = [feature.name for feature in view.features]
    found.extend((name, "this name is used twice.", "Give one of them a suffix or another name.")
                 for name in sorted({name for name in names if names.count(name) > 1}))  # fmt: skip
    if not names:
        found.append(("", "it has no features.", "Give it at least one."))
    found.extend(
        (
            name,
            "the name is not an identifier of at most 64 characters.",
            "Use letters, digits and _; it becomes a column.",
        )
        for name in (view.name, *names)
        if not name.isidentifier() or len(name) > _NAME_LIMIT
    )
    found += _tiles_problems(view)
    found += request_problems(view)
    for source in view.sources:
        for column in source.key_columns(view.entity.name, view.entity.keys):
            kind = source.types.get(column)
            if kind != view.entity.type:
                found.append(("", f"key column {column!r} of source {source.name!r} is {kind or 'missing'}, entity {view.entity.name!r} has {view.entity.type}.",
                              "Declare the column, or map it by Source(keys=...)."))  # fmt: skip
    try:
        if view.remember_us % DAY:
            found.append(("", f"remember={view.remember!r} is not whole days.", "Use whole days."))
        _ = view.horizon_us
    except ValueError as error:
        return [*found, ("", str(error), "")]
    seen: dict[str, ColumnType] = {}
    types = view.types
    for feature in view.features:
        with suppress(ValueError):  # a duration that is none: the window or the freshness has said so itself
            found.extend((feature.name, problem, remedy) for problem, remedy in _feature_problems(view, feature, seen))
        seen[feature.name] = types[feature.name]
    return found


def _tiles_problems(view: FeatureView) -> list[tuple[str, str, str]]:
    if not view.tiles or (view.source.kind == "events" and view.served):
        return []
    problem = "it has tiles=True, but is not of events with a schedule anchored at its cuts."
    return [("", problem, "Leave tiles out; `asof frame` gives its values at any instant.")]


def _feature_problems(view: FeatureView, feature: Feature, seen: Mapping[str, ColumnType]) -> list[tuple[str, str]]:  # noqa: C901, PLR0911 - one branch a kind of feature
    match feature:
        case Aggregate():
            return _aggregate_problems(view, feature)
        case Rate():
            outcomes = {source.name: source for source in view.outcomes}
            found = rate_problems(feature, view.source, outcomes, view.freshness, view.remember)
            return found + (
                _where_problems(feature.eligible, view.source.types) if feature.outcomes in outcomes else []
            )
        case Attribute():
            if view.source.kind == "events":
                return [
                    ("attributes need a source of changes.", f"Source {view.source.name!r} is of events; use last().")
                ]
            return _attribute_problems(feature, view.source.types)
        case AnomalyReason():
            return list(reason_problems(feature, _above(view, seen)))
        case AnomalyScore():
            at_cuts = view.served and view.source.kind == "events"
            own = list(score_problems(feature, _above(view, seen), at_cuts=at_cuts))
        case Requested():
            return requested_problems(feature, view.request)
        case Ratio() | Difference() | Zscore():
            own = []
        case _:
            assert_never(feature)
    return own + [(f"it is derived from {part!r}, which is no numeric feature above it.", f"Above it are {sorted(seen)}.")
                  for part in taken(feature) if seen.get(part) not in {"int64", "float64"}]  # fmt: skip


def _above(view: FeatureView, seen: Mapping[str, ColumnType]) -> dict[str, Feature]:
    return {feature.name: feature for feature in view.features if feature.name in seen}


def _attribute_problems(feature: Attribute, types: Mapping[str, ColumnType]) -> list[tuple[str, str]]:
    found = [] if feature.column in types else [(f"there is no column {feature.column!r}.", f"Use {sorted(types)}.")]
    try:
        _ = feature.ttl_us
    except ValueError as error:
        found.append((f"its ttl is wrong: {error}", ""))
    return found


def _aggregate_problems(view: FeatureView, feature: Aggregate) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    types = view.source.types
    if view.source.kind != "events":
        found.append(
            (
                f"windows over source {view.source.name!r} of kind {view.source.kind}.",
                "Use attribute(), or a source of events.",
            )
        )
    found += operation_problems(feature, view.source, view.remember_us)
    length, fresh = feature.window.length_us, view.freshness
    if length is not None and length + feature.window.offset_us > view.remember_us:
        found.append(
            (
                f"its window {feature.window.label} reaches past remember={view.remember!r}.",
                "Shorten it or remember longer.",
            )
        )
    if (
        isinstance(fresh, Schedule)
        and fresh.anchor == "ask"
        and length is not None
        and length < 4 * (fresh.period_us + fresh.lag_us)
    ):
        found.append((f"a window of {feature.window.label} slides over what a cut {fresh.period} apart knew.",
                      "Use a window of at least 4 x (period + publish lag), anchor='cut', or event freshness."))  # fmt: skip
    return found + _where_problems(feature.where, types)


def _where_problems(where: object, types: Mapping[str, ColumnType]) -> list[tuple[str, str]]:
    if where is None:
        return []
    try:
        # An author may have given anything; type_of refuses what is no expression.
        kind = type_of(cast("Expression", where), types)
    except ValueError as error:
        return [(f"its condition is wrong: {error}", "Mend the expression.")]
    return [] if kind == "bool" else [(f"its condition {where} is {kind}.", "Compare columns with values.")]
