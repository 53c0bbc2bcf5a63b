"""How cards, accounts and devices pay: velocity, habits, and what they do together for the first time."""

from features import (
    FeatureView,
    burst,
    count,
    difference,
    entropy,
    first,
    flat,
    gap_cv,
    gap_mean,
    last,
    max_,
    mean,
    min_,
    ratio,
    runs,
    std,
    sum_,
    time_since_first,
    time_since_last,
    velocity,
    zscore,
)  # fmt: skip
from features.entities import ACCOUNT, ACCOUNT_DEVICE, CARD, CARD_DEVICE, CARD_MERCHANT, DEVICE
from features.sources import PAYMENTS
from features.views.conditions import APPROVED, DECLINED, FOREIGN, NIGHT, REMITTED, SMALL, UNSECURED

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
        count("7d 30d", where=FOREIGN, suffix="foreign"),
        count("30d", where=REMITTED, suffix="remitted"),
        count("7d 30d", where=UNSECURED, suffix="unsecured"),
        count("30d", where=NIGHT, suffix="night"),
        runs("30d", of=DECLINED, then=APPROVED, at_least=2, suffix="declined_then_approved"),
        burst("7d 30d"),
        gap_mean("30d"),
        gap_cv("30d"),
        entropy("merchant_id", "30d"),
        time_since_first("ever"),
        time_since_last("ever"),
        ratio("count_declined_7d", "count_7d"),
        ratio("count_foreign_30d", "count_30d"),
        ratio("count_night_30d", "count_30d"),
        ratio("count_7d", "count_30d"),
        zscore("last_amount_minor_ever", of="amount_minor_ever"),
    )),
)  # fmt: skip

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
            count("30d", where=FOREIGN, suffix="foreign"),
            count("30d", where=REMITTED, suffix="remitted"),
            count("30d", where=NIGHT, suffix="night"),
            burst("7d"),
            gap_mean("30d"),
            gap_cv("30d"),
            entropy("merchant_id", "30d"),
            mean("amount_minor", "7d 30d ever", where=APPROVED, suffix="approved"),
            std("amount_minor", "30d ever", where=APPROVED, suffix="approved"),
            min_("amount_minor", "30d"),
            max_("amount_minor", "30d"),
            first("channel", "ever"),
            last("amount_minor", "ever", where=APPROVED, suffix="approved"),
            time_since_first("ever"),
            time_since_last("ever", where=DECLINED, suffix="declined"),
            ratio("sum_amount_minor_7d", "sum_amount_minor_30d"),
            ratio("count_foreign_30d", "count_30d"),
            ratio("count_night_30d", "count_30d"),
            ratio("distinct_card_id_30d", "count_30d"),
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
                "1d 7d 30d",
                distincts=("account_id", "card_id", "address_id"),
                limit=100,
                filters={"": None, "declined": DECLINED},
            ),
            sum_("amount_minor", "1d 7d 30d"),
            count("7d", where=SMALL, suffix="small"),
            count("7d 30d", where=FOREIGN, suffix="foreign"),
            burst("7d"),
            gap_mean("30d"),
            ratio("distinct_card_id_30d", "count_30d"),
            ratio("count_declined_7d", "count_7d"),
            time_since_first("ever"),
            time_since_last("ever"),
        )
    ),
)

CARD_AT_MERCHANT = FeatureView(
    name="card_at_merchant",
    entity=CARD_MERCHANT,
    source=PAYMENTS,
    tiles=True,
    owner="payments",
    description="Whether this card is known at this merchant.",
    features=flat(
        (count("7d 30d ever"), sum_("amount_minor", "30d"), time_since_first("ever"), time_since_last("ever"))
    ),
)

CARD_ON_DEVICE = FeatureView(
    name="card_on_device",
    entity=CARD_DEVICE,
    source=PAYMENTS,
    tiles=True,
    owner="payments",
    description="Whether this card has been used on this device before.",
    features=flat(
        (
            count("7d 30d ever"),
            count("ever", where=APPROVED, suffix="approved"),
            time_since_first("ever"),
            time_since_last("ever"),
        )
    ),
)

ACCOUNT_ON_DEVICE = FeatureView(
    name="account_on_device",
    entity=ACCOUNT_DEVICE,
    source=PAYMENTS,
    tiles=True,
    owner="payments",
    description="Whether this account has paid from this device before.",
    features=flat(
        (
            count("7d 30d ever"),
            count("ever", where=APPROVED, suffix="approved"),
            sum_("amount_minor", "30d"),
            time_since_first("ever"),
            time_since_last("ever"),
        )
    ),
)
