"""Changes of accounts, devices and merchants: one row per change, valid from its event time.

Whoever lived before the first day arrives in it. A customer born on a day buys from the next day on;
one who leaves buys no more.
"""

from collections.abc import Mapping

import numpy as np

from jobs.simulate.randomness import Columns, Ints, concat, moments, stream, take
from jobs.simulate.world import World, new_customers, new_devices, new_merchants

__all__ = ["account_rows", "births", "changes", "first_arrivals", "known_from"]

_ACCOUNT_COLUMNS = (
    "account_id", "country", "created_at", "first_name", "last_name", "email_digits", "email_domain",
    "status", "deleted",
)  # fmt: skip
_MERCHANT_COLUMNS = ("merchant_id", "name_number", "owner", "country", "category", "created_at", "risk_tier", "deleted")
_EMULATOR_SHARE = 0.01


def first_arrivals(world: World, start_us: int) -> Mapping[str, Columns]:
    """Rows of everybody alive before the first day, valid since their creation and known from `start_us` on."""
    rng = stream(world.seed, "births")
    rows = _born(world.customers, world.merchants, rng)
    return {table: known_from(columns, start_us, rng) for table, columns in rows.items()}


def known_from(columns: Columns, start_us: int, rng: np.random.Generator) -> Columns:
    """With arrival in the first minute after `start_us`: what was so before the simulation began."""
    count = len(columns["event_time"])
    ingested_us = start_us + np.sort(rng.integers(1, 60_000_000, count))
    return columns | {"ingested_at": ingested_us, "arrival": np.zeros(count, dtype=np.int64)}


def account_rows(customers: Columns, rows: Ints, event_time: Ints) -> Columns:
    """Account rows of these positions as they are now, valid from `event_time`."""
    return take({name: customers[name] for name in _ACCOUNT_COLUMNS}, rows) | {"event_time": event_time}


def births(world: World, day: int, day_us: int) -> Mapping[str, Columns]:
    """Adds the day's new customers (0.3%) and merchants to the world, and gives their rows without arrival."""
    rng = stream(world.seed, "births", day + 1)
    customers = rng.poisson(0.003 * len(world.customers["account_id"]))
    merchants = rng.poisson(0.004 * len(world.merchants["merchant_id"]))
    shops = new_merchants(world, rng.uniform(0.01, 0.05, merchants), moments(rng, day_us, merchants), rng)
    people = new_customers(world, customers, moments(rng, day_us, customers), rng)
    world.customers, world.merchants = concat(world.customers, people), concat(world.merchants, shops)
    return _born(people, shops, rng)


def changes(world: World, day: int, day_us: int) -> Mapping[str, Columns]:
    """Changes the profiles of a few, deletes very few (they stop at once), and gives the rows without arrival."""
    rng = stream(world.seed, "profiles", day)
    return {
        "accounts": _change_accounts(world.customers, day_us, rng),
        "devices": _change_devices(world.customers, day_us, rng),
        "merchants": _change_merchants(world.merchants, day_us, rng),
    }


def _born(customers: Columns, merchants: Columns, rng: np.random.Generator) -> dict[str, Columns]:
    accounts = {name: customers[name] for name in _ACCOUNT_COLUMNS}
    shops = {name: merchants[name] for name in _MERCHANT_COLUMNS}
    owner, number = _owned_devices(customers)
    devices = new_devices(number, customers["country"][owner], _EMULATOR_SHARE, rng)
    return {
        "accounts": accounts | {"event_time": accounts["created_at"]},
        "devices": devices | {"event_time": customers["created_at"][owner]},
        "merchants": shops | {"event_time": shops["created_at"]},
    }


def _owned_devices(customers: Columns) -> tuple[Ints, Ints]:
    """Owner's position and number of each device, once per device."""
    position = np.arange(len(customers["device_1"]))
    second = np.flatnonzero(customers["device_2"] >= 0)
    number = np.concatenate([customers["device_1"], customers["device_2"][second]])
    number, first_seen = np.unique(number, return_index=True)
    return np.concatenate([position, second])[first_seen], number


def _change_accounts(customers: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    alive = ~customers["deleted"]
    lot = rng.random(len(alive))
    limited, moved, gone = (alive & (lot < 0.001), alive & (lot >= 0.001) & (lot < 0.0025), alive & (lot > 0.9996))  # noqa: PLR2004
    customers["status"][limited] = 1 - customers["status"][limited]
    customers["email_digits"][moved] = rng.integers(1, 99, int(moved.sum()))
    customers["email_domain"][moved] = rng.integers(5, size=int(moved.sum()))
    customers["deleted"][gone] = True
    customers["status"][gone] = 2
    customers["weight"][gone] = 0.0
    rows = np.flatnonzero(limited | moved | gone)
    return account_rows(customers, rows, moments(rng, day_us, len(rows))) | {"moved": moved[rows]}


def _change_devices(customers: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """A few second devices are renewed in place, a few are given up by their owner."""
    owners = np.flatnonzero((customers["device_2"] >= 0) & (rng.random(len(customers["device_2"])) < 0.002))  # noqa: PLR2004
    owners = owners[~np.isin(customers["device_2"][owners], customers["device_1"])]
    numbers, first_seen = np.unique(customers["device_2"][owners], return_index=True)
    columns = new_devices(numbers, customers["country"][owners][first_seen], _EMULATOR_SHARE, rng)
    columns["deleted"] = rng.random(len(numbers)) < 0.15  # noqa: PLR2004
    given_up = np.isin(customers["device_2"], numbers[columns["deleted"]])
    customers["device_2"][given_up] = -1
    return columns | {"event_time": moments(rng, day_us, len(numbers))}


def _change_merchants(merchants: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """Risk tiers move by one; of the lesser merchants a few close, but never more than a third."""
    alive = ~merchants["deleted"]
    lot = rng.random(len(alive))
    small = merchants["weight"] < np.median(merchants["weight"])
    gone = alive & small & (lot > 0.9985) & (merchants["deleted"].mean() < 1 / 3)  # noqa: PLR2004
    moved = alive & (lot < 0.004)  # noqa: PLR2004
    tier = merchants["risk_tier"][moved]
    merchants["risk_tier"][moved] = np.where(tier == 1, rng.choice([0, 2], len(tier)), 1)
    merchants["deleted"][gone] = True
    merchants["weight"][gone] = 0.0
    rows = np.flatnonzero(moved | gone)
    return take({name: merchants[name] for name in _MERCHANT_COLUMNS}, rows) | {
        "event_time": moments(rng, day_us, len(rows))
    }
