"""By hand: accounts and devices, and the views of who they say they are."""

from collections.abc import Mapping

from expectations.rules import Facts, Rule

__all__ = ["RULES", "SOURCES"]

SOURCES: Mapping[str, Facts] = {
    "accounts": Facts(categories={"status": ("active", "limited", "closed")}, not_null=("account_id",)),
    "devices": Facts(not_null=("device_id",)),
    "logins": Facts(not_null=("account_id",), within={"lat": (-90, 90), "lon": (-180, 180)}),
    "account_changes": Facts(
        categories={"field": ("password", "email", "phone", "address", "payout_account")}, not_null=("account_id",)
    ),
}
RULES: Mapping[str, tuple[Rule, ...]] = {
    "account_profile": (
        Rule(
            name="account_status_known",
            severity="block",
            says="An account is active, limited or closed.",
            remedy="A new status needs a word in expectations/views/identity.py, and models that know it.",
            check="in_set",
            columns=("status",),
            values=("active", "limited", "closed"),
        ),
    ),
}
