"""Which features a model takes, and what its labels are."""

from dataclasses import dataclass, field

from features.definitions.checks import complain, where_defined
from features.definitions.durations import duration
from features.definitions.expressions import Expression, type_of
from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = ["FeatureService", "Label", "Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A view by name, and of it all features (None) or some."""

    view: str
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureService:
    """What one model takes. Views are given as such, or as a `Selection` of some of their features."""

    name: str
    views: tuple["FeatureView | Selection | str", ...]
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

    positive: Expression | None = None
    """Which outcomes make an event positive; None: all."""

    blocked: Expression | None = None
    """Which events never get an outcome; of these only the `explored` are observed. Asked of the labelled event."""

    explored: Expression | None = None
    description: str = ""
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        types = self.outcomes.types
        try:
            duration(self.horizon)
            if self.positive is not None and type_of(self.positive, types) != "bool":
                complain(
                    self.where,
                    f"Label {self.name!r}",
                    f"positive={self.positive} is not a condition.",
                    "Compare columns with values.",
                )
        except ValueError as error:
            complain(self.where, f"Label {self.name!r}", str(error), "")
        if self.of not in types:
            complain(
                self.where,
                f"Label {self.name!r}",
                f"outcomes have no column {self.of!r}.",
                f"They have {sorted(types)}.",
            )
