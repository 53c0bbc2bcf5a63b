"""The landing tables' columns, and how numbers of the simulation become their Arrow values."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulate import places, wares
from jobs.simulate.randomness import Columns, identifiers, ip_addresses
from jobs.simulate.world import FIELDS

__all__ = [
    "ARRIVALS",
    "ATTACKS",
    "BOOKKEEPING",
    "DECLINES",
    "ID_KINDS",
    "MOVEMENTS",
    "POLICIES",
    "REASONS",
    "REFUND_REASONS",
    "SCHEMAS",
    "SEVERITIES",
    "STAGES",
    "STATUSES",
    "TOPICS",
    "columns_of",
    "encode",
    "repeating",
]

STATUSES: Final = ("approved", "declined", "blocked")
DECLINES: Final = (
    "insufficient_funds", "do_not_honor", "expired_card", "incorrect_cvc", "issuer_unavailable", "lost_or_stolen",
    "reversed",
)  # fmt: skip
POLICIES: Final = ("block_at_80", "block_at_60")
REASONS: Final = ("fraud", "not_received", "not_as_described", "duplicate", "credit_not_processed")
STAGES: Final = ("report", "chargeback")
REFUND_REASONS: Final = ("returned", "not_received", "cancelled", "goodwill", "duplicate")
TOPICS: Final = (
    "late_delivery", "not_received", "not_as_described", "quality", "billing", "account_access", "prohibited_item",
)  # fmt: skip
SEVERITIES: Final = ("low", "medium", "high")
MOVEMENTS: Final = ("granted", "repaid", "missed", "written_off")
ATTACKS: Final = (
    "none", "card_testing", "stolen_card", "account_takeover", "friendly_fraud", "promotion_abuse", "bust_out",
    "collusion_ring", "prohibited_goods",
)  # fmt: skip
ARRIVALS: Final = ("ordinary", "late", "doubled", "corrected", "voided")
BOOKKEEPING: Final = ("attack", "campaign", "arrival")
"""Columns that never reach a landing file: they are the truth about a row."""

_INSTANT: Final = pa.timestamp("us", tz="UTC")


def _schema(text: str = "", /, **types: pa.DataType) -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in text.split()), *types.items()])


_INSTANTS: Final = {"event_time": _INSTANT, "ingested_at": _INSTANT}
_VERSIONS: Final = {"version": pa.int64(), "voided": pa.bool_()}

SCHEMAS: Final = {
    "payments": pa.schema(
        [
            *_schema("payment_id account_id card_id bin device_id ip email_id merchant_id address_id"),
            *_schema(amount_minor=pa.int64()),
            *_schema("merchant_category currency channel billing_country shipping_country ip_country"),
            *_schema(three_ds=pa.bool_()),
            *_schema("status decline_code"),
            *_schema(score=pa.float64()),
            *_schema("policy"),
            *_schema(explored=pa.bool_(), **_VERSIONS, **_INSTANTS),
        ]
    ),
    "disputes": _schema("dispute_id payment_id reason stage", amount_minor=pa.int64(), **_VERSIONS, **_INSTANTS),
    "accounts": pa.schema(
        [
            *_schema("account_id country"),
            *_schema(created_at=_INSTANT),
            *_schema("name email_local email_domain status", deleted=pa.bool_(), **_INSTANTS),
        ]
    ),
    "devices": _schema("device_id os model first_country", emulator=pa.bool_(), deleted=pa.bool_(), **_INSTANTS),
    "merchants": pa.schema(
        [
            *_schema("merchant_id name country category"),
            *_schema(created_at=_INSTANT),
            *_schema("risk_tier", deleted=pa.bool_(), **_INSTANTS),
        ]
    ),
    "refunds": _schema("refund_id payment_id reason", amount_minor=pa.int64(), **_VERSIONS, **_INSTANTS),
    "logins": _schema(
        "login_id account_id device_id ip", lat=pa.float64(), lon=pa.float64(), success=pa.bool_(), **_INSTANTS
    ),
    "account_changes": _schema("change_id account_id field old_hash new_hash", **_INSTANTS),
    "orders": _schema(
        "order_id payment_id merchant_id address_id",
        promised_at=_INSTANT, delivered_at=_INSTANT, items=pa.int64(), **_VERSIONS, **_INSTANTS,
    ),
    "tickets": _schema("ticket_id merchant_id account_id topic severity", **_INSTANTS),
    "payouts": _schema(
        "payout_id merchant_id payout_account_id currency",
        amount_minor=pa.int64(), balance_minor=pa.int64(), **_INSTANTS,
    ),
    "advances": _schema(
        "movement_id advance_id merchant_id movement currency",
        amount_minor=pa.int64(), balance_minor=pa.int64(), repaid_minor=pa.int64(), due_at=_INSTANT,
        days_past_due=pa.int64(), **_INSTANTS,
    ),
    "listings": _schema(
        "listing_id merchant_id title category currency", price_minor=pa.int64(), deleted=pa.bool_(), **_INSTANTS
    ),
}  # fmt: skip
"""Every field may be null, as in a file from elsewhere; the simulator itself leaves only `decline_code` and `delivered_at` null."""

ID_KINDS: Final = {
    "payment_id": "pay",
    "account_id": "acc",
    "card_id": "card",
    "device_id": "dev",
    "email_id": "em",
    "merchant_id": "mer",
    "address_id": "adr",
    "dispute_id": "dsp",
    "refund_id": "ref",
    "login_id": "log",
    "change_id": "chg",
    "old_hash": "val",
    "new_hash": "val",
    "order_id": "ord",
    "ticket_id": "tck",
    "payout_id": "pyo",
    "payout_account_id": "pac",
    "advance_id": "adv",
    "movement_id": "mov",
    "listing_id": "lst",
}
"""Column to the prefix of its ids."""

_ACCOUNT_STATUSES: Final = ("active", "limited", "closed")
_BINS: Final = tuple(
    str(400_000 + number * 7_919 % 200_000) for number in range(len(places.COUNTRIES) * places.BINS_PER_COUNTRY)
)
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "bin": _BINS,
    "currency": places.CURRENCIES,
    "channel": places.CHANNELS,
    "billing_country": places.COUNTRIES,
    "shipping_country": places.COUNTRIES,
    "ip_country": places.COUNTRIES,
    "country": places.COUNTRIES,
    "first_country": places.COUNTRIES,
    "status": STATUSES,
    "decline_code": DECLINES,
    "policy": POLICIES,
    "reason": REASONS,
    "field": FIELDS,
    "topic": TOPICS,
    "severity": SEVERITIES,
    "movement": MOVEMENTS,
    "title": wares.TITLES,
    "stage": STAGES,
    "email_domain": places.DOMAINS,
    "os": places.SYSTEMS,
    "model": places.MODELS,
    "category": places.CATEGORIES,
    "merchant_category": places.CATEGORIES,
    "risk_tier": places.TIERS,
}

_PARTS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("accounts", "name"): ("first_name", "last_name"),
    ("accounts", "email_local"): ("first_name", "last_name", "email_digits"),
    ("merchants", "name"): ("owner", "category", "name_number"),
}
"""Columns that are put together from others."""

_OWN_NAMES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("accounts", "status"): _ACCOUNT_STATUSES,
    ("refunds", "reason"): REFUND_REASONS,
}
"""Where a column's names are not those of the same column elsewhere."""


