"""Metrics that are one sum over another, by hand."""

import re
from typing import Any

import pyarrow as pa
import pytest

from features.errors import InputError, MissingError
from jobs.metrics import (
    approval_rate,
    false_positive_ratio,
    fraud_bps,
    insult_rate,
    known_within,
    measured,
    rows_of,
    share_pending,
)
from jobs.metrics.resampling import Metric
from tests.jobs.metrics.frames import DAY, labelled

FRAME = labelled(
    """
    a 1 fraud      0.9 300
    a 1 good       0.8 100
    b 1 good       0.2 500
    b 1 good       0.7 100
    c 2 pending    0.6 900
    c 2 unobserved 0.9 800
    d 2 young      0.9 700
    e 2 good       0.9 200 4
    """,
    approved=[True, True, True, False, True, False, None, True],
    flagged=[True, False, False, True, False, True, False, True],
    explored=[False] * 7 + [True],
)


def value(metric: Metric, frame: pa.Table = FRAME, **columns: Any) -> float | None:
    given: dict[str, Any] = {"entity": "card_id", "score": "score", "amount": "amount", "approved": "approved", "flagged": "flagged", "explored": "explored", "propensity": 0.25}  # fmt: skip
    (found,) = measured(rows_of(frame, **(given | columns)), [metric], samples=0)
    return found.value


def test_fraud_is_of_what_was_approved_and_has_matured() -> None:
    # 300 of 300 + 100 + 500 + 200: the explored event counts once, what is declined, pending, unobserved or young does not.
    assert value(fraud_bps("amount")) == pytest.approx(10_000 * 300 / 1100)
    assert value(fraud_bps("count")) == pytest.approx(10_000 / 4)
    # What weighs 4 without a word on exploring stands for four approved events that sampling left out.
    assert value(fraud_bps("count"), explored=None, propensity=None) == pytest.approx(10_000 / 7)


def test_approvals_and_pending_are_of_rows_of_any_age() -> None:
    assert value(approval_rate()) == pytest.approx(5 / 8)
    assert value(approval_rate("amount")) == pytest.approx((300 + 100 + 500 + 900 + 200) / 3600)
    # Seven are observed.
    assert value(share_pending()) == pytest.approx(1 / 7)


def test_the_policy_is_judged_by_explored_events_for_those_that_it_blocked() -> None:
    # Flagged and mature: one fraud, b's good event, and the explored one that stands for four.
    assert value(false_positive_ratio()) == pytest.approx(5 / 1)
    assert value(insult_rate()) == pytest.approx((1 + 4) / (1 + 1 + 1 + 4))
    assert value(insult_rate("amount")) == pytest.approx((100 + 800) / (100 + 500 + 100 + 800))


def test_the_lag_curve_is_of_mature_frauds() -> None:
    frame = labelled("a 1 fraud 0 1\n a 1 fraud 0 1 3\n b 1 good 0 1\n b 3 young 0 1")
    known = [DAY + 5 + 7 * DAY, DAY + 5 + 7 * DAY - 1, None, 3 * DAY]
    frame = frame.append_column("label_known_at", pa.array(known, pa.int64()).cast(pa.timestamp("us", "UTC")))
    rows = rows_of(frame, entity="card_id")
    (found,) = measured(rows, [known_within(7)], samples=0)
    assert (found.metric, found.value, found.rows, found.entities) == ("known_within_7d", 0.75, 2, 1)


def test_a_share_of_nothing_is_no_number() -> None:
    frame = labelled("a 1 good 0.1 5\n b 1 good 0.2 5", flagged=[True, False])
    found = measured(rows_of(frame, entity="card_id", flagged="flagged"), [false_positive_ratio()], samples=20)
    assert (found[0].value, found[0].low, found[0].high) == (None, None, None)


def test_what_left_is_counted() -> None:
    rows = rows_of(FRAME, entity="card_id")
    assert rows.left == {"pending": 1, "unobserved": 1, "young": 1}
    (found,) = measured(rows, [fraud_bps("count")], samples=0)
    assert (found.rows, found.entities) == (5, 3)


def test_labels_alone_do_where_no_status_is() -> None:
    frame = pa.table({"card_id": [7, 8, 9], "label": [True, False, None], "at": FRAME["event_timestamp"].slice(0, 3)})
    rows = rows_of(frame, entity="card_id", time="at")
    assert (rows.fraud.tolist(), rows.mature.tolist(), rows.pending.tolist()) == (
        [True, False, False], [True, True, False], [False, False, True],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "metric", "message"),
    [
        ({"amount": None}, fraud_bps("amount"), "fraud_bps_amount needs to know each row's amount. Give rows_of(frame, amount=COLUMN)."),
        ({"approved": None}, approval_rate(), "approval_rate_count needs to know each row's approved. Give rows_of(frame, approved=COLUMN)."),
        ({}, known_within(7), "known_within_7d needs to know since when labels are known. Give a frame with label_known_at."),
        ({"propensity": None}, approval_rate(), "explored and propensity go together: which events were let through, and how likely that was. Give both, or neither."),
        ({"amount": "card_id"}, fraud_bps("amount"), "Column 'card_id' is string, and holds no numbers. Name a column of numbers."),
        ({"flagged": "amount"}, insult_rate(), "Column 'amount' is double, and says neither true nor false. Name a column of booleans."),
        ({"time": "amount"}, insult_rate(), "Column 'amount' is double with 0 null(s). Name a column of instants with a zone, and none missing."),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(columns: dict[str, Any], metric: Metric, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        value(metric, **columns)


def test_a_column_that_is_not_there_is_said() -> None:
    with pytest.raises(MissingError, match=r"^There is no column 'price'\. Known: amount, .*\. Name a column of the frame\.$"):  # fmt: skip
        value(approval_rate(), amount="price")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("score", [0.5, None, float("nan"), float("inf"), float("nan"), 0, 0, 0],
         "Column 'score' is null, NaN or infinite in 4 row(s): row 1 (nan), row 2 (nan), row 3 (inf) …. Score every row, or leave those rows out."),
        ("amount", [1.0, -2.5, None, 1, 1, 1, 1, 1],
         "Column 'amount' is null, NaN, infinite or negative in 2 row(s): row 1 (-2.5), row 2 (nan). Correct them, or leave those rows out."),
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(name: str, values: list[float | None], message: str) -> None:
    bad = FRAME.set_column(FRAME.schema.get_field_index(name), name, pa.array(values, pa.float64()))
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        value(approval_rate(), bad)


def test_without_a_mature_row_metrics_of_outcomes_are_refused_and_others_are_not() -> None:
    young = FRAME.slice(4, 3)
    message = "fraud_bps_count is of mature outcomes, and none of the 3 row(s) has one: 1 pending, 1 unobserved, 1 young. Take older events, or a later --as-of."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        value(fraud_bps("count"), young)
    assert value(share_pending(), young) == pytest.approx(1 / 2)
