"""Chargeback ratios as card networks count them: by calendar month (UTC), by the month in which chargebacks arrive. No Spark.

Mastercard, Excessive Chargeback Program (ECM from 150 basis points and 100 chargebacks on; HECM from 300 and 300; Security Rules and Procedures,
Merchant Edition, 8.3): chargebacks received in a month over sales transactions of the month BEFORE. Visa, Acquirer Monitoring Program (VAMP, since
April 2025; before it the Dispute Monitoring Program, VDMP): fraud reports (TC40) and disputes (TC15) of a month over transactions settled (TC05) in
the SAME month. Both count events, not amounts, and each fraud report and each dispute of one payment is one: VAMP counts a payment twice that was
reported and charged back. Neither waits for outcomes to mature. What belongs to a network (card scheme, card not present) is the caller's to choose.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.errors import InputError
from jobs.metrics.resampling import drawn, interval

__all__ = ["MASTERCARD", "VISA", "Chargebacks", "Rule", "chargeback_ratios", "months_of"]

Array = np.ndarray
Rule = Literal["mastercard", "visa"]
MASTERCARD: Rule = "mastercard"
VISA: Rule = "visa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargebacks:
    """A month of one rule."""

    month: str
    """2026-03: in which the chargebacks arrived."""

    chargebacks: int
    transactions: int
    """Of the month that the rule divides by."""

    bps: float | None
    """Basis points; None where that month has no transactions."""

    low: float | None
    high: float | None


def chargeback_ratios(  # noqa: PLR0913 - two tables of two arrays
    rule: Rule,
    *,
    settled: Array,
    payer: Array,
    arrived: Array,
    holder: Array,
    samples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Chargebacks, ...]:
    """A month after the other, from the first to the last with transactions or chargebacks.

    Args:
        rule: MASTERCARD divides by the month before, VISA by the same.
        settled: microseconds UTC of each transaction that went through.
        payer: uint64, `Rows.entities` of each transaction's entity.
        arrived: microseconds UTC at which each chargeback (for VISA: fraud report or dispute) was received, not when its payment happened.
        holder: uint64, the entity of each.
        samples: draws of entities, as of `measured`.
        seed: the same draws as `measured` with it.
        level: of the interval.

    Raises:
        InputError: the rule is neither.
    """
    if rule not in {MASTERCARD, VISA}:
        msg = f"There is no rule {rule!r}. Give {MASTERCARD!r} or {VISA!r}."
        raise InputError(msg)
    sold, received = months_of(settled), months_of(arrived)
    both = np.concatenate([sold, received])
    if not len(both):
        return ()
    first, size = int(both.min()), int(np.ptp(both)) + 1
    lag = 1 if rule == MASTERCARD else 0
    entities, places = np.unique(np.concatenate([payer, holder]), return_inverse=True)

    def counted(times: Array) -> tuple[Array, Array]:
        weights = times[places]
        below = np.bincount(sold - first + lag, weights=weights[: len(sold)], minlength=size + lag)
        return np.bincount(received - first, weights=weights[len(sold) :], minlength=size), below[:size]

    top, bottom = counted(np.ones(len(entities)))
    values = _bps(top, bottom)
    found = np.array([_bps(*counted(drawn(entities, seed, sample))) for sample in range(samples)]).reshape(-1, size)
    return tuple(
        _month(first + n, top[n], bottom[n], values[n], interval(values[n], found[:, n], level)) for n in range(size)
    )


def months_of(instants: Array) -> Array:
    """Whole UTC months since January 1970."""
    return instants.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def _bps(top: Array, bottom: Array) -> Array:
    return np.where(bottom > 0, 10_000 * top / np.where(bottom > 0, bottom, 1), np.nan)


def _month(month: int, top: float, bottom: float, value: float, bounds: tuple[float | None, float | None]) -> Chargebacks:  # fmt: skip
    return Chargebacks(
        month=str(np.datetime64(month, "M")), chargebacks=int(top), transactions=int(bottom),
        bps=None if np.isnan(value) else float(value), low=bounds[0], high=bounds[1],
    )  # fmt: skip
