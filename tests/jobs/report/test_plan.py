"""What a plan refuses, and says."""

from typing import Any

import pytest

from features.definitions.durations import DAY
from features.errors import InputError
from jobs.report.plan import Plan
from tests.jobs.report.payments import START

GIVEN: dict[str, Any] = {"start": START, "held_back": START + 20 * DAY, "end": START + 30 * DAY, "gap": 5 * DAY}


def test_training_ends_a_gap_before_the_held_back_weeks() -> None:
    assert Plan(**GIVEN).train_end == START + 15 * DAY


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gap": 20 * DAY}, r"Nothing is left to learn from: training would begin at 2026-01-05T00:00Z and end, .* at 2026-01-05T00:00Z\. Give an earlier --start"),
        ({"end": START + 20 * DAY}, r"--held-back 2026-01-25T00:00Z is not before --end 2026-01-25T00:00Z, so no weeks are held back"),
        ({"budget": 0.0}, r"--budget 0 is no share above 0 and at most 1\. Write 0\.01"),
        ({"honest": 1.5}, r"--honest 1\.5 is no share"),
        ({"judged": float("nan")}, r"--judged nan is no share"),
        ({"review_cost": -1.0}, r"--review-cost -1 is below 0\. Give what one review costs"),
    ],
)  # fmt: skip
def test_a_plan_that_measures_nothing_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Plan(**GIVEN | changes)
