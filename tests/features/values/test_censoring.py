"""Lag curves: the plain share of old events, unbiased for young ones, against the product written out; and a row a day."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.values.censoring import LagCurve, day_rows, lag_curve

DAY = 86_400_000_000
H = 10 * DAY


def curve(positives: list[tuple[int, int]], as_of: int, *, earliest: int = 0, horizon: int = H) -> LagCurve:
    """Of (happened, delay)."""
    happened = np.array([at for at, _ in positives], np.int64)
    known = happened + np.array([delay for _, delay in positives], np.int64)
    return lag_curve(happened, known, horizon=horizon, as_of=as_of, earliest=earliest)


def test_of_events_older_than_the_horizon_it_is_the_plain_share() -> None:
    made = curve([(0, DAY - 1), (5, DAY), (7, DAY), (0, 9 * DAY)], 20 * DAY)
    assert made == LagCurve(shares=(0.0, 0.25, *[0.75] * 8, 1.0), reach=10, positives=4)


def test_young_events_do_not_make_outcomes_look_quick() -> None:
    rng = np.random.default_rng(5)
    happened = rng.integers(0, 14 * DAY, 40_000)
    delays = np.minimum(rng.exponential(4 * DAY, 40_000).astype(np.int64), 30 * DAY)
    as_of = 14 * DAY
    seen = (delays < H) & (happened + delays < as_of)
    made = lag_curve(happened[seen], (happened + delays)[seen], horizon=H, as_of=as_of, earliest=0)
    truth = [(1 - np.exp(-n / 4)) / (1 - np.exp(-10 / 4)) for n in range(11)]
    plain = [np.mean(delays[seen] < n * DAY) for n in range(11)]
    assert made.shares == pytest.approx(truth, abs=0.02)
    assert max(abs(a - b) for a, b in zip(plain, truth, strict=True)) > 0.08


def test_it_reaches_no_further_than_the_oldest_event() -> None:
    made = curve([(0, DAY), (DAY, DAY), (0, 2 * DAY)], 3 * DAY + 1)
    assert made.reach == 4
    assert made.shares[-1] == 1


def test_where_all_that_could_show_a_delay_have_it_the_curve_ends_below_it() -> None:
    # Only the first event is old enough for five days, and it took five.
    made = curve([(0, 5 * DAY), (3 * DAY, 0), (3 * DAY, DAY), (3 * DAY, DAY)], 6 * DAY)
    assert made.shares == pytest.approx([0, 1 / 3, 1, 1, 1, 1])
    assert (made.reach, made.positives) == (5, 4)


def test_no_positives_and_one() -> None:
    assert curve([], 4 * DAY) == LagCurve(shares=(), reach=4, positives=0)
    assert curve([(0, 3 * DAY)], 20 * DAY).shares == (*[0.0] * 4, *[1.0] * 7)


def factors(positives: list[tuple[int, int]], as_of: int) -> dict[int, Fraction]:
    """Of each delay that was seen: 1 - (those of exactly it) / (those of at most it, of events old enough to show it)."""
    return {
        delay: 1 - Fraction(sum(d == delay for _, d in positives), sum(d <= delay < min(as_of - at, H) for at, d in positives))
        for delay in sorted({delay for _, delay in positives})
    }  # fmt: skip


EDGES = st.sampled_from([n * DAY + d for n in range(10) for d in (-1, 0, 1) if n * DAY + d >= 0])


@given(st.lists(st.tuples(EDGES, EDGES), max_size=12), st.sampled_from([10 * DAY, 11 * DAY, 25 * DAY]))
@example([(0, 9 * DAY + 1), (DAY - 1, 0)], 10 * DAY)
def test_it_is_the_product(drawn: list[tuple[int, int]], as_of: int) -> None:
    """The definition, written out: the curve ends at the horizon, or below the first later delay that all who could show it have."""
    seen = [(at, delay) for at, delay in drawn if delay < min(as_of - at, H)]
    made = curve(seen, as_of)
    parts = factors(seen, as_of)
    ends = min([delay for delay, part in list(parts.items())[1:] if part == 0], default=H)
    assert made.reach == math.ceil(ends / DAY)
    if seen:
        days = range(made.reach + 1)
        meant = [
            math.prod([part for delay, part in parts.items() if day * DAY <= delay < ends], start=Fraction(1))
            for day in days
        ]
        assert made.shares == pytest.approx([float(share) for share in meant])
        if ends == H and all(at + H <= as_of for at, _ in seen):
            assert made.shares == pytest.approx([np.mean([delay < day * DAY for _, delay in seen]) for day in days])


def test_a_row_a_day() -> None:
    rows = day_rows([("2026-03-02", "unobserved", 4), ("2026-03-01", "pending", 1), ("2026-03-01", "positive", 1), ("2026-03-01", "negative", 1),
                     ("2026-03-01", "pending", 1), ("2026-03-01", "unobserved", 9)])  # fmt: skip
    assert rows == [
        {"day": "2026-03-01", "events": 13, "positive": 1, "negative": 1, "pending": 2, "unobserved": 9, "share_pending": 0.5},
        {"day": "2026-03-02", "events": 4, "positive": 0, "negative": 0, "pending": 0, "unobserved": 4, "share_pending": None},
    ]  # fmt: skip
