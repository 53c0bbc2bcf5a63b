"""The definitions that the frame workloads run on: exact windows of one user's payments, as they were known at each ask."""

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Schedule,
    Source,
    Window,
    col,
    count,
    distinct,
    fields,
    flat,
    max_,
    sum_,
)
from features.definitions.expressions import Expression

LENGTHS = ("1h", "24h", "7d", "30d", "90d")
OVER = tuple(Window(length, step="exact") for length in LENGTHS)
NOW = EventFreshness(lag="0", lateness="1h", cuts=Schedule(period="1d", publish_lag="1h"))
UNLIMITED = 2**31
WIDE = 10


def source(name: str) -> Source:
    """Events that are known as they happen."""
    return Source(
        name=name, table=f"bench.{name}", event_time="ts", event_id="payment_id",
        columns=(*fields("int64", "user_id payment_id merchant_id device_id amount_minor"), *fields("timestamp", "ts")),
    )  # fmt: skip


EVENTS, SKEWED = source("events"), source("skewed")
KNOWN = Source(
    name="known", table="bench.known", event_time="ts", known_at="known_at", event_id="event_id", version="version", void="deleted",
    columns=(*fields("int64", "event_id version device_id amount_minor"), *fields("string", "user_id"), *fields("bool", "deleted"),
             *fields("timestamp", "ts known_at")),
)  # fmt: skip
USER = Entity(name="user", keys=("user_id",), type="int64")
KNOWN_USER = Entity(name="known_user", keys=("user_id",))


def view(name: str, of: Source, entity: Entity = USER, where: Expression | None = None) -> FeatureView:
    """count, sum, max and distinct over each window."""
    return FeatureView(
        name=name, entity=entity, source=of, freshness=NOW, remember="91d",
        features=flat((
            count(OVER, where=where), sum_("amount_minor", OVER, where=where), max_("amount_minor", OVER, where=where),
            distinct("device_id", OVER, limit=UNLIMITED, where=where),
        )),
    )  # fmt: skip


FRAME, SKEW, AS_KNOWN = view("w1", EVENTS), view("w1_skew", SKEWED), view("w1_known", KNOWN, KNOWN_USER)
FILTERS = tuple((n + 1) * 500 for n in range(WIDE))
WIDER = tuple(view(f"w1_over_{least}", EVENTS, where=col("amount_minor") >= least) for least in FILTERS)

SERVICES = (
    FeatureService(name="frame", views=(FRAME,)),
    FeatureService(name="frame_skew", views=(SKEW,)),
    FeatureService(name="frame_known", views=(AS_KNOWN,)),
    FeatureService(name="frame_wide", views=WIDER),
)
