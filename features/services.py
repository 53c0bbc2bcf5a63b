"""Which features a model takes, and what its labels are."""

from features import FeatureService, Label, col
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
