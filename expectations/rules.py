"""What must hold, as frozen data: a rule says in one sentence what is expected of which columns or of which measured metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Facts", "Rule", "Severity", "metric_of"]

Severity = Literal["block", "warn"]
Check = Literal["unique", "not_null", "between", "in_set", "at_least", "slack", "implies", "metric"]
"""What a rule asks, of each row unless said otherwise; null values are skipped except by not_null and implies.

unique: no two rows have the same `columns` · between: `lower <= column <= upper` · in_set: the column is one of `values`
at_least: first column >= second · slack: first >= second - `upper` x the larger magnitude
implies: where the first column has a value, the second has one · metric: `lower <= metric <= upper`, of the whole frame
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One expectation. Its `name` is unique among the rules of one frame."""

    name: str
    severity: Severity
    """block: a failure holds the frame back; warn: it is told, and passes."""

    says: str
    """One sentence, for a person."""

    remedy: str
    """What to do when it fails."""

    check: Check
    columns: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None
    values: tuple[str, ...] = ()
    metric: str = ""
    """Of check `metric`: its name in the profile."""

    hard: tuple[float | None, float | None] | None = None
    """Of check `metric` and severity `warn`: bounds outside of which the failure blocks."""

    @property
    def rows(self) -> bool:
        """Whether it is asked of rows, not of a metric."""
        return self.check != "metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a person knows of a source's columns and no definition says."""

    nonnegative: tuple[str, ...] = ()
    """Numbers that are never below zero, nor are their sums."""

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column to all the values it may have."""

    not_null: tuple[str, ...] = ()
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Number to the least and the largest value it may have."""

    not_before: tuple[tuple[str, str], ...] = ()
    """(a column of instants, one that it never precedes); of rows that have both."""


def metric_of(rule: Rule) -> str:
    """The metric that decides a rule: of row rules the number of rows that break it."""
    return f"violations/{rule.name}" if rule.rows else rule.metric
