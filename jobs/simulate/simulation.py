"""The simulation itself: day by day from the world to landing files, the same bytes for the same arguments."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from features.errors import InputError
from jobs.files import write_record
from jobs.simulate.days import Life
from jobs.simulate.landing import Landing, write_parquet
from jobs.simulate.schemas import SCHEMAS
from jobs.simulate.world import DAY_US, population

__all__ = ["Report", "simulate"]

_RECORD: Final = "simulation.json"
_LAST_YEAR: Final = 9990
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was written. The four arrival counts are rows of all tables."""

    rows: Mapping[str, int]
    """Per table."""
    attacks: Mapping[str, int]
    """Payments per attack kind, each counted once."""
    doubled: int
    late: int
    corrected: int
    voided: int
    content: str
    """SHA-256 of all rows, truth included: the same for the same arguments, and another one once the simulator changes."""

    seconds: float


def simulate(out: Path, *, start: date, days: int, scale: float, seed: int, progress: Progress | None = None) -> Report:
    """Writes landing files for `days` days of arrival from `start` on (UTC), and truth/attacks.parquet and truth/actors.parquet.

    Args:
        out: A folder that is new, or holds a simulation of the same start, scale and seed that is not longer.
        start: The first day; accounts, devices and merchants that existed before arrive in it.
        days: At least 1. A longer run begins with the files of a shorter one.
        scale: 1 is about 20,000 payments a day.
        seed: Any non-negative integer.
        progress: Called with the number of days done after each.

    Raises:
        InputError: an argument is out of range, or `out` holds another simulation.
        BusyError: the disk refuses.
    """
    began = time.perf_counter()
    _check(out, start=start, days=days, scale=scale, seed=seed)
    record = {"start": start.isoformat(), "days": days, "scale": scale, "seed": seed}
    write_record(str(out.absolute() / _RECORD), record)
    first_us = _midnight_us(start)
    world = population(seed, scale, first_us)
    landing = Landing(out, seed, first_us + (days - 1) * DAY_US)
    life = Life(world)
    for table, columns in life.begin():
        landing.accept(table, columns)
    for day in range(days):
        ds = start + timedelta(days=day)
        for table, columns in life.live(day, ds):
            landing.accept(table, columns)
        landing.name_actors(life.actors)
        life.actors.clear()
        landing.close(ds, first_us + day * DAY_US)
        if progress is not None:
            progress(day + 1)
    truth = landing.truth()
    for name, rows in truth.items():
        write_parquet(rows, out / "truth" / f"{name}.parquet")
    kinds = truth["attacks"]["attack"].value_counts().to_pylist()
    return Report(
        rows=landing.rows,
        attacks={str(kind["values"]): int(kind["counts"]) for kind in kinds},
        **{name: landing.arrivals[name] for name in ("doubled", "late", "corrected", "voided")},
        content=landing.content,
        seconds=time.perf_counter() - began,
    )


def _midnight_us(ds: date) -> int:
    return int(datetime(ds.year, ds.month, ds.day, tzinfo=UTC).timestamp()) * 1_000_000


def _check(out: Path, *, start: date, days: int, scale: float, seed: int) -> None:
    if days < 1:
        msg = f"A simulation needs at least one day, got days={days}. Use `--days 45` for the demo's length."
        raise InputError(msg)
    if start.year + days // 365 >= _LAST_YEAR:
        msg = f"A simulation of {days} days from {start} on ends after the year {_LAST_YEAR - 1}, and windows need room behind it. Begin earlier."
        raise InputError(msg)
    if not (math.isfinite(scale) and scale > 0):
        msg = f"The scale must be a positive number, got {scale}. 1 is about 20,000 payments a day; the demo uses 0.1."
        raise InputError(msg)
    if seed < 0:
        msg = f"The seed must not be negative, got {seed}. Use any integer from 0 on."
        raise InputError(msg)
    found = out / _RECORD
    if found.exists():
        _check_same(out, json.loads(found.read_text()), start=start, days=days, scale=scale, seed=seed)
    elif any((out / table).exists() for table in SCHEMAS):
        msg = f"{out} holds tables but no {_RECORD}: they are not a simulation. Choose another folder for --out."
        raise InputError(msg)


def _check_same(out: Path, old: dict[str, object], *, start: date, days: int, scale: float, seed: int) -> None:
    wanted = {"start": start.isoformat(), "scale": scale, "seed": seed}
    differing = [f"{name} {old.get(name)} (asked: {value})" for name, value in wanted.items() if old.get(name) != value]
    length = old.get("days")
    if not isinstance(length, int) or length > days:
        differing.append(f"days {length} (asked: {days})")
    if differing:
        msg = f"{out} holds another simulation: {', '.join(differing)}. Choose another --out, or delete that folder."
        raise InputError(msg)
