"""Budgets, gains and rarer attacks by hand, and what a bootstrap of whole campaigns promises."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.metrics import Rows, recall_at, rows_of
from jobs.report.judged import at_rate, budget_of, judged, metrics_of, most_recall
from tests.jobs.report.payments import START

DAY = 86_400_000_000


def rows(days: list[int], clusters: list[str], fraud: list[int], amounts: list[float]) -> Rows:
    time = pa.array([START + day * DAY for day in days]).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"event_timestamp": time, "cluster": clusters, "label": pa.array(fraud, pa.int8()), "amount": pa.array(amounts, pa.float64())})  # fmt: skip
    return rows_of(table, entity="cluster", amount="amount")


ROWS = rows([0, 0, 0, 1, 1, 1], ["c1", "c1", "a1", "c2", "a1", "a2"], [1, 1, 0, 1, 0, 0], [10, 20, 5, 40, 5, 5])


def test_recall_precision_and_money_at_a_budget() -> None:
    scores = {"payment": np.array([0.1, 0.2, 0.9, 0.1, 0.8, 0.7]), "more": np.array([0.9, 0.8, 0.1, 0.9, 0.2, 0.1])}
    found = judged(ROWS, scores, metrics_of(1, 3.0), base="payment", samples=50, seed=0)
    value = {name: {metric: each.value for metric, each in one["of"].items()} for name, one in found.items()}
    assert value["payment"] == {"recall": 0, "precision": 0, "saved": -6, "auc": 0}
    # Of day 0 the 10 euros of c1, of day 1 the 40 of c2, less two reviews.
    assert value["more"] == {"recall": pytest.approx(2 / 3), "precision": 1, "saved": 44, "auc": 1}
    assert found["more"]["gain"]["saved"].value == 50
    assert found["payment"]["gain"]["recall"].record() == [0, 0, 0]


def test_the_most_is_what_a_perfect_order_finds() -> None:
    assert most_recall(ROWS.day, ROWS.fraud, 1) == pytest.approx(2 / 3)
    assert most_recall(ROWS.day, ROWS.fraud, 2) == 1


def test_a_budget_is_a_share_of_an_average_day_and_at_least_one() -> None:
    assert budget_of(ROWS, 0.01) == 1
    assert budget_of(ROWS, 0.7) == 2
    assert budget_of(replace(ROWS, weight=ROWS.weight * 10), 0.7) == 21


def test_rarer_attacks_leave_honest_reviews_as_they_are() -> None:
    # 100 reviews, 60 of the attack, 20 of others, 20 honest. Half of all payments are attacks; of a tenth a ninth of them is left.
    found = at_rate(0.5, (100, 0.6, 0.8), 0.1)
    assert found["attacks"] == pytest.approx(1 / 9)
    assert found["reviews"] == pytest.approx(0.8 / 9 + 0.2)
    assert found["precision"] == pytest.approx((0.6 / 9) / (0.8 / 9 + 0.2))
    assert at_rate(0.1, (9, 0.6, 0.8), 0.1)["precision"] == pytest.approx(0.6)


@given(st.permutations(range(6)))
def test_intervals_do_not_hang_on_the_order_of_rows(order: list[int]) -> None:
    score = np.array([0.9, 0.3, 0.8, 0.2, 0.7, 0.1])
    moved = replace(ROWS, **{name: getattr(ROWS, name)[order] for name in ("entity", "day", "fraud", "mature", "pending", "unobserved", "weight", "once", "amount")})  # fmt: skip
    metric = {"recall": recall_at(1, by="count")}
    first, then = (
        judged(of, {"it": scores}, metric, base="it", samples=20, seed=1)["it"]["of"]["recall"].record()
        for of, scores in ((ROWS, score), (moved, score[order]))
    )
    assert first == pytest.approx(then)


def test_a_campaign_of_many_payments_is_no_surer_than_one() -> None:
    # Thirty campaigns, every other found: one payment each, then twenty each, as alike as campaigns are. Drawn payment by payment the interval would shrink.
    def width(each: int) -> float:
        clusters = [f"c{n // each}" for n in range(30 * each)]
        found = np.array([n // each % 2 for n in range(30 * each)], float)
        of = rows(
            [0] * (30 * each + 30),
            [*clusters, *(f"a{n}" for n in range(30))],
            [1] * (30 * each) + [0] * 30,
            [1.0] * (30 * each + 30),
        )
        metric = {"recall": recall_at(15 * each, by="count")}
        made = judged(of, {"it": np.r_[found, np.full(30, 0.5)]}, metric, base="it", samples=200, seed=0)["it"]["of"][
            "recall"
        ]
        assert made.value == pytest.approx(0.5)
        assert made.low is not None
        assert made.high is not None
        return made.high - made.low

    assert width(20) == pytest.approx(width(1), rel=0.25)
