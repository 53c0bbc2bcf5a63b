"""The views of the golden cases: small on purpose, so that every expected value can be worked out by hand."""

from features import (
    Entity,
    EventFreshness,
    FeatureView,
    Schedule,
    Source,
    Window,
    arrival_rate,
    attribute,
    cohort_rate,
    col,
    count,
    fields,
    flat,
    lag_corrected_rate,
    max_,
    mean,
    sum_,
)

__all__ = ["VIEWS"]

CARD = Entity(name="card", keys=("card_id",))
MERCHANT = Entity(name="merchant", keys=("merchant_id",))
PAYMENTS = Source(
    name="payments", table="raw.payments", event_id="payment_id", version="version", void="voided", known_at="known_at",
    columns=(*fields("string", "payment_id card_id merchant_id"), *fields("int64", "amount version"), *fields("bool", "voided"),
             *fields("timestamp", "event_time known_at")),
)  # fmt: skip
CHARGEBACKS = Source(
    name="chargebacks", table="raw.chargebacks", event_id="chargeback_id", known_at="known_at",
    columns=(*fields("string", "chargeback_id payment_id merchant_id"), *fields("timestamp", "event_time known_at")),
)  # fmt: skip
LIMITS = Source(
    name="limits", table="raw.limits", kind="changes", known_at="known_at", deleted="closed",
    columns=(*fields("string", "card_id tier"), *fields("int64", "credit_limit"), *fields("bool", "closed"), *fields("timestamp", "event_time known_at")),
)  # fmt: skip

VIEWS = {view.name: view for view in (
    FeatureView(
        name="card_velocity", entity=CARD, source=PAYMENTS, freshness=EventFreshness(lag="0", lateness="10m", cuts=Schedule(period="1h", publish_lag="5m")),
        features=flat([count(Window("10m", step="exact")), sum_("amount", Window("10m", step="exact"))]),
    ),
    FeatureView(
        name="card_daily", entity=CARD, source=PAYMENTS, freshness=Schedule(period="1d", publish_lag="2h"),
        features=flat([count("7d"), sum_("amount", "7d"), mean("amount", "7d"), max_("amount", "7d", where=col("merchant_id") == "casino", suffix="casino")]),
    ),
    FeatureView(
        name="merchant_chargebacks", entity=MERCHANT, source=PAYMENTS, outcomes=(CHARGEBACKS,), freshness=Schedule(period="1d", publish_lag="0"),
        features=flat([count("30d"), cohort_rate(CHARGEBACKS, of="payment_id", over="30d", delay="7d", step="exact")]),
    ),
    FeatureView(
        name="merchant_late", entity=MERCHANT, source=PAYMENTS, outcomes=(CHARGEBACKS,), freshness=Schedule(period="1d", publish_lag="0"),
        features=flat([
            arrival_rate(CHARGEBACKS, of="payment_id", over="5d", step="exact"),
            *(lag_corrected_rate(CHARGEBACKS, of="payment_id", over="3d", mature="3d", least=0.25, step="exact", smoothed=m) for m in (None, 2)),
        ]),
    ),
    FeatureView(
        name="card_limits", entity=CARD, source=LIMITS, freshness=Schedule(period="1d", publish_lag="0"),
        features=(attribute("credit_limit"), attribute("tier", ttl="30d")),
    ),
)}  # fmt: skip
