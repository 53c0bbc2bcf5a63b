"""Can we keep serving a merchant: what its customers complain of, whether it delivers, and what it lists."""

from features import (
    FeatureView,
    Window,
    col,
    count,
    count_by,
    distinct,
    entropy,
    flat,
    gap_mean,
    last,
    max_,
    mean,
    quantile,
    ratio,
    sum_,
    time_since_last,
)
from features.entities import MERCHANT
from features.sources import LISTING_VERSIONS, ORDERS, TICKETS

SEVERE = col("severity") == "high"
TOPICS = ("late_delivery", "not_received", "quality", "not_as_described", "billing", "prohibited_item")

MERCHANT_TICKETS = FeatureView(
    name="merchant_tickets",
    entity=MERCHANT,
    source=TICKETS,
    owner="support",
    description="Complaints of customers by what they are about, and how severe they are.",
    features=flat(
        (
            count("7d 30d 90d"),
            count("7d 30d", where=SEVERE, suffix="severe"),
            count_by("topic", "30d", categories=TOPICS),
            distinct("account_id", "30d"),
            entropy("topic", "30d"),
            gap_mean("30d"),
            time_since_last("ever"),
            ratio("count_severe_30d", "count_30d"),
            ratio("count_7d", "count_30d"),
            *(ratio(f"count_topic_{topic}_30d", "count_30d") for topic in TOPICS),
        )
    ),
)

LATE = col("delivered_at") > col("promised_at")
OVERDUE = Window("60d", "14d")
"""Orders that should have come by now."""

MERCHANT_DELIVERY = FeatureView(
    name="merchant_delivery",
    entity=MERCHANT,
    source=ORDERS,
    owner="support",
    description="How much of what was ordered came late or never.",
    features=flat(
        (
            count("7d 30d 90d"),
            count("7d 30d 90d", where=LATE, suffix="late"),
            count(OVERDUE),
            count(OVERDUE, where=col("delivered_at").is_null(), suffix="missing"),
            sum_("amount_minor", OVERDUE, where=col("delivered_at").is_null(), suffix="missing"),
            sum_("items", "30d"),
            mean("items", "30d"),
            ratio("count_late_30d", "count_30d"),
            ratio("count_missing_60d_offset_14d", "count_60d_offset_14d"),
        )
    ),
)

SUSPECT = col("prohibited_likeness") >= 0.9  # noqa: PLR2004  # all words of a forbidden phrase

MERCHANT_LISTINGS = FeatureView(
    name="merchant_listings",
    entity=MERCHANT,
    source=LISTING_VERSIONS,
    owner="support",
    description="What a merchant lists: how fast it changes, where its prices go, and how much it looks like what may not be sold.",
    features=flat(
        (
            count("7d 30d ever"),
            count("30d", where=col("deleted"), suffix="deleted"),
            distinct("listing_id", "7d 30d ever"),
            distinct("category", "ever", limit=20),
            quantile("price_minor", "7d ever", percent=50),
            max_("prohibited_likeness", "7d 30d ever"),
            mean("prohibited_likeness", "30d ever"),
            count("7d 30d ever", where=SUSPECT, suffix="suspect"),
            last("title", "ever", where=SUSPECT, suffix="suspect"),
            ratio("count_30d", "distinct_listing_id_ever"),
            ratio("p50_price_minor_7d", "p50_price_minor_ever"),
            ratio("count_suspect_ever", "count_ever"),
        )
    ),
)
