"""The definitions that the tests of states run on: a stream, windows that slide, and attributes of the asked instant."""

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Schedule,
    Source,
    attribute,
    burst,
    col,
    count,
    distinct,
    fields,
    flat,
    last,
    max_,
    mean,
    ratio,
    requested,
    std,
    sum_,
    time_since_last,
    zscore,
)

CARD = Entity(name="stated_card", keys=("card",))
SALES = Source(
    name="stated_sales", table="stated.sales", event_id="id", known_at="known", version="ver", void="gone",
    columns=(*fields("string", "id card shop"), *fields("int64", "amount ver"), *fields("bool", "gone"), *fields("timestamp", "event_time known")),
)  # fmt: skip
LIMITS = Source(
    name="stated_limits", table="stated.limits", kind="changes", known_at="known",
    columns=(*fields("string", "card"), *fields("int64", "most"), *fields("timestamp", "event_time known")),
)  # fmt: skip
LIVE = FeatureView(
    name="stated_live", entity=CARD, source=SALES, freshness=EventFreshness(lateness="2h", lag="1s"), remember="30d",
    features=flat((
        count("1h 24h", where=col("amount") > 0, suffix="paid"), sum_("amount", "1h 24h 7d"), max_("amount", "24h 7d"), std("amount", "7d"),
        distinct("shop", "1h 7d", limit=3), last("shop", "7d"), time_since_last("7d"), burst("24h"), ratio("sum_amount_1h", "sum_amount_7d"),
    )),
)  # fmt: skip
SLIDING = FeatureView(
    name="stated_sliding", entity=CARD, source=SALES, freshness=Schedule(anchor="ask"), remember="30d",
    features=flat((count("7d 30d"), sum_("amount", "7d"), distinct("shop", "30d", limit=100))),
)  # fmt: skip
ALLOWED = FeatureView(
    name="stated_allowed", entity=CARD, source=LIMITS, freshness=Schedule(anchor="ask"), features=(attribute("most"),)
)
HABITS = FeatureView(name="stated_habits", entity=CARD, source=SALES, features=flat((count("7d"),)))
ASKED = FeatureView(
    name="stated_asked", entity=CARD, source=SALES, freshness=EventFreshness(lateness="2h", lag="1s"), remember="30d",
    request=("id", "shop", "amount"), include_self=True,
    features=flat((
        count("1h 24h"), count("24h", where=col("amount") > 20, suffix="large"), sum_("amount", "1h 7d"), max_("amount", "7d"), distinct("shop", "7d", limit=5),
        last("shop", "7d"), time_since_last("7d"), burst("24h"), requested("amount"), mean("amount", "7d"), ratio("requested_amount", "mean_amount_7d"),
    )),
)  # fmt: skip
BESIDE = FeatureView(
    name="stated_beside", entity=CARD, source=SALES, freshness=Schedule(anchor="ask"), remember="30d", request=("amount",),
    features=flat((mean("amount", "7d"), std("amount", "7d"), requested("amount"), zscore("requested_amount", of="amount_7d"))),
)  # fmt: skip
STATED = FeatureService(name="stated", views=(LIVE, SLIDING, ALLOWED, HABITS))
AT_CHECKOUT = FeatureService(name="stated_checkout", views=(LIVE, ASKED, BESIDE))
