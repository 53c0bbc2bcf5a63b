"""Attacks on people's side of a payment, all of a day's campaigns at once.

`account_takeover`: many failed logins, one that succeeds from far away, changes of the account, payments to a drop address.
`friendly_fraud`: a customer's own card, device and address; the goods arrive, and the payment is disputed all the same.
`promotion_abuse`: accounts made in a row on few devices, addresses and cards, each with one small first purchase.

None of them draws from the streams of honest people, nor takes their numbers (HIDDEN): without them those would be the same.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.honest import minor_amount
from jobs.simulate.logins import changed, coordinates
from jobs.simulate.profiles import account_rows
from jobs.simulate.randomness import Columns, Ints, moments, runs, take, traits
from jobs.simulate.schemas import ATTACKS
from jobs.simulate.world import FIELDS, HOSTING_SUBNETS, World, draw, new_devices

__all__ = ["Raid", "raids"]

_MINUTE_US: Final = 60_000_000
_HOUR_US: Final = 60 * _MINUTE_US
_TAKEOVERS_AT_SCALE_1: Final = 9.0
_FRIENDLY_AT_SCALE_1: Final = 14.0
_RINGS_AT_SCALE_1: Final = 2.5
"""Campaigns a day."""
_TAKEN_FIELDS: Final = (0.8, 0.5, 0.35, 0.6, 0.15)
"""Share of takeovers that change each of FIELDS."""
_UNFRIENDLY: Final = 0.01
"""The share of customers who ever dispute what they received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raid:
    """What campaigns of one kind bring about on a day; rows of tables are without arrival."""

    kind: str
    attempts: Columns
    tables: list[tuple[str, Columns]] = field(default_factory=list)
    actors: list[tuple[str, Ints, Ints]] = field(default_factory=list)
    """(kind of actor, numbers, campaigns)."""


def raids(world: World, day_us: int, rng: np.random.Generator) -> list[Raid]:
    """The campaigns that begin on a day, one element per kind."""
    return [plan(world, day_us, rng) for plan in (_takeovers, _friendly, _promotions)]


def _takeovers(world: World, day_us: int, rng: np.random.Generator) -> Raid:
    """3 to 30 failed logins, then within minutes the changes, and 1 to 5 payments over six hours."""
    people = world.customers
    alive = np.flatnonzero(~people["deleted"])
    victim = rng.choice(alive, min(rng.poisson(_TAKEOVERS_AT_SCALE_1 * world.scale), len(alive)), replace=False)
    count = len(victim)
    campaign = world.allot("campaign", count)
    break_in: Columns = {
        "account_id": people["account_id"][victim],
        "device_id": world.allot_hidden("device", count),
        "ip": _hosting_ips(rng, count),
        "country": rng.integers(len(places.COUNTRIES), size=count),
        "event_time": moments(rng, day_us, count),
    }
    begin = break_in["event_time"]
    taken, what = np.nonzero(rng.random((count, len(FIELDS))) < _TAKEN_FIELDS)
    when = begin[taken] + rng.integers(10_000_000, 15 * _MINUTE_US, len(taken))
    mailed = what == FIELDS.index("email")
    people["email_digits"][victim[taken[mailed]]] = rng.integers(1_000, 999_999, int(mailed.sum()))
    seen = new_devices(break_in["device_id"], break_in["country"], 0.3, rng)
    return Raid(
        kind="account_takeover",
        attempts=_emptied(world, victim, break_in, campaign, rng),
        tables=[
            ("logins", _break_ins(world, break_in, day_us, rng)),
            ("account_changes", changed(world, break_in["account_id"][taken], what, when)),
            ("accounts", account_rows(people, victim[taken[mailed]], when[mailed])),
            ("devices", seen | {"event_time": np.maximum(begin - 30 * _MINUTE_US, day_us)}),
        ],
        actors=[("account", break_in["account_id"], campaign), ("device", break_in["device_id"], campaign)],
    )


