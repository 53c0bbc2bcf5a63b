"""The risk domain's Hive tables, as sources."""

from features.definitions.expressions import col, likeness
from features.definitions.sources import Field, Source, fields

__all__ = [
    "ACCOUNTS",
    "ACCOUNT_CHANGES",
    "ACCOUNT_VERSIONS",
    "ADVANCES",
    "CLOSED_MERCHANTS",
    "DEVICES",
    "DISPUTES",
    "FRAUD_REPORTS",
    "LISTINGS",
    "LISTING_VERSIONS",
    "LOGINS",
    "MERCHANTS",
    "ORDERS",
    "PAYMENTS",
    "PAYOUTS",
    "REFUNDS",
    "SALES",
    "TICKETS",
    "WRITTEN_OFF_ADVANCES",
]

_TIMES = (*fields("timestamp", "event_time ingested_at"),)

PAYMENTS = Source(
    name="payments",
    table="risk.payments",
    columns=(
        *fields("string", "payment_id account_id card_id bin device_id ip email_id merchant_id address_id"),
        Field(name="amount_minor", type="int64"),
        *fields("string", "merchant_category currency channel billing_country shipping_country ip_country"),
        Field(name="three_ds", type="bool"),
        *fields("string", "status decline_code"),
        Field(name="score", type="float64"),
        Field(name="network", type="string", computed=col("ip").subnet()),
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

SALES = PAYMENTS.derive(
    "sales", filter=col("status") == "approved", description="The payments that were approved: who is whose customer."
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
    description="One row per chargeback or fraud report; it learns its card, account, merchant, category and bin from its payment.",
).enrich(
    PAYMENTS,
    on="payment_id",
    columns=("card_id", "account_id", "merchant_id", "merchant_category", "bin", "billing_country", "ip_country"),
    time="payment_time",
)

FRAUD_REPORTS = DISPUTES.derive(
    "fraud_reports", filter=col("reason") == "fraud", description="The disputes that say fraud."
)

_DISPOSABLE = ("mailinator.com", "trashmail.com", "guerrillamail.com", "10minutemail.com", "yopmail.com")

_ACCOUNT_COLUMNS = (
    *fields("string", "account_id country"),
    Field(name="created_at", type="timestamp"),
    *fields("string", "name email_local email_domain status"),
    Field(name="name_email_likeness", type="float64", computed=likeness(col("name"), col("email_local"))),
    Field(name="email_digit_share", type="float64", computed=col("email_local").digit_share()),
    Field(name="email_disposable", type="bool", computed=col("email_domain").isin(*_DISPOSABLE)),
    Field(name="deleted", type="bool"),
    *_TIMES,
)

ACCOUNTS = Source(
    name="accounts",
    table="risk.accounts",
    kind="changes",
    columns=_ACCOUNT_COLUMNS,
    known_at="ingested_at",
    deleted="deleted",
    owner="identity",
    description="A row per change of an account.",
)

ACCOUNT_VERSIONS = Source(
    name="account_versions",
    table="risk.accounts",
    columns=_ACCOUNT_COLUMNS,
    known_at="ingested_at",
    reads="accounts",
    owner="identity",
    description="The changes of accounts as events; the first is its creation.",
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

_MERCHANT_COLUMNS = (
    *fields("string", "merchant_id name country category"),
    Field(name="created_at", type="timestamp"),
    Field(name="risk_tier", type="string"),
    Field(name="deleted", type="bool"),
    *_TIMES,
)

MERCHANTS = Source(
    name="merchants",
    table="risk.merchants",
    kind="changes",
    columns=_MERCHANT_COLUMNS,
    known_at="ingested_at",
    deleted="deleted",
    owner="merchants",
    description="A row per change of a merchant.",
)

CLOSED_MERCHANTS = Source(
    name="closed_merchants",
    table="risk.merchants",
    columns=_MERCHANT_COLUMNS,
    known_at="ingested_at",
    reads="merchants",
    filter=col("deleted"),
    owner="merchants",
    description="The ends of merchants' accounts, as events.",
)

REFUNDS = Source(
    name="refunds",
    table="risk.refunds",
    columns=(
        *fields("string", "refund_id payment_id reason"),
        *fields("int64", "amount_minor version"),
        Field(name="voided", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="refund_id",
    version="version",
    void="voided",
    owner="payments",
    description="One row per version of a refund; it learns its card, account and merchant from its payment.",
).enrich(PAYMENTS, on="payment_id", columns=("card_id", "account_id", "merchant_id"), time="payment_time")

LOGINS = Source(
    name="logins",
    table="risk.logins",
    columns=(
        *fields("string", "login_id account_id device_id ip"),
        *fields("float64", "lat lon"),
        Field(name="success", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="login_id",
    owner="identity",
    description="One row per login attempt; lat and lon in degrees, where its address or phone was.",
)

ACCOUNT_CHANGES = Source(
    name="account_changes",
    table="risk.account_changes",
    columns=(*fields("string", "change_id account_id field old_hash new_hash"), *_TIMES),
    known_at="ingested_at",
    event_id="change_id",
    owner="identity",
    description="One row per change of a password, e-mail, phone, address or payout account; values are hashes.",
)

ORDERS = Source(
    name="orders",
    table="risk.orders",
    columns=(
        *fields("string", "order_id payment_id merchant_id address_id"),
        *fields("timestamp", "promised_at delivered_at"),
        *fields("int64", "items version"),
        Field(name="voided", type="bool"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="order_id",
    version="version",
    void="voided",
    owner="merchants",
    description="An order as it was placed, and as version 1 once it is delivered; delivered_at is null before, and for ever if it never comes.",
).enrich(PAYMENTS, on="payment_id", columns=("amount_minor",))

TICKETS = Source(
    name="tickets",
    table="risk.tickets",
    columns=(*fields("string", "ticket_id merchant_id account_id topic severity"), *_TIMES),
    known_at="ingested_at",
    event_id="ticket_id",
    owner="support",
    description="One row per complaint of a customer about a merchant.",
)

PAYOUTS = Source(
    name="payouts",
    table="risk.payouts",
    columns=(
        *fields("string", "payout_id merchant_id payout_account_id currency"),
        *fields("int64", "amount_minor balance_minor"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="payout_id",
    owner="merchants",
    description="One row per payout to a merchant; balance_minor is what it is owed afterwards, in the same currency.",
)

ADVANCES = Source(
    name="advances",
    table="risk.advances",
    columns=(
        *fields("string", "movement_id advance_id merchant_id movement currency"),
        *fields("int64", "amount_minor balance_minor repaid_minor"),
        Field(name="due_at", type="timestamp"),
        Field(name="days_past_due", type="int64"),
        *_TIMES,
    ),
    known_at="ingested_at",
    event_id="movement_id",
    owner="credit",
    description="One row per movement of an advance (granted, repaid, missed, written_off): balance_minor is still owed, due_at the next instalment.",
)

WRITTEN_OFF_ADVANCES = ADVANCES.derive(
    "written_off_advances", filter=col("movement") == "written_off", description="Advances that nobody expects back."
)

_PROHIBITED = (
    "replica watch", "designer replica", "no prescription", "xanax", "oxycodone", "steroid", "gun parts", "brass knuckles", "stun gun", "hacked account",
    "fake id", "bank logs", "gift cards off", "ivory", "weight loss peptide", "herbal incense", "iptv lifetime",
)  # fmt: skip
"""Wording of goods that card networks forbid or that need a licence."""

_LISTING_COLUMNS = (
    *fields("string", "listing_id merchant_id title category currency"),
    Field(name="price_minor", type="int64"),
    Field(name="prohibited_likeness", type="float64", computed=likeness(col("title"), *_PROHIBITED, words=True)),
    Field(name="deleted", type="bool"),
    *_TIMES,
)

LISTINGS = Source(
    name="listings",
    table="risk.listings",
    kind="changes",
    columns=_LISTING_COLUMNS,
    known_at="ingested_at",
    deleted="deleted",
    owner="merchants",
    description="A row per change of a listing.",
)

LISTING_VERSIONS = Source(
    name="listing_versions",
    table="risk.listings",
    columns=_LISTING_COLUMNS,
    known_at="ingested_at",
    reads="listings",
    owner="merchants",
    description="The changes of listings as events, so that they can be counted for a merchant.",
)
