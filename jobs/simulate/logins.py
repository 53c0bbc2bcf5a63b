"""Logins and changes of accounts: what people do to their account beside paying.

Raids bring their own logins and changes; those of their payments come from here as everybody's do.
"""

from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.randomness import Columns, Floats, Ints, concat, moments, take, traits
from jobs.simulate.world import DAY_US, FIELDS, World, draw

__all__ = ["changed", "changes", "coordinates", "logins"]

_SECOND_US: Final = 1_000_000
_BEFORE_PAYING: Final = 0.55
"""The share of payment attempts with a login shortly before; the others are still logged in."""
_BROWSING: Final = 0.6
"""Logins without a payment for each attempt of a payment."""
_MISTYPED: Final = 0.06
_TRAVELLERS: Final = 0.015
"""Of all accounts, in a given week."""
_CHANGES_A_DAY: Final = 0.004
_FIELD_MIX: Final = (0.45, 0.10, 0.15, 0.20, 0.10)


def logins(world: World, payments: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """The day's logins of payers and of people who only look, without arrival; a mistyped password is one that failed."""
    count = len(payments["event_time"])
    paid = take(payments, np.flatnonzero(rng.random(count) < _BEFORE_PAYING))
    before = _before(paid["event_time"], rng.integers(20 * _SECOND_US, 1_800 * _SECOND_US, len(paid["ip"])), day_us)
    paying = {
        "account_id": paid["account_id"],
        "device_id": paid["device_id"],
        "ip": paid["ip"],
        "country": paid["ip_country"],
        "event_time": before,
    }
    every = concat(paying, _looking(world, rng.poisson(_BROWSING * count), day_us, rng))
    abroad = _travelling(world, every)
    every["country"] = np.where(abroad >= 0, abroad, every["country"])
    every["success"] = np.ones(len(abroad), dtype=np.bool_)
    failed = take(every, np.flatnonzero(rng.random(len(abroad)) < _MISTYPED))
    haste = rng.integers(4 * _SECOND_US, 60 * _SECOND_US, len(failed["ip"]))
    failed["event_time"] = _before(failed["event_time"], haste, day_us)
    failed["success"] = np.zeros(len(failed["ip"]), dtype=np.bool_)
    made = concat(failed, every)
    made["lat"], made["lon"] = coordinates(world, made["account_id"], made.pop("country"), rng)
    return made


def coordinates(world: World, account: Ints, country: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Degrees, to four digits (some ten metres): around the account's city of that country, in the next thirty kilometres."""
    city = (traits("city", account, world.seed) * places.CITIES.shape[1]).astype(np.int64)
    centre = places.CITIES[country, city]
    around = centre + rng.normal(0.0, 0.12, centre.shape)
    return np.round(around[:, 0], 4), np.round(around[:, 1], 4)


def changes(world: World, moved: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """What owners change on a day, without arrival; `moved` are the account rows whose e-mail became another one."""
    people = world.customers
    count = rng.poisson(_CHANGES_A_DAY * int((~people["deleted"]).sum()))
    who = np.flatnonzero(~people["deleted"])
    who = rng.choice(who, min(count, len(who)), replace=False)
    what = rng.choice(len(FIELDS), len(who), p=_FIELD_MIX)
    # E-mails change where the profile says so, and nowhere else.
    own = what != FIELDS.index("email")
    mail = np.flatnonzero(moved["moved"])
    accounts = np.concatenate([people["account_id"][who[own]], moved["account_id"][mail]])
    fields = np.concatenate([what[own], np.full(len(mail), FIELDS.index("email"))])
    when = np.concatenate([moments(rng, day_us, int(own.sum())), moved["event_time"][mail]])
    return changed(world, accounts, fields, when)


def changed(world: World, accounts: Ints, fields: Ints, when: Ints) -> Columns:
    """Rows of changes of customers: each replaces the value that the field had. At most one of each account and field."""
    position = np.searchsorted(world.customers["account_id"], accounts)
    version = world.customers["changed"][position, fields]
    world.customers["changed"][position, fields] += 1
    # 26 bits of account, 3 of field, 11 of versions: a number below 2**40 for each value that ever was.
    value = ((accounts % (1 << 26)) << 14) + (fields << 11)
    return {
        "account_id": accounts,
        "field": fields,
        "old_hash": value + version % (1 << 11),
        "new_hash": value + (version + 1) % (1 << 11),
        "event_time": when,
    }


def _before(instants: Ints, by: Ints, day_us: int) -> Ints:
    """So much earlier, but on the same day: what would be yesterday's comes between midnight and the instant."""
    room = instants - day_us
    earlier: Ints = instants - np.where(by > room, by % np.maximum(room, 1), by)
    return earlier


def _looking(world: World, count: int, day_us: int, rng: np.random.Generator) -> Columns:
    """People who look and do not buy, at home or on the second device."""
    people = world.customers
    who = draw(people["weight"] ** 0.5, rng, count)
    second = (people["device_2"][who] >= 0) & (rng.random(count) < 0.3)  # noqa: PLR2004
    return {
        "account_id": people["account_id"][who],
        "device_id": np.where(second, people["device_2"][who], people["device_1"][who]),
        "ip": people["home_ip"][who],
        "country": people["country"][who],
        "event_time": moments(rng, day_us, count),
    }


def _travelling(world: World, made: Columns) -> Ints:
    """The country where each row's account spends this week abroad; -1: it is at home."""
    week = made["event_time"] // (7 * DAY_US)
    lot = traits("travel", made["account_id"] * 65_536 + week, world.seed)
    abroad = (lot / _TRAVELLERS * len(places.COUNTRIES)).astype(np.int64)
    countries: Ints = np.where(lot < _TRAVELLERS, abroad, -1)
    return countries
