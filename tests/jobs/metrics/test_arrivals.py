"""Ratios of the month to date from daily sums, without Spark: which days each network divides by, and sums that do not hang on who adds them."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.metrics.arrivals import _add, _ratio
from jobs.metrics.day import SAMPLES
from jobs.metrics.networks import MASTERCARD, VISA
from tests.jobs.catalogue_of_metrics import WATCHED
from tests.jobs.metrics.frames import DAY


def sums(**counts: dict[str, int]) -> dict[tuple[int, int], np.ndarray]:
    """Of kind 0 and 1 by day; every sample as the whole."""
    return {
        (int(kind[1:]), (date.fromisoformat(day) - date(1970, 1, 1)).days): np.full(SAMPLES + 1, float(count))
        for kind, days in counts.items()
        for day, count in days.items()
    }


ABOVE = sums(
    k0={"2026-02-28": 9, "2026-03-01": 1, "2026-03-10": 2, "2026-03-11": 5}, k1={"2026-03-01": 3, "2026-03-10": 3}
)
BELOW = sums(k0={"2026-01-31": 900, "2026-02-01": 100, "2026-02-28": 200, "2026-03-01": 50, "2026-03-10": 10, "2026-03-11": 40})  # fmt: skip


def test_the_month_to_date_over_the_month_before_or_the_same() -> None:
    day = date(2026, 3, 10)
    mastercard, visa = (_ratio(WATCHED, rule, day, ABOVE, BELOW, "2026-01-15") for rule in (MASTERCARD, VISA))
    assert (mastercard.metric, mastercard.value, mastercard.count) == (
        "chargeback_ratio_mastercard",
        10_000 * 3 / 300,
        300,
    )
    assert (visa.metric, visa.value, visa.count, visa.low, visa.high) == (
        "chargeback_ratio_visa",
        1_000,
        60,
        1_000,
        1_000,
    )


def test_a_month_that_is_there_in_part_has_no_ratio() -> None:
    found = _ratio(WATCHED, MASTERCARD, date(2026, 3, 10), ABOVE, BELOW, "2026-02-02")
    assert (found.value, found.low, found.count) == (None, None, 0)


def test_samples_are_the_same_whoever_adds_the_rows() -> None:
    rng = np.random.default_rng(0)
    rows = pa.table({
        "asof_id": [f"e{n}" for n in range(300)], "k_card": [None if n % 9 == 0 else f"c{n % 17}" for n in range(300)],
        "asof_at": rng.integers(0, 3 * DAY, 300), "asof_sign": rng.choice([1, 1, -1], 300),
    })  # fmt: skip
    whole: dict[tuple[int, int], np.ndarray] = {}
    parts: dict[tuple[int, int], np.ndarray] = {}
    _add(whole, 0, rows, ("k_card",))
    mixed = rows.take(pa.array(rng.permutation(300)))
    for first, last in ((0, 0), (0, 100), (100, 300)):
        _add(parts, 0, mixed.slice(first, last - first), ("k_card",))
    assert set(parts) == set(whole)
    for place, found in whole.items():
        assert parts[place] == pytest.approx(found)
        assert found[0] == sum(sign for at, sign in zip(rows["asof_at"].to_pylist(), rows["asof_sign"].to_pylist(), strict=True) if at // DAY == place[1])  # fmt: skip
