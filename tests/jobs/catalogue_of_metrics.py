"""Payments with a score, what became of them, and what is watched."""

from features import Label, RiskMetrics, col, fields
from features.definitions.sources import Field, Source

_TIMES = fields("timestamp", "event_time known")
PAID = Source(
    name="watched_payments",
    table="watched.payments",
    columns=(
        *fields("string", "id card status channel"), Field(name="amount", type="int64"), Field(name="score", type="float64"),
        Field(name="version", type="int64"), Field(name="voided", type="bool"), *_TIMES,
    ),
    known_at="known",
    event_id="id",
    version="version",
    void="voided",
)  # fmt: skip
CLAIMS = Source(
    name="watched_claims",
    table="watched.claims",
    columns=(*fields("string", "claim payment stage"), *_TIMES),
    known_at="known",
    event_id="claim",
)
FRAUD = Label(
    name="watched_fraud",
    outcomes=CLAIMS,
    events=PAID,
    of="payment",
    horizon="3d",
    blocked=col("status") == "blocked",
    explored=col("status") == "explored",
    propensity=0.25,
)
WATCHED = RiskMetrics(
    name="watched",
    label=FRAUD,
    entity="card",
    amount="amount",
    approved=(col("status") == "approved") | (col("status") == "explored"),
    score="score",
    chargebacks=col("stage") == "chargeback",
    by=("channel",),
    budget=2,
    review_cost=5,
)
