"""Numbers of the report as texts, and what they allow to be said."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["NAMES", "SEEN", "number", "percent", "ranged", "verdict"]

Triple = Sequence[float | None]
NAMES: Final = {
    "account_takeover": "account takeover", "bust_out": "bust-out", "card_testing": "card testing", "collusion_ring": "collusion ring", "friendly_fraud": "friendly fraud",
    "prohibited_goods": "prohibited goods", "promotion_abuse": "promotion abuse", "stolen_card": "stolen card",
}  # fmt: skip
SEEN: Final = {
    "bust_out": "Its buyers are ordinary people: only its merchant changes, so only merchant views can see it.",
    "collusion_ring": "Its payments are round amounts of a few accounts that share devices, at one merchant.",
    "prohibited_goods": "Its buyers are ordinary people and its payments ordinary payments: only the merchant's listings and tickets tell.",
    "friendly_fraud": "The customer's own card, device and address: until the dispute comes nothing but dear goods tells it from honest trade.",
    "promotion_abuse": "Small first purchases of young accounts that look alike and share devices and addresses.",
    "card_testing": "Bursts of an hour. These views are scheduled, so the burst itself is seen by the checkout views alone (radar_checkout_v1), which are no part of this.",
}
_NONE: Final = "\N{EN DASH}"


def percent(value: float | None) -> str:
    """With a decimal below ten percent, and two below one."""
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return _NONE
    size = abs(value) * 100
    if size < 0.005:  # noqa: PLR2004 - what two decimals show
        return "0%"
    return f"{value * 100:.{0 if size >= 10 else 1 if size >= 1 else 2}f}%"  # noqa: PLR2004 - as said


def number(value: float | None) -> str:
    """Whole, in thousands."""
    return _NONE if value is None or value != value else f"{value:,.0f}"  # noqa: PLR0124 - not a number


def ranged(of: Triple, *, signed: bool = False, money: bool = False, share: bool = True) -> str:
    """A number and its interval."""
    value, low, high = of
    if value is None:
        return _NONE
    told = [_one(each, money=money, share=share) for each in (value, low, high)]
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{told[0]}" if low is None else f"{sign}{told[0]} ({told[1]} to {told[2]})"


def _one(value: float | None, *, money: bool, share: bool) -> str:
    if money:
        return number(value)
    if share:
        return percent(value)
    return _NONE if value is None else f"{value:.3f}"


def verdict(one: Mapping[str, Any], few: int) -> tuple[str, str]:
    """more, none or less, and a sentence that says it; how many campaigns it rests on."""
    _, low, high = one["sets"]["all three"]["gain"]["recall"]
    word = "more" if low is not None and low > 0 else "less" if high is not None and high < 0 else "none"
    said = {
        "more": "The features find more.",
        "none": "No difference was shown.",
        "less": "With the features less is found.",
    }[word]
    campaigns = one["counts"]["held back"]["campaigns"]
    parts = [said]
    if campaigns < few:
        parts.append(
            f"It rests on {campaigns} campaign{'s' * (campaigns != 1)}, so the interval holds less than it promises."
        )
    if one["begun"]:
        parts.append(
            f"{one['begun']} of its {campaigns} campaigns had begun in the training weeks, so that model has met {'them' if one['begun'] > 1 else 'it'}."
        )
        new = one["new campaigns"]
        if new is not None:
            base, best = (ranged(new["sets"][name]) for name in ("payment", "all three"))
            parts.append(f"Of the others it finds {best}, the payment alone {base}.")
    return word, " ".join(parts)
