"""The definitions that the tests of prove run on."""

from features import Entity, FeatureService, FeatureView, Source, count, fields, flat, sum_

CARD = Entity(name="proved_card", keys=("card",))
SALES = Source(
    name="proved_sales", table="proved.sales", event_id="id", known_at="known",
    columns=(*fields("string", "id card"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
)  # fmt: skip
HABITS = FeatureView(
    name="proved_habits", entity=CARD, source=SALES, features=flat((count("7d"), sum_("amount", "7d")))
)
PROVED = FeatureService(name="proved", views=(HABITS,))
