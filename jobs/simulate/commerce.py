"""What follows from payments: orders that are delivered or not, refunds, and tickets of those who complain."""

from typing import Final

import numpy as np
import numpy.typing as npt

from jobs.simulate import delivery, wares
from jobs.simulate.outcomes import APPROVED
from jobs.simulate.randomness import Columns, Floats, Ints, concat, take, traits, within
from jobs.simulate.schemas import ARRIVALS, ATTACKS, REFUND_REASONS, SEVERITIES, TOPICS
from jobs.simulate.world import DAY_US, World

__all__ = ["ordered", "orders", "refunds", "tickets"]

_SECOND_US: Final = 1_000_000
_HOUR_US: Final = 3_600 * _SECOND_US
_NEVER: Final = -1
_RETURNS: Final = np.array([0.008, 0.12, 0.055, 0.04, 0.025, 0.02, 0.012, 0.05])
"""The share of paid orders that come back, by category: clothes most of all."""
_UNDELIVERED: Final = {"bust_out": 0.97, "collusion_ring": 1.0, "prohibited_goods": 0.06}
"""By attack kind; others take the merchant's own share."""
_REFUNDED: Final = {"promotion_abuse": 0.3, "collusion_ring": 0.03}
"""Refunds by attack kind: a voucher's buyer returns the goods for money; other attackers want no refund."""
_SEVERE: Final = np.array([
    [0.45, 0.45, 0.10], [0.20, 0.50, 0.30], [0.35, 0.50, 0.15], [0.55, 0.40, 0.05], [0.40, 0.45, 0.15],
    [0.10, 0.40, 0.50], [0.02, 0.18, 0.80],
])  # fmt: skip
"""Shares of low, medium and high severity by topic."""


