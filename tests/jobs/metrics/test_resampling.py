"""Intervals by entity: the same draws everywhere, and as wide as rows that hang together make them."""

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.errors import InputError
from jobs.metrics import Measured, auc_roc, fraud_bps, measured, precision_at, rows_of, savings
from jobs.metrics.resampling import drawn
from jobs.metrics.rows import entities_of
from tests.jobs.metrics.frames import DAY


def frame(cards: Any, fraud: Any, score: Any = None) -> pa.Table:
    at = pa.array(np.arange(len(cards)) * DAY // 500).cast(pa.timestamp("us", "UTC"))
    scores = np.zeros(len(cards)) if score is None else score
    return pa.table({"card_id": cards, "event_timestamp": at, "label": np.asarray(fraud), "score": scores, "amount": np.ones(len(cards))})  # fmt: skip


def bounds(found: Measured) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_draws_are_poisson_and_of_the_key_the_seed_and_the_sample_alone() -> None:
    names, _ = entities_of(pa.table({"card": np.arange(200_000)}), "card")
    times = Counter(drawn(names, 1, 2).tolist())
    for count in range(5):
        share = math.exp(-1) / math.factorial(count)
        # Five standard deviations of a binomial.
        assert abs(times[count] / 200_000 - share) < 5 * math.sqrt(share * (1 - share) / 200_000)
    some = names[::7]
    assert np.array_equal(drawn(some, 1, 2), drawn(names, 1, 2)[::7])
    same = [float(np.mean(drawn(names, 1, 2) == other)) for other in (drawn(names, 2, 2), drawn(names, 1, 3))]
    # As often as two independent draws agree.
    agree = sum((math.exp(-1) / math.factorial(n)) ** 2 for n in range(18))
    assert same == pytest.approx([agree, agree], abs=0.01)


def test_an_entity_is_its_keys_text_and_null_keys_are_apart() -> None:
    numbers, strings = (entities_of(pa.table({"card": column}), "card")[0] for column in ([7, 8], ["8", "7"]))
    assert set(numbers) == set(strings)
    _, places = entities_of(pa.table({"a": ["x", "x", None, None, "x"], "b": [1, 2, 1, 1, 1]}), ["a", "b"])
    assert len(set(places.tolist())) == 4
    assert places[0] == places[4]


def test_the_same_seed_gives_the_same_intervals_in_any_order_and_company() -> None:
    rng = np.random.default_rng(0)
    table = frame(rng.integers(0, 50, 2_000), rng.random(2_000) < 0.1, rng.random(2_000).round(2))
    metrics = [fraud_bps("count"), auc_roc(), precision_at(20)]
    rows, mixed = (rows_of(t, entity="card_id", score="score") for t in (table, table.take(rng.permutation(2_000))))
    first = measured(rows, metrics, samples=50, seed=3)
    again = measured(mixed, metrics[::-1], samples=50, seed=3)[::-1]
    for one, same in zip(first, again, strict=True):
        assert (same.value, *bounds(same)) == pytest.approx((one.value, *bounds(one)), rel=1e-9)
    assert bounds(measured(rows, metrics, samples=50, seed=4)[0]) != bounds(first[0])


def test_intervals_hold_the_truth_and_are_as_wide_as_entities_make_them() -> None:
    """Cards have a rate of their own each (beta, mean 0.1): rows of a card hang together, and an interval by row would be far too narrow."""
    rng = np.random.default_rng(7)
    cards, each = 150, 20
    # Of the share of all rows: (variance of the rate + mean variance within a card / rows of a card) / cards.
    deviation = 10_000 * math.sqrt((0.3 * 2.7 / (3**2 * 4) + 0.0675 / each) / cards)
    by_card: list[tuple[float, float]] = []
    by_row: list[tuple[float, float]] = []
    for _ in range(100):
        rate = rng.beta(0.3, 2.7, cards)
        table = frame(np.repeat(np.arange(cards), each), rng.random(cards * each) < np.repeat(rate, each))
        alone = table.set_column(0, "card_id", pa.array(np.arange(cards * each)))
        for kept, rows in ((by_card, table), (by_row, alone)):
            kept.append(bounds(measured(rows_of(rows, entity="card_id"), [fraud_bps("count")], samples=100)[0]))
    held, narrow = (sum(low <= 1_000 <= high for low, high in kept) for kept in (by_card, by_row))
    # 95 are promised; four standard deviations of a binomial are 9.
    assert held >= 86
    assert narrow < 75
    width = np.mean([high - low for low, high in by_card])
    assert width == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_an_amount_in_all_varies_as_entities_differ_not_as_they_are_many() -> None:
    """Each card brings the same: no draw of as many cards can bring more."""
    table = frame(np.arange(400), np.ones(400))
    (found,) = measured(
        rows_of(table, entity="card_id", score="score", amount="amount"), [savings(10_000, review_cost=0)]
    )
    assert (found.value, *bounds(found)) == pytest.approx((400, 400, 400))


def test_arguments_that_are_wrong_are_refused() -> None:
    rows = rows_of(frame([1, 2], [True, False]), entity="card_id")
    message = "level=1.5 and samples=20: a level is in (0, 1), and samples are 0 or more."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(rows, [fraud_bps("count")], samples=20, level=1.5)
