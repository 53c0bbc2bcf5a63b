"""Who lives in the simulated world: customers with their cards, devices and habits, and merchants.

The world changes only between days: `population` before the first, then the changes of `profiles`, day by day.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.randomness import Columns, Floats, Ints, stream, traits

__all__ = [
    "DAY_US",
    "FIELDS",
    "HIDDEN",
    "HOSTING_SUBNETS",
    "World",
    "draw",
    "new_customers",
    "new_devices",
    "new_merchants",
    "population",
]

DAY_US: Final = 86_400_000_000
FIELDS: Final = ("password", "email", "phone", "address", "payout_account")
"""What of an account its owner, or somebody else, changes."""

HIDDEN: Final = 1 << 38
"""Numbers from here on belong to raids and rogues, so that what they do leaves the numbers of everybody else as they were."""
HOSTING_SUBNETS: Final = np.arange(100, 108)
"""The /24 networks of hosting firms, from which attacks come again and again."""

CUSTOMERS_AT_SCALE_1: Final = 22_000
MERCHANTS_AT_SCALE_1: Final = 126
_FAVOURITES: Final = 4
_FIRST_HOME_SUBNET: Final = 200
_HOMES_PER_SUBNET: Final = 20
_DROP_ADDRESSES: Final = 1 << 36
_HISTORY_DAYS: Final = 1_000


@dataclass(slots=True, kw_only=True)
class World:
    """Everybody alive, and the next free number of each kind."""

    seed: int
    scale: float
    start_us: int
    """The first day's UTC midnight."""

    customers: Columns
    merchants: Columns
    """Honest ones: the number of each is its position."""

    rogues: Columns = field(default_factory=dict)
    """Merchants of attackers, columns as `merchants`: the number of each is HIDDEN and its position."""

    listings: Columns = field(default_factory=dict)
    """Everything on offer, and what was."""

    next_number: dict[str, int] = field(default_factory=dict)

    def allot(self, kind: str, count: int) -> Ints:
        """`count` numbers of `kind` (account, card, device, …) that nobody had before."""
        first = self.next_number.get(kind, 0)
        self.next_number[kind] = first + count
        return np.arange(first, first + count, dtype=np.int64)

    def allot_hidden(self, kind: str, count: int) -> Ints:
        """`count` numbers of `kind` for raids and rogues."""
        return HIDDEN + self.allot(f"hidden {kind}", count)

    def of_merchants(self, name: str, numbers: Ints) -> Ints:
        """A column of the merchants with these numbers, rogues among them."""
        hidden = numbers >= HIDDEN
        honest = self.merchants[name][np.where(hidden, 0, numbers)]
        if not hidden.any():
            return honest
        return np.where(hidden, self.rogues[name][np.where(hidden, numbers - HIDDEN, 0)], honest)

    def drop_address(self, rng: np.random.Generator) -> int:
        """One of the few addresses to which stolen goods are sent; no customer lives there."""
        return _DROP_ADDRESSES + int(rng.integers(max(4, round(60 * self.scale))))


def population(seed: int, scale: float, start_us: int) -> World:
    """The world at the first day: customers grow with the scale, merchants with its root."""
    rng = stream(seed, "world")
    world = World(seed=seed, scale=scale, start_us=start_us, customers={}, merchants={})
    merchants = max(8, round(MERCHANTS_AT_SCALE_1 * scale**0.5))
    popularity: Floats = np.divide(1.0, rng.permutation(merchants) + 2.0, dtype=np.float64)
    world.merchants = new_merchants(world, popularity, start_us - _ages(rng, merchants), rng)
    customers = max(20, round(CUSTOMERS_AT_SCALE_1 * scale))
    world.customers = new_customers(world, customers, start_us - _ages(rng, customers), rng)
    return world


def new_merchants(world: World, popularity: Floats, created_us: Ints, rng: np.random.Generator) -> Columns:
    """A merchant per popularity: its weight when a customer picks at random."""
    count = len(popularity)
    return {
        "merchant_id": (number := world.allot("merchant", count)),
        "name_number": number.copy(),
        "owner": rng.integers(len(places.LAST_NAMES), size=count),
        "country": rng.choice(len(places.COUNTRIES), count, p=places.COUNTRY_SHARE),
        "category": rng.integers(len(places.CATEGORIES), size=count),
        "risk_tier": rng.choice(3, count, p=[0.7, 0.22, 0.08]),
        "created_at": created_us,
        "deleted": np.zeros(count, dtype=np.bool_),
        "weight": popularity,
        "typical": rng.lognormal(0.0, 0.35, count),
    }


