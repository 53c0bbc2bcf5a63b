"""How events reach us: seconds after they happen, or late, twice, corrected or voided.

Shares of events: 2% late (2 hours to 3 days), 0.5% twice; of payments, disputes and refunds 0.5% corrected, 0.2% voided.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from jobs.simulate.outcomes import APPROVED, DECLINED
from jobs.simulate.randomness import Columns, Ints, concat, take, within
from jobs.simulate.schemas import ARRIVALS, DECLINES

__all__ = ["Plan", "arrived", "corrected_claims", "corrected_payments", "delivered", "once", "plan"]

_SECOND_US: Final = 1_000_000
_HOUR_US: Final = 3_600 * _SECOND_US
_LATE, _DOUBLED, _CORRECTED, _VOIDED = 0.02, 0.005, 0.005, 0.002
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Per event: when its first version arrives, and what else will happen to it."""

    ingested_us: Ints
    late: Mask
    doubled: Mask
    corrected: Mask
    voided: Mask


def plan(event_us: npt.NDArray[Any], rng: np.random.Generator) -> Plan:
    """A fate per event; arrival is at least 200 milliseconds after the event."""
    count = len(event_us)
    ingested_us, late = arrived(event_us, rng)
    doubled, corrected, voided = (rng.random(count) < share for share in (_DOUBLED, _CORRECTED, _VOIDED))
    return Plan(ingested_us=ingested_us, late=late, doubled=doubled, corrected=corrected, voided=voided)


def arrived(event_us: npt.NDArray[Any], rng: np.random.Generator) -> tuple[Ints, Mask]:
    """Arrival of each event, and which ones are late."""
    count = len(event_us)
    late = rng.random(count) < _LATE
    usual = within(rng, _SECOND_US / 5, 60 * _SECOND_US, count)
    return event_us + np.where(late, within(rng, 2 * _HOUR_US, 72 * _HOUR_US, count), usual), late


def corrected_payments(payments: Columns, fate: Plan, rng: np.random.Generator) -> Columns:
    """The payments as finally known: of the corrected, a third of the approved are reversed, the rest change amount."""
    lot = rng.random(len(fate.corrected))
    reversal = fate.corrected & (payments["status"] == APPROVED) & (lot < 0.33)  # noqa: PLR2004
    return payments | {
        "amount_minor": _reduced(payments["amount_minor"], fate.corrected & ~reversal, rng),
        "status": np.where(reversal, DECLINED, payments["status"]),
        "decline_code": np.where(reversal, DECLINES.index("reversed"), payments["decline_code"]),
    }


def corrected_claims(claims: Columns, fate: Plan, reasons: int, rng: np.random.Generator) -> Columns:
    """Disputes or refunds as finally known: another reason for half of the corrected ones, another amount for the rest."""
    renamed = fate.corrected & (rng.random(len(fate.corrected)) < 0.5)  # noqa: PLR2004
    return claims | {
        "reason": np.where(renamed, (claims["reason"] + 1) % reasons, claims["reason"]),
        "amount_minor": _reduced(claims["amount_minor"], fate.corrected & ~renamed, rng),
    }


def once(columns: Columns, rng: np.random.Generator) -> Columns:
    """Events that are never corrected: every row as it arrives, and behind them the same content again for those that come twice."""
    ingested_us, late = arrived(columns["event_time"], rng)
    doubled = np.flatnonzero(rng.random(len(late)) < _DOUBLED)
    again = take(columns, doubled) | {
        "ingested_at": ingested_us[doubled] + within(rng, _SECOND_US, 6 * _HOUR_US, len(doubled)),
        "arrival": np.full(len(doubled), ARRIVALS.index("doubled")),
    }
    first = columns | {
        "ingested_at": ingested_us,
        "arrival": np.where(late, ARRIVALS.index("late"), ARRIVALS.index("ordinary")),
    }
    return concat(first, again)


def delivered(first: Columns, final: Columns, fate: Plan, rng: np.random.Generator) -> Columns:
    """Every row that arrives: first versions, repeats of the same content, corrections and voids of the next."""
    ordinary = _rows(first, np.arange(len(fate.late)), fate.ingested_us, version=0, voided=False)
    ordinary["arrival"] = np.where(fate.late, ARRIVALS.index("late"), ARRIVALS.index("ordinary"))
    parts = [ordinary]
    corrections = fate.corrected.astype(np.int64)
    versions = {"doubled": np.zeros_like(corrections), "corrected": corrections, "voided": corrections + 1}
    for name, content, chosen, low, high in (
        ("doubled", first, fate.doubled, _SECOND_US, 6 * _HOUR_US),
        ("corrected", final, fate.corrected, _HOUR_US, 72 * _HOUR_US),
        ("voided", final, fate.voided, _HOUR_US, 72 * _HOUR_US),
    ):
        index = np.flatnonzero(chosen)
        after = fate.ingested_us[index] + within(rng, low, high, len(index))
        if name == "voided":
            # A void comes after the correction it follows, which may take three days.
            after = after + np.where(fate.corrected[index], 72 * _HOUR_US, 0)
        part = _rows(content, index, after, version=versions[name][index], voided=name == "voided")
        part["arrival"] = np.full(len(index), ARRIVALS.index(name))
        parts.append(part)
    return concat(*parts)


def _rows(content: Columns, index: Ints, ingested_us: Ints, *, version: int | Ints, voided: bool) -> Columns:
    count = len(index)
    return take(content, index) | {
        "ingested_at": ingested_us,
        "version": np.broadcast_to(np.asarray(version, dtype=np.int64), (count,)),
        "voided": np.full(count, voided),
    }


def _reduced(amount: npt.NDArray[Any], chosen: Mask, rng: np.random.Generator) -> Ints:
    """Between half and all of the amount, but always another one."""
    less = (amount * rng.uniform(0.5, 1.0, len(amount))).astype(np.int64)
    other = np.where((less < 1) | (less == amount), amount + 1, less)
    return np.where(chosen, other, amount)
