"""What a risk team watches every day of the events of a label."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from features.definitions.checks import complain, where_defined
from features.definitions.expressions import Expression
from features.definitions.services import Label, condition_problems

__all__ = ["RiskMetrics"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskMetrics:
    """Rows of `risk.metrics_daily`: for each UTC day of events what was approved, what turned out fraud, and what a review team would have caught (docs/metrics.md)."""

    name: str
    label: Label
    entity: str | tuple[str, ...]
    """Key column or columns of the events, by which they hang together: intervals draw whole entities."""

    amount: str
    """A column of the events, int64 or float64. Events where it is null or negative take no part in metrics by amount."""

    approved: Expression
    """Which events went through, explored ones too."""

    score: str | None = None
    """A float64 column of the events: the higher, the more likely fraud. Events where it is no number take no part in metrics of the score."""

    chargebacks: Expression | None = None
    """Which outcomes Mastercard's ratio counts; None: all. Visa's counts all: fraud reports too."""

    by: tuple[str, ...] = ()
    """String columns of the events; each value is a segment beside `all`."""

    budget: int = 100
    """Events that the team reviews a day."""

    review_cost: float = 0.0
    """Of one event, in the amount's unit."""

    owner: str = ""
    description: str = ""
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        for problem, remedy in _problems(self):
            complain(self.where, f"RiskMetrics {self.name!r}", problem, remedy)

    @property
    def entity_columns(self) -> tuple[str, ...]:
        """The key columns, one or more."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity


def _problems(metrics: RiskMetrics) -> Iterator[tuple[str, str]]:
    source = metrics.label.event_source
    types = source.types
    kinds = {name: {"string"} for name in metrics.by} | {metrics.amount: {"int64", "float64"}}
    if metrics.score is not None:
        kinds[metrics.score] = {"float64"}
    for name in dict.fromkeys((*metrics.entity_columns, *kinds)):
        if name not in types:
            yield f"its events {source.name!r} have no column {name!r}.", f"They have {', '.join(sorted(types))}."
        elif types[name] not in kinds.get(name, {types[name]}):
            yield (
                f"column {name!r} of its events is {types[name]}.",
                f"Name one that is {' or '.join(sorted(kinds[name]))}.",
            )
    yield from condition_problems("approved", metrics.approved, types)
    yield from condition_problems("chargebacks", metrics.chargebacks, metrics.label.outcomes.types)
    if metrics.budget < 1 or metrics.review_cost < 0:
        yield (
            f"its budget is {metrics.budget} and its review_cost {metrics.review_cost}.",
            "Review 1 or more a day, at a cost of 0 or more.",
        )
