"""The simulation itself: day by day from the world to landing files, the same bytes for the same arguments."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from features.errors import InputError
from jobs.files import write_record
from jobs.simulate import attacks, delivery, honest, outcomes, profiles
from jobs.simulate.landing import Landing, write_parquet
from jobs.simulate.randomness import Columns, concat, stream
from jobs.simulate.schemas import SCHEMAS, encode
from jobs.simulate.world import World, population

__all__ = ["Report", "simulate"]

_RECORD: Final = "simulation.json"
_LAST_YEAR: Final = 9990
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was written. The four arrival counts are rows of payments and disputes (late: also of profiles)."""

    rows: Mapping[str, int]
    """Per table."""
    attacks: Mapping[str, int]
    """Payments per attack kind, each counted once."""
    doubled: int
    late: int
    corrected: int
    voided: int
    seconds: float


def simulate(out: Path, *, start: date, days: int, scale: float, seed: int, progress: Progress | None = None) -> Report:
    """Writes landing files for `days` days of arrival from `start` on (UTC), and truth/attacks.parquet.

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
    landing = Landing(out)
    for table, columns in profiles.first_arrivals(world, first_us).items():
        landing.accept(table, encode(table, columns | {"arrival": np.zeros(len(columns["deleted"]), np.int64)}, seed))
    for day in range(days):
        ds = start + timedelta(days=day)
        for table, columns in _happenings(world, day, ds):
            landing.accept(table, encode(table, columns, seed))
        landing.close(ds, _midnight_us(ds))
        if progress is not None:
            progress(day + 1)
    truth = landing.truth()
    write_parquet(truth, out / "truth" / "attacks.parquet")
    kinds = truth["attack"].value_counts().to_pylist()
    return Report(
        rows=landing.rows,
        attacks={str(kind["values"]): int(kind["counts"]) for kind in kinds},
        **{name: landing.arrivals[name] for name in ("doubled", "late", "corrected", "voided")},
        seconds=time.perf_counter() - began,
    )


def _happenings(world: World, day: int, ds: date) -> Iterator[tuple[str, Columns]]:
    """Everything that happens on a day, whenever it will arrive, with ids and arrival."""
    seed, day_us = world.seed, _midnight_us(ds)
    rng = stream(seed, "delivery", day)
    for table, columns in profiles.changes(world, day, day_us).items():
        yield table, _profile_arrival(columns, rng)
    honest_attempts = honest.attempts(world, day_us, ds.weekday(), stream(seed, "honest", day))
    attacking, actors = attacks.campaigns(world, day_us, stream(seed, "attacks", day))
    for table, parts in actors.items():
        for columns in parts:
            yield table, _profile_arrival(columns, rng)
    payments = outcomes.settled(concat(honest_attempts, *attacking), stream(seed, "outcomes", day))
    payments["payment_id"] = world.allot("payment", len(payments["event_time"]))
    fate = delivery.plan(payments["event_time"], rng)
    final = delivery.corrected_payments(payments, fate, rng)
    yield "payments", delivery.delivered(payments, final, fate, rng)
    yield "disputes", _disputes(world, final, fate, day)
    for table, columns in profiles.births(world, day, day_us).items():
        yield table, _profile_arrival(columns, rng)


def _disputes(world: World, final: Columns, paid: delivery.Plan, day: int) -> Columns:
    """The disputes that payments of this day will meet; a voided payment meets none."""
    rng = stream(world.seed, "disputes", day)
    disputable = final | {"dispute_share": np.where(paid.voided, 0.0, final["dispute_share"])}
    first = outcomes.disputes(disputable, paid.ingested_us, rng)
    first["dispute_id"] = world.allot("dispute", len(first["event_time"]))
    fate = delivery.plan(first["event_time"], rng)
    return delivery.delivered(first, delivery.corrected_disputes(first, fate, rng), fate, rng)


def _profile_arrival(columns: Columns, rng: np.random.Generator) -> Columns:
    ingested_us, late = delivery.arrived(columns["event_time"], rng)
    return columns | {"ingested_at": ingested_us, "arrival": late.astype(np.int64)}


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
