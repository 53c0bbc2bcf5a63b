"""Rates whose outcome comes late, in the shop of `tests.jobs.shop`: views by card and by shop, over tables of their own."""

from dataclasses import replace

from features import (
    Entity,
    FeatureService,
    FeatureView,
    arrival_rate,
    cohort_rate,
    col,
    count,
    flat,
    lag_corrected_rate,
)
from tests.jobs.shop import CARD, DISPUTES, PAYMENTS

assert DISPUTES.enriched is not None
BOUGHT = replace(PAYMENTS, name="late_payments", table="late.payments")
DISPUTED = replace(
    DISPUTES, name="late_disputes", table="late.disputes", enriched=replace(DISPUTES.enriched, parent=BOUGHT)
)
PAID = col("status") == "approved"
RATES = flat(
    (
        count("3d"),
        cohort_rate(DISPUTED, of="payment", over="2d", delay="1d", smoothed=5),
        arrival_rate(DISPUTED, of="payment", over="3d"),
        arrival_rate(DISPUTED, of="payment", over="2d", smoothed=2, eligible=PAID),
        lag_corrected_rate(DISPUTED, of="payment", over="3d", mature="2d", least=0.2),
        lag_corrected_rate(DISPUTED, of="payment", over="2d", mature="2d", least=0.2, smoothed=3),
    )
)
SHOP = Entity(name="late_shop", keys=("shop",))
CARD_RATES = FeatureView(
    name="late_card", entity=CARD, source=BOUGHT, outcomes=(DISPUTED,), features=RATES, remember="10d"
)
SHOP_RATES = FeatureView(
    name="late_by_shop", entity=SHOP, source=BOUGHT, outcomes=(DISPUTED,), features=RATES, remember="10d"
)
SERVED = FeatureService(name="late_v1", views=(CARD_RATES, SHOP_RATES))
