"""Features as data: aggregations over windows, attributes, rates, anomalies, and what is derived from them (semantics 4)."""

from dataclasses import dataclass
from typing import assert_never

from features.definitions.aggregations import AGGREGATIONS, Aggregation
from features.definitions.durations import duration
from features.definitions.expressions import Column, ColumnType, Expression
from features.definitions.windows import Window

__all__ = [
    "Aggregate",
    "AnomalyReason",
    "AnomalyScore",
    "ArrivalRate",
    "Attribute",
    "CohortRate",
    "Difference",
    "Feature",
    "LagCorrectedRate",
    "Rate",
    "Ratio",
    "Requested",
    "Zscore",
    "taken",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregate:
    """One operation over one window. Empty: counts, sums and distincts are 0, all else is null. Null inputs are skipped."""

    name: str
    operation: str
    """A name in AGGREGATIONS."""

    window: Window
    column: str | None = None
    where: Expression | None = None
    limit: int | None = None
    """Of a distinct: exact up to here, saturating there."""

    inputs: tuple[Expression, ...] = ()
    """Row expressions that it reads in place of a column."""

    parameters: tuple[tuple[str, float], ...] = ()
    """Name and number of each parameter that the aggregation declares, in its order."""

    description: str = ""

    def type(self, column: ColumnType | None) -> ColumnType:
        """Of the value, given the column's. Ages are int64 microseconds."""
        aggregation = AGGREGATIONS.get(self.operation)
        if aggregation is None or aggregation.gives == "column":
            return column or "int64"
        return aggregation.gives

    @property
    def reads(self) -> tuple[Expression, ...]:
        """What it reads of a row, its condition aside."""
        return self.inputs if self.column is None else (Column(self.column), *self.inputs)

    def arguments(self, aggregation: Aggregation) -> tuple[float, ...]:
        """What the functions of the state take: the parameters, the window's step in microseconds and the limit, each in its place."""
        given, own = dict(self.parameters), {"step": self.window.step_us, "limit": self.limit or 1}
        return tuple(own[part] if isinstance(part, str) else given[part.name] for part in aggregation.parameters)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rate:
    """A rate whose outcome comes late, float64, at least 0; null where nothing is below its line. One of the three kinds that follow.

    The outcomes are rows of their own source, matched within the entity's key by the id of the event they tell of; several outcomes of one
    event count once, and the first of them says when the outcome arrived.
    """

    name: str
    outcomes: str
    """Name of the source of outcomes, one of the view's `sources`."""

    of: str
    """The column of an outcome that holds the event's id."""

    window: Window

    eligible: Expression | None = None
    """Which events count."""

    smoothed: float | None = None
    """m of (prior x m + outcomes) / (m + events): as how many events the rate over all keys counts, that of the same cut. None: not smoothed."""

    description: str = ""

    @property
    def fitted(self) -> bool:
        """Whether its values need something that is fitted at each cut from all keys."""
        return self.smoothed is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortRate(Rate):
    """Of the eligible events in `[a-delay-window, a-delay)`, the share whose outcome is known by k. The window's offset is the delay."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrivalRate(Rate):
    """Eligible events, of all that the view remembers, whose outcome arrived in the window, over the eligible events in it. May exceed 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LagCorrectedRate(Rate):
    """Eligible events in the window with a known outcome, over how many would have shown theirs by now if all had one: the sum of G(age).

    G(d), the lag curve, is fitted at each cut: of the outcomes that arrived within `mature` of their events, those that arrived within d days.
    """

    mature: str = "120d"
    """H: an event of this age has shown its outcome if it has one. Whole days."""

    least: float = 0.1
    """g0: events of ages whose G is smaller leave numerator and denominator."""

    @property
    def fitted(self) -> bool:
        """Always: it needs the lag curve."""
        return True

    @property
    def mature_us(self) -> int:
        """Microseconds."""
        return duration(self.mature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """The newest row with `valid_from <= a` known by k: null before the first, after a deletion, past `ttl`."""

    name: str
    column: str
    ttl: str | None = None
    description: str = ""

    @property
    def ttl_us(self) -> int | None:
        """Microseconds; None: for ever."""
        return None if self.ttl is None else duration(self.ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A request field of the view, as the ask brings it: for features derived from it. Null where nothing is asked, as in a published table.

    -0.0 is 0.0, and a float that is not finite is null.
    """

    name: str
    column: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """float64 numerator / denominator; null if either is null or the denominator is 0."""

    name: str
    numerator: str
    denominator: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """minuend - subtrahend: int64 if both are (null where it leaves int64), else float64; null if either is null."""

    name: str
    minuend: str
    subtrahend: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zscore:
    """(x - mean) / std, float64; null if any is null or the std is 0."""

    name: str
    x: str
    mean: str
    std: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyScore:
    """How far a key's values lie from those of all keys at the same cut, float64, from 0 to `cap`; in robust standard deviations.

    The root of the mean square of the parts' distances, `|x - centre| / scale`, each at most `cap`. Centre (median) and scale (from the
    median distance to it) of a part are fitted at each cut from all keys that were seen and are active. Null of a key that is not active or
    was never seen, and where fewer than `least_parts` parts have a distance.
    """

    name: str
    parts: tuple[str, ...]
    """Numeric features above it in the view. A part that is null, not finite or not fitted has no distance."""

    active: str | None = None
    """A numeric feature above it: keys where it is above 0 are fitted and scored, no others. None: all that were seen."""

    least_parts: int
    least_keys: int = 20
    """A part that fewer keys have at a cut is not fitted there."""

    cap: float = 10.0
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyReason:
    """The name of the part with the largest distance of an anomaly score, or the second or third largest; of equal ones the first in the order of the parts.

    Null where the score is, and where fewer parts have a distance above 0. Distances are ordered as they are before the cap.
    """

    name: str
    score: str
    """Name of the AnomalyScore, above it in the view."""

    rank: int
    """1: the part that moved the score most."""

    description: str = ""


Feature = Aggregate | Rate | Attribute | Requested | Ratio | Difference | Zscore | AnomalyScore | AnomalyReason


def taken(feature: Feature) -> tuple[str, ...]:
    """The features that a feature is made of."""
    match feature:
        case Ratio():
            return feature.numerator, feature.denominator
        case Difference():
            return feature.minuend, feature.subtrahend
        case Zscore():
            return feature.x, feature.mean, feature.std
        case AnomalyScore():
            return (*feature.parts, *(() if feature.active is None else (feature.active,)))
        case AnomalyReason():
            return (feature.score,)
        case Aggregate() | Attribute() | Requested() | Rate():
            return ()
        case _:
            assert_never(feature)
