"""What became of an attempt: score, policy, approval, and the disputes that follow weeks later."""

from typing import Final

import numpy as np

from jobs.simulate.honest import retries
from jobs.simulate.randomness import Columns, Floats, Ints, concat
from jobs.simulate.schemas import ATTACKS, DECLINES, REASONS, STAGES, STATUSES
from jobs.simulate.world import DAY_US

__all__ = ["APPROVED", "DECLINED", "disputes", "settled"]

APPROVED: Final = STATUSES.index("approved")
DECLINED: Final = STATUSES.index("declined")
_BLOCKED: Final = STATUSES.index("blocked")
_THRESHOLDS: Final = np.array([0.8, 0.6])
_EXPLORED_SHARE: Final = 0.04
_DECLINE_MIX: Final = (0.42, 0.28, 0.08, 0.14, 0.07, 0.01, 0.0)
_TESTING_MIX: Final = (0.05, 0.35, 0.05, 0.40, 0.02, 0.13, 0.0)
_REASON_MIX: Final = (0.35, 0.25, 0.22, 0.08, 0.10)
_STOLEN: Final = tuple(
    ATTACKS.index(kind) for kind in ("card_testing", "stolen_card", "account_takeover", "collusion_ring")
)
"""Attacks on the owner of a card, who says fraud, and often says so to the bank at once."""
_REASON_OF: Final = {
    ATTACKS.index("bust_out"): REASONS.index("not_received"),
    ATTACKS.index("prohibited_goods"): REASONS.index("not_as_described"),
}
_EXCUSES: Final = np.array([0, 1, 2, 0, 1])
"""What a friendly fraudster says instead of each of REASONS: never that it was charged twice or not credited."""


def settled(tried: Columns, rng: np.random.Generator) -> Columns:
    """The attempts and the retries of some declined ones, each with score, policy, explored, 3DS and status."""
    first = _decide(tried, rng)
    again = _decide(retries(first, first["status"] == DECLINED, rng), rng)
    return concat(first, again)


def disputes(payments: Columns, settled_us: Ints, rng: np.random.Generator) -> Columns:
    """Chargebacks of approved payments, and for stolen cards quick fraud reports beside them; without ids and arrival.

    `settled_us` is when each payment arrived: nobody disputes before. Grain: at most one row per payment and stage.
    """
    hit = np.flatnonzero((payments["status"] == APPROVED) & (rng.random(len(settled_us)) < payments["dispute_share"]))
    reported = hit[np.isin(payments["attack"][hit], _STOLEN) & (rng.random(len(hit)) < 0.45)]  # noqa: PLR2004
    # Most reports are the bank's last word; the others are followed by the chargeback.
    charged = np.setdiff1d(hit, reported[rng.random(len(reported)) < 0.6])  # noqa: PLR2004
    slow = np.clip(rng.lognormal(np.log(18.0), 0.6, len(charged)), 5.0, 119.0) + rng.uniform(0.0, 1.0, len(charged))
    quick = rng.lognormal(np.log(1.5), 0.6, len(reported)) + 1.0
    row = np.concatenate([reported, charged])
    delay = (np.concatenate([quick, slow]) * DAY_US).astype(np.int64)
    stage = np.repeat([STAGES.index("report"), STAGES.index("chargeback")], [len(reported), len(charged)])
    friendly = rng.choice(len(REASONS), len(row), p=_REASON_MIX)
    amount = payments["amount_minor"][row]
    partial = np.maximum((amount * rng.uniform(0.3, 1.0, len(row))).astype(np.int64), 1)
    attack = payments["attack"][row]
    return {
        "payment_id": payments["payment_id"][row],
        "reason": _reasons(attack, friendly),
        "merchant_id": payments["merchant_id"][row],
        "currency": payments["currency"][row],
        "stage": stage,
        "amount_minor": np.where((attack > 0) | (rng.random(len(row)) < 0.85), amount, partial),  # noqa: PLR2004
        "event_time": np.maximum(payments["event_time"][row] + delay, settled_us[row] + 1),
    }


def _reasons(attack: Ints, honest: Ints) -> Ints:
    reason = np.where(np.isin(attack, _STOLEN), REASONS.index("fraud"), honest)
    reason = np.where(attack == ATTACKS.index("friendly_fraud"), _EXCUSES[honest], reason)
    for kind, said in _REASON_OF.items():
        reason = np.where(attack == kind, said, reason)
    return reason


def _decide(tried: Columns, rng: np.random.Generator) -> Columns:
    count = len(tried["event_time"])
    score = _score(tried, rng)
    policy = (rng.random(count) < 0.1).astype(np.int64)  # noqa: PLR2004
    stopped = score >= _THRESHOLDS[policy]
    explored = stopped & (rng.random(count) < _EXPLORED_SHARE)
    refused = rng.random(count) < tried["decline_share"]
    status = np.where(stopped & ~explored, _BLOCKED, np.where(refused, DECLINED, APPROVED))
    codes = np.where(tried["attack"] == 1, _codes(_TESTING_MIX, count, rng), _codes(_DECLINE_MIX, count, rng))
    return tried | {
        "three_ds": rng.random(count) < tried["three_ds_share"],
        "status": status,
        "decline_code": np.where(status == DECLINED, codes, -1),
        "score": score,
        "policy": policy,
        "explored": explored,
    }


def _score(tried: Columns, rng: np.random.Generator) -> Floats:
    """The old model's probability of fraud, to four digits: it sees countries and the actor's haste, and errs."""
    foreign_ip = tried["ip_country"] != tried["billing_country"]
    foreign_shipping = tried["shipping_country"] != tried["billing_country"]
    noise = rng.normal(0.0, 1.3, len(foreign_ip))
    logit = -3.2 + 1.7 * foreign_ip + 1.2 * foreign_shipping + tried["suspicion"] + noise
    score: Floats = np.round(1.0 / (1.0 + np.exp(-logit)), 4)
    return score


def _codes(mix: tuple[float, ...], count: int, rng: np.random.Generator) -> Ints:
    return rng.choice(len(DECLINES), count, p=mix).astype(np.int64)
