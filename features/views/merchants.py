"""What a merchant sells, to whom, how it grows, and how much of it comes back as refunds and disputes."""

from features import (
    FeatureView,
    Window,
    arrival_rate,
    attribute,
    cohort_rate,
    col,
    count,
    difference,
    distinct,
    entropy,
    flat,
    lag_corrected_rate,
    last,
    max_,
    mean,
    min_,
    quantile,
    ratio,
    std,
    sum_,
    time_since_first,
    time_since_last,
    velocity,
)
from features.entities import MERCHANT
from features.sources import DISPUTES, MERCHANTS, PAYMENTS, PAYOUTS, REFUNDS
from features.views.conditions import APPROVED, DECLINED, FOREIGN, NIGHT, REMITTED, SMALL, UNSECURED

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
            count("1d 7d", where=SMALL, suffix="small"),
            mean("amount_minor", "7d 30d"),
            std("amount_minor", "30d"),
            distinct("device_id", "7d"),
            ratio("sum_amount_minor_7d", "sum_amount_minor_30d"),
            cohort_rate(DISPUTES, of="payment_id", over="7d 14d", delay="14d", eligible=APPROVED),
            arrival_rate(DISPUTES, of="payment_id", over="7d 30d", eligible=APPROVED),
            lag_corrected_rate(DISPUTES, of="payment_id", over="14d", mature="30d", eligible=APPROVED, smoothed=50),
        )
    ),
)

_EARLIER = Window("60d", "7d")
"""The two months before the last week."""

MERCHANT_MIX = FeatureView(
    name="merchant_mix",
    entity=MERCHANT,
    source=PAYMENTS,
    owner="merchants",
    description="Who buys at a merchant and how: new cards, foreign cards, declines, nights, and how its tickets grow.",
    features=flat(
        (
            distinct("card_id", "67d", limit=5000),
            distinct("card_id", _EARLIER, limit=5000),
            distinct("card_id", "7d", limit=5000),
            distinct("account_id", "1d 7d 30d", limit=5000),
            distinct("address_id", "7d", limit=2000),
            distinct("bin", "7d", limit=500),
            count("7d 30d", where=DECLINED, suffix="declined"),
            count("7d 30d", where=FOREIGN, suffix="foreign"),
            count("7d 30d", where=REMITTED, suffix="remitted"),
            count("7d 30d", where=UNSECURED, suffix="unsecured"),
            count("7d 30d", where=NIGHT, suffix="night"),
            count("7d 30d"),
            count(_EARLIER),
            mean("amount_minor", "7d"),
            mean("amount_minor", _EARLIER),
            max_("amount_minor", "1d 7d 30d"),
            min_("amount_minor", "7d"),
            quantile("amount_minor", "7d 30d", percent=50),
            quantile("amount_minor", "7d 30d", percent=95),
            entropy("card_id", "7d"),
            time_since_first("ever"),
            time_since_last("ever"),
            difference("distinct_card_id_67d", "distinct_card_id_60d_offset_7d", name="new_cards_7d"),
            ratio("new_cards_7d", "distinct_card_id_7d"),
            ratio("count_declined_7d", "count_7d"),
            ratio("count_foreign_7d", "count_7d"),
            ratio("count_night_7d", "count_7d"),
            ratio("count_7d", "count_30d"),
            ratio("mean_amount_minor_7d", "mean_amount_minor_60d_offset_7d"),
            ratio("p95_amount_minor_7d", "p95_amount_minor_30d"),
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
            count("30d", where=col("reason") == "fraud", suffix="fraud"),
            count("30d", where=col("reason") == "not_received", suffix="not_received"),
            distinct("card_id", "30d"),
            time_since_last("ever"),
        )
    ),
)

MERCHANT_REFUNDS = FeatureView(
    name="merchant_refunds",
    entity=MERCHANT,
    source=REFUNDS,
    owner="merchants",
    description="Refunds by the day they were made.",
    features=flat(
        (
            count("7d 30d"),
            sum_("amount_minor", "7d 30d"),
            mean("amount_minor", "30d"),
            distinct("card_id", "30d"),
            count("30d", where=col("reason") == "goodwill", suffix="goodwill"),
            ratio("count_7d", "count_30d"),
        )
    ),
)

MERCHANT_PAYOUTS = FeatureView(
    name="merchant_payouts",
    entity=MERCHANT,
    source=PAYOUTS,
    owner="merchants",
    description="How fast the money leaves: payouts, the accounts they go to, and what stays behind.",
    features=flat(
        (
            count("7d 30d"),
            sum_("amount_minor", "7d 30d"),
            max_("amount_minor", "30d"),
            last("balance_minor", "ever"),
            min_("balance_minor", "30d"),
            mean("balance_minor", "30d"),
            distinct("payout_account_id", "30d ever", limit=20),
            time_since_last("ever"),
            ratio("sum_amount_minor_7d", "sum_amount_minor_30d"),
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