def _emptied(world: World, victim: Ints, break_in: Columns, campaign: Ints, rng: np.random.Generator) -> Columns:
    """What is bought with the cards that the taken accounts hold, and sent to drop addresses."""
    people, shops = world.customers, world.merchants
    of, _ = runs(rng.integers(1, 6, len(victim)))
    row, count = victim[of], len(of)
    second = (people["card_2"][row] >= 0) & (rng.random(count) < 0.5)  # noqa: PLR2004
    dear = shops["weight"] * places.CATEGORY_AMOUNT[shops["category"]]
    currency = places.COUNTRY_CURRENCY[people["country"][row]]
    drop = np.array([world.drop_address(rng) for _ in victim], np.int64)
    return _attempts(
        "account_takeover",
        account_id=people["account_id"][row],
        card_id=np.where(second, people["card_2"][row], people["card_1"][row]),
        bin=np.where(second, people["bin_2"][row], people["bin_1"][row]),
        device_id=break_in["device_id"][of],
        ip=break_in["ip"][of],
        merchant_id=shops["merchant_id"][draw(dear, rng, count)],
        address_id=drop[of],
        amount_minor=minor_amount(np.minimum(rng.lognormal(5.1, 0.6, count), 1_800.0), currency, rng),
        currency=currency,
        billing_country=people["country"][row],
        shipping_country=rng.integers(len(places.COUNTRIES), size=len(victim))[of],
        ip_country=break_in["country"][of],
        event_time=break_in["event_time"][of] + rng.integers(4 * _MINUTE_US, 6 * _HOUR_US, count),
        three_ds_share=np.full(count, 0.05),
        suspicion=np.full(count, 0.7),
        decline_share=np.full(count, 0.12),
        dispute_share=np.full(count, 0.8),
        campaign=campaign[of],
    )


