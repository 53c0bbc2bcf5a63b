"""Views over the shop's payments that have tiles: with extremes, of a pair of keys, hourly; and some that have none."""

from features import (
    EVER,
    EventFreshness,
    FeatureView,
    Schedule,
    Window,
    aggregate,
    attribute,
    burst,
    case,
    cohort_rate,
    col,
    count,
    count_by,
    decayed_count,
    decayed_sum,
    distinct,
    distinct_sketch,
    first,
    flat,
    gap_cv,
    gap_mean,
    last,
    last_k,
    max_,
    mean,
    min_,
    pairs,
    quantile,
    ratio,
    runs,
    std,
    sum_,
    time_since_first,
    time_since_last,
    top_k,
    trend,
)
from tests.jobs.shop import CARD, CARDS, DISPUTES, PAIR, PAYMENTS

__all__ = [
    "ASKED",
    "CATALOG",
    "EXTREMES",
    "HOURLY",
    "LASTING",
    "LISTED",
    "LIVE",
    "PAIRS",
    "PAYMENTS",
    "RATES",
    "RECORD",
]

CATALOG = "tests.jobs.tiled_shop"
DECLINED = col("status") == "declined"

EXTREMES = FeatureView(
    name="tiled_extremes", entity=CARD, source=PAYMENTS, remember="10d", tiles=True,
    features=flat((
        count("1d 3d"), sum_("amount", "3d"), mean("amount", "1d 3d"), std("amount", EVER), min_("amount", "3d"), max_("amount", "3d"),
        max_("known", "1d"), count("1d 3d", where=DECLINED, suffix="declined"), min_("amount", "1d", where=DECLINED, suffix="declined"),
        gap_mean("3d"), ratio("count_declined_3d", "count_3d"),
    )),
)  # fmt: skip
LASTING = FeatureView(
    name="tiled_lasting", entity=CARD, source=PAYMENTS, remember="10d",
    features=flat((
        count("1d"), distinct("shop", "3d"), distinct("shop", "1d", limit=2), distinct("amount", "3d", where=DECLINED, suffix="declined"), first("shop", EVER),
        last("status", EVER), last("amount", "1d", where=DECLINED, suffix="declined"), time_since_first(EVER), time_since_last("3d", where=DECLINED, suffix="declined"),
        distinct_sketch("shop", "3d", precision=6), quantile("amount", "3d", percent=50), quantile("amount", "3d", percent=95), trend("3d"),
        count_by("status", "3d", categories=("approved", "declined")), burst("3d"), runs("3d", of=DECLINED, then=~DECLINED, at_least=2),
    )),
)  # fmt: skip
PAIRS = FeatureView(
    name="tiled_pairs", entity=PAIR, source=PAYMENTS, remember="10d",
    features=flat((count("1h 3d"), sum_("amount", Window("1d", "6h")), sum_("amount", "3d", where=DECLINED, suffix="declined"))),
)  # fmt: skip
HOURLY = FeatureView(
    name="tiled_hourly", entity=CARD, source=PAYMENTS.derive("slow_payments", filter=col("amount") != 0, lag="90m"), remember="10d",
    freshness=Schedule(period="6h", phase="1h", publish_lag="5m"), features=flat((count("6h"), max_("amount", "12h"), mean("amount", "1d"))),
)  # fmt: skip
LIVE = FeatureView(
    name="tiled_live", entity=CARD, source=PAYMENTS, features=flat((count("1d"),)), freshness=EventFreshness()
)
ASKED = FeatureView(
    name="tiled_asked", entity=CARD, source=PAYMENTS, features=flat((count("8d"),)), freshness=Schedule(anchor="ask")
)
RECORD = FeatureView(name="tiled_record", entity=CARD, source=CARDS, features=flat((attribute("country"),)))
RATES = FeatureView(
    name="tiled_rates", entity=CARD, source=PAYMENTS, outcomes=(DISPUTES,), features=cohort_rate(DISPUTES, of="payment", over="2d", delay="1d"), remember="10d",
)  # fmt: skip
LISTED = FeatureView(
    name="tiled_listed", entity=PAIR, source=PAYMENTS, remember="10d",
    features=flat((
        count("1d"), gap_mean("3d"), gap_cv("3d", where=DECLINED, suffix="declined"), pairs("amount", "3d", take="max"), pairs("amount", "3d", take="mean"),
        runs("3d", of=DECLINED, then=~DECLINED, at_least=1), top_k("shop", "3d", k=2), top_k("amount", "1d", k=1, where=DECLINED), last_k("status", "3d", k=3),
        last_k("known", "1d", k=2), decayed_sum("amount", "1d", over="3d"), decayed_count("6h", over="3d", where=DECLINED, suffix="declined"),
        aggregate("speed_max", "3d", inputs=(col("version"), case((DECLINED, 60), otherwise=-60))),
    )),
)  # fmt: skip
