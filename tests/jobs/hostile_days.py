"""Five days of a small shop, seeded and hostile: late, doubled, corrected and voided payments, times on the edges, strange keys."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.names import micros
from features.definitions.sources import Source
from features.values.sweep import ARROW_TYPES
from tests.jobs.shop import CARDS, DISPUTES, PAYMENTS

FIRST = datetime(2024, 2, 27, tzinfo=UTC)  # a leap day is among them
DAYS = 5
DAY = 86_400_000_000
KEYS = ("c1", "c2", "", "c|1", "ü", None)
SHOPS = ("s1", "1", "23", "123", None)
START = micros(FIRST)
END = START + DAYS * DAY


def days(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Raw versions by source, instants as int microseconds; everything is known within the five days."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    payments = [row for n in range(60) for row in _payment(rng, f"p{n}")]
    disputes = [
        {
            "dispute": f"d{n}",
            "payment": rng.choice(["p1", "p2", "p3", "p30", "p59", "p_unknown"]),
            "event_time": at,
            "known": at + rng.choice([1, DAY // 3]),
        }
        for n in range(12)
        for at in [_instant(rng)]
    ]
    cards = [
        {
            "card": rng.choice(KEYS),
            "country": rng.choice(["FR", "DE", None]),
            "gone": rng.random() < 0.2,
            "event_time": at,
            "known": at + rng.choice([0, DAY]),
        }
        for _ in range(15)
        for at in [_instant(rng)]
    ]
    made = {PAYMENTS.name: payments, DISPUTES.name: disputes, CARDS.name: cards}
    return {name: [row for row in rows if START <= row["known"] < END] for name, rows in made.items()}


def _instant(rng: random.Random) -> int:
    """Midnights, tile edges and one microsecond beside them, more often than anything between."""
    edge = START + rng.randrange(DAYS) * DAY + rng.choice([0, 0, 0, 30 * 60_000_000, 6 * 3_600_000_000])
    return edge + rng.choice([-1, 0, 1, rng.randrange(DAY)])


def _payment(rng: random.Random, event: str) -> list[dict[str, Any]]:
    at = _instant(rng)
    row: dict[str, Any] = {
        "id": event, "card": rng.choice(KEYS), "shop": rng.choice(SHOPS), "status": rng.choice(["approved", "declined", None]),
        "amount": rng.choice([0, 1, 250, 1234, -5, None, 2**52]), "version": 0, "voided": False, "event_time": at,
        "known": at + rng.choice([0, 1, 1, 60_000_000, 3 * 3_600_000_000, DAY]),
    }  # fmt: skip
    rows = [row]
    if rng.random() < 0.5:
        change: dict[str, Any] = rng.choice(
            [{"amount": 99}, {"card": rng.choice(KEYS)}, {"event_time": at - DAY}, {"voided": True}, {}]
        )
        rows.append(
            {**row, **change, "version": rng.choice([0, 1]), "known": row["known"] + rng.choice([0, 1, DAY // 2, DAY])}
        )
    return rows


def write(rows: list[dict[str, Any]], source: Source, path: Path) -> None:
    """As the source system would deliver it: amounts as decimals, instants in UTC."""
    columns: dict[str, pa.Array] = {}
    for field in source.columns:
        values = [row[field.name] for row in rows]
        if field.scale is not None:
            columns[field.name] = pa.array([None if v is None else v / 10**field.scale for v in values], pa.float64())
        elif field.type == "timestamp":
            columns[field.name] = pa.array(values, pa.int64()).cast(ARROW_TYPES["timestamp"])
        else:
            columns[field.name] = pa.array(values, ARROW_TYPES[field.type])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def write_days(raw: dict[str, list[dict[str, Any]]], landing: Path) -> None:
    """One folder a source, in it one a day of arrival."""
    for source in (PAYMENTS, DISPUTES, CARDS):
        for n in range(DAYS):
            day = START + n * DAY
            rows = [row for row in raw[source.name] if day <= row["known"] < day + DAY]
            name = (FIRST + timedelta(days=n)).date()
            write(rows, source, landing / source.name / f"ds={name}" / "part-0.parquet")


def with_parents(raw: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Disputes as semantics 4 enriches them, by hand: the parent's columns as known at the later of both known_at."""
    disputes = []
    for row in raw[DISPUTES.name]:
        versions = [p for p in raw[PAYMENTS.name] if p["id"] == row["payment"] and not p["voided"]]
        if versions:
            known = max(row["known"], min(p["known"] for p in versions))
            standing: dict[str, Any] | None = None
            for version in sorted(versions, key=lambda p: (p["known"], p["version"])):
                if version["known"] <= known and (standing is None or version["version"] >= standing["version"]):
                    standing = version
            assert standing is not None
            disputes.append(
                {
                    **row,
                    "known": known,
                    "card": standing["card"],
                    "shop": standing["shop"],
                    "payment_time": standing["event_time"],
                }
            )
    return {**raw, DISPUTES.name: disputes}