def _break_ins(world: World, break_in: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """The failed logins of the half hour before each break-in, and the one that succeeds."""
    count = len(break_in["event_time"])
    failed, _ = runs(rng.integers(3, 31, count))
    made = take(break_in, np.concatenate([failed, np.arange(count)]))
    before = np.concatenate([rng.integers(1_000_000, 30 * _MINUTE_US, len(failed)), np.zeros(count, np.int64)])
    lat, lon = coordinates(world, made["account_id"], made["country"], rng)
    return made | {
        "lat": lat,
        "lon": lon,
        "success": np.arange(len(before)) >= len(failed),
        "event_time": np.maximum(made["event_time"] - before, day_us),
    }


def _friendly(world: World, day_us: int, rng: np.random.Generator) -> Raid:
    """1 to 3 dear purchases of somebody who knows how disputes work; nothing about them is new."""
    people, shops = world.customers, world.merchants
    lot = traits("unfriendly", people["account_id"], world.seed)
    some = np.flatnonzero(~people["deleted"] & (lot < max(_UNFRIENDLY, 3.0 / len(lot))))
    count = rng.poisson(_FRIENDLY_AT_SCALE_1 * world.scale) if len(some) else 0
    who = some[rng.integers(len(some), size=count)] if count else some[:0]
    campaign, begin = world.allot("campaign", count), moments(rng, day_us, count)
    of, _ = runs(rng.integers(1, 4, count))
    row = who[of]
    home = people["country"][row]
    shop = draw(shops["weight"] * places.CATEGORY_AMOUNT[shops["category"]], rng, len(of))
    euros = 1.8 * places.CATEGORY_AMOUNT[shops["category"][shop]] * people["spending"][row]
    currency = places.COUNTRY_CURRENCY[home]
    attempts = _attempts(
        "friendly_fraud",
        account_id=people["account_id"][row],
        card_id=people["card_1"][row],
        bin=people["bin_1"][row],
        device_id=people["device_1"][row],
        ip=people["home_ip"][row],
        merchant_id=shops["merchant_id"][shop],
        address_id=people["address_id"][row],
        amount_minor=minor_amount(euros * rng.lognormal(0.0, 0.4, len(of)), currency, rng),
        currency=currency,
        billing_country=home,
        shipping_country=home,
        ip_country=home,
        event_time=begin[of] + rng.integers(1, 10 * _HOUR_US, len(of)),
        three_ds_share=places.COUNTRY_THREE_DS[home] * 0.5,
        suspicion=np.zeros(len(of)),
        decline_share=people["decline"][row],
        dispute_share=np.full(len(of), 0.85),
        campaign=campaign[of],
    )
    return Raid(kind="friendly_fraud", attempts=attempts, actors=[("account", people["account_id"][who], campaign)])


def _promotions(world: World, day_us: int, rng: np.random.Generator) -> Raid:
    """6 to 30 accounts of one person, made within a day and a half, on 1 to 3 devices."""
    count = rng.poisson(_RINGS_AT_SCALE_1 * world.scale)
    sizes, devices = rng.integers(6, 31, count), rng.integers(1, 4, count)
    ring, place = runs(sizes)
    campaign, begin = world.allot("campaign", count), moments(rng, day_us, count)
    account, total = world.allot_hidden("account", len(ring)), len(ring)
    country = rng.choice(len(places.COUNTRIES), count, p=places.COUNTRY_SHARE)
    throw_away = rng.integers(places.FIRST_DISPOSABLE, len(places.DOMAINS), count)
    domain = np.where(rng.random(count) < 0.5, throw_away, rng.integers(places.FIRST_DISPOSABLE, size=count))  # noqa: PLR2004
    made = begin[ring] + rng.integers(0, 36 * _HOUR_US, total)
    opened: Columns = {
        "account_id": account,
        "country": country[ring],
        "created_at": made,
        "first_name": rng.integers(len(places.FIRST_NAMES), size=count)[ring],
        "last_name": rng.integers(len(places.LAST_NAMES), size=count)[ring],
        "email_digits": rng.integers(1_000, 900_000, count)[ring] + place,
        "email_domain": domain[ring],
        "status": np.zeros(total, dtype=np.int64),
        "deleted": np.zeros(total, dtype=np.bool_),
        "event_time": made,
    }
    device, owner = _pool(world, "device", devices)
    seen = new_devices(device, country[owner], 0.2, rng) | {"event_time": begin[owner]}
    buys, _ = runs(1 + (rng.random(total) < 0.1))  # noqa: PLR2004
    attempts = _first_purchases(world, take(opened, buys), ring[buys], sizes, rng) | {
        "device_id": device[_within_pool(devices, ring[buys], rng)],
        "campaign": campaign[ring[buys]],
    }
    return Raid(
        kind="promotion_abuse",
        attempts=attempts,
        tables=[("accounts", opened), ("devices", seen)],
        actors=[("account", account, campaign[ring]), ("device", device, campaign[owner])],
    )


def _first_purchases(world: World, buyer: Columns, ring: Ints, sizes: Ints, rng: np.random.Generator) -> Columns:
    """Small ones at one merchant per ring, on cards that serve several accounts, to one or two addresses."""
    groups, count = len(sizes), len(ring)
    shop = draw(world.merchants["weight"], rng, groups)
    host = rng.integers(len(world.customers["home_ip"]), size=groups)
    currency = places.COUNTRY_CURRENCY[buyer["country"]]
    return _attempts(
        "promotion_abuse",
        account_id=buyer["account_id"],
        card_id=_one_of(world, "card", np.ceil(sizes * 0.6).astype(np.int64), ring, rng),
        bin=buyer["country"] * places.BINS_PER_COUNTRY + ring % places.BINS_PER_COUNTRY,
        ip=world.customers["home_ip"][host[ring]] // 256 * 256 + rng.integers(2, 6, count),
        merchant_id=world.merchants["merchant_id"][shop[ring]],
        address_id=_one_of(world, "address", rng.integers(1, 3, groups), ring, rng),
        amount_minor=minor_amount(rng.uniform(14.0, 40.0, count), currency, rng),
        currency=currency,
        billing_country=buyer["country"],
        shipping_country=buyer["country"],
        ip_country=buyer["country"],
        event_time=buyer["created_at"] + rng.integers(3 * _MINUTE_US, 5 * _HOUR_US, count),
        three_ds_share=np.full(count, 0.1),
        suspicion=np.full(count, 0.2),
        decline_share=np.full(count, 0.08),
        dispute_share=np.full(count, 0.01),
    )


def _attempts(kind: str, **columns: np.ndarray[tuple[int], np.dtype[np.int64 | np.float64]]) -> Columns:
    """With the columns that all kinds have alike: in the browser, under the account's own e-mail."""
    count = len(columns["event_time"])
    return {
        **columns,
        "email_id": columns["account_id"],
        "channel": np.zeros(count, dtype=np.int64),
        "attack": np.full(count, ATTACKS.index(kind)),
    }


def _pool(world: World, kind: str, sizes: Ints) -> tuple[Ints, Ints]:
    """New numbers for groups of these sizes, one group after another, and each number's group."""
    group, _ = runs(sizes)
    return world.allot_hidden(kind, len(group)), group


def _within_pool(sizes: Ints, group: Ints, rng: np.random.Generator) -> Ints:
    """For each row a position in the pool of its group."""
    first = np.cumsum(sizes) - sizes
    positions: Ints = first[group] + (rng.random(len(group)) * sizes[group]).astype(np.int64)
    return positions


def _one_of(world: World, kind: str, sizes: Ints, group: Ints, rng: np.random.Generator) -> Ints:
    numbers, _ = _pool(world, kind, sizes)
    chosen: Ints = numbers[_within_pool(sizes, group, rng)]
    return chosen


def _hosting_ips(rng: np.random.Generator, count: int) -> Ints:
    return rng.choice(HOSTING_SUBNETS, count) * 256 + rng.integers(2, 254, count)
