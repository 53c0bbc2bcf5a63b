"""The risk domain's Hive tables, as sources."""

from features.definitions.sources import Field, Source, fields

__all__ = ["ACCOUNTS", "DEVICES", "DISPUTES", "MERCHANTS", "PAYMENTS"]

_TIMES = (*fields("timestamp", "event_time ingested_at"),)

PAYMENTS = Source(
    name="payments",
    table="risk.payments",
    columns=(
        *fields("string", "payment_id account_id card_id bin device_id ip email_id merchant_id address_id"),
        Field(name="amount_minor", type="int64"),
        *fields("string", "currency channel billing_country shipping_country ip_country"),
        Field(name="three_ds", type="bool"),
        *fields("string", "status decline_code"),
        Field(name="score", type="float64"),
        Field(name="policy", type="string"),
        *fields("bool", "explored voided"),
        Field(name="version", type="int64"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="payment_id",
    version="version",
    void="voided",
    owner="payments",
    description="One row per version of a payment attempt.",
)

DISPUTES = Source(
    name="disputes",
    table="risk.disputes",
    columns=(
        *fields("string", "dispute_id payment_id reason stage"),
        *fields("int64", "amount_minor version"),
        Field(name="voided", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="dispute_id",
    version="version",
    void="voided",
    owner="disputes",
    description="One row per chargeback or fraud report; it learns its card, account, merchant and bin from its payment.",
).enrich(PAYMENTS, on="payment_id", columns=("card_id", "account_id", "merchant_id", "bin"), time="payment_time")

ACCOUNTS = Source(
    name="accounts",
    table="risk.accounts",
    kind="changes",
    columns=(
        *fields("string", "account_id country"),
        Field(name="created_at", type="timestamp"),
        *fields("string", "name email_local email_domain status"),
        Field(name="deleted", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    deleted="deleted",
    owner="identity",
    description="A row per change of an account.",
)

DEVICES = Source(
    name="devices",
    table="risk.devices",
    kind="changes",
    columns=(*fields("string", "device_id os model first_country"), *fields("bool", "emulator deleted"), *_TIMES),
    known_at="ingested_at",
    deleted="deleted",
    owner="identity",
    description="A row per change of a device.",
)

MERCHANTS = Source(
    name="merchants",
    table="risk.merchants",
    kind="changes",
    columns=(
        *fields("string", "merchant_id name country category"),
        Field(name="created_at", type="timestamp"),
        Field(name="risk_tier", type="string"),
        Field(name="deleted", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    deleted="deleted",
    owner="merchants",
    description="A row per change of a merchant.",
)
