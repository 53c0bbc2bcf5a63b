"""Chargebacks by the month they arrive in, over the transactions that each network divides by."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.errors import InputError
from jobs.metrics import MASTERCARD, VISA, chargeback_ratios
from jobs.metrics.networks import Rule


def at(*days: str) -> np.ndarray:
    instants = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    return np.array([round(instant.timestamp()) * 1_000_000 for instant in instants], np.int64)


SETTLED = at(*["2026-01-31T23:59:59"] * 200, *["2026-02-01"] * 100, *["2026-04-30"] * 50)
ARRIVED = at("2026-02-28T23:59:59", "2026-02-01", "2026-03-01", "2026-05-02")


def ratios(rule: Rule) -> list[tuple[str, int, int, float | None]]:
    payer, holder = np.arange(len(SETTLED), dtype=np.uint64), np.arange(len(ARRIVED), dtype=np.uint64)
    found = chargeback_ratios(rule, settled=SETTLED, payer=payer, arrived=ARRIVED, holder=holder)
    return [(item.month, item.chargebacks, item.transactions, item.bps) for item in found]


def test_mastercard_divides_by_the_month_before() -> None:
    assert ratios(MASTERCARD) == [
        ("2026-01", 0, 0, None), ("2026-02", 2, 200, 100.0), ("2026-03", 1, 100, 100.0), ("2026-04", 0, 0, None),
        ("2026-05", 1, 50, 200.0),
    ]  # fmt: skip


def test_visa_divides_by_the_same_month() -> None:
    assert ratios(VISA) == [
        ("2026-01", 0, 200, 0.0), ("2026-02", 2, 100, 200.0), ("2026-03", 1, 0, None), ("2026-04", 0, 50, 0.0),
        ("2026-05", 1, 0, None),
    ]  # fmt: skip


def test_an_interval_is_of_the_entities_that_both_share() -> None:
    # Ten merchants of thirty transactions and one chargeback each: whoever is drawn, the ratio is the same.
    settled, arrived = np.repeat(at("2026-01-05"), 300), np.repeat(at("2026-02-05"), 10)
    merchants = np.arange(10, dtype=np.uint64)
    found = chargeback_ratios(MASTERCARD, settled=settled, payer=np.repeat(merchants, 30), arrived=arrived, holder=merchants)  # fmt: skip
    assert (found[1].low, found[1].bps, found[1].high) == pytest.approx((10_000 / 30,) * 3)
    # One merchant has them all: sometimes it is not drawn, sometimes thrice.
    alone = chargeback_ratios(MASTERCARD, settled=settled, payer=np.repeat(merchants, 30), arrived=arrived, holder=np.zeros(10, np.uint64))[1]  # fmt: skip
    assert alone.low == 0
    assert alone.high is not None
    assert alone.high > 600


def test_nothing_gives_no_month_and_another_rule_is_refused() -> None:
    none, nobody = at(), np.zeros(0, np.uint64)
    assert chargeback_ratios(VISA, settled=none, payer=nobody, arrived=none, holder=nobody) == ()
    with pytest.raises(InputError, match=r"^There is no rule 'amex'\. Give 'mastercard' or 'visa'\.$"):
        chargeback_ratios("amex", settled=none, payer=nobody, arrived=none, holder=nobody)  # type: ignore[arg-type]
