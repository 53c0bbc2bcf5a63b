"""Payment velocity and habits: card, account, device, and a card at a merchant."""

from features import (
    EventFreshness,
    FeatureView,
    col,
    count,
    difference,
    first,
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
    velocity,
    zscore,
)  # fmt: skip
from features.entities import ACCOUNT, CARD, CARD_MERCHANT, DEVICE
from features.sources import PAYMENTS

APPROVED = col("status") == "approved"
DECLINED = col("status") == "declined"
SMALL = col("amount_minor") < 500  # noqa: PLR2004  # card testing tries amounts under 5

CARD_VELOCITY = FeatureView(
    name="card_velocity",
    entity=CARD,
    source=PAYMENTS,
    owner="payments",
    description="How often and how much a card pays, where, and how often it is declined.",
    features=flat((
        velocity(
            "1d 7d 30d", sums=("amount_minor",), distincts=("merchant_id", "device_id"), limit=50,
            filters={"": None, "declined": DECLINED, "small": SMALL},
        ),
        mean("amount_minor", "7d 30d ever"),
        std("amount_minor", "30d ever"),
        max_("amount_minor", "7d 30d"),
        last("amount_minor", "ever"),
        time_since_first("ever"),
        time_since_last("ever"),
        ratio("count_declined_7d", "count_7d"),
        zscore("last_amount_minor_ever", of="amount_minor_ever"),
    )),
)  # fmt: skip

CARD_CHECKOUT = FeatureView(
    name="card_checkout",
    entity=CARD,
    source=PAYMENTS,
    freshness=EventFreshness(lag="0", lateness="1h"),
    owner="payments",
    description="The last minutes and hours of a card, exact at the asking instant.",
    features=flat(
        (
            velocity(
                "1m 15m 1h 24h",
                sums=("amount_minor",),
                distincts=("merchant_id",),
                limit=50,
                filters={"": None, "declined": DECLINED},
            ),
            max_("amount_minor", "1h 24h"),
            time_since_last("24h"),
        )
    ),
)

ACCOUNT_HISTORY = FeatureView(
    name="account_history",
    entity=ACCOUNT,
    source=PAYMENTS,
    owner="payments",
    description="An account's own habits, against which a payment looks usual or not.",
    features=flat(
        (
            velocity(
                "1d 7d 30d",
                sums=("amount_minor",),
                distincts=("card_id", "device_id", "merchant_id", "ip_country"),
                limit=50,
            ),
            count("7d 30d", where=DECLINED, suffix="declined"),
            mean("amount_minor", "7d 30d ever", where=APPROVED, suffix="approved"),
            std("amount_minor", "30d ever", where=APPROVED, suffix="approved"),
            min_("amount_minor", "30d"),
            max_("amount_minor", "30d"),
            first("channel", "ever"),
            last("amount_minor", "ever", where=APPROVED, suffix="approved"),
            time_since_first("ever"),
            time_since_last("ever", where=DECLINED, suffix="declined"),
            ratio("sum_amount_minor_7d", "sum_amount_minor_30d"),
            difference("count_30d", "count_7d"),
            zscore("last_amount_minor_approved_ever", of="amount_minor_approved_ever"),
        )
    ),
)

DEVICE_SHARING = FeatureView(
    name="device_sharing",
    entity=DEVICE,
    source=PAYMENTS,
    owner="payments",
    description="How many accounts and cards pass through one device.",
    features=flat(
        (
            velocity(
                "1d 7d 30d", distincts=("account_id", "card_id"), limit=100, filters={"": None, "declined": DECLINED}
            ),
            count("7d", where=SMALL, suffix="small"),
            ratio("distinct_card_id_30d", "count_30d"),
            time_since_first("ever"),
        )
    ),
)

CARD_AT_MERCHANT = FeatureView(
    name="card_at_merchant",
    entity=CARD_MERCHANT,
    source=PAYMENTS,
    owner="payments",
    description="Whether this card is known at this merchant.",
    features=flat(
        (count("7d 30d ever"), sum_("amount_minor", "30d"), time_since_first("ever"), time_since_last("ever"))
    ),
)
