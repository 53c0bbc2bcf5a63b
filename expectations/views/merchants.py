"""By hand: disputes, and the views of merchants."""

from collections.abc import Mapping

from expectations.rules import Facts, Rule

__all__ = ["RULES", "SOURCES"]

SOURCES: Mapping[str, Facts] = {
    "disputes": Facts(
        nonnegative=("amount_minor",),
        categories={"stage": ("report", "chargeback")},
        not_null=("payment_id",),
        not_before=(("event_time", "payment_time"),),
    ),
    "merchants": Facts(categories={"risk_tier": ("low", "medium", "high")}),
    "orders": Facts(
        nonnegative=("items",),
        not_null=("payment_id", "merchant_id"),
        not_before=(("promised_at", "event_time"), ("delivered_at", "event_time")),
    ),
    "tickets": Facts(categories={"severity": ("low", "medium", "high")}, not_null=("merchant_id",)),
    # A balance may be below zero: refunds and disputes take more than there is.
    "payouts": Facts(nonnegative=("amount_minor",), not_null=("merchant_id",)),
    "advances": Facts(
        nonnegative=("amount_minor", "balance_minor", "repaid_minor", "days_past_due"),
        categories={"movement": ("granted", "repaid", "missed", "written_off")},
        not_null=("advance_id", "merchant_id"),
    ),
    "listings": Facts(nonnegative=("price_minor",), not_null=("listing_id", "merchant_id")),
}
RULES: Mapping[str, tuple[Rule, ...]] = {
    "merchant_risk": (
        Rule(
            name="disputes_stay_rare",
            severity="warn",
            says="Less than half of a merchant's matured payments are disputed.",
            remedy="Look at the merchant first, then at whether outcomes are matched to the right payments.",
            check="between",
            columns=("disputes_rate_14d_offset_14d",),
            upper=0.5,
        ),
    ),
}
