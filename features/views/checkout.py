"""The last minutes and hours of who is at the checkout, exact at the asking instant."""

from features import EventFreshness, FeatureView, flat, max_, time_since_last, velocity
from features.definitions.entities import Entity
from features.entities import ACCOUNT, CARD, DEVICE, IP
from features.sources import PAYMENTS
from features.views.conditions import DECLINED

__all__ = ["ACCOUNT_CHECKOUT", "CARD_CHECKOUT", "DEVICE_CHECKOUT", "IP_CHECKOUT"]

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


CARD_CHECKOUT = _checkout(CARD, ("merchant_id",))
ACCOUNT_CHECKOUT = _checkout(ACCOUNT, ("card_id",))
DEVICE_CHECKOUT = _checkout(DEVICE, ("card_id",))
IP_CHECKOUT = _checkout(IP, ("card_id",))
