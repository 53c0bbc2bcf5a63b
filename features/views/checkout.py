"""The last minutes and hours of who is at the checkout, exact at the asking instant, and the payment itself among them."""

from features import (
    EventFreshness,
    FeatureView,
    Schedule,
    burst,
    count,
    flat,
    max_,
    mean,
    ratio,
    requested,
    std,
    time_since_last,
    velocity,
    zscore,
)
from features.definitions.entities import Entity
from features.entities import ACCOUNT, CARD, DEVICE, IP
from features.sources import PAYMENTS
from features.views.conditions import DECLINED, UNSECURED

__all__ = [
    "ACCOUNT_CHECKOUT",
    "ACCOUNT_USUAL",
    "CARD_AUTHORIZATION",
    "CARD_CHECKOUT",
    "CARD_USUAL",
    "DEVICE_CHECKOUT",
    "IP_CHECKOUT",
]

_AT_ONCE = EventFreshness(lag="0", lateness="1h")


def _checkout(entity: Entity, distincts: tuple[str, ...]) -> FeatureView:
    return FeatureView(
        name=f"{entity.name}_checkout",
        entity=entity,
        source=PAYMENTS,
        freshness=_AT_ONCE,
        owner="payments",
        description=f"The last minutes and hours of the {entity.name}, exact at the asking instant.",
        features=flat(
            (
                velocity(
                    "1m 15m 1h 24h",
                    sums=("amount_minor",),
                    distincts=distincts,
                    limit=50,
                    filters={"": None, "declined": DECLINED},
                ),
                max_("amount_minor", "1h 24h"),
                time_since_last("24h"),
            )
        ),
    )


CARD_AUTHORIZATION = FeatureView(
    name="card_authorization",
    entity=CARD,
    source=PAYMENTS,
    freshness=_AT_ONCE,
    request=("payment_id", "amount_minor", "merchant_id", "device_id", "account_id", "channel", "three_ds"),
    include_self=True,
    owner="payments",
    description="What a card has done up to and with the payment that is asked about.",
    features=flat((
        velocity("1m 15m 1h 24h", sums=("amount_minor",), distincts=("merchant_id", "device_id", "account_id"), limit=50),
        count("1h 24h", where=UNSECURED, suffix="unsecured"),
        max_("amount_minor", "24h"),
        burst("24h"),
    )),
)  # fmt: skip

_USUAL = Schedule(anchor="ask")


def _usual(entity: Entity) -> FeatureView:
    return FeatureView(
        name=f"{entity.name}_usual",
        entity=entity,
        source=PAYMENTS,
        freshness=_USUAL,
        request=("amount_minor",),
        owner="payments",
        description=f"How the payment that is asked about compares with what the {entity.name} paid before.",
        features=flat((
            requested("amount_minor"), count("30d"), mean("amount_minor", "30d"), std("amount_minor", "30d"), max_("amount_minor", "30d"),
            ratio("requested_amount_minor", "max_amount_minor_30d"), zscore("requested_amount_minor", of="amount_minor_30d"),
        )),
    )  # fmt: skip


CARD_USUAL = _usual(CARD)
ACCOUNT_USUAL = _usual(ACCOUNT)
CARD_CHECKOUT = _checkout(CARD, ("merchant_id",))
ACCOUNT_CHECKOUT = _checkout(ACCOUNT, ("card_id",))
DEVICE_CHECKOUT = _checkout(DEVICE, ("card_id",))
IP_CHECKOUT = _checkout(IP, ("card_id",))
