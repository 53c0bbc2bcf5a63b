"""Which features a model takes, and what its labels are."""

from features import FeatureService, Label, RiskMetrics, col
from features.sources import DISPUTES

FRAUD = Label(
    name="fraud",
    outcomes=DISPUTES,
    of="payment_id",
    horizon="60d",
    positive=col("reason") == "fraud",
    blocked=col("status") == "blocked",
    explored=col("explored"),
    propensity=0.04,  # of the policies of jobs.simulate
    description="A payment that was reported or charged back as fraud.",
)

FRAUD_METRICS = RiskMetrics(
    name="fraud",
    label=FRAUD,
    entity="card_id",
    amount="amount_minor",
    approved=col("status") == "approved",
    score="score",
    chargebacks=col("stage") == "chargeback",
    by=("channel",),
    budget=100,
    review_cost=300,
    owner="fraud-models",
    description="Card payments, day by day; a review costs 3.00.",
)

RADAR = FeatureService(
    name="radar_v1",
    owner="fraud-models",
    description="Is this payment fraud? Every value is scheduled, so any Feast client reads it exactly.",
    views=(
        "card_velocity", "account_history", "account_profile", "device_sharing", "device_profile", "card_at_merchant", "merchant_risk",
        "merchant_disputes", "merchant_profile",
    ),
)  # fmt: skip

RADAR_TRAINING = FeatureService(
    name="radar_checkout_v1",
    owner="fraud-models",
    description="radar_v1 and the last minutes of the card, exact at the asking instant.",
    views=(*RADAR.views, "card_checkout"),
)
