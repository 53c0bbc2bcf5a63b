"""A scheduled view and one that changes between cuts, of the same sales, in one service."""

from features import EventFreshness, FeatureService, FeatureView, count, flat, max_
from tests.jobs.catalogue_of_audits import SALES, SHOP

SHOP_WEEK = FeatureView(name="shop_week", entity=SHOP, source=SALES, features=flat((count("2d"), max_("amount", "2d"))))
SHOP_LIVE = FeatureView(
    name="shop_live", entity=SHOP, source=SALES, features=flat((count("1d"),)), freshness=EventFreshness()
)
SHOPS = FeatureService(name="shops", views=(SHOP_WEEK, SHOP_LIVE))
