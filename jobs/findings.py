"""What a leak audit found, and the verdict that follows. Plain values, no engine."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CHECKS", "Finding", "Severity", "as_json", "feature_list", "verdict"]

Severity = Literal["leak", "warning", "not done"]
CHECKS = {
    "manifest": "the file is what its manifest says",
    "future shift": "computed again without what became known later",
    "arrival": "what a value used had arrived by then",
    "shuffled labels": "a model of shuffled labels has no skill",
    "separation": "no single feature tells the label",
}
"""Each check, and what holds where it passes."""

_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or could not be looked at."""

    check: str
    """A name of `CHECKS`."""

    severity: Severity
    """Only leaks fail a frame."""

    name: str
    """The feature, source or column it is about; of a whole check the check's."""

    says: str
    """What was seen, with numbers, and what to do."""


def verdict(findings: Iterable[Finding]) -> Literal["leaks", "passes"]:
    """`leaks` where one finding is a leak; warnings and checks that were not done are said and fail nothing."""
    return "leaks" if any(finding.severity == "leak" for finding in findings) else "passes"


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Plain data, leaks first."""
    order = ["leak", "warning", "not done"]
    return [asdict(each) for each in sorted(findings, key=lambda each: order.index(each.severity))]


def feature_list(names: Sequence[str]) -> str:
    """Features in a sentence, the first few by name.

    >>> feature_list(["a__b", "a__c"]), feature_list([])
    ('a__b, a__c', 'no feature')
    """
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown or "no feature"