def new_customers(world: World, count: int, created_us: Ints, rng: np.random.Generator) -> Columns:
    """Customers with one or two cards and devices (-1: no second), a home address, and favourite merchants."""
    account = world.allot("account", count)
    country = rng.choice(len(places.COUNTRIES), count, p=places.COUNTRY_SHARE)
    first_bin = country * places.BINS_PER_COUNTRY
    favourites = draw(world.merchants["weight"], rng, count * _FAVOURITES).reshape(count, _FAVOURITES)
    second = rng.random((count, 2)) < (0.4, 0.45)
    columns: Columns = {
        "account_id": account,
        "country": country,
        "card_1": world.allot("card", count),
        "card_2": np.where(second[:, 0], world.allot("card", count), -1),
        "bin_1": first_bin + rng.integers(places.BINS_PER_COUNTRY, size=count),
        "bin_2": first_bin + rng.integers(places.BINS_PER_COUNTRY, size=count),
        "device_1": world.allot("device", count),
        "device_2": np.where(second[:, 1], world.allot("device", count), -1),
        "address_id": account.copy(),
        "home_ip": _home_ips(account, rng),
        "favourites": favourites,
        # Zipf-like without a single person who buys all day: the busiest has some ten payments a day.
        "weight": (rng.random(count) + 0.01) ** -0.7,
        "spending": rng.lognormal(0.0, 0.4, count),
        "decline": np.clip(rng.lognormal(np.log(0.06), 0.6, count), 0.01, 0.6),
        "app_share": rng.beta(1.5, 2.0, count),
        "created_at": created_us,
        "first_name": rng.integers(len(places.FIRST_NAMES), size=count),
        "last_name": rng.integers(len(places.LAST_NAMES), size=count),
        "email_digits": rng.integers(1, 99, count),
        "email_domain": rng.choice(len(places.DOMAINS), count, p=[0.45, 0.2, 0.1, 0.1, 0.13, 0.01, 0.01]),
        "changed": np.zeros((count, len(FIELDS)), dtype=np.int64),
        "status": np.zeros(count, dtype=np.int64),
        "deleted": np.zeros(count, dtype=np.bool_),
    }
    # Birth years and phone numbers: one honest customer in sixteen writes digits as those do who hide.
    many = traits("digits", account, seed=world.seed)
    columns["email_digits"] = np.where(many < 0.06, 1_950 + (many * 9e6).astype(np.int64), columns["email_digits"])  # noqa: PLR2004
    _form_households(columns, rng)
    return columns


def new_devices(numbers: Ints, country: Ints, emulator_share: float, rng: np.random.Generator) -> Columns:
    """The profiles of devices that appear now."""
    count = len(numbers)
    model = rng.integers(len(places.MODELS), size=count)
    system = np.array([0, 0, 2, 2, 4, 5])[model] + np.where(model < 4, rng.integers(2, size=count), 0)  # noqa: PLR2004
    return {
        "device_id": numbers,
        "os": system,
        "model": model,
        "first_country": country,
        "emulator": rng.random(count) < emulator_share,
        "deleted": np.zeros(count, dtype=np.bool_),
    }


def draw(weights: Floats, rng: np.random.Generator, count: int) -> Ints:
    """Positions drawn with replacement in proportion to their weights."""
    totals = np.cumsum(weights)
    positions: Ints = np.searchsorted(totals, rng.random(count) * totals[-1], side="right").astype(np.int64)
    return positions


def _ages(rng: np.random.Generator, count: int) -> Ints:
    return (rng.random(count) * _HISTORY_DAYS * DAY_US).astype(np.int64) + 1


def _home_ips(account: Ints, rng: np.random.Generator) -> Ints:
    ips: Ints = (_FIRST_HOME_SUBNET + account // _HOMES_PER_SUBNET) * 256 + rng.integers(2, 254, len(account))
    return ips


def _form_households(columns: Columns, rng: np.random.Generator) -> None:
    """One customer in twenty lives with another one: same country, address, home network and shared second device."""
    count = len(columns["account_id"])
    guests = np.flatnonzero(rng.random(count) < 0.05)  # noqa: PLR2004
    hosts = rng.integers(count, size=len(guests))
    for name in ("country", "address_id", "home_ip"):
        columns[name][guests] = columns[name][hosts]
    columns["device_2"][guests] = columns["device_1"][hosts]
    for name in ("bin_1", "bin_2"):
        columns[name][guests] = columns[name][hosts]
