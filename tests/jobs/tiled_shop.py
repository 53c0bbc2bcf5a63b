"""Views over the shop's payments that have tiles: with extremes, of a pair of keys, hourly; and some that have none."""

from features import (
    EVER,
    EventFreshness,
    FeatureView,
    Schedule,
    Window,
    attribute,
    col,
    count,
    distinct,
    flat,
    last,
    max_,
    mean,
    min_,
    ratio,
    std,
    sum_,
    time_since_last,
)
from tests.jobs.shop import CARD, CARDS, PAIR, PAYMENTS

__all__ = ["ASKED", "CATALOG", "DISTINCTS", "EXTREMES", "HOURLY", "LIVE", "PAIRS", "PAYMENTS", "RECORD"]

CATALOG = "tests.jobs.tiled_shop"
DECLINED = col("status") == "declined"

EXTREMES = FeatureView(
    name="tiled_extremes", entity=CARD, source=PAYMENTS, remember="10d", tiles=True,
    features=flat((
        count("1d 3d"), sum_("amount", "3d"), mean("amount", "1d 3d"), std("amount", EVER), min_("amount", "3d"), max_("amount", "3d"),
        max_("known", "1d"), count("1d 3d", where=DECLINED, suffix="declined"), min_("amount", "1d", where=DECLINED, suffix="declined"),
        distinct("shop", "3d"), last("status", EVER), time_since_last(EVER), ratio("count_declined_3d", "count_3d"),
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
DISTINCTS = FeatureView(name="tiled_distincts", entity=CARD, source=PAYMENTS, features=flat((distinct("shop", "3d"),)))
