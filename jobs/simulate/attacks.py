"""Attacks, each a campaign of one actor that starts on a day: its payments and the profiles it had to create.

`card_testing`: bursts of tiny amounts over many cards from few devices.
`stolen_card`: one card, a new device, rising amounts.
"""

from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.honest import minor_amount
from jobs.simulate.randomness import Columns, Ints, concat
from jobs.simulate.schemas import ATTACKS
from jobs.simulate.world import DAY_US, HOSTING_SUBNETS, World, draw, new_devices

__all__ = ["campaigns"]

_MINUTE_US: Final = 60_000_000
_HOUR_US: Final = 60 * _MINUTE_US
_TESTINGS_AT_SCALE_1: Final = 6.0
"""Card-testing campaigns a day."""
_STOLEN_AT_SCALE_1: Final = 16.0
"""Stolen cards a day."""


def campaigns(world: World, day_us: int, rng: np.random.Generator) -> tuple[list[Columns], dict[str, list[Columns]]]:
    """The day's attempts, one element per campaign, and the accounts and devices they created (without arrival)."""
    attempts: list[Columns] = []
    profiles: dict[str, list[Columns]] = {"accounts": [], "devices": []}
    plans = (
        *(_card_testing for _ in range(rng.poisson(_TESTINGS_AT_SCALE_1 * world.scale))),
        *(_stolen_card for _ in range(rng.poisson(_STOLEN_AT_SCALE_1 * world.scale))),
    )
    for plan in plans:
        columns, accounts, devices = plan(world, day_us, rng)
        columns["campaign"] = np.full(len(columns["event_time"]), world.allot("campaign", 1)[0])
        attempts.append(columns)
        profiles["accounts"].append(accounts)
        profiles["devices"].append(devices)
    return attempts, profiles


def _card_testing(world: World, day_us: int, rng: np.random.Generator) -> tuple[Columns, Columns, Columns]:
    """40 to 160 cards within an hour: a third belong to customers, the rest were guessed within two bins."""
    count = int(rng.integers(40, 160))
    begin = day_us + int(rng.integers(DAY_US))
    when = begin + np.sort(rng.integers(int(rng.integers(8, 60)) * _MINUTE_US, size=count))
    country = int(rng.choice(len(places.COUNTRIES), p=places.COUNTRY_SHARE))
    devices = world.allot("device", int(rng.integers(1, 4)))
    accounts = world.allot("account", int(rng.integers(1, 4)))
    bins = country * places.BINS_PER_COUNTRY + rng.integers(places.BINS_PER_COUNTRY, size=2)
    card, card_bin, billing = world.allot("card", count), rng.choice(bins, count), np.full(count, country)
    victims = rng.random(count) < 0.33  # noqa: PLR2004
    stolen = rng.integers(len(world.customers["card_1"]), size=int(victims.sum()))
    card[victims] = world.customers["card_1"][stolen]
    card_bin[victims] = world.customers["bin_1"][stolen]
    billing[victims] = world.customers["country"][stolen]
    shops = draw(world.merchants["weight"] ** 0.5, rng, int(rng.integers(1, 3)))
    currency = np.full(count, places.COUNTRY_CURRENCY[country])
    payer = rng.choice(accounts, count)
    columns = _frame(
        when,
        account_id=payer,
        card_id=card,
        bin=card_bin,
        device_id=rng.choice(devices, count),
        ip=rng.choice(_hosting_ips(rng, 4), count),
        email_id=payer,
        merchant_id=world.merchants["merchant_id"][rng.choice(shops, count)],
        address_id=payer,
        amount_minor=minor_amount(rng.uniform(0.5, 3.0, count), currency, rng),
        currency=currency,
        billing_country=billing,
        shipping_country=np.full(count, country),
        ip_country=np.full(count, rng.integers(len(places.COUNTRIES))),
        # The policy sees the burst grow, so the later attempts look worse.
        suspicion=0.4 + 3.0 * np.arange(count) / count,
        decline_share=np.full(count, 0.85),
        dispute_share=np.full(count, 0.4),
        attack=np.full(count, ATTACKS.index("card_testing")),
    )
    return columns, *_actor(accounts, devices, rng, country=country, begin=begin, day_us=day_us, emulator_share=0.6)


