"""Payments and the truth about them: which are learned from, which are held back, and whose each is. Arrow and numpy, no Spark."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.names import utc
from features.errors import InputError
from features.values.sampling import placed
from jobs.report.plan import Plan
from jobs.simulate import places

__all__ = ["HELD_BACK", "HONEST", "PAYMENT", "READS", "TRAIN", "asked", "in_euros", "with_truth"]

Array = np.ndarray
HONEST = "honest"
TRAIN, HELD_BACK = "train", "held back"
READS = (
    "account_id", "card_id", "merchant_id", "bin", "device_id", "ip", "network", "email_id", "address_id", "amount_minor", "merchant_category", "currency", "channel", "billing_country", "shipping_country", "ip_country", "three_ds", "status",
)  # fmt: skip
"""Columns of payments that a report reads, beside their id and instant."""
PAYMENT = (
    "amount_eur", "merchant_category", "currency", "channel", "billing_country", "shipping_country", "ip_country", "three_ds", "bin", "hour", "weekday", "ip_elsewhere", "shipped_elsewhere",
)  # fmt: skip
"""What a payment says of itself. Its status, its score and ids are none of it: the first is the answer of others, the last only names."""

_MINOR = dict(zip(places.CURRENCIES, places.CURRENCY_MINOR.tolist(), strict=True))
_OUTCOME = ("label", "label_known_at", "label_mature")
_UNKNOWN_AT_MOST = 0.05
_SHOWN = 3


def with_truth(events: pa.Table, truth: pa.Table) -> tuple[pa.Table, dict[str, object]]:
    """Payments with `attack` (honest where there is none) and `cluster`, by which rows hang together: a campaign, or an honest account.

    Args:
        events: payments that stand: payment_id, event_timestamp and the columns of READS.
        truth: payment_id, attack, campaign.

    Returns:
        The payments in their order, and of the truth's payments that are not among them the `count` and a few as `shown`: voided, or in quarantine.

    Raises:
        InputError: the truth is of other payments.
    """
    unknown = truth["payment_id"].filter(
        pc.invert(pc.is_in(truth["payment_id"], events["payment_id"].combine_chunks()))
    )
    shown = unknown.slice(0, _SHOWN).to_pylist()
    if len(unknown) > _UNKNOWN_AT_MOST * len(truth):
        msg = (
            f"The truth names {len(unknown):,} attack payments of {len(truth):,} that this home does not have, for instance {', '.join(shown)}. "
            "Give the folder whose files were ingested here, and ingest all its days."
        )
        raise InputError(msg)
    place = pc.index_in(events["payment_id"], truth["payment_id"].combine_chunks()).combine_chunks()
    attack = pc.fill_null(truth["attack"].combine_chunks().take(place), HONEST)
    campaign = truth["campaign"].combine_chunks().take(place).cast(pa.string())
    own = pc.binary_join_element_wise("account", events["account_id"].combine_chunks(), ":")
    cluster = pc.coalesce(pc.binary_join_element_wise("campaign", campaign, ":"), own)
    made = events.append_column("attack", attack).append_column("cluster", cluster)
    return made, {"count": len(unknown), "shown": shown}


def asked(plan: Plan, events: pa.Table) -> pa.Table:
    """The payments whose features are needed, with `part`, `weight` and what each says of itself, by time and id.

    All attacks, and a share of the honest payments of each part, which `weight` undoes.

    Raises:
        InputError: a part has no payments, or no attacks.
    """
    time = _micros(events)
    held = (time >= plan.held_back) & (time < plan.end)
    train = (time >= plan.start) & (time < plan.train_end)
    attack = _is_attack(events)
    share = np.where(held, plan.judged, plan.honest)
    taken = attack | (placed(events["payment_id"], plan.seed, "report") < share)
    _refuse_empty(plan, time, attack, train, held)
    part = np.where(held, HELD_BACK, TRAIN)
    weight = np.where(attack, 1.0, 1 / share)
    made = events.append_column("part", pa.array(part)).append_column("weight", pa.array(weight))
    chosen = made.filter(pa.array((held | train) & taken)).drop_columns(
        [name for name in _OUTCOME if name in made.column_names]
    )
    return _own(chosen).sort_by([("event_timestamp", "ascending"), ("payment_id", "ascending")])


def in_euros(rows: pa.Table) -> Array:
    """Each payment's amount in euros, by the simulator's own fixed rates.

    Raises:
        InputError: a currency has none.
    """
    currency = rows["currency"].combine_chunks()
    if strange := sorted({str(text) for text in pc.unique(currency).to_pylist() if text not in _MINOR}):
        msg = f"The simulator has no rate for {', '.join(strange[:_SHOWN])}, so those payments are worth nothing that can be told. It has {', '.join(_MINOR)}."
        raise InputError(msg)
    rates = np.array([_MINOR[text] for text in _MINOR])
    place = pc.index_in(currency, pa.array(list(_MINOR))).to_numpy(zero_copy_only=False)
    return np.asarray(rows["amount_minor"].to_numpy() / rates[place.astype(np.int64)])


def _own(rows: pa.Table) -> pa.Table:
    """The rows with the columns of PAYMENT that are not there yet."""
    stamps = rows["event_timestamp"]
    elsewhere = {
        name: pc.not_equal(rows["billing_country"], rows[column]) for name, column in (("ip_elsewhere", "ip_country"), ("shipped_elsewhere", "shipping_country"))
    }  # fmt: skip
    made = {
        "amount_eur": pa.array(in_euros(rows)), "hour": pc.hour(stamps), "weekday": pc.day_of_week(stamps), **elsewhere,
    }  # fmt: skip
    for name, column in made.items():
        rows = rows.append_column(name, column)
    return rows


def _refuse_empty(plan: Plan, time: Array, attack: Array, train: Array, held: Array) -> None:
    parts = (
        ("learn from", train, plan.start, plan.train_end), ("judge by, held back", held, plan.held_back, plan.end)
    )  # fmt: skip
    there = f"from {_day(int(time.min()))} to {_day(int(time.max()))}" if len(time) else "none"
    for what, part, start, end in parts:
        edges = f"from {_day(start)} on, before {_day(end)}"
        if not part.any():
            msg = f"There are no payments to {what}: {edges}. The payments there are: {there}. Take other days."
            raise InputError(msg)
        if not (part & attack).any():
            msg = f"None of the {int(part.sum()):,} payments to {what} ({edges}) is an attack. Take a longer span, or simulate at a larger scale."
            raise InputError(msg)


def _is_attack(rows: pa.Table) -> Array:
    return np.asarray(pc.not_equal(rows["attack"], HONEST).to_numpy(zero_copy_only=False))


def _micros(rows: pa.Table) -> Array:
    return np.asarray(rows["event_timestamp"].cast(pa.int64()).to_numpy())


def _day(instant: int) -> str:
    return f"{utc(instant):%Y-%m-%d %H:%M}"
