"""Anomalies in the shop of `tests.jobs.shop`: a view by card and one by shop, over a table of their own."""

from dataclasses import replace

from features import Entity, FeatureService, FeatureView, anomaly, col, count, difference, flat, mean, ratio, sum_
from tests.jobs.shop import CARD, PAYMENTS

BOUGHT = replace(PAYMENTS, name="odd_payments", table="odd.payments")
PARTS = ("count_1d_per_count_3d", "count_3d_minus_count_1d", "count_declined_3d", "mean_amount_3d", "sum_amount_3d")
HABITS = flat(
    (
        count("1d 3d"),
        count("3d", where=col("status") == "declined", suffix="declined"),
        sum_("amount", "3d"),
        mean("amount", "3d"),
        ratio("count_1d", "count_3d"),
        difference("count_3d", "count_1d"),
        anomaly(
            of=PARTS,
            active="count_3d",
            least_keys=2,
        ),
    )
)  # fmt: skip
SHOP = Entity(name="odd_shop", keys=("shop",))
CARD_HABITS = FeatureView(name="odd_card", entity=CARD, source=BOUGHT, features=HABITS, remember="10d")
SHOP_HABITS = FeatureView(name="odd_by_shop", entity=SHOP, source=BOUGHT, features=HABITS, remember="10d", tiles=True)
SERVED = FeatureService(name="odd_v1", views=(CARD_HABITS, SHOP_HABITS))
