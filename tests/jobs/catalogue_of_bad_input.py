"""The definitions that the tests of bad input run on."""

from features import Entity, FeatureService, FeatureView, Field, Source, col, count, fields, flat, sum_

SHOP = Entity(name="bad_shop", keys=("shop",))
SALES = Source(
    name="bad_sales", table="bad_input.sales", known_at="known", event_id="sale",
    columns=(*fields("string", "sale shop"), Field(name="amount", type="float64", scale=2), *fields("timestamp", "event_time known")),
)  # fmt: skip
LARGE = SALES.derive("bad_large", filter=col("amount") > 1_000)
REFUNDS = Source(
    name="bad_refunds", table="bad_input.refunds", known_at="known", event_id="refund",
    columns=(*fields("string", "refund sale"), *fields("timestamp", "event_time known")),
).enrich(SALES, on="sale", columns=("shop",))  # fmt: skip
DAILY = FeatureView(
    name="bad_daily", entity=SHOP, source=SALES, features=flat((count("1d"), sum_("amount", "1d"))), remember="9d"
)
SERVED = FeatureService(name="bad_v1", views=(DAILY,))
