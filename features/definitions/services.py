"""Which features a model takes, and what its labels are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from features.definitions.checks import complain, where_defined
from features.definitions.durations import duration
from features.definitions.expressions import ColumnType, Expression, type_of
from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = ["CHOICES", "Choice", "FeatureService", "Label", "Policy", "Selection", "condition_problems"]

Choice = Literal["serve", "null", "default", "fail"]
CHOICES: tuple[Choice, ...] = ("serve", "null", "default", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A view by name, and of it all features (None) or some."""

    view: str
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What lookups of a service give for values that are missing or stale. Frames and tables know no policies.

    serve     the value as it is, beside its status
    null      nothing
    default   the value of a key that was never seen: 0 of counts and sums, else nothing
    fail      no answer at all: the whole lookup fails in a sentence
    """

    view: str
    feature: str | None = None
    """None: each of the view's features that the service takes and no other policy names."""

    missing: Choice = "serve"
    """Of a key that was never seen, is null, or whose state is damaged."""

    stale: Choice = "serve"
    """Past the view's horizon, or while the stream that it follows is silent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureService:
    """What one model takes. Views are given as such, or as a `Selection` of some of their features."""

    name: str
    views: tuple["FeatureView | Selection | str", ...]
    policies: tuple[Policy, ...] = ()
    description: str = ""
    owner: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        if not self.views:
            complain(self.where, f"FeatureService {self.name!r}", "it has no views.", "Name at least one.")
        names = [selection.view for selection in self.selections]
        for name in sorted({name for name in names if names.count(name) > 1}):
            complain(
                self.where,
                f"FeatureService {self.name!r}",
                f"view {name!r} is taken twice.",
                "Join the two selections.",
            )
        for selection in self.selections:
            own = selection.features or ()
            for name in sorted({name for name in own if own.count(name) > 1}):
                complain(
                    self.where,
                    f"FeatureService {self.name!r}",
                    f"feature {name!r} of view {selection.view!r} is taken twice.",
                    "Name it once.",
                )
        self._check_policies()

    def _check_policies(self) -> None:
        targets = [(policy.view, policy.feature) for policy in self.policies]
        for policy, target in zip(self.policies, targets, strict=True):
            named = policy.view if policy.feature is None else f"{policy.view}.{policy.feature}"
            chosen = next((one for one in self.selections if one.view == policy.view), None)
            if chosen is None or (policy.feature and chosen.features and policy.feature not in chosen.features):
                complain(self.where, f"FeatureService {self.name!r}", f"it has a policy for {named}, which it does not take.", "Take it, or drop the policy.")  # fmt: skip
            if targets.count(target) > 1:
                complain(self.where, f"FeatureService {self.name!r}", f"it has two policies for {named}.", "Keep one.")
            if wrong := {policy.missing, policy.stale} - {*CHOICES}:
                complain(
                    self.where,
                    f"FeatureService {self.name!r}",
                    f"its policy for {named} says {', '.join(sorted(map(repr, wrong)))}.",
                    f"Say one of {', '.join(CHOICES)}.",
                )

    @property
    def selections(self) -> tuple[Selection, ...]:
        """One a view, in the order given."""
        return tuple(
            view if isinstance(view, Selection) else Selection(view=view if isinstance(view, str) else view.name)
            for view in self.views
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label:
    """The outcome of an event: positive, negative, pending or unobserved (semantics 6)."""

    name: str
    outcomes: Source
    of: str
    """The column of an outcome that holds the event's id."""

    horizon: str
    """H: an event without an outcome H after it is negative."""

    events: Source | None = None
    """The labelled events, with an event_id; None: the parent that the outcomes are enriched from on `of`."""

    positive: Expression | None = None
    """Which outcomes make an event positive; None: all."""

    blocked: Expression | None = None
    """Which events never get an outcome; of these only the `explored` are observed. Asked of the labelled event."""

    explored: Expression | None = None
    """Which events were let through at random, to learn what blocking hides. Asked of the labelled event."""

    propensity: float | str | None = None
    """The probability with which an explored event was let through: a number in (0, 1], or a float64 column of the events. None: not weighted."""

    description: str = ""
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        for problem, remedy in _problems(self):
            complain(self.where, f"Label {self.name!r}", problem, remedy)

    @property
    def event_source(self) -> Source:
        """Whose events are labelled.

        Raises:
            ValueError: the definition names none.
        """
        if self.events is not None:
            return self.events
        link = self.outcomes.enriched
        if link is None or link.on != self.of:
            msg = "its events are not named."
            raise ValueError(msg)
        return link.parent

    @property
    def horizon_us(self) -> int:
        """Microseconds."""
        return duration(self.horizon)


def _problems(label: Label) -> Iterator[tuple[str, str]]:
    try:
        duration(label.horizon)
    except ValueError as error:
        yield str(error), ""
    types = label.outcomes.types
    yield from condition_problems("positive", label.positive, types)
    if label.of not in types:
        yield f"outcomes have no column {label.of!r}.", f"They have {sorted(types)}."
        return
    try:
        events = label.event_source
    except ValueError as error:
        yield str(error), f"Give events=SOURCE, or enrich its outcomes on {label.of!r}."
        return
    if events.event_id is None or events.kind != "events":
        yield (
            f"its events {events.name!r} have no event_id.",
            "Only events with ids can be told from one another: name a source that has them.",
        )
    yield from condition_problems("blocked", label.blocked, events.types)
    yield from condition_problems("explored", label.explored, events.types)
    yield from _propensity(label, events)


def condition_problems(
    name: str, found: Expression | None, types: Mapping[str, ColumnType]
) -> Iterator[tuple[str, str]]:
    """What is wrong with a condition on some columns, and the remedy."""
    try:
        if found is not None and type_of(found, types) != "bool":
            yield f"{name}={found} is not a condition.", "Compare columns with values."
    except ValueError as error:
        yield str(error), ""


def _propensity(label: Label, events: Source) -> Iterator[tuple[str, str]]:
    given = label.propensity
    if given is None:
        return
    if label.explored is None:
        yield f"it has the propensity {given!r} and no explored.", "Say which events were explored."
    if isinstance(given, str) and events.types.get(given) != "float64":
        yield (
            f"its propensity is {given!r}, which is no float64 column of {events.name!r}.",
            "Name one, or give a number in (0, 1].",
        )
    elif not isinstance(given, str) and not 0 < given <= 1:
        yield f"its propensity is {given!r}.", "A probability of being let through is in (0, 1]."
