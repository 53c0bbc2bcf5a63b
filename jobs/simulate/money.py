"""Money to merchants: what they are owed and paid out, and what was lent to them and comes back from their sales.

The books are kept in euro cents; a row is in the currency of the merchant's country.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from jobs.simulate import places
from jobs.simulate.randomness import Columns, Floats, Ints, concat, traits
from jobs.simulate.schemas import ATTACKS, MOVEMENTS
from jobs.simulate.world import DAY_US, HIDDEN, World

__all__ = ["Books", "cents", "moved"]

_HOUR_US: Final = 3_600_000_000
_KEPT: Final = 0.029
"""The platform's fee, of every sale."""
_RESERVES: Final = np.array([0.0, 0.05, 0.15])
"""Held back of each payout, by risk tier."""
_LEAST_PAYOUT: Final = 2_000
_DAILY_SHARE: Final = 0.3
"""Of merchants, paid out daily; the others on one day of the week."""
_NEW_ACCOUNT: Final = 0.0006
"""The share of merchants who name another payout account on a day."""
_GRANTED: Final = 0.008
"""The share of merchants without an advance who take one on a day."""
_FEE: Final = 1.1
_FROM_SALES: Final = 0.12
"""Of a week's sales goes to the advance."""
_ENOUGH: Final = 0.5
"""Of an instalment; less than that is a missed one."""
_WEEK_US: Final = 7 * DAY_US
_GIVEN_UP: Final = 13
"""Instalments missed in a row after which an advance is written off: some 90 days."""
_AHEAD: Final = 256
"""Days ahead that refunds and disputes of a sale may lie; they come at most 190 days after it."""


@dataclass(slots=True)
class Books:
    """Per merchant of one world's table (honest ones, or rogues), in its order; grown as merchants are born."""

    columns: Columns = field(default_factory=dict)
    owed: Ints = field(default_factory=lambda: np.zeros((0, _AHEAD), np.int64))
    """What refunds and disputes will take, by day modulo _AHEAD."""

    def grow(self, merchants: Columns) -> None:
        """Room for all merchants of the table."""
        number = merchants["merchant_id"][len(self.owed) :]
        count = len(number)
        zero, none = np.zeros(count, np.int64), np.full(count, -1)
        fresh: Columns = {
            "account": number % HIDDEN * 64 + (number >= HIDDEN) * (HIDDEN >> 1), "balance": zero, "usual": np.zeros(count), "advance": none, "left": zero,
            "repaid": zero, "due": zero, "week": zero, "missed": zero, "instalment": zero,
        }  # fmt: skip
        fresh = {name: values.copy() for name, values in fresh.items()}
        self.columns = concat(self.columns, fresh) if self.columns else fresh
        self.owed = np.concatenate([self.owed, np.zeros((count, _AHEAD), np.int64)])

    def owe(self, position: Ints, day: Ints, amount: Ints) -> None:
        """Takes `amount` from the merchants' balances on those days."""
        np.add.at(self.owed, (position, day % _AHEAD), amount)


def cents(amount_minor: Ints, currency: Ints) -> Ints:
    """Euro cents of amounts in minor units."""
    euro_cents: Ints = np.rint(amount_minor / places.CURRENCY_MINOR[currency] * 100.0).astype(np.int64)
    return euro_cents


def moved(
    world: World, books: Books, merchants: Columns, sold: Ints, day: int, day_us: int, rng: np.random.Generator
) -> tuple[Columns, Columns]:  # fmt: skip
    """The day's payouts and movements of advances, without ids (but the advance's own) and without arrival.

    Args:
        world: Gives the numbers of advances.
        books: Of these merchants; changed in place.
        merchants: Of the world, honest ones or rogues: those are paid out daily, and repay nothing once they turned.
        sold: The day's sales of each, euro cents.
        day: 0 is the first.
        day_us: Its UTC midnight.
        rng: The day's, for these merchants.
    """
    books.grow(merchants)
    kept, count, rogue = books.columns, len(sold), "turn" in merchants
    lots = rng.random((7, count))
    kept["balance"] += (sold * (1.0 - _KEPT)).astype(np.int64) - books.owed[:, day % _AHEAD]
    books.owed[:, day % _AHEAD] = 0
    kept["week"] += sold
    kept["usual"] += (0.5 if day == 0 else 0.1) * (sold - kept["usual"])
    alive = ~merchants["deleted"]
    willing = alive & (merchants["turn"] > day_us) if rogue else alive
    repaid = _repayments(kept, merchants, willing, day_us)
    granted = _grants(world, kept, merchants, willing, day_us, lots)
    renamed = alive & (lots[0] < _NEW_ACCOUNT)
    kept["account"] += renamed
    weekday = (traits("payday", merchants["merchant_id"], world.seed) / (1.0 - _DAILY_SHARE) * 7).astype(np.int64)
    today = alive & (rogue | (weekday >= 7) | (weekday == day % 7))  # noqa: PLR2004
    paid = today & (kept["balance"] > _LEAST_PAYOUT)
    amount = (kept["balance"] * (1.0 - _RESERVES[merchants["risk_tier"]])).astype(np.int64)
    kept["balance"] -= np.where(paid, amount, 0)
    rows = np.flatnonzero(paid)
    payouts = {
        "merchant_id": merchants["merchant_id"][rows],
        "payout_account_id": kept["account"][rows],
        **_minor(merchants["country"][rows], amount_minor=amount[rows], balance_minor=kept["balance"][rows]),
        "event_time": day_us + 22 * _HOUR_US + (lots[1, rows] * _HOUR_US).astype(np.int64),
    }
    return payouts, concat(repaid, granted)


