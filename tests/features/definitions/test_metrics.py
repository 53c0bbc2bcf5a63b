"""Definitions of what is watched that contradict themselves, each in words."""

import re
from dataclasses import replace
from typing import Any

import pytest

from features import col
from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.definitions.metrics import RiskMetrics
from features.errors import InvalidDefinitionError
from tests.jobs.catalogue_of_metrics import WATCHED

_HAS = "They have amount, card, channel, event_time, id, known, score, status, version, voided."


@pytest.mark.parametrize(("changes", "message"), [
    ({"entity": ("card", "shop")}, f"its events 'watched_payments' have no column 'shop'. {_HAS}"),
    ({"amount": "card"}, "column 'card' of its events is string. Name one that is float64 or int64."),
    ({"score": "amount"}, "column 'amount' of its events is int64. Name one that is float64."),
    ({"by": ("voided",)}, "column 'voided' of its events is bool. Name one that is string."),
    ({"approved": col("amount") + 1}, "is not a condition. Compare columns with values."),
    ({"chargebacks": col("status") == "x"}, "there is no column 'status'; the source has claim, event_time, known, payment, stage."),
    ({"budget": 0}, "its budget is 0 and its review_cost 5. Review 1 or more a day, at a cost of 0 or more."),
])  # fmt: skip
def test_what_contradicts_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=f"RiskMetrics 'watched': .*{re.escape(message)}"):
        replace(WATCHED, **changes)


def test_a_definition_travels_as_data() -> None:
    again = load_definition(compile_definition(WATCHED), RiskMetrics)
    assert hash_of(again) == hash_of(WATCHED)
    assert hash_of(replace(WATCHED, budget=3)) != hash_of(WATCHED)
    assert WATCHED.entity_columns == ("card",)
