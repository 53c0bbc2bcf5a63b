"""Views of a small shop for the page: one with a hostile description, one of each type of value, one that only frames have."""

from dataclasses import replace

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Label,
    Policy,
    Selection,
    Source,
    attribute,
    col,
    count,
    fields,
    flat,
    ratio,
    sum_,
    time_since_last,
)
from tests.jobs.catalogue_of_graphs import COMPONENT, MARKED, TRANSFERS

HOSTILE = (
    """</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> "quoted" & 'so' {{ 7 * 7 }}"""
)
BUYER = Entity(name="buyer", keys=("buyer_id",))
BUYS = Source(
    name="page_buys", table="page.buys", known_at="known", event_id="buy_id", owner="shop", description=HOSTILE,
    columns=(*fields("string", "buy_id buyer_id status"), Field(name="amount_minor", type="int64"), *fields("timestamp", "event_time known")),
)  # fmt: skip
CLAIMS = Source(
    name="page_claims", table="page.claims", known_at="known", event_id="claim_id",
    columns=(*fields("string", "claim_id buy_id reason"), *fields("timestamp", "event_time known")),
).enrich(BUYS, on="buy_id", columns=("buyer_id",), time="bought_at")  # fmt: skip
BUYERS = Source(
    name="page_buyers", table="page.buyers", kind="changes", known_at="known", deleted="gone",
    columns=(*fields("string", "buyer_id country"), *fields("bool", "verified gone"), *fields("timestamp", "born event_time known")),
)  # fmt: skip
HABITS = FeatureView(
    name="page_habits",
    entity=BUYER,
    source=BUYS,
    owner="shop",
    description="How a buyer buys.",
    features=flat(
        (
            count("7d", where=col("status") == "declined", suffix="declined"),
            replace(count("7d")[0], description=HOSTILE),
            sum_("amount_minor", "30d"),
            time_since_last("ever"),
            ratio("count_declined_7d", "count_7d"),
        )
    ),
)
RECORD = FeatureView(
    name="page_record", entity=BUYER, source=BUYERS, owner="identity", features=(attribute("country"), attribute("verified"), attribute("born"))
)  # fmt: skip
CLAIMED = FeatureView(
    name="page_claimed", entity=BUYER, source=CLAIMS, features=flat((count("7d 30d"),)), freshness=EventFreshness()
)
FRAMES_ONLY = FeatureView(
    name="page_frames_only", entity=BUYER, source=BUYERS, features=(attribute("country"),), freshness=EventFreshness()
)
LINKED = (COMPONENT, MARKED, TRANSFERS)
SERVICE = FeatureService(
    name="page_v1", owner="<b>models</b>", description="What the model takes.",
    views=(HABITS, Selection(view="page_record", features=("country",))), policies=(Policy(view="page_habits", feature="count_7d", missing="default", stale="null"),),
)  # fmt: skip
CLAIM = Label(
    name="claim",
    outcomes=CLAIMS,
    of="buy_id",
    horizon="30d",
    positive=col("reason") == "fraud",
    blocked=col("status") == "blocked",
)
