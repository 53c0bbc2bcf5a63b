"""One day of the simulated world: everything that happens on it, whenever it will arrive."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from jobs.simulate import (
    attacks,
    commerce,
    delivery,
    honest,
    listings,
    logins,
    money,
    outcomes,
    profiles,
    raids,
    rogues,
)
from jobs.simulate.randomness import Columns, Ints, concat, stream, take
from jobs.simulate.schemas import ATTACKS, REASONS, REFUND_REASONS
from jobs.simulate.world import DAY_US, HIDDEN, World

__all__ = ["Happened", "Life"]

Happened = tuple[str, Columns]
"""A table's name and rows of it, with ids and arrival."""
Actors = tuple[str, Ints, Ints, Ints]
"""(kind of actor, numbers, attacks, campaigns)."""


@dataclass(slots=True)
class Life:
    """The world and the merchants' books, from day to day. Each subject draws from its own stream of the day."""

    world: World
    books: money.Books = field(default_factory=money.Books)
    rogue_books: money.Books = field(default_factory=money.Books)
    actors: list[Actors] = field(default_factory=list)
    """Of the campaigns that began since they were last taken."""

    def begin(self) -> Iterator[Happened]:
        """What was so before the first day, and becomes known in its first minute."""
        world, start_us = self.world, self.world.start_us
        yield from profiles.first_arrivals(world, start_us).items()
        rng = stream(world.seed, "rogues")
        for table, columns in rogues.emerge(world, start_us, rng, first=True).items():
            yield table, _arriving(columns, start_us, rng)
        rng = stream(world.seed, "listings")
        offers = concat(listings.offer(world, world.merchants, rng), listings.offer(world, world.rogues, rng))
        yield "listings", _arriving(offers, start_us, rng)

    def live(self, day: int, ds: date) -> Iterator[Happened]:
        """Everything that happens on a day; `day` is 0 for the first."""
        world, day_us = self.world, self.world.start_us + day * DAY_US
        moved = profiles.changes(world, day, day_us)
        rng = stream(world.seed, "delivery", day)
        for table, columns in moved.items():
            yield table, _arrived(columns, rng)
        tried = honest.attempts(world, day_us, ds, stream(world.seed, "honest", day))
        attacking, makers = attacks.campaigns(world, day_us, stream(world.seed, "attacks", day))
        for table, parts in makers.items():
            for columns in parts:
                yield table, _arrived(columns, rng)
        self._note_makers(attacking, makers)
        settled = outcomes.settled(concat(tried, *attacking), stream(world.seed, "outcomes", day))
        settled["payment_id"] = world.allot("payment", len(settled["event_time"]))
        final, fate, rows = _delivered_payments(world, settled, rng)
        yield "payments", rows
        raiding = yield from self._raided(day, day_us)
        raid_final, raid_fate, rows = _delivered_payments(world, raiding, stream(world.seed, "raid_delivery", day))
        yield "payments", rows
        for name, paid, paid_fate in (("disputes", final, fate), ("raid_disputes", raid_final, raid_fate)):
            claims, rows = self._disputes(paid, paid_fate, stream(world.seed, name, day), hidden=paid is raid_final)
            self._owe(claims)
            yield "disputes", rows
        yield from self._people(concat(settled, raiding), moved["accounts"], day, day_us)
        every = concat(final, raid_final)
        yield from self._trade(every, _both(fate, raid_fate), day, day_us)
        merchants = len(world.merchants["merchant_id"])
        for table, columns in profiles.births(world, day, day_us).items():
            yield table, _arrived(columns, rng)
        yield from self._shops(merchants, day, day_us)

    def _raided(self, day: int, day_us: int) -> Generator[Happened, None, Columns]:
        """Raids and rogues: their tables' rows, and their payments as settled."""
        world, seed = self.world, self.world.seed
        rng = stream(seed, "raids", day)
        found = raids.raids(world, day_us, rng)
        for raid in found:
            for table, columns in raid.tables:
                yield table, _once(world, table, columns, rng) if table in _NUMBERED else _arrived(columns, rng)
            code = ATTACKS.index(raid.kind)
            self.actors += [(kind, numbers, np.full(len(numbers), code), of) for kind, numbers, of in raid.actors]
        rng = stream(seed, "rogues", day + 1)
        parts = [raid.attempts for raid in found] + [rogues.sales(world, day_us, rng)]
        settled = outcomes.settled(concat(*parts), stream(seed, "raid_outcomes", day))
        settled["payment_id"] = world.allot_hidden("payment", len(settled["event_time"]))
        turned = rogues.turning(world, day_us, first=day == 0)
        self.actors += rogues.actors(world, turned)
        rows, forbidden, of = listings.turn(world, turned, rng)
        self.actors.append(("listing", forbidden, np.full(len(of), ATTACKS.index("prohibited_goods")), of))
        yield "listings", _arriving(rows, day_us, rng)
        yield "merchants", _arrived(rogues.closed(world, day_us), rng)
        return settled

    def _shops(self, known: int, day: int, day_us: int) -> Iterator[Happened]:
        """New rogues, and what all merchants put up, change and withdraw; the first `known` honest ones are not new."""
        world = self.world
        rng = stream(world.seed, "listings", day + 1)
        yield "listings", _arrived(listings.change(world, day_us, rng), rng)
        rogue_count = len(world.rogues["merchant_id"])
        births = stream(world.seed, "rogue_births", day)
        for table, columns in rogues.emerge(world, day_us, births, first=False).items():
            yield table, _arrived(columns, births)
        for merchants, before in ((world.merchants, known), (world.rogues, rogue_count)):
            born = take(merchants, np.arange(before, len(merchants["merchant_id"])))
            yield "listings", _arrived(listings.offer(world, born, rng), rng)

    def _people(self, settled: Columns, moved: Columns, day: int, day_us: int) -> Iterator[Happened]:
        world = self.world
        rng = stream(world.seed, "logins", day)
        yield "logins", _once(world, "logins", logins.logins(world, settled, day_us, rng), rng)
        rng = stream(world.seed, "changes", day)
        changes = logins.changes(world, moved, day_us, rng)
        yield "account_changes", _once(world, "account_changes", changes, rng)

    def _trade(self, final: Columns, fate: delivery.Plan, day: int, day_us: int) -> Iterator[Happened]:
        """Orders, refunds, tickets, and with them the merchants' money."""
        world = self.world
        rng = stream(world.seed, "orders", day)
        made = commerce.ordered(world, final, fate.ingested_us, fate.voided, rng)
        yield "orders", commerce.orders(made, rng)
        rng = stream(world.seed, "refunds", day)
        first = commerce.refunds(world, made, rng)
        first["refund_id"] = world.allot("refund", len(first["event_time"]))
        refund_fate = delivery.plan(first["event_time"], rng)
        last = delivery.corrected_claims(first, refund_fate, len(REFUND_REASONS), rng)
        yield "refunds", delivery.delivered(first, last, refund_fate, rng)
        self._owe(last)
        rng = stream(world.seed, "tickets", day)
        yield "tickets", _once(world, "tickets", commerce.tickets(world, made, rng), rng)
        yield from self._money(made, day, day_us)

    def _money(self, made: Columns, day: int, day_us: int) -> Iterator[Happened]:
        world = self.world
        rng = stream(world.seed, "money", day)
        cents = money.cents(made["amount_minor"], made["currency"])
        hidden = made["merchant_id"] >= HIDDEN
        for books, merchants, mine, base in (
            (self.books, world.merchants, ~hidden, 0),
            (self.rogue_books, world.rogues, hidden, HIDDEN),
        ):
            books.grow(merchants)
            sold = np.zeros(len(merchants["merchant_id"]), np.int64)
            np.add.at(sold, made["merchant_id"][mine] - base, cents[mine])
            payouts, movements = money.moved(world, books, merchants, sold, day, day_us, rng)
            yield "payouts", _once(world, "payouts", payouts, rng)
            yield "advances", _once(world, "advances", movements, rng)

    def _disputes(
        self, final: Columns, paid: delivery.Plan, rng: np.random.Generator, *, hidden: bool
    ) -> tuple[Columns, Columns]:
        """The disputes that payments will meet, as finally known and as they arrive; a voided payment meets none."""
        disputable = final | {"dispute_share": np.where(paid.voided, 0.0, final["dispute_share"])}
        first = outcomes.disputes(disputable, paid.ingested_us, rng)
        allot = self.world.allot_hidden if hidden else self.world.allot
        first["dispute_id"] = allot("dispute", len(first["event_time"]))
        fate = delivery.plan(first["event_time"], rng)
        last = delivery.corrected_claims(first, fate, len(REASONS), rng)
        return last, delivery.delivered(first, last, fate, rng)

    def _owe(self, claims: Columns) -> None:
        """What refunds and disputes will take from the merchants' balances."""
        hidden = claims["merchant_id"] >= HIDDEN
        days = (claims["event_time"] - self.world.start_us) // DAY_US
        cents = money.cents(claims["amount_minor"], claims["currency"])
        for books, merchants, mine, base in (
            (self.books, self.world.merchants, ~hidden, 0),
            (self.rogue_books, self.world.rogues, hidden, HIDDEN),
        ):
            books.grow(merchants)
            books.owe(claims["merchant_id"][mine] - base, days[mine], cents[mine])

    def _note_makers(self, attacking: list[Columns], makers: dict[str, list[Columns]]) -> None:
        for number, attempts in enumerate(attacking):
            for kind in ("account", "device"):
                numbers = np.unique(makers[f"{kind}s"][number][f"{kind}_id"])
                same = [np.full(len(numbers), attempts[name][0]) for name in ("attack", "campaign")]
                self.actors.append((kind, numbers, same[0], same[1]))


