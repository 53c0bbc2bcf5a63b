"""Two small views over two sources: one of a clean source, one of a source that tests damage."""

from features import Entity, EventFreshness, FeatureView, Source, count, fields, flat, max_

SHOP = Entity(name="shop", keys=("shop_id",))
COLUMNS = (*fields("string", "sale_id shop_id"), *fields("int64", "amount"), *fields("timestamp", "event_time known"))
SALES = Source(name="sales", table="audits.sales", columns=COLUMNS, known_at="known", event_id="sale_id")
RETURNS = Source(name="returns", table="audits.returns", columns=COLUMNS, known_at="known", event_id="sale_id")
SHOP_SALES = FeatureView(
    name="shop_sales", entity=SHOP, source=SALES, features=flat((count("1d 7d"), max_("amount", "1d 7d")))
)
SHOP_RETURNS = FeatureView(
    name="shop_returns", entity=SHOP, source=RETURNS, features=flat((count("1d 7d"), max_("amount", "1d 7d")))
)
SHOP_NOW = FeatureView(
    name="shop_now", entity=SHOP, source=SALES, features=flat((count("1d"),)), freshness=EventFreshness()
)
