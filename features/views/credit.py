"""Can a merchant be lent money: how its sales go, what it still has to deliver, and how it repays."""

from features import (
    FeatureView,
    Window,
    col,
    count,
    decayed_sum,
    flat,
    last,
    max_,
    mean,
    min_,
    ratio,
    std,
    sum_,
    time_since_first,
    time_since_last,
    trend,
)
from features.entities import MERCHANT
from features.sources import ADVANCES, ORDERS, PAYMENTS
from features.views.conditions import APPROVED

WEEKEND = col("event_time").weekday() >= 5  # noqa: PLR2004  # Saturday and Sunday, UTC
LAST_MONTH = Window("30d", "30d")
LAST_YEAR = Window("30d", "335d")
"""The thirty days that came a year before the next thirty."""

MERCHANT_SALES = FeatureView(
    name="merchant_sales",
    entity=MERCHANT,
    source=PAYMENTS,
    owner="credit",
    description="Approved sales: their level, trend and season, and how steady they are.",
    features=flat(
        (
            sum_("amount_minor", "30d 90d", where=APPROVED, suffix="approved"),
            sum_("amount_minor", LAST_MONTH, where=APPROVED, suffix="approved"),
            sum_("amount_minor", LAST_YEAR, where=APPROVED, suffix="approved"),
            sum_("amount_minor", "30d", where=APPROVED & WEEKEND, suffix="weekend"),
            count("30d 90d", where=APPROVED, suffix="approved"),
            count(LAST_MONTH, where=APPROVED, suffix="approved"),
            trend((Window("28d", step="1d"), Window("90d", step="1d")), where=APPROVED, suffix="approved"),
            std("amount_minor", "90d", where=APPROVED, suffix="approved"),
            mean("amount_minor", "90d", where=APPROVED, suffix="approved"),
            decayed_sum("amount_minor", "14d", over="180d", where=APPROVED, suffix="approved"),
            time_since_last("ever", where=APPROVED, suffix="approved"),
            ratio("sum_amount_minor_approved_30d", "sum_amount_minor_approved_30d_offset_30d", name="sales_growth_30d"),
            ratio("sum_amount_minor_approved_30d", "sum_amount_minor_approved_30d_offset_335d", name="sales_growth_1y"),
            ratio("sum_amount_minor_weekend_30d", "sum_amount_minor_approved_30d", name="weekend_share_30d"),
            ratio("std_amount_minor_approved_90d", "mean_amount_minor_approved_90d", name="ticket_variation_90d"),
        )
    ),
)

UNDELIVERED = col("delivered_at").is_null()

MERCHANT_EXPOSURE = FeatureView(
    name="merchant_exposure",
    entity=MERCHANT,
    source=ORDERS,
    owner="credit",
    description="What was paid for and not yet delivered: what would have to be given back if the merchant closed today.",
    features=flat(
        (
            sum_("amount_minor", "7d 30d 90d", where=UNDELIVERED, suffix="undelivered"),
            count("7d 30d 90d", where=UNDELIVERED, suffix="undelivered"),
            max_("amount_minor", "90d", where=UNDELIVERED, suffix="undelivered"),
            sum_("amount_minor", "90d"),
            count("90d"),
            ratio("sum_amount_minor_undelivered_90d", "sum_amount_minor_90d", name="undelivered_share_90d"),
            ratio("sum_amount_minor_undelivered_7d", "sum_amount_minor_undelivered_90d", name="undelivered_growth_7d"),
        )
    ),
)

MERCHANT_ADVANCES = FeatureView(
    name="merchant_advances",
    entity=MERCHANT,
    source=ADVANCES,
    owner="credit",
    description="What a merchant was lent, what it still owes, and how it repays.",
    features=flat(
        (
            count("ever", where=col("movement") == "granted", suffix="granted"),
            sum_("amount_minor", "ever", where=col("movement") == "granted", suffix="granted"),
            sum_("amount_minor", "30d ever", where=col("movement") == "repaid", suffix="repaid"),
            count("30d 90d", where=col("movement") == "repaid", suffix="repaid"),
            count("30d 90d", where=col("movement") == "missed", suffix="missed"),
            count("ever", where=col("movement") == "written_off", suffix="written_off"),
            last("balance_minor", "ever"),
            min_("balance_minor", "90d"),
            last("days_past_due", "ever"),
            max_("days_past_due", "90d"),
            time_since_first("ever"),
            time_since_last("ever", where=col("movement") == "repaid", suffix="repaid"),
            ratio("sum_amount_minor_repaid_ever", "sum_amount_minor_granted_ever", name="repaid_share"),
            ratio("count_missed_90d", "count_repaid_90d"),
        )
    ),
)
