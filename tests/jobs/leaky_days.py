"""Three weeks of a shop whose features say nothing of its frauds: seeded, a tenth of the payments a day late, disputes after days."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.definitions.durations import DAY, HOUR, SECOND
from features.definitions.names import micros
from features.definitions.sources import Source
from tests.jobs import hostile_days as days
from tests.jobs.catalogue_of_leaks import AT_ONCE, DISPUTED, PAID, REVIEWS, STAMPED

__all__ = ["at", "land", "raw"]

_SOLD, _ALL = 16, 22
"""Days with payments, and all days."""
Rows = list[dict[str, Any]]


def at(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC)


def raw() -> dict[str, Rows]:
    """Rows by source, instants as int microseconds."""
    rng = random.Random(5)  # noqa: S311 - not for secrets
    made: dict[str, Rows] = {source.name: [] for source in (PAID, DISPUTED, AT_ONCE, STAMPED, REVIEWS)}
    for n in range(1200):
        when = micros(at(1)) + rng.randrange(_SOLD * DAY)
        fraud, late = rng.random() < 0.15, rng.random() < 0.1
        of = {"id": f"p{n}", "card": f"c{rng.randrange(40)}", "event_time": when}
        known = when + (DAY if late else rng.randrange(1, 20) * SECOND)
        made[PAID.name].append({
            **of, "status": "approved", "refunded": "yes" if fraud else "no", "amount": rng.randrange(100, 9000), "known": known,
        })  # fmt: skip
        made[REVIEWS.name].append({**of, "verdict": "fraud" if fraud else "fine", "known": when})
        if fraud:
            filed = when + DAY + rng.randrange(2 * DAY)
            told = {"dispute": f"d{n}", "payment": of["id"], "card": of["card"]}
            made[DISPUTED.name].append({**told, "event_time": filed, "known": filed + HOUR})
            made[AT_ONCE.name].append({**told, "event_time": when, "known": when})
        if n % 4 == 0:
            made[STAMPED.name].append({"report": f"r{n}", "card": of["card"], "event_time": when, "known": when})
    return made


def land(rows: Rows, source: Source, folder: Path) -> str:
    """A folder a day: of the stamped source that of the day after."""
    later = 1 if source.name == STAMPED.name else 0
    for day in range(1, _ALL):
        first = micros(at(day) - timedelta(days=later))
        chosen = [row for row in rows if first <= row["known"] < first + DAY]
        days.write(chosen, source, folder / f"ds=2026-03-{day:02d}" / "part-0.parquet")
    return str(folder)
