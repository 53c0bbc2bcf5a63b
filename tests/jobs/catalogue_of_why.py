"""A scheduled view, one that changes between cuts and one with fitted things, of the same sales, in one service."""

from features import (
    EventFreshness,
    FeatureService,
    FeatureView,
    anomaly,
    cohort_rate,
    col,
    count,
    flat,
    lag_corrected_rate,
    max_,
    ratio,
    sum_,
)
from tests.jobs.catalogue_of_audits import RETURNS, SALES, SHOP

SHOP_WEEK = FeatureView(name="shop_week", entity=SHOP, source=SALES, features=flat((count("2d"), max_("amount", "2d"))))
SHOP_LIVE = FeatureView(
    name="shop_live", entity=SHOP, source=SALES, features=flat((count("1d"),)), freshness=EventFreshness()
)
SHOP_BACK = FeatureView(
    name="shop_back", entity=SHOP, source=SALES, outcomes=(RETURNS,), remember="10d",
    features=flat((
        cohort_rate(RETURNS, of="sale_id", over="2d", delay="1d", smoothed=4, step="1d"),
        lag_corrected_rate(RETURNS, of="sale_id", over="2d", mature="2d", smoothed=2, step="1d", eligible=col("sale_id") != "z"),
        ratio("returns_rate_smoothed_2d_offset_1d", "returns_corrected_rate_smoothed_2d", name="back_growth"),
        count("2d"), sum_("amount", "2d"), anomaly(of=("count_2d", "sum_amount_2d"), active="count_2d", least_keys=2),
    )),
)  # fmt: skip
SHOPS = FeatureService(name="shops", views=(SHOP_WEEK, SHOP_LIVE, SHOP_BACK))
