"""By hand: disputes, and the views of merchants."""

from collections.abc import Mapping

from expectations.rules import Facts, Rule

__all__ = ["RULES", "SOURCES"]

SOURCES: Mapping[str, Facts] = {
    "disputes": Facts(
        nonnegative=("amount_minor",), categories={"stage": ("report", "chargeback")}, not_null=("payment_id",)
    ),
    "merchants": Facts(categories={"risk_tier": ("low", "medium", "high")}),
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
