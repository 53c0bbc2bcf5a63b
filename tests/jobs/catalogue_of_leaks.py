"""A shop with one service that holds no leak, and one whose definitions leak, each in its own way."""

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Label,
    Source,
    attribute,
    cohort_rate,
    col,
    count,
    fields,
    flat,
    sum_,
)

CARD = Entity(name="leak_card", keys=("card",))
PAYMENT = Entity(name="leak_payment", keys=("id",))

PAID = Source(
    name="leak_payments",
    table="leaks.payments",
    columns=(
        *fields("string", "id card status refunded"),  # refunded is written again in place, weeks later
        Field(name="amount", type="int64"),
        *fields("timestamp", "event_time known"),
    ),
    known_at="known",
    event_id="id",
)
DISPUTED = Source(
    name="leak_disputes",
    table="leaks.disputes",
    columns=(*fields("string", "dispute payment"), *fields("timestamp", "event_time known")),
    known_at="known",
    event_id="dispute",
).enrich(PAID, on="payment", columns=("card",))
AT_ONCE = Source(  # outcomes at the time of their payment, without their arrival
    name="leak_outcomes_at_once",
    table="leaks.outcomes",
    columns=(*fields("string", "dispute payment card"), *fields("timestamp", "event_time")),
    event_id="dispute",
)
STAMPED = Source(  # arrives a day late, stamped with the event's own time
    name="leak_stamped",
    table="leaks.reports",
    columns=(*fields("string", "report card"), *fields("timestamp", "event_time known")),
    known_at="known",
    event_id="report",
)
REVIEWS = Source(  # a verdict for each payment, dated back to it
    name="leak_reviews",
    table="leaks.reviews",
    kind="changes",
    columns=(*fields("string", "id verdict"), *fields("timestamp", "event_time known")),
    known_at="known",
)

CARDS = FeatureView(
    name="leak_cards",
    entity=CARD,
    source=PAID,
    outcomes=(DISPUTED,),
    features=flat(
        (
            count("1d 3d"),
            sum_("amount", "3d"),
            cohort_rate(DISPUTED, of="payment", over="5d", delay="4d"),
            # Drawn towards what is fitted from all keys at each cut.
            cohort_rate(DISPUTED, of="payment", over="5d", delay="4d", smoothed=5),
        )
    ),
    remember="20d",
)
LIVE = FeatureView(
    name="leak_live",
    entity=CARD,
    source=PAID,
    features=flat((count("6h 2d"), sum_("amount", "2d"))),
    freshness=EventFreshness(lag="1m", lateness="2h"),
    remember="20d",
)
REFUNDS = FeatureView(
    name="leak_refunds",
    entity=CARD,
    source=PAID,
    features=flat((count("3d", where=col("refunded") == "yes", suffix="refunded"),)),
    remember="20d",
)
RATES = FeatureView(
    name="leak_rates",
    entity=CARD,
    source=PAID,
    outcomes=(AT_ONCE,),
    features=flat((cohort_rate(AT_ONCE, of="payment", over="5d", delay="1h"),)),
    remember="20d",
)
REPORTED = FeatureView(
    name="leak_reported", entity=CARD, source=STAMPED, features=flat((count("3d"),)), remember="20d"
)  # fmt: skip
REVIEWED = FeatureView(
    name="leak_reviewed",
    entity=PAYMENT,
    source=REVIEWS,
    features=(attribute("verdict"),),
    freshness=EventFreshness(),
)

CLEAN = FeatureService(name="clean_v1", views=(CARDS, LIVE))
LEAKY = FeatureService(name="leaky_v1", views=(CARDS, REFUNDS, RATES, REPORTED, REVIEWED))
DISPUTE = Label(name="dispute", outcomes=DISPUTED, of="payment", horizon="5d")
NAIVE = Label(name="naive", outcomes=AT_ONCE, events=PAID, of="payment", horizon="5d")
