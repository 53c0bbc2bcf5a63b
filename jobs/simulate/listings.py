"""Merchants' listings: what they offer, one row per change of title or price, and what a prohibited shop puts up when it turns."""

from typing import Final

import numpy as np

from jobs.simulate import places, wares
from jobs.simulate.randomness import Columns, Floats, Ints, concat, moments, runs, take, traits
from jobs.simulate.schemas import ATTACKS
from jobs.simulate.world import World

__all__ = ["change", "offer", "turn"]

_REPRICED, _RENAMED, _WITHDRAWN = 0.008, 0.0015, 0.0008
"""Shares of listings a day, of a merchant who changes little; the busiest changes five times as much."""
_FORBIDDEN: Final = 0.6
"""The share of a prohibited shop's listings that it replaces when it turns."""


def offer(world: World, merchants: Columns, rng: np.random.Generator) -> Columns:
    """Puts up 5 to 30 listings of each of these merchants, at their beginning, and gives the rows without arrival."""
    of, _ = runs(rng.integers(5, 31, len(merchants["merchant_id"])))
    count, category = len(of), merchants["category"][of]
    title = wares.FIRST_TITLE[category] + rng.integers(wares.TITLES_PER_CATEGORY, size=count)
    euros = places.CATEGORY_AMOUNT[category] * merchants["typical"][of] * rng.lognormal(-0.1, 0.5, count)
    currency = places.COUNTRY_CURRENCY[merchants["country"][of]]
    fresh: Columns = {
        "listing_id": world.allot("listing", count),
        "merchant_id": merchants["merchant_id"][of],
        "title": title,
        "category": category,
        "currency": currency,
        "price_minor": _prices(euros, currency),
        "deleted": np.zeros(count, dtype=np.bool_),
    }
    world.listings = concat(world.listings, fresh) if world.listings else fresh
    return fresh | {"event_time": merchants["created_at"][of]}


def change(world: World, day_us: int, rng: np.random.Generator) -> Columns:
    """Prices that move, titles that are written anew, listings that end; rows of one day without arrival."""
    offers = world.listings
    busy = 1.0 + 4.0 * traits("churn", offers["merchant_id"], world.seed) ** 4
    alive, lot = ~offers["deleted"], rng.random(len(busy)) / busy
    limits = np.cumsum([_REPRICED, _RENAMED, _WITHDRAWN])
    repriced, renamed = alive & (lot < limits[0]), alive & (lot >= limits[0]) & (lot < limits[1])
    gone = alive & (lot >= limits[1]) & (lot < limits[2])
    factor = np.where(rng.random(len(lot)) < 0.1, rng.uniform(0.5, 2.0, len(lot)), rng.uniform(0.9, 1.12, len(lot)))  # noqa: PLR2004
    offers["price_minor"] = np.where(repriced, _moved(offers["price_minor"], factor), offers["price_minor"])
    # A shop that sells what it must not does not go back to what it may.
    honest = renamed & (offers["title"] < wares.FIRST_PROHIBITED)
    another = wares.FIRST_TITLE[offers["category"]] + rng.integers(wares.TITLES_PER_CATEGORY, size=len(lot))
    offers["title"] = np.where(honest, another, offers["title"])
    offers["deleted"] = offers["deleted"] | gone
    rows = np.flatnonzero(repriced | honest | gone)
    return take(offers, rows) | {"event_time": moments(rng, day_us, len(rows))}


def turn(world: World, which: Ints, rng: np.random.Generator) -> tuple[Columns, Ints, Ints]:
    """What the rogues at these positions change when they turn, without arrival; then numbers and campaigns of forbidden listings.

    A bust-out halves prices of half of what it offers; a prohibited shop replaces most of it.
    """
    offers, rogues = world.listings, world.rogues
    found = np.flatnonzero(np.isin(offers["merchant_id"], rogues["merchant_id"][which]) & ~offers["deleted"])
    at = np.searchsorted(rogues["merchant_id"], offers["merchant_id"][found])
    kind, lot = rogues["kind"][at], rng.random(len(found))
    banned = (kind == ATTACKS.index("prohibited_goods")) & (lot < _FORBIDDEN)
    cheap = (kind == ATTACKS.index("bust_out")) & (lot < 0.5)  # noqa: PLR2004
    wording = wares.FIRST_PROHIBITED + rng.integers(len(wares.TITLES) - wares.FIRST_PROHIBITED, size=len(found))
    offers["title"][found[banned]] = wording[banned]
    offers["price_minor"][found[cheap]] = _moved(offers["price_minor"][found[cheap]], np.full(int(cheap.sum()), 0.5))
    rows = banned | cheap
    when = np.maximum(rogues["turn"][at[rows]], rogues["created_at"][at[rows]])
    forbidden = found[banned]
    return (
        take(offers, found[rows]) | {"event_time": when},
        offers["listing_id"][forbidden],
        rogues["scheme"][at[banned]],
    )


def _prices(euros: Floats, currency: Ints) -> Ints:
    """Whole minor units that end on 9."""
    prices: Ints = np.maximum(np.rint(euros * places.CURRENCY_MINOR[currency] / 10).astype(np.int64) * 10 - 1, 9)
    return prices


def _moved(prices: Ints, factor: Floats) -> Ints:
    moved: Ints = np.maximum(np.rint(prices * factor).astype(np.int64), 1)
    return moved
