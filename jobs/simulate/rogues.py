"""Merchants who are the attack: they open, sell for a while, and then turn.

`bust_out`: weeks of honest trade, then days of dear sales that are never delivered, paid out at once, and the door closes.
`collusion_ring`: accounts of one group pay the group's own merchant in round amounts; part of the cards are stolen.
`prohibited_goods`: an ordinary shop whose listings become what must not be sold; its buyers are ordinary people.

A rogue's sales before it turns are no attack. Rogues and their mules have hidden numbers (world.HIDDEN).
"""

from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.honest import minor_amount
from jobs.simulate.randomness import Columns, Ints, concat, moments, runs, take
from jobs.simulate.schemas import ATTACKS
from jobs.simulate.world import DAY_US, HIDDEN, World, draw, new_devices

__all__ = ["actors", "closed", "emerge", "sales", "turning"]

_KINDS: Final = tuple(ATTACKS.index(kind) for kind in ("bust_out", "collusion_ring", "prohibited_goods"))
_BUST_OUT, _RING, _PROHIBITED = _KINDS
_BIRTHS: Final = 0.06
"""New rogues of each kind a day at scale 1; with the root of the scale, as merchants."""
_RATE: Final = 25.0
"""Sales a day of one rogue at scale 1; with the root of the scale, as an honest merchant's."""
_CATEGORIES: Final = {_BUST_OUT: (1, 2, 3), _RING: (4, 5), _PROHIBITED: (1, 6, 7)}
_BEFORE_DAYS: Final = {_BUST_OUT: (25.0, 60.0), _RING: (0.0, 0.1), _PROHIBITED: (5.0, 20.0)}
_AFTER_DAYS: Final = {_BUST_OUT: (5.0, 12.0), _RING: (10.0, 25.0), _PROHIBITED: (40.0, 120.0)}
"""How long before and after it turns a rogue sells."""
_MULES, _DEVICES, _CARDS = 9, 3, 20
"""At most so many accounts, devices and cards of a ring; its numbers lie in a row."""
_ROUND: Final = np.array([20.0, 25.0, 50.0, 100.0, 150.0, 200.0])


def emerge(world: World, day_us: int, rng: np.random.Generator, *, first: bool) -> dict[str, Columns]:
    """Adds the rogues that open on a day, or at the first day those that sell already; gives their profiles' rows without arrival."""
    scale = world.scale**0.5
    counts = [1 + round(2 * scale) if first else int(rng.poisson(_BIRTHS * scale)) for _ in _KINDS]
    kinds = np.repeat(np.array(_KINDS), counts)
    count = len(kinds)
    number = world.allot_hidden("merchant", count)
    waited = rng.integers(2 * DAY_US, 20 * DAY_US, count)
    since = np.where(kinds == _RING, 8, 45) * DAY_US
    created = day_us - waited - (rng.random(count) * since).astype(np.int64) if first else moments(rng, day_us, count)
    begin = created + waited
    turn = begin + _days(kinds, _BEFORE_DAYS, rng)
    fresh: Columns = {
        "merchant_id": number,
        "name_number": rng.integers(len(world.merchants["merchant_id"]) + 1, size=count),
        "owner": rng.integers(len(places.LAST_NAMES), size=count),
        "country": rng.choice(len(places.COUNTRIES), count, p=places.COUNTRY_SHARE),
        "category": np.array([rng.choice(_CATEGORIES[kind]) for kind in kinds.tolist()], dtype=np.int64),
        "risk_tier": rng.choice(3, count, p=[0.6, 0.3, 0.1]),
        "created_at": created,
        "deleted": np.zeros(count, dtype=np.bool_),
        "weight": np.zeros(count),
        "typical": rng.lognormal(0.0, 0.35, count),
        "kind": kinds,
        "begin": begin,
        "turn": turn,
        "end": turn + _days(kinds, _AFTER_DAYS, rng),
        "rate": np.maximum(_RATE * scale * rng.lognormal(0.0, 0.4, count), 4.0),
        "mules": rng.integers(4, _MULES + 1, count),
        "scheme": world.allot("campaign", count),
    }
    world.rogues = concat(world.rogues, fresh) if world.rogues else fresh
    ring = take(fresh, np.flatnonzero(kinds == _RING))
    accounts, devices = _mules(ring, rng)
    shops = {name: fresh[name] for name in fresh if name not in {"weight", "typical", "kind"}}
    return {"merchants": shops | {"event_time": created}, "accounts": accounts, "devices": devices}


