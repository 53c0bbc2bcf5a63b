"""Six literal days of payments, disputes and reports, for tests of labels."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.definitions.names import micros
from features.definitions.sources import Source
from tests.jobs import hostile_days as days

__all__ = ["HELD", "PAID", "TOLD", "at", "land"]


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def paid(
    name: str,
    day: int,
    status: str = "approved",
    *,
    card: str | None = "c",
    known: int = 0,
    voided: bool = False,
    version: int = 0,
) -> dict[str, Any]:
    instant = micros(at(day, 12))
    return {
        "id": name, "card": card, "shop": "s", "status": status, "amount": 100, "version": version, "voided": voided, "event_time": instant,
        "known": known or instant,
    }  # fmt: skip


def disputed(name: str, payment: str, day: int, hour: int) -> dict[str, Any]:
    return {"dispute": name, "payment": payment, "event_time": micros(at(day, hour)), "known": micros(at(day, hour))}


def reported(name: str, payment: str, day: int, hour: int, reason: str = "fraud") -> dict[str, Any]:
    return {
        "report": name,
        "payment": payment,
        "reason": reason,
        "event_time": micros(at(day, hour)),
        "known": micros(at(day, hour)),
    }


PAID = [
    paid("before", 1), paid("a", 2), paid("b", 2, card=None), paid("blocked", 2, "blocked"), paid("explored", 2, "explored"), paid("late", 3, card="k"),
    paid("gone", 3), paid("gone", 3, voided=True, known=micros(at(5))), paid("open", 5),
    paid("open", 5, version=1, known=micros(at(6, 1))) | {"amount": 700},
]  # fmt: skip
HELD = [
    disputed("d1", "a", 3, 10),
    disputed("d2", "late", 5, 12),
    disputed("d3", "nobody", 4, 1),
    disputed("d4", "blocked", 3, 1),
    disputed("d5", "before", 6, 1),
]
TOLD = [
    reported("r1", "a", 3, 10),
    reported("r2", "late", 3, 13, "parcel"),
    reported("r3", "ghost", 4, 0),
    reported("r4", "before", 2, 0),
    reported("r9", "open", 4, 1, "hoax"),
]


def land(rows: list[dict[str, Any]], source: Source, folder: Path) -> str:
    for day in range(1, 7):
        known = [row for row in rows if micros(at(day)) <= row["known"] < micros(at(day + 1))]
        days.write(known, source, folder / f"ds=2026-03-{day:02d}" / "part-0.parquet")
    return str(folder)
