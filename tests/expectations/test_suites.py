"""Great Expectations judges one row of metrics: real GX, no Spark."""

from pathlib import Path
from typing import Any

import pytest

from expectations import suites
from expectations.rules import Rule


def rule(name: str, **more: Any) -> Rule:
    return Rule(name=name, says=f"{name} holds.", remedy="Mend it.", **{"severity": "block", **more})


@pytest.mark.slow
def test_each_rule_gets_its_outcome_and_what_was_not_measured_fails(tmp_path: Path) -> None:
    rules = [
        rule("clean", check="between", columns=("x",), lower=0),
        rule("broken", check="not_null", columns=("x",)),
        rule("inside", check="metric", metric="a", lower=0, upper=1),
        rule("unmeasured", check="metric", metric="gone", lower=0, upper=1),
        rule("far", severity="warn", check="metric", metric="b", lower=0, upper=1, hard=(0, 5)),
        rule("farther", severity="warn", check="metric", metric="c", lower=0, upper=1, hard=(0, 5)),
        rule("little", severity="warn", check="metric", metric="c", lower=0, upper=1),
    ]
    metrics = {"violations/clean": 0.0, "violations/broken": 2.0, "a": 1.0, "b": 4.0, "c": 6.0}
    outcomes, result = suites.judge("toy", rules, metrics)
    assert [(each.rule.name, each.passed, each.blocks) for each in outcomes] == [
        ("clean", True, False), ("broken", False, True), ("inside", True, False), ("unmeasured", False, True), ("far", False, False),
        ("farther", False, True), ("little", False, False),
    ]  # fmt: skip
    assert outcomes[3].error.startswith("it could not be evaluated: ")
    page = suites.write_docs(tmp_path, {"toy": result})
    assert page.exists()
    assert len(list(tmp_path.rglob("toy.html"))) == 1
    suites.write_docs(tmp_path, {"toy": result})
    assert len(list(tmp_path.rglob("validations/toy/**/toy.json"))) == 1, "the last result replaces the one before it"