def _delivered_payments(
    world: World, settled: Columns, rng: np.random.Generator
) -> tuple[Columns, delivery.Plan, Columns]:
    """Payments as finally known, their fate, and every row that arrives; each says what its merchant sells, as card messages do."""
    settled = settled | {"merchant_category": world.of_merchants("category", settled["merchant_id"])}
    fate = delivery.plan(settled["event_time"], rng)
    final = delivery.corrected_payments(settled, fate, rng)
    return final, fate, delivery.delivered(settled, final, fate, rng)


def _both(one: delivery.Plan, other: delivery.Plan) -> delivery.Plan:
    names = ("ingested_us", "late", "doubled", "corrected", "voided")
    return delivery.Plan(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})


def _arrived(columns: Columns, rng: np.random.Generator) -> Columns:
    ingested_us, late = delivery.arrived(columns["event_time"], rng)
    return columns | {"ingested_at": ingested_us, "arrival": late.astype(np.int64)}


def _arriving(columns: Columns, day_us: int, rng: np.random.Generator) -> Columns:
    """As `_arrived`, but what happened before the day becomes known in its first minute."""
    old = columns["event_time"] < day_us
    told = day_us + rng.integers(1, 60_000_000, len(old))
    made = _arrived(columns, rng)
    return made | {"ingested_at": np.where(old, told, made["ingested_at"])}


_NUMBERED = {
    "logins": "login", "account_changes": "change", "tickets": "ticket", "payouts": "payout", "advances": "movement",
}  # fmt: skip
"""Tables of events that are never corrected, and what their ids are of."""


def _once(world: World, table: str, columns: Columns, rng: np.random.Generator) -> Columns:
    """Every row that arrives of events that are never corrected, each event with a new number."""
    kind = _NUMBERED[table]
    return delivery.once(columns | {f"{kind}_id": world.allot(kind, len(columns["event_time"]))}, rng)
