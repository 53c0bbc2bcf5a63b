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

_CHECKOUT = ("card_checkout", "account_checkout", "device_checkout", "ip_checkout")
"""Views of the last minutes: exact at the asking instant."""

RADAR = FeatureService(
    name="radar_v1",
    owner="fraud-models",
    description="Is this payment fraud? Every value is scheduled, so any Feast client reads it exactly.",
    views=(
        "card_velocity", "card_sharing", "card_at_merchant", "card_on_device", "account_history", "account_profile", "account_age", "account_logins",
        "account_changed", "account_on_device", "account_links", "account_exposure", "account_component", "account_anomaly", "device_sharing", "device_profile", "device_logins",
        "ip_velocity", "network_velocity", "email_velocity", "address_velocity", "bin_velocity", "bin_fraud", "country_pair_fraud", "category_fraud",
        "merchant_risk", "merchant_mix", "merchant_disputes", "merchant_profile",
    ),
)  # fmt: skip

RADAR_TRAINING = FeatureService(
    name="radar_checkout_v1",
    owner="fraud-models",
    description="radar_v1 and the last minutes of card, account, device and IP address, exact at the asking instant.",
    views=(*RADAR.views, *_CHECKOUT),
)

AUTHORIZATION = FeatureService(
    name="authorization_v1",
    owner="payments",
    description="Does this payment go through? The payment itself counts: it is asked with its id, amount, merchant, device, account, channel and 3-D Secure.",
    views=("card_authorization", "card_usual", "account_usual", "card_checkout", "account_checkout"),
)

IDENTITY = FeatureService(
    name="identity_v1",
    owner="identity",
    description="Is this person who they say?",
    views=(
        "account_profile", "account_age", "account_logins", "account_changed", "account_history", "account_links", "account_exposure", "account_component",
        "account_on_device", "account_anomaly", "device_profile", "device_logins", "device_sharing", "email_velocity",
    ),
)  # fmt: skip

FRAUD_SERVICE = FeatureService(
    name="fraud_v1",
    owner="merchants",
    description="Is this merchant a fraudster?",
    views=(
        "merchant_profile", "merchant_risk", "merchant_mix", "merchant_anomaly", "merchant_disputes", "merchant_refunds", "merchant_payouts",
        "merchant_delivery", "merchant_listings", "merchant_common", "merchant_common_bad",
    ),
)  # fmt: skip

CREDIT = FeatureService(
    name="credit_v1",
    owner="credit",
    description="Can we advance this merchant money?",
    views=(
        "merchant_profile", "merchant_sales", "merchant_exposure", "merchant_advances", "merchant_payouts", "merchant_refunds", "merchant_disputes",
    ),
)  # fmt: skip

SUPPORTABILITY = FeatureService(
    name="supportability_v1",
    owner="support",
    description="Can we keep serving this merchant?",
    views=("merchant_profile", "merchant_tickets", "merchant_delivery", "merchant_listings", "merchant_refunds", "merchant_disputes"),
)  # fmt: skip
