"""The landing tables' columns, and how numbers of the simulation become their Arrow values."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulate import places
from jobs.simulate.randomness import Columns, identifiers, ip_addresses

__all__ = [
    "ARRIVALS",
    "ATTACKS",
    "BOOKKEEPING",
    "DECLINES",
    "POLICIES",
    "REASONS",
    "SCHEMAS",
    "STAGES",
    "STATUSES",
    "encode",
]

STATUSES: Final = ("approved", "declined", "blocked")
DECLINES: Final = (
    "insufficient_funds", "do_not_honor", "expired_card", "incorrect_cvc", "issuer_unavailable", "lost_or_stolen",
    "reversed",
)  # fmt: skip
POLICIES: Final = ("block_at_80", "block_at_60")
REASONS: Final = ("fraud", "not_received", "not_as_described", "duplicate", "credit_not_processed")
STAGES: Final = ("report", "chargeback")
ATTACKS: Final = ("none", "card_testing", "stolen_card")
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
            *_schema("currency channel billing_country shipping_country ip_country"),
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
}
"""Every field may be null, as in a file from elsewhere; the simulator itself leaves only `decline_code` null."""

_IDS: Final = {
    "payment_id": "pay",
    "account_id": "acc",
    "card_id": "card",
    "device_id": "dev",
    "email_id": "em",
    "merchant_id": "mer",
    "address_id": "adr",
    "dispute_id": "dsp",
}
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
    "stage": STAGES,
    "email_domain": places.DOMAINS,
    "os": places.SYSTEMS,
    "model": places.MODELS,
    "category": places.CATEGORIES,
    "risk_tier": places.TIERS,
}


def encode(table: str, columns: Columns, seed: int) -> pa.Table:
    """The Arrow table of a landing file, with the bookkeeping columns behind the declared ones where there are any.

    Codes index the names of their column; a negative code is null.
    """
    schema = SCHEMAS[table]
    arrays = [_array(table, field, columns, seed) for field in schema]
    extra = [name for name in BOOKKEEPING if name in columns]
    return pa.table(
        [*arrays, *(pa.array(columns[name]) for name in extra)],
        names=[*schema.names, *extra],
    )


def _array(table: str, field: pa.Field, columns: Columns, seed: int) -> pa.Array:
    name = field.name
    if name == "name":
        return _account_names(columns) if table == "accounts" else _merchant_names(columns)
    if name == "email_local":
        return _email_locals(columns)
    values = columns[name]
    if name in _IDS:
        return identifiers(_IDS[name], values, seed)
    if name == "ip":
        return ip_addresses(values)
    if name in _NAMES:
        return _named(_ACCOUNT_STATUSES if (table, name) == ("accounts", "status") else _NAMES[name], values)
    return pa.array(values).cast(field.type)


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
    number = pa.array(columns["merchant_id"].astype(np.int64)).cast(pa.string())
    return pc.binary_join_element_wise(owner, _named(places.CATEGORIES, columns["category"]), number, " ")
