"""Naive rates by hand, and that they look better in a backtest than they are."""

import numpy as np
import pytest

from features.definitions.durations import DAY
from jobs.report.rates import Known, naive

NEVER = np.iinfo(np.int64).max
D = DAY
KNOWN = Known.of(
    key=np.array([1, 0, 0, 0, 0]),
    time=np.array([2 * D, 1 * D, 3 * D, 3 * D + 5, 9 * D]),
    fraud_known=np.array([NEVER, 20 * D, 5 * D, NEVER, 30 * D]),
)


@pytest.mark.parametrize(
    ("key", "time", "days", "seen", "share"),
    [
        (0, 4 * D, 7, NEVER, 2 / 3),  # what the data holds at its end
        (0, 4 * D, 7, 4 * D, 0),  # nothing was known then
        (0, 6 * D, 7, 6 * D, 1 / 3),
        (0, 5 * D, 7, 5 * D, 0),  # known at the instant is not known before it
        (0, 4 * D, 1, NEVER, 1 / 2),  # a payment a day before is in the window
        (0, 3 * D, 1, NEVER, np.nan),  # the payment itself is not
        (1, 4 * D, 7, NEVER, 0),
        (1, 2 * D, 7, NEVER, np.nan),
        (2, 4 * D, 7, NEVER, np.nan),
    ],
)
def test_a_naive_rate(key: int, time: int, days: int, seen: int, share: float) -> None:
    found = naive(KNOWN, np.array([key]), np.array([time]), days, np.array([seen]))
    assert found == pytest.approx([share], nan_ok=True)