def _stolen_card(world: World, day_us: int, rng: np.random.Generator) -> tuple[Columns, Columns, Columns]:
    """3 to 12 payments over 2 to 12 hours, each larger than the one before, sent to a drop address."""
    count = int(rng.integers(3, 13))
    begin = day_us + int(rng.integers(DAY_US))
    when = begin + np.sort(rng.integers(int(rng.integers(2, 13)) * _HOUR_US, size=count))
    people, shops = world.customers, world.merchants
    victim = int(rng.integers(len(people["account_id"])))
    abroad, drop = (int(country) for country in rng.choice(len(places.COUNTRIES), 2))
    devices = world.allot("device", 1)
    # Two in five take over the victim's own account; the others open one of their own.
    accounts = world.allot("account", 0 if rng.random() < 0.4 else 1)  # noqa: PLR2004
    payer = accounts[0] if len(accounts) else people["account_id"][victim]
    dear = shops["weight"] * places.CATEGORY_AMOUNT[shops["category"]]
    euros = rng.uniform(15.0, 60.0) * np.cumprod(rng.uniform(1.15, 1.6, count))
    currency = np.full(count, places.COUNTRY_CURRENCY[people["country"][victim]])
    columns = _frame(
        when,
        account_id=np.full(count, payer),
        card_id=np.full(count, people["card_1"][victim]),
        bin=np.full(count, people["bin_1"][victim]),
        device_id=np.full(count, devices[0]),
        ip=rng.choice(_hosting_ips(rng, 2), count),
        email_id=np.full(count, payer),
        merchant_id=shops["merchant_id"][draw(dear, rng, count)],
        address_id=np.full(count, world.drop_address(rng)),
        amount_minor=minor_amount(np.minimum(euros, 3_000.0), currency, rng),
        currency=currency,
        billing_country=np.full(count, people["country"][victim]),
        shipping_country=np.full(count, drop),
        ip_country=np.full(count, abroad),
        suspicion=np.full(count, 1.0),
        decline_share=np.linspace(0.1, 0.4, count),
        dispute_share=np.full(count, 0.85),
        attack=np.full(count, ATTACKS.index("stolen_card")),
    )
    return columns, *_actor(accounts, devices, rng, country=abroad, begin=begin, day_us=day_us, emulator_share=0.15)


def _frame(when: Ints, **columns: np.ndarray[tuple[int], np.dtype[np.int64 | np.float64]]) -> Columns:
    """The columns that every attack has alike: in the browser, and where no second factor is asked."""
    count = len(when)
    return {
        **columns,
        "event_time": when,
        "channel": np.zeros(count, dtype=np.int64),
        "three_ds_share": np.full(count, 0.05),
    }


def _hosting_ips(rng: np.random.Generator, count: int) -> Ints:
    return rng.choice(HOSTING_SUBNETS, count) * 256 + rng.integers(2, 254, count)


def _actor(
    accounts: Ints,
    devices: Ints,
    rng: np.random.Generator,
    *,
    country: int,
    begin: int,
    day_us: int,
    emulator_share: float,
) -> tuple[Columns, Columns]:
    """Profiles made on the day of the attack, up to twelve hours before it; half of the accounts close days later."""
    made = np.maximum(begin - rng.integers(_MINUTE_US, 12 * _HOUR_US, len(accounts)), day_us)
    count = len(accounts)
    opened: Columns = {
        "account_id": accounts,
        "country": np.full(count, country),
        "created_at": made,
        "first_name": rng.integers(len(places.FIRST_NAMES), size=count),
        "last_name": rng.integers(len(places.LAST_NAMES), size=count),
        "email_digits": rng.integers(10_000, 999_999, count),
        "email_domain": rng.integers(len(places.DOMAINS), size=count),
        "status": np.zeros(count, dtype=np.int64),
        "deleted": np.zeros(count, dtype=np.bool_),
        "event_time": made,
    }
    found_out = rng.random(count) < 0.5  # noqa: PLR2004
    closed = {name: values[found_out] for name, values in opened.items()}
    closed["status"] = np.full(int(found_out.sum()), 2)
    closed["event_time"] = closed["event_time"] + rng.integers(3 * DAY_US, 20 * DAY_US, int(found_out.sum()))
    seen = np.full(len(devices), max(begin - _MINUTE_US, day_us))
    profiles = new_devices(devices, np.full(len(devices), country), emulator_share, rng) | {"event_time": seen}
    return concat(opened, closed), profiles
