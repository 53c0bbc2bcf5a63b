"""Metrics of a score, by hand, against scikit-learn, and against the plainest words that say the same."""

import re
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from features.errors import InputError
from jobs.metrics import auc_roc, average_precision, card_precision, measured, precision_at, recall_at, rows_of, savings
from jobs.metrics.resampling import Metric
from tests.jobs.metrics.frames import DAY, labelled

FRAME = labelled(
    """
    a 1 fraud   0.9 300
    b 1 good    0.8 100
    c 1 fraud   0.7 200
    d 1 pending 1.0 900
    a 2 fraud   0.9 400
    b 2 good    0.5 100
    b 2 good    0.8 100
    e 2 good    0.4 100
    """
)


def value(metric: Metric, frame: pa.Table = FRAME) -> float | None:
    return measured(rows_of(frame, entity="card_id", score="score", amount="amount"), [metric], samples=0)[0].value


def test_the_highest_scores_of_each_day_are_reviewed() -> None:
    # Of day 1 a and b, of day 2 a and b's second; what is pending takes no place.
    assert value(precision_at(2)) == 2 / 4
    assert value(recall_at(2)) == pytest.approx(700 / 900)
    assert value(recall_at(2, "count")) == pytest.approx(2 / 3)
    assert value(savings(2, review_cost=30)) == 700 - 4 * 30
    # There are no more than seven.
    assert (value(precision_at(50)), value(recall_at(50))) == (3 / 7, 1)


def test_of_rows_of_equal_score_the_same_part_is_reviewed() -> None:
    frame = labelled("a 1 fraud 0.9 100\n b 1 fraud 0.5 100\n c 1 good 0.5 100\n d 1 good 0.5 100\n e 1 good 0.1 100")
    # One place is left for three: a third of each.
    assert value(precision_at(2), frame) == pytest.approx((1 + 1 / 3) / 2)
    assert value(recall_at(2), frame) == pytest.approx((1 + 1 / 3) / 2)


def test_a_row_takes_as_many_places_as_it_stands_for() -> None:
    frame = labelled("a 1 good 0.9 100 3\n b 1 fraud 0.8 100\n c 1 good 0.1 100 8")
    assert value(precision_at(2), frame) == 0
    assert value(precision_at(4), frame) == 1 / 4
    assert value(average_precision(), frame) == pytest.approx(1 / 4)
    assert value(auc_roc(), frame) == pytest.approx(8 / 11)


def test_card_precision_is_the_handbooks() -> None:
    # Day 1: a and b are highest, a is compromised and leaves. Day 2: b and e, both good.
    assert value(card_precision(2)) == pytest.approx((1 / 2 + 0) / 2)
    # Without a from the start: b and c, of which c is; then b and e.
    assert value(card_precision(2, known=["a"])) == pytest.approx((1 / 2 + 0) / 2)
    assert value(card_precision(1, known=["a"])) == 0
    # Of three cards a day, though day 2 has no more than two left.
    assert value(card_precision(3)) == pytest.approx((2 / 3 + 0) / 2)


def test_one_kind_alone_has_no_order() -> None:
    frame = labelled("a 1 good 0.9 100\n b 1 good 0.8 100")
    assert [value(metric, frame) for metric in (auc_roc(), average_precision(), recall_at(1))] == [None, None, None]


_ROW = st.tuples(
    st.integers(0, 5), st.integers(0, 3), st.sampled_from(["fraud", "good", "good", "pending"]),
    st.integers(0, 6).map(lambda n: n / 8), st.integers(0, 50), st.integers(1, 3),
)  # fmt: skip
_ROWS = st.lists(_ROW, min_size=1, max_size=40).filter(lambda rows: {"fraud", "good"} <= {row[2] for row in rows})


def _frame(rows: list[Any]) -> pa.Table:
    return labelled("\n".join(" ".join(map(str, (f"c{row[0]}", *row[1:]))) for row in rows))


@settings(max_examples=40)
@given(_ROWS)
def test_ranking_is_scikit_learns(rows: list[Any]) -> None:
    mature = [row for row in rows if row[2] != "pending"]
    fraud, score, weight = [row[2] == "fraud" for row in mature], [row[3] for row in mature], [row[5] for row in mature]
    assert value(auc_roc(), _frame(rows)) == pytest.approx(roc_auc_score(fraud, score, sample_weight=weight), rel=1e-9)
    expected = average_precision_score(fraud, score, sample_weight=weight)
    assert value(average_precision(), _frame(rows)) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40)
@given(_ROWS, st.integers(1, 12))
def test_a_budget_is_spent_row_by_row(rows: list[Any], budget: int) -> None:
    seen = caught = amount = 0.0
    days = defaultdict(list)
    for _, day, outcome, score, size, weight in rows:
        if outcome != "pending":
            days[day].append((score, outcome == "fraud", size, weight))
    for mine in days.values():
        left = float(budget)
        for score in sorted({row[0] for row in mine}, reverse=True):
            tied = [row for row in mine if row[0] == score]
            part = min(1.0, left / sum(row[3] for row in tied))
            left -= part * sum(row[3] for row in tied)
            seen += part * sum(row[3] for row in tied)
            caught += part * sum(row[3] for row in tied if row[1])
            amount += part * sum(row[3] * row[2] for row in tied if row[1])
    total = sum(row[5] * row[4] for row in rows if row[2] == "fraud")
    frame = _frame(rows)
    assert value(precision_at(budget), frame) == pytest.approx(caught / seen)
    assert value(recall_at(budget), frame) == (pytest.approx(amount / total) if total else None)
    assert value(savings(budget, review_cost=2.5), frame) == pytest.approx(amount - 2.5 * seen)


@settings(max_examples=40)
@given(st.permutations(range(30)), st.integers(1, 8))
def test_card_precision_in_the_handbooks_words(order: list[int], cards: int) -> None:
    rows = [(n % 7, n % 3, "fraud" if n % 5 == 0 else "good", score / 32, 1, 1) for n, score in enumerate(order)]
    found, known = [], set()
    for day in sorted({row[1] for row in rows}):
        best: dict[int, tuple[float, bool]] = {}
        for card, at, outcome, score, _, _ in rows:
            if at == day and card not in known:
                top, bad = best.get(card, (0.0, False))
                best[card] = (max(top, score), bad or outcome == "fraud")
        highest = sorted(best, key=lambda card: best[card][0], reverse=True)[:cards]
        compromised = {card for card in highest if best[card][1]}
        known |= compromised
        found.append(len(compromised) / cards)
    assert value(card_precision(cards), _frame(rows)) == pytest.approx(sum(found) / len(found))


def test_days_are_utc_days() -> None:
    late = FRAME.set_column(
        1, "event_timestamp", pa.array([2 * DAY - 1] * 4 + [2 * DAY] * 4).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ns", "Asia/Tokyo"))
    )  # fmt: skip
    assert value(precision_at(2), late) == value(precision_at(2))


def test_a_budget_of_nothing_and_rows_without_scores_are_refused() -> None:
    with pytest.raises(InputError, match=r"^A review budget of 0 a day finds nothing\. Give 1 or more\.$"):
        precision_at(0)
    message = "auc_roc needs to know each row's score. Give rows_of(frame, score=COLUMN)."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(rows_of(FRAME, entity="card_id"), [auc_roc()])
