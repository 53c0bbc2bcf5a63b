"""What a merchant sells, and how much of it comes back as disputes."""

from features import FeatureView, attribute, cohort_rate, col, count, distinct, flat, mean, ratio, std, sum_, velocity
from features.entities import MERCHANT
from features.sources import DISPUTES, MERCHANTS, PAYMENTS

APPROVED = col("status") == "approved"

MERCHANT_RISK = FeatureView(
    name="merchant_risk",
    entity=MERCHANT,
    source=PAYMENTS,
    outcomes=(DISPUTES,),
    owner="merchants",
    description="Volume, growth, and the share of matured payments that were disputed.",
    features=flat(
        (
            velocity(
                "1d 7d 30d",
                sums=("amount_minor",),
                distincts=("card_id",),
                limit=1000,
                filters={"": None, "approved": APPROVED},
            ),
            count("1d 7d", where=col("amount_minor") < 500, suffix="small"),  # noqa: PLR2004  # card testing
            mean("amount_minor", "7d 30d"),
            std("amount_minor", "30d"),
            distinct("device_id", "7d"),
            ratio("sum_amount_minor_7d", "sum_amount_minor_30d"),
            cohort_rate(DISPUTES, of="payment_id", over="7d 14d", delay="14d", eligible=APPROVED),
        )
    ),
)

MERCHANT_DISPUTES = FeatureView(
    name="merchant_disputes",
    entity=MERCHANT,
    source=DISPUTES,
    owner="merchants",
    description="Disputes by the day they arrived.",
    features=flat(
        (
            count("7d 30d"),
            sum_("amount_minor", "7d 30d"),
            count("30d", where=col("stage") == "report", suffix="reports"),
        )
    ),
)

MERCHANT_PROFILE = FeatureView(
    name="merchant_profile",
    entity=MERCHANT,
    source=MERCHANTS,
    owner="merchants",
    description="The merchant's own record.",
    features=flat((attribute("category"), attribute("country"), attribute("risk_tier"), attribute("created_at"))),
)