def ordered(
    world: World, final: Columns, settled_us: Ints, voided: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Columns:
    """One order for each payment that stayed approved: promised when, delivered when (-1: never), and of what category."""
    rows = np.flatnonzero((final["status"] == APPROVED) & ~voided)
    paid, count = take(final, rows), len(rows)
    merchant = paid["merchant_id"]
    category = world.of_merchants("category", merchant)
    promise = (wares.PROMISE_DAYS[category] * rng.lognormal(0.0, 0.35, count) * DAY_US).astype(np.int64)
    reliability = traits("reliability", merchant, world.seed)
    late = rng.random(count) < 0.02 + 0.16 * reliability**2
    missing = rng.random(count) < _missing_share(paid["attack"], 0.001 + 0.014 * reliability**3)
    early = promise * rng.uniform(0.55, 1.0, count)
    overdue = np.minimum(rng.lognormal(np.log(2.5), 0.8, count), 40.0) * DAY_US
    took = np.where(late, promise + overdue, early).astype(np.int64)
    return {
        "order_id": paid["payment_id"],
        "payment_id": paid["payment_id"],
        "account_id": paid["account_id"],
        "merchant_id": merchant,
        "address_id": paid["address_id"],
        "amount_minor": paid["amount_minor"],
        "currency": paid["currency"],
        "bought_as": paid["attack"],
        "category": category,
        "items": 1 + rng.poisson(0.8, count),
        "promised_at": paid["event_time"] + promise,
        "delivered_at": np.where(missing, _NEVER, paid["event_time"] + took),
        "event_time": paid["event_time"],
        "settled_at": settled_us[rows],
    }


def orders(made: Columns, rng: np.random.Generator) -> Columns:
    """Every row of the orders that arrives: each as it was placed, and as version 1 once it is delivered."""
    placed = delivery.once(made | {"delivered_at": np.full(len(made["order_id"]), _NEVER)}, rng)
    first = placed["ingested_at"][: len(made["order_id"])]
    there = np.flatnonzero(made["delivered_at"] >= 0)
    told = made["delivered_at"][there] + within(rng, 60 * _SECOND_US, 6 * _HOUR_US, len(there))
    delivered = take(made, there) | {
        "ingested_at": np.maximum(told, first[there] + _SECOND_US),
        "arrival": np.full(len(there), ARRIVALS.index("ordinary")),
    }
    both = concat(placed, delivered)
    both["version"] = np.repeat([0, 1], [len(placed["order_id"]), len(there)])
    both["voided"] = np.zeros(len(both["version"]), dtype=np.bool_)
    return both


def refunds(world: World, made: Columns, rng: np.random.Generator) -> Columns:
    """What merchants pay back of these orders, without ids and arrival; at most one refund of an order, never before it was paid."""
    count = len(made["order_id"])
    missing = made["delivered_at"] == _NEVER
    generous = 0.4 + 1.2 * traits("returns", made["merchant_id"], world.seed)
    share = np.where(missing, 0.5, _RETURNS[made["category"]] * generous)
    of_kind = np.array([_REFUNDED.get(kind, 0.0) for kind in ATTACKS])
    share = np.where(made["bought_as"] > 0, of_kind[made["bought_as"]], share)
    rows = np.flatnonzero(rng.random(count) < share)
    back, hit = take(made, rows), len(rows)
    lost = missing[rows]
    reason = rng.choice(len(REFUND_REASONS), hit, p=[0.68, 0.0, 0.17, 0.12, 0.03])
    whole = rng.random(hit) < 0.75  # noqa: PLR2004
    part = np.maximum((back["amount_minor"] * rng.uniform(0.1, 0.9, hit)).astype(np.int64), 1)
    since = np.where(lost, back["promised_at"], np.maximum(back["delivered_at"], back["event_time"]))
    since = np.where(reason == REFUND_REASONS.index("cancelled"), np.where(lost, since, back["event_time"]), since)
    waited = (np.minimum(rng.lognormal(np.log(5.0), 0.7, hit), 60.0) * DAY_US).astype(np.int64)
    return {
        "payment_id": back["payment_id"],
        "merchant_id": back["merchant_id"],
        "currency": back["currency"],
        "reason": np.where(lost, REFUND_REASONS.index("not_received"), reason),
        "amount_minor": np.where(whole | lost, back["amount_minor"], part),
        "event_time": np.maximum(since + waited, back["settled_at"] + 1),
    }


def tickets(world: World, made: Columns, rng: np.random.Generator) -> Columns:
    """Complaints about these orders, without arrival: mostly about what came late, not at all, or not as it should be."""
    count = len(made["order_id"])
    missing = made["delivered_at"] == _NEVER
    overdue = ~missing & (made["delivered_at"] > made["promised_at"] + DAY_US)
    quality = traits("quality", made["merchant_id"], world.seed)
    banned = made["bought_as"] == ATTACKS.index("prohibited_goods")
    silent = np.isin(made["bought_as"], [ATTACKS.index("collusion_ring"), ATTACKS.index("stolen_card")])
    other = rng.choice([TOPICS.index(name) for name in ("not_as_described", "quality", "billing", "account_access")], count,
                       p=[0.35, 0.35, 0.2, 0.1])  # fmt: skip
    topic = np.where(missing, TOPICS.index("not_received"), np.where(overdue, TOPICS.index("late_delivery"), other))
    share = np.where(missing, 0.55, np.where(overdue, 0.25, 0.003 + 0.018 * quality**2))
    reports = banned & (rng.random(count) < 0.07)  # noqa: PLR2004
    topic = np.where(reports, TOPICS.index("prohibited_item"), topic)
    rows = np.flatnonzero(((rng.random(count) < share) | reports) & ~silent)
    told, hit = take(made, rows), len(rows)
    since = np.where(
        missing[rows] | overdue[rows], told["promised_at"], np.maximum(told["delivered_at"], told["event_time"])
    )
    waited = (np.minimum(rng.lognormal(np.log(2.0), 0.8, hit), 45.0) * DAY_US).astype(np.int64)
    return {
        "merchant_id": told["merchant_id"],
        "account_id": told["account_id"],
        "topic": topic[rows],
        "severity": _severities(topic[rows], rng),
        "event_time": np.maximum(since + waited, told["settled_at"] + 1),
    }


def _missing_share(attack: Ints, own: Floats) -> Floats:
    share = own
    for kind, value in _UNDELIVERED.items():
        share = np.where(attack == ATTACKS.index(kind), value, share)
    return share


def _severities(topic: Ints, rng: np.random.Generator) -> Ints:
    limits = np.cumsum(_SEVERE, axis=1)[topic]
    codes: Ints = np.minimum((rng.random(len(topic))[:, None] >= limits).sum(axis=1), len(SEVERITIES) - 1)
    return codes