def sales(world: World, day_us: int, rng: np.random.Generator) -> Columns:
    """What is tried to be paid to rogues on a day."""
    rogues = world.rogues
    open_ = np.flatnonzero((rogues["begin"] < day_us + DAY_US) & (rogues["end"] > day_us))
    span = np.maximum(rogues["end"] - rogues["turn"], 1)
    progress = np.clip((day_us - rogues["turn"]) / span, 0.0, 1.0)
    turned = rogues["turn"] <= day_us + DAY_US // 2
    rush = np.where((rogues["kind"] == _BUST_OUT) & turned, 2.0 + 4.0 * progress, 1.0)
    of = np.repeat(open_, rng.poisson((rogues["rate"] * rush)[open_]))
    when = moments(rng, day_us, len(of))
    there = (when >= rogues["begin"][of]) & (when < rogues["end"][of])
    of, when = of[there], when[there]
    kind = rogues["kind"][of]
    ringed = kind == _RING
    paid = concat(_bought(world, of[~ringed], when[~ringed], rng), _passed(world, of[ringed], when[ringed], rng))
    at = np.concatenate([of[~ringed], of[ringed]])
    attack = np.where(paid["event_time"] >= rogues["turn"][at], rogues["kind"][at], 0)
    dispute = np.select([attack == _BUST_OUT, attack == _RING, attack == _PROHIBITED], [0.5, 0.12, 0.02], 0.004)
    return paid | {
        "merchant_id": rogues["merchant_id"][at],
        "email_id": paid["account_id"],
        "channel": np.zeros(len(at), dtype=np.int64),
        "dispute_share": dispute,
        "attack": attack,
        "campaign": np.where(attack > 0, rogues["scheme"][at], -1),
    }


def turning(world: World, day_us: int, *, first: bool) -> Ints:
    """Positions of the rogues that turn on this day; on the first day also of those that did before."""
    turn = world.rogues["turn"]
    return np.flatnonzero((turn < day_us + DAY_US) & ((turn >= day_us) | first))


def closed(world: World, day_us: int) -> Columns:
    """Closes the rogues whose end is on this day or before, and gives their rows without arrival."""
    rogues = world.rogues
    over = np.flatnonzero(~rogues["deleted"] & (rogues["end"] < day_us + DAY_US))
    rogues["deleted"][over] = True
    return take(rogues, over) | {"event_time": np.maximum(rogues["end"][over], day_us)}


def actors(world: World, which: Ints) -> list[tuple[str, Ints, Ints, Ints]]:
    """(kind of actor, numbers, attacks, campaigns) of the rogues at these positions and of their mules."""
    rogues = world.rogues
    rings = which[rogues["kind"][which] == _RING]
    account, account_place = runs(rogues["mules"][rings])
    device, device_place = runs(np.full(len(rings), _DEVICES))
    merchant, attack, campaign = (rogues[name][rings] for name in ("merchant_id", "kind", "scheme"))
    return [
        ("merchant", rogues["merchant_id"][which], rogues["kind"][which], rogues["scheme"][which]),
        ("account", _member(merchant[account], account_place), attack[account], campaign[account]),
        ("device", _member(merchant[device], device_place), attack[device], campaign[device]),
    ]