def columns_of(table: str) -> tuple[str, ...]:
    """What of the simulation's columns a table's rows are made from, and the bookkeeping columns that it has."""
    own = tuple(part for name in SCHEMAS[table].names for part in _PARTS.get((table, name), (name,)))
    return (*dict.fromkeys(own), *(BOOKKEEPING if table == "payments" else ("arrival",)))


def repeating(table: str) -> list[str]:
    """Its columns of few values."""
    return [name for name in SCHEMAS[table].names if name in _NAMES or name == "merchant_id"]


def encode(table: str, columns: Columns, seed: int) -> pa.Table:
    """The Arrow table of a landing file. Codes index the names of their column; a negative code is null."""
    schema = SCHEMAS[table]
    return pa.table([_array(table, field, columns, seed) for field in schema], schema=schema)


def _array(table: str, field: pa.Field, columns: Columns, seed: int) -> pa.Array:
    name = field.name
    if (table, name) in _PARTS:
        return _composed(table, name, columns)
    values = columns[name]
    if name in ID_KINDS:
        return identifiers(ID_KINDS[name], values, seed)
    if name in _NAMES:
        return _named(_OWN_NAMES.get((table, name), _NAMES[name]), values)
    if name == "ip":
        return ip_addresses(values)
    return pa.array(values, mask=values < 0 if name == "delivered_at" else None).cast(field.type)


def _composed(table: str, name: str, columns: Columns) -> pa.Array:
    if name == "email_local":
        return _email_locals(columns)
    return _account_names(columns) if table == "accounts" else _merchant_names(columns)


def _named(names: tuple[str, ...], codes: npt.NDArray[Any]) -> pa.Array:
    return pa.array(names).take(pa.array(codes, mask=codes < 0))


def _account_names(columns: Columns) -> pa.Array:
    first, last = _named(places.FIRST_NAMES, columns["first_name"]), _named(places.LAST_NAMES, columns["last_name"])
    return pc.binary_join_element_wise(first, last, " ")


def _email_locals(columns: Columns) -> pa.Array:
    """First name, last name and digits; people who hide write more digits."""
    first, last = _named(places.FIRST_NAMES, columns["first_name"]), _named(places.LAST_NAMES, columns["last_name"])
    digits = pa.array(columns["email_digits"]).cast(pa.string())
    return pc.utf8_lower(pc.binary_join_element_wise(first, ".", last, digits, ""))


def _merchant_names(columns: Columns) -> pa.Array:
    owner = _named(places.LAST_NAMES, columns["owner"])
    number = pa.array(columns["name_number"].astype(np.int64)).cast(pa.string())
    return pc.binary_join_element_wise(owner, _named(places.CATEGORIES, columns["category"]), number, " ")
