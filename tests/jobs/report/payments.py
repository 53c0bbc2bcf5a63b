"""A made-up month of payments, small enough to be counted by hand: one feature tells the stolen cards, another nothing."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from features.definitions.durations import DAY
from features.definitions.names import micros
from jobs.report.plan import Plan
from jobs.report.truths import asked, with_truth

START = micros(datetime(2026, 1, 5, tzinfo=UTC))
PLAN = Plan(
    start=START, held_back=START + 16 * DAY, end=START + 28 * DAY, gap=4 * DAY, budget=0.05, honest=0.5, samples=10
)
SERVICES = {"radar_v1": ["v__telling", "v__mute"], "fraud_v1": ["merchant_risk__disputes_rate_7d"]}
_TEXTS = "bin merchant_category device_id ip network email_id address_id"


def paid(*lines: str) -> pa.Table:
    """A payment a line: id, day (a fraction of one too), account, amount in minor units, currency, status."""
    parts = [line.split() for line in lines]
    ids, days, accounts, amounts, currencies, statuses = ([part[n] for part in parts] for n in range(6))
    columns = {
        "payment_id": ids, "account_id": accounts, "amount_minor": [int(amount) for amount in amounts], "currency": currencies, "status": statuses,
        "event_timestamp": pa.array([START + round(float(day) * DAY) for day in days]).cast(pa.timestamp("us", "UTC")),
    }  # fmt: skip
    return _whole(columns, len(parts))


def _whole(columns: dict[str, Any], count: int) -> pa.Table:
    same = {
        "card_id": columns["account_id"], "merchant_id": ["m1"] * count, "channel": ["web"] * count, "billing_country": ["DE"] * count,
        "shipping_country": ["DE", "FR"] * (count // 2) + ["DE"] * (count % 2), "ip_country": ["DE"] * count, "three_ds": [True] * count,
    }  # fmt: skip
    return pa.table({**{name: ["x"] * count for name in _TEXTS.split()}, **same, **columns})


def truth(*lines: str) -> pa.Table:
    """An attack payment a line: id, kind, campaign."""
    ids, kinds, campaigns = ([line.split()[n] for line in lines] for n in range(3))
    return pa.table({"payment_id": ids, "attack": kinds, "campaign": [int(each) for each in campaigns]})


def month(seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """A frame and all payments, with outcomes: 60 a day of 60 accounts, 5 in a hundred by stolen cards, in campaigns of some days."""
    rng, count = np.random.default_rng(seed), 1_680
    time = START + np.sort(rng.integers(0, 28 * DAY, count))
    stolen = rng.random(count) < 0.05
    ids = [f"p{n}" for n in range(count)]
    events = _whole(
        {
            "payment_id": ids, "account_id": [f"a{n}" for n in rng.integers(0, 60, count)], "amount_minor": rng.integers(500, 5_000, count),
            "currency": ["EUR"] * count, "status": ["approved"] * count, "event_timestamp": pa.array(time).cast(pa.timestamp("us", "UTC")),
            "label": pa.array(np.where(stolen, 1, 0), pa.int8()), "label_mature": [True] * count,
            "label_known_at": pa.array(time + 9 * DAY).cast(pa.timestamp("us", "UTC")),
        },
        count,
    )  # fmt: skip
    told = truth(*(f"p{n} stolen_card {n // 40}" for n in np.flatnonzero(stolen)))
    events, _ = with_truth(events, told)
    frame = asked(PLAN, events)
    attack = np.array(frame["attack"].to_pylist()) == "stolen_card"
    more = {
        "v__telling": np.where(attack, rng.normal(2.5, 1, len(frame)), rng.normal(0, 1, len(frame))), "v__mute": rng.normal(0, 1, len(frame)),
        "merchant_risk__disputes_rate_7d": rng.random(len(frame)),
    }  # fmt: skip
    for name, values in more.items():
        frame = frame.append_column(name, pa.array(values))
    return frame, events