def _mules(ring: Columns, rng: np.random.Generator) -> tuple[Columns, Columns]:
    """The ring's accounts, made between the shop's opening and its first sale, and the devices they share."""
    of, place = runs(ring["mules"])
    count = len(of)
    made = ring["begin"][of] - (rng.uniform(0.1, 0.9, count) * (ring["begin"] - ring["created_at"])[of]).astype(
        np.int64
    )
    accounts: Columns = {
        "account_id": _member(ring["merchant_id"][of], place),
        "country": ring["country"][of],
        "created_at": made,
        "first_name": rng.integers(len(places.FIRST_NAMES), size=count),
        "last_name": rng.integers(len(places.LAST_NAMES), size=count),
        "email_digits": np.where(rng.random(count) < 0.5, rng.integers(1_000, 999_999, count), place + 1),  # noqa: PLR2004
        "email_domain": rng.integers(len(places.DOMAINS), size=count),
        "status": np.zeros(count, dtype=np.int64),
        "deleted": np.zeros(count, dtype=np.bool_),
        "event_time": made,
    }
    at, number = runs(np.full(len(ring["merchant_id"]), _DEVICES))
    devices = new_devices(_member(ring["merchant_id"][at], number), ring["country"][at], 0.2, rng)
    return accounts, devices | {"event_time": ring["begin"][at] - DAY_US}


def _member(merchant: Ints, place: Ints) -> Ints:
    """Number of a ring's account, device or card: far above those of raids."""
    numbers: Ints = HIDDEN + (1 << 36) + (merchant - HIDDEN) * 32 + place
    return numbers


def _bought(world: World, of: Ints, when: Ints, rng: np.random.Generator) -> Columns:
    """Ordinary people pay a rogue; after a bust-out's turn the goods are dear."""
    people, rogues = world.customers, world.rogues
    who, count = draw(people["weight"], rng, len(of)), len(of)
    home = people["country"][who]
    dear = np.where((rogues["kind"][of] == _BUST_OUT) & (when >= rogues["turn"][of]), 3.0, 1.0)
    euros = (
        places.CATEGORY_AMOUNT[rogues["category"][of]] * rogues["typical"][of] * dear * rng.lognormal(-0.1, 0.5, count)
    )
    currency = places.COUNTRY_CURRENCY[home]
    return {
        "account_id": people["account_id"][who],
        "card_id": people["card_1"][who],
        "bin": people["bin_1"][who],
        "device_id": people["device_1"][who],
        "ip": people["home_ip"][who],
        "address_id": people["address_id"][who],
        "amount_minor": minor_amount(euros, currency, rng),
        "currency": currency,
        "billing_country": home,
        "shipping_country": home,
        "ip_country": home,
        "event_time": when,
        "three_ds_share": places.COUNTRY_THREE_DS[home],
        "suspicion": np.zeros(count),
        "decline_share": people["decline"][who],
    }


def _passed(world: World, of: Ints, when: Ints, rng: np.random.Generator) -> Columns:
    """Mules pay their own merchant, in round amounts, from shared devices and one household's network."""
    rogues, count = world.rogues, len(of)
    merchant, home = rogues["merchant_id"][of], rogues["country"][of]
    place = (rng.random(count) * rogues["mules"][of]).astype(np.int64)
    card = (place * 2 + (rng.random(count) < 0.4)) % _CARDS  # noqa: PLR2004
    currency = places.COUNTRY_CURRENCY[home]
    euros = _ROUND[rng.integers(len(_ROUND), size=count)]
    exact = np.rint(euros * places.CURRENCY_MINOR[currency] / 500).astype(np.int64) * 500
    return {
        "account_id": _member(merchant, place),
        "card_id": _member(merchant, card),
        "bin": home * places.BINS_PER_COUNTRY + (merchant + card) % places.BINS_PER_COUNTRY,
        "device_id": _member(merchant, place % _DEVICES),
        "ip": (3_000_000 + (merchant - HIDDEN) % 1_000_000) * 256 + 2 + place % 2,
        "address_id": _member(merchant, place // 3),
        "amount_minor": np.maximum(exact, 500),
        "currency": currency,
        "billing_country": home,
        "shipping_country": home,
        "ip_country": home,
        "event_time": when,
        "three_ds_share": np.full(count, 0.1),
        "suspicion": np.full(count, 0.3),
        "decline_share": np.full(count, 0.06),
    }


def _days(kinds: Ints, spans: dict[int, tuple[float, float]], rng: np.random.Generator) -> Ints:
    low, high = (np.array([spans[kind][side] for kind in kinds.tolist()]) for side in (0, 1))
    days: Ints = ((low + rng.random(len(kinds)) * (high - low)) * DAY_US).astype(np.int64)
    return days
