"""By hand: payments, and the views of cards, accounts and devices."""

from collections.abc import Mapping

from expectations.rules import Facts, Rule

__all__ = ["RULES", "SOURCES"]

SOURCES: Mapping[str, Facts] = {
    "payments": Facts(
        nonnegative=("amount_minor",),
        # The currencies that this company takes; another one is a row of somebody else's, or a broken one.
        categories={"status": ("approved", "declined", "blocked"), "currency": ("EUR", "USD", "GBP", "JPY")},
    ),
    "refunds": Facts(
        nonnegative=("amount_minor",), not_null=("payment_id",), not_before=(("event_time", "payment_time"),)
    ),
}
RULES: Mapping[str, tuple[Rule, ...]] = {
    "card_velocity": (
        Rule(
            name="declined_rate_of_a_card",
            severity="block",
            says="The declined rate of a card is a share of its payments.",
            remedy="Compute the view again; if it fails again, the two counts do not see the same payments.",
            check="between",
            columns=("count_declined_7d_per_count_7d",),
            lower=0,
            upper=1,
        ),
        Rule(
            name="card_is_not_used_a_thousand_times_a_day",
            severity="warn",
            says="No card pays more than a thousand times within a day.",
            remedy="Look at the card: it is a test card, or its key collapsed upstream.",
            check="between",
            columns=("count_1d",),
            upper=1_000,
        ),
    ),
    "device_sharing": (
        Rule(
            name="device_is_not_everybodys",
            severity="warn",
            says="No device is used by its limit of a hundred accounts within a day.",
            remedy="Look at the device: an emulator farm, or an id that every phone of a make shares.",
            check="between",
            columns=("distinct_account_id_1d",),
            upper=99,
        ),
    ),
}
