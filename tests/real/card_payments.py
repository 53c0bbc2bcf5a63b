"""Definitions over public card payments (see ../shared/data/README.md): exact windows, event freshness, fraud known after seven days."""

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Label,
    Source,
    Window,
    cohort_rate,
    col,
    count,
    fields,
    flat,
    mean,
)

PAYMENTS = Source(
    name="card_payments",
    table="cards.payments",
    columns=(
        *fields("int64", "payment_id customer_id terminal_id"),
        Field(name="amount", type="float64", scale=2),
        Field(name="is_fraud", type="bool"),
        Field(name="event_time", type="timestamp"),
    ),
    event_id="payment_id",
)
FRAUDS = PAYMENTS.derive(
    "card_frauds", filter=col("is_fraud"), lag="7d", description="The outcome, known seven days after the payment."
)

LENGTHS = ("1d", "7d", "30d")
# The outcome is a week late by its nature; it counts as soon as it is known.
EXACT = EventFreshness(lag="0", lateness="8d")

CUSTOMER = FeatureView(
    name="customer",
    entity=Entity(name="customer", keys=("customer_id",), type="int64"),
    source=PAYMENTS,
    freshness=EXACT,
    features=flat(
        (
            count(tuple(Window(length, step="exact") for length in LENGTHS)),
            mean("amount", tuple(Window(length, step="exact") for length in LENGTHS)),
        )
    ),
)

TERMINAL = FeatureView(
    name="terminal",
    entity=Entity(name="terminal", keys=("terminal_id",), type="int64"),
    source=PAYMENTS,
    outcomes=(FRAUDS,),
    freshness=EXACT,
    features=flat(
        (
            count(tuple(Window(length, "7d", "exact") for length in LENGTHS)),
            cohort_rate(FRAUDS, of="payment_id", over=" ".join(LENGTHS), delay="7d", step="exact"),
        )
    ),
)

SERVICE = FeatureService(name="card_fraud_v1", views=(CUSTOMER, TERMINAL))
FRAUD = Label(
    name="card_fraud",
    outcomes=FRAUDS,
    events=PAYMENTS,
    of="payment_id",
    horizon="604801s",
    description="An outcome known a week after its payment is known before a second more.",
)