def _repayments(kept: Columns, merchants: Columns, willing: np.ndarray, day_us: int) -> Columns:
    """The instalments that are due: repaid, missed, or after a quarter of a year given up."""
    rows = np.flatnonzero((kept["advance"] >= 0) & (kept["due"] < day_us + DAY_US))
    share = np.minimum((kept["week"][rows] * _FROM_SALES).astype(np.int64), kept["left"][rows])
    enough = willing[rows] & (share >= np.minimum(kept["instalment"][rows] * _ENOUGH, kept["left"][rows]))
    pay = np.where(enough, share, 0)
    kept["left"][rows] -= pay
    kept["repaid"][rows] += pay
    kept["balance"][rows] -= pay
    kept["missed"][rows] = np.where(enough, 0, kept["missed"][rows] + 1)
    missed = kept["missed"][rows]
    lost = missed >= _GIVEN_UP
    due = kept["due"][rows].copy()
    kept["due"][rows] += _WEEK_US
    kept["week"][rows] = 0
    movement = np.select(
        [lost, enough], [MOVEMENTS.index("written_off"), MOVEMENTS.index("repaid")], MOVEMENTS.index("missed")
    )
    made = _movements(kept, merchants, rows, movement, np.where(lost, kept["left"][rows], pay), due + 18 * _HOUR_US)
    made["days_past_due"] = np.where(missed > 0, missed * 7 - 6, 0)
    kept["advance"][rows[lost | (kept["left"][rows] == 0)]] = -1
    return made


def _grants(world: World, kept: Columns, merchants: Columns, willing: np.ndarray, day_us: int, lots: Floats) -> Columns:
    """New advances: a fifth to four fifths of a month's sales and a tenth on top, over 12 to 26 weeks."""
    chance = np.full(len(willing), _GRANTED)
    if "turn" in merchants:  # these are rogues
        # Who is about to leave borrows first.
        leaving = merchants["turn"] - day_us < 6 * DAY_US
        chance = np.where(leaving & (merchants["kind"] == ATTACKS.index("bust_out")), 0.3, 0.0)
    rows = np.flatnonzero(willing & (kept["advance"] < 0) & (kept["usual"] > 1_000) & (lots[2] < chance))  # noqa: PLR2004
    principal = (kept["usual"][rows] * 30 * (0.2 + 0.6 * lots[3, rows])).astype(np.int64)
    weeks = 12 + (lots[4, rows] * 15).astype(np.int64)
    when = day_us + 9 * _HOUR_US + (lots[5, rows] * 8 * _HOUR_US).astype(np.int64)
    kept["advance"][rows] = world.allot("advance", len(rows))
    kept["left"][rows] = (principal * _FEE).astype(np.int64)
    kept["instalment"][rows] = kept["left"][rows] // weeks
    kept["balance"][rows] += principal
    kept["due"][rows] = when + _WEEK_US
    for name in ("repaid", "week", "missed"):
        kept[name][rows] = 0
    made = _movements(kept, merchants, rows, np.full(len(rows), MOVEMENTS.index("granted")), principal, when)
    return made | {"days_past_due": np.zeros(len(rows), np.int64)}


def _movements(kept: Columns, merchants: Columns, rows: Ints, movement: Ints, amount: Ints, when: Ints) -> Columns:
    return {
        "advance_id": kept["advance"][rows],
        "merchant_id": merchants["merchant_id"][rows],
        "movement": movement,
        **_minor(
            merchants["country"][rows],
            amount_minor=amount, balance_minor=kept["left"][rows], repaid_minor=kept["repaid"][rows],
        ),
        "due_at": kept["due"][rows],
        "event_time": when,
    }  # fmt: skip


def _minor(country: Ints, **amounts: Ints) -> Columns:
    """The amounts in minor units of the country's currency, and the currency."""
    currency = places.COUNTRY_CURRENCY[country]
    rate = places.CURRENCY_MINOR[currency] / 100.0
    made: Columns = {name: np.rint(amount * rate).astype(np.int64) for name, amount in amounts.items()}
    return made | {"currency": currency}
