"""The definitions of `lookup-windows` and `lookup-tails`: five views of a user's payments, 4 operations x 5 windows each, finished at the asked instant."""

from features import (
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Schedule,
    Source,
    col,
    count,
    distinct,
    fields,
    flat,
    max_,
    sum_,
)

__all__ = ["CATALOG", "EVENTS", "LEAST", "LIMIT", "SERVICES", "VIEWS"]

CATALOG = "benchmarks.w3_windows"
LIMIT = 1000
WINDOWS = "1h 24h 7d 30d 90d"
LEAST = (0, 1000, 2000, 3000, 4000)
"""Each view counts payments of this amount or more."""

EVENTS = Source(
    name="events", table="bench.events", event_time="ts", event_id="payment_id",
    columns=(*fields("int64", "user_id payment_id merchant_id device_id amount_minor"), *fields("timestamp", "ts")),
)  # fmt: skip
VIEWS = tuple(
    FeatureView(
        name=f"over_{least}", entity=Entity(name="user", keys=("user_id",), type="int64"), source=EVENTS,
        freshness=EventFreshness(lag="0", lateness="1h", cuts=Schedule(period="1d", publish_lag="0")), remember="120d",
        features=flat((
            count(WINDOWS, where=col("amount_minor") >= least), sum_("amount_minor", WINDOWS, where=col("amount_minor") >= least),
            max_("amount_minor", WINDOWS, where=col("amount_minor") >= least),
            distinct("device_id", WINDOWS, limit=LIMIT, where=col("amount_minor") >= least),
        )),
    )
    for least in LEAST
)  # fmt: skip
SERVICES = (FeatureService(name="windows", views=VIEWS),)
