"""What became of a frame's expectations, for a person and as JSON: pass, warn or hold, and each failure in sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from expectations.rules import Rule

__all__ = ["Failure", "Outcome", "Report", "Verdict", "failure", "report", "verdict"]

Verdict = Literal["pass", "warn", "hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One rule as Great Expectations judged it."""

    rule: Rule
    passed: bool
    blocks: bool
    """Only of a failure."""

    observed: float | None
    """The metric, or the number of rows that break the rule; None where it could not be evaluated."""

    error: str = ""
    """Why it could not be evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One rule that does not hold."""

    rule: str
    blocks: bool
    says: str
    observed: str
    expected: str
    examples: tuple[str, ...]
    """A few rows that break the rule."""

    remedy: str

    def sentence(self) -> str:
        """All of it in a line."""
        rows = f" For example {'; '.join(self.examples)}." if self.examples else ""
        return f"{self.rule} does not hold: {self.says} Observed {self.observed}, expected {self.expected}.{rows} {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one partition or one cut of a view."""

    subject: str
    at: str
    """ds, or the cut as text."""

    verdict: Verdict
    rules: int
    """How many were run."""

    failures: tuple[Failure, ...] = ()
    because: str = ""
    """Why it is held or let through, where no rule of its own decides: a held source, a release."""

    def record(self) -> dict[str, Any]:
        """As JSON data."""
        failures = [{name: getattr(item, name) for name in Failure.__slots__} for item in self.failures]
        return {
            "subject": self.subject, "at": self.at, "verdict": self.verdict, "rules": self.rules, "failed": len(failures),
            "because": self.because, "failures": [{**item, "examples": list(item["examples"])} for item in failures],
        }  # fmt: skip

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> "Report":
        """Back from `record`."""
        failures = tuple(Failure(**{**item, "examples": tuple(item["examples"])}) for item in record["failures"])
        return cls(subject=record["subject"], at=record["at"], verdict=record["verdict"], rules=record["rules"], failures=failures,
                   because=record["because"])  # fmt: skip

    def sentence(self) -> str:
        """The verdict in a line."""
        failed = f"{len(self.failures)} of {self.rules} rules failed" if self.failures else f"{self.rules} rules held"
        because = f" {self.because}" if self.because else ""
        return f"{self.subject} at {self.at}: {self.verdict}; {failed}.{because}"


def verdict(outcomes: Iterable[Outcome]) -> Verdict:
    """One failure that blocks makes it hold; any other failure makes it warn; else it is pass."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    return "hold" if any(outcome.blocks for outcome in failed) else "warn" if failed else "pass"


def report(subject: str, at: str, outcomes: Sequence[Outcome], examples: Mapping[str, tuple[str, ...]]) -> Report:
    """Those that block first. `examples` are by rule name."""
    failed = sorted(
        (outcome for outcome in outcomes if not outcome.passed),
        key=lambda outcome: (not outcome.blocks, outcome.rule.name),
    )
    failures = tuple(failure(outcome, examples.get(outcome.rule.name, ())) for outcome in failed)
    return Report(subject=subject, at=at, verdict=verdict(outcomes), rules=len(outcomes), failures=failures)


def failure(outcome: Outcome, examples: tuple[str, ...] = ()) -> Failure:
    """The outcome in words."""
    rule = outcome.rule
    if outcome.observed is None:
        observed = outcome.error or "nothing"
    else:
        observed = f"{outcome.observed:,.0f} rows that break it" if rule.rows else f"{outcome.observed:.6g}"
    return Failure(
        rule=rule.name, blocks=outcome.blocks, says=rule.says, observed=observed, expected="none" if rule.rows else _range(rule),
        examples=examples, remedy=rule.remedy,
    )  # fmt: skip


def _range(rule: Rule) -> str:
    match rule.lower, rule.upper:
        case None, upper:
            return f"at most {upper:.6g}"
        case lower, None:
            return f"at least {lower:.6g}"
        case lower, upper:
            return f"between {lower:.6g} and {upper:.6g}"
