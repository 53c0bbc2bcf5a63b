"""Verdicts and sentences."""

from expectations.report import Outcome, Report, report, verdict
from expectations.rules import Rule

BLOCKS = Rule(name="b", severity="block", says="B holds.", remedy="Mend it.", check="not_null", columns=("x",))
WARNS = Rule(name="w", severity="warn", says="W holds.", remedy="Look.", check="metric", metric="m", lower=1, upper=2.5)
GOOD = Outcome(rule=BLOCKS, passed=True, blocks=False, observed=0.0)
BAD = Outcome(rule=BLOCKS, passed=False, blocks=True, observed=3.0)
ODD = Outcome(rule=WARNS, passed=False, blocks=False, observed=7.25)


def test_the_worst_failure_decides() -> None:
    assert (verdict([GOOD]), verdict([GOOD, ODD]), verdict([ODD, BAD])) == ("pass", "warn", "hold")


def test_failures_are_sentences_with_those_that_block_first() -> None:
    made = report("sales", "2026-01-01", [ODD, BAD, GOOD], {"b": ("id=1, x=None",)})
    assert [failure.sentence() for failure in made.failures] == [
        "b does not hold: B holds. Observed 3 rows that break it, expected none. For example id=1, x=None. Mend it.",
        "w does not hold: W holds. Observed 7.25, expected between 1 and 2.5. Look.",
    ]
    assert made.sentence() == "sales at 2026-01-01: hold; 2 of 3 rules failed."


def test_what_could_not_be_evaluated_says_why() -> None:
    made = report(
        "s",
        "d",
        [Outcome(rule=WARNS, passed=False, blocks=False, observed=None, error="it could not be evaluated: gone")],
        {},
    )
    assert made.failures[0].observed == "it could not be evaluated: gone"


def test_a_report_survives_json() -> None:
    made = report("s", "d", [BAD, ODD], {"b": ("x=1",)})
    assert Report.load(made.record()) == made
