"""Target encodings: a category as the share of its payments that came back, told from what was known at the time, smoothed where there are few."""

from features import FeatureView, cohort_rate, count, flat, lag_corrected_rate
from features.entities import BIN, COUNTRY_PAIR
from features.sources import DISPUTES, PAYMENTS
from features.views.conditions import APPROVED

BIN_FRAUD = FeatureView(
    name="bin_fraud",
    entity=BIN,
    source=PAYMENTS,
    outcomes=(DISPUTES,),
    owner="fraud-models",
    description="The card's bin as its rate of disputes: that of settled months, and that of the last one as far as it shows yet.",
    features=flat(
        (
            cohort_rate(DISPUTES, of="payment_id", over="90d", delay="60d", eligible=APPROVED, smoothed=200),
            lag_corrected_rate(DISPUTES, of="payment_id", over="30d", mature="60d", eligible=APPROVED, smoothed=200),
        )
    ),
)

COUNTRY_PAIR_FRAUD = FeatureView(
    name="country_pair_fraud",
    entity=COUNTRY_PAIR,
    source=PAYMENTS,
    outcomes=(DISPUTES,),
    owner="fraud-models",
    description="Where a card is billed and where its payment comes from, as their rate of disputes.",
    features=flat(
        (
            count("7d 30d"),
            cohort_rate(DISPUTES, of="payment_id", over="90d", delay="60d", eligible=APPROVED, smoothed=200),
            lag_corrected_rate(DISPUTES, of="payment_id", over="30d", mature="60d", eligible=APPROVED, smoothed=200),
        )
    ),
)
