"""What honest customers try to pay on a day: their rhythm, habits and travels. Outcomes are decided elsewhere."""

from datetime import date
from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.randomness import Columns, Floats, Ints
from jobs.simulate.rhythm import appeal
from jobs.simulate.world import DAY_US, World, draw

__all__ = ["PAYMENTS_AT_SCALE_1", "attempts", "minor_amount", "retries"]

PAYMENTS_AT_SCALE_1: Final = 20_000
_HOUR_US: Final = 3_600_000_000
_CARRIER_SUBNETS: Final = 3
_FRIENDLY: Final = 0.003
"""The share of honest approved payments that their customer disputes all the same."""


def attempts(world: World, day_us: int, ds: date, rng: np.random.Generator) -> Columns:
    """One row per attempt, in no order; `day_us` is the UTC midnight of `ds`."""
    expected = PAYMENTS_AT_SCALE_1 * world.scale * places.WEEKDAYS[ds.weekday()] * rng.lognormal(0.0, 0.02)
    people, shops = world.customers, world.merchants
    who = draw(people["weight"], rng, rng.poisson(expected))
    count = len(who)
    home = people["country"][who]
    shop = _shops(world, who, appeal(world, shops, ds, day_us), rng)
    travelling = rng.random(count) < 0.03  # noqa: PLR2004
    ip_country = np.where(travelling, rng.choice(len(places.COUNTRIES), count, p=places.COUNTRY_SHARE), home)
    app = rng.random(count) < people["app_share"][who]
    second_card = (people["card_2"][who] >= 0) & (rng.random(count) < 0.25)  # noqa: PLR2004
    second_device = (people["device_2"][who] >= 0) & (rng.random(count) < 0.3)  # noqa: PLR2004
    # A gift goes to another customer's address.
    receiver = np.where(rng.random(count) < 0.03, rng.integers(len(people["country"]), size=count), who)  # noqa: PLR2004
    euros = places.CATEGORY_AMOUNT[shops["category"][shop]] * shops["typical"][shop] * people["spending"][who]
    euros = euros * rng.lognormal(-0.15, 0.55, count)
    currency = places.COUNTRY_CURRENCY[home]
    return {
        "account_id": people["account_id"][who],
        "card_id": np.where(second_card, people["card_2"][who], people["card_1"][who]),
        "bin": np.where(second_card, people["bin_2"][who], people["bin_1"][who]),
        "device_id": np.where(second_device, people["device_2"][who], people["device_1"][who]),
        "ip": np.where(app | travelling, _carrier_ips(ip_country, rng), people["home_ip"][who]),
        "email_id": people["account_id"][who],
        "merchant_id": shops["merchant_id"][shop],
        "address_id": people["address_id"][receiver],
        "amount_minor": minor_amount(euros, currency, rng),
        "currency": currency,
        "channel": app.astype(np.int64),
        "billing_country": home,
        "shipping_country": people["country"][receiver],
        "ip_country": ip_country,
        "event_time": _moments(day_us, home, rng),
        "three_ds_share": places.COUNTRY_THREE_DS[home],
        "suspicion": np.zeros(count),
        "decline_share": people["decline"][who],
        "dispute_share": np.full(count, _FRIENDLY),
        "attack": np.zeros(count, dtype=np.int64),
        "campaign": np.full(count, -1, dtype=np.int64),
    }


def retries(tried: Columns, declined: np.ndarray[tuple[int], np.dtype[np.bool_]], rng: np.random.Generator) -> Columns:
    """A third of the declined try again within three minutes, with better luck than chance."""
    again = np.flatnonzero(declined & (tried["attack"] == 0) & (rng.random(len(declined)) < 0.35))  # noqa: PLR2004
    columns = {name: values[again] for name, values in tried.items()}
    columns["event_time"] = columns["event_time"] + rng.integers(15_000_000, 180_000_000, len(again))
    columns["decline_share"] = np.full(len(again), 0.4)
    return columns


def minor_amount(euros: Floats, currency: Ints, rng: np.random.Generator) -> Ints:
    """Whole minor units of the currency, at least 1; two in five prices end on 99."""
    minor = np.maximum(np.rint(euros * places.CURRENCY_MINOR[currency]), 1.0).astype(np.int64)
    psychological = (rng.random(len(minor)) < 0.4) & (minor > 200)  # noqa: PLR2004
    prices: Ints = np.where(psychological, minor // 100 * 100 - 1, minor)
    return prices


def _shops(world: World, who: Ints, appeals: Floats, rng: np.random.Generator) -> Ints:
    """Seven in ten go to a favourite that is still open, more or fewer in its season."""
    count = len(who)
    anywhere = draw(world.merchants["weight"] * appeals, rng, count)
    choice = rng.integers(world.customers["favourites"].shape[1], size=count)
    favourite = world.customers["favourites"][who, choice]
    loyal = (rng.random(count) < 0.7 * np.minimum(appeals[favourite], 1.4)) & ~world.merchants["deleted"][favourite]
    shops: Ints = np.where(loyal, favourite, anywhere)
    return shops


def _carrier_ips(country: Ints, rng: np.random.Generator) -> Ints:
    """Addresses that many customers of one mobile network share."""
    subnet = country * _CARRIER_SUBNETS + rng.integers(_CARRIER_SUBNETS, size=len(country))
    return subnet * 256 + rng.integers(2, 254, len(country))


def _moments(day_us: int, country: Ints, rng: np.random.Generator) -> Ints:
    """Instants of the UTC day, by the local clock of each country."""
    local_hour = np.searchsorted(places.HOURS, rng.random(len(country)), side="right")
    local = np.minimum(local_hour, 23) * _HOUR_US + rng.integers(_HOUR_US, size=len(country))
    since_midnight: Ints = (local - places.COUNTRY_ZONE_HOURS[country] * _HOUR_US) % DAY_US
    return day_us + since_midnight
