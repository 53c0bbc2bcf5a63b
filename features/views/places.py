"""What payments come through and where they go: IP addresses and their networks, e-mail and postal addresses, banks' number ranges."""

from features import (
    FeatureView,
    burst,
    count,
    flat,
    gap_mean,
    mean,
    ratio,
    std,
    sum_,
    time_since_first,
    time_since_last,
    velocity,
)
from features.definitions.entities import Entity
from features.definitions.features import Feature
from features.entities import ADDRESS, BIN, EMAIL, IP, NETWORK
from features.sources import PAYMENTS
from features.views.conditions import DECLINED, FOREIGN, SMALL, UNSECURED

__all__ = ["ADDRESS_VELOCITY", "BIN_VELOCITY", "EMAIL_VELOCITY", "IP_VELOCITY", "NETWORK_VELOCITY"]


def _passing(
    entity: Entity, description: str, distincts: tuple[str, ...], limit: int, *more: tuple[Feature, ...]
) -> FeatureView:
    """Who and how much passes through, and how much of it is declined."""
    return FeatureView(
        name=f"{entity.name}_velocity",
        entity=entity,
        source=PAYMENTS,
        # What is asked at the checkout of an address is made of all rows at each cut: beside it nothing is saved.
        tiles=entity is not IP,
        owner="payments",
        description=description,
        features=flat(
            (
                velocity("1d 7d 30d", sums=("amount_minor",), distincts=distincts, limit=limit),
                count("1d 7d 30d", where=DECLINED, suffix="declined"),
                mean("amount_minor", "30d"),
                time_since_first("ever"),
                time_since_last("ever"),
                ratio("count_declined_7d", "count_7d"),
                *more,
            )
        ),
    )


IP_VELOCITY = _passing(
    IP, "Who pays from one address.", ("account_id", "card_id", "device_id"), 100,
    count("7d", where=SMALL, suffix="small"), count("7d 30d", where=FOREIGN, suffix="foreign"), burst("7d"),
    (ratio("distinct_card_id_7d", "count_7d"),),
)  # fmt: skip

NETWORK_VELOCITY = _passing(
    NETWORK, "Who pays from one network: addresses change, networks less.", ("account_id", "card_id", "ip"), 200,
    count("7d", where=SMALL, suffix="small"), count("7d 30d", where=FOREIGN, suffix="foreign"), burst("7d"),
    (ratio("distinct_card_id_7d", "count_7d"),),
)  # fmt: skip

EMAIL_VELOCITY = _passing(
    EMAIL, "What is paid under one e-mail address.", ("card_id", "device_id", "address_id"), 50,
    count("30d", where=FOREIGN, suffix="foreign"), gap_mean("30d"), (ratio("distinct_card_id_30d", "count_30d"),),
)  # fmt: skip

ADDRESS_VELOCITY = _passing(
    ADDRESS, "Whose goods go to one address.", ("account_id", "card_id", "email_id"), 100,
    count("30d", where=FOREIGN, suffix="foreign"), burst("7d"), (ratio("distinct_card_id_30d", "count_30d"),),
)  # fmt: skip

BIN_VELOCITY = _passing(
    BIN, "How the cards of one bank and product are used: testing runs through one range at a time.", ("card_id", "merchant_id"), 2000,
    count("1d 7d", where=SMALL, suffix="small"), count("7d", where=FOREIGN, suffix="foreign"), count("7d 30d", where=UNSECURED, suffix="unsecured"),
    std("amount_minor", "30d"), sum_("amount_minor", "7d", where=DECLINED, suffix="declined"), burst("1d 7d"),
    (ratio("count_small_7d", "count_7d"), ratio("count_1d", "count_7d")),
)  # fmt: skip
