"""A small catalogue for the tests of jobs: payments with versions and voids, disputes that learn their card, card records."""

from features import (
    EVER,
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Source,
    Window,
    attribute,
    cohort_rate,
    col,
    count,
    distinct,
    fields,
    flat,
    last,
    ratio,
    std,
    sum_,
    time_since_last,
)

CARD = Entity(name="card", keys=("card",))
PAIR = Entity(name="pair", keys=("card", "shop"))

PAYMENTS = Source(
    name="shop_payments",
    table="shop.payments",
    columns=(
        *fields("string", "id card shop status"),
        Field(name="amount", type="float64", scale=2),
        Field(name="version", type="int64"),
        Field(name="voided", type="bool"),
        *fields("timestamp", "event_time known"),
    ),
    known_at="known",
    event_id="id",
    version="version",
    void="voided",
)
DISPUTES = Source(
    name="shop_disputes",
    table="shop.disputes",
    columns=(*fields("string", "dispute payment"), *fields("timestamp", "event_time known")),
    known_at="known",
    event_id="dispute",
).enrich(PAYMENTS, on="payment", columns=("card", "shop"), time="payment_time")
CARDS = Source(
    name="shop_cards",
    table="shop.cards",
    kind="changes",
    columns=(
        *fields("string", "card country"),
        Field(name="gone", type="bool"),
        *fields("timestamp", "event_time known"),
    ),
    known_at="known",
    deleted="gone",
)

WINDOWS = (Window("1d"), Window("3d"), EVER)
FEATURES = flat(
    (
        count(WINDOWS),
        sum_("amount", WINDOWS),
        std("amount", EVER),
        distinct("shop", WINDOWS, limit=2),
        count(WINDOWS, where=col("status") == "declined", suffix="declined"),
        last("status", EVER),
        time_since_last(EVER),
        ratio("count_declined_3d", "count_3d"),
    )
)
DAILY_VIEW = FeatureView(
    name="shop_daily",
    entity=CARD,
    source=PAYMENTS,
    outcomes=(DISPUTES,),
    features=(*FEATURES, *cohort_rate(DISPUTES, of="payment", over="2d 5d", delay="1d")),
    remember="10d",
)
LIVE_VIEW = FeatureView(
    name="shop_live",
    entity=CARD,
    source=PAYMENTS,
    features=FEATURES,
    freshness=EventFreshness(lag="1m", lateness="2h"),
    remember="10d",
)
PAIR_VIEW = FeatureView(
    name="shop_pair",
    entity=PAIR,
    source=PAYMENTS,
    features=flat((count("1d 3d"), sum_("amount", "3d"))),
    remember="10d",
)
RECORD_VIEW = FeatureView(name="shop_record", entity=CARD, source=CARDS, features=(attribute("country"),))
DISPUTE_VIEW = FeatureView(
    name="shop_disputed", entity=CARD, source=DISPUTES, features=flat((count("3d ever"),)), remember="10d"
)

SERVED = FeatureService(name="shop_v1", views=(DAILY_VIEW, PAIR_VIEW, RECORD_VIEW, DISPUTE_VIEW))
TRAINING = FeatureService(name="shop_training_v1", views=(*SERVED.views, LIVE_VIEW))
