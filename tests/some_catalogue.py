"""A part of the risk catalogue: views of every kind and one service, few enough that each test can tell Feast of them."""

from dataclasses import replace

from features import Catalog, load_catalog

__all__ = ["CATALOG"]

_NAMES = {
    "card_velocity", "card_checkout", "card_at_merchant", "account_profile", "account_history", "device_sharing", "device_profile", "merchant_risk", "bin_fraud",
    "country_pair_fraud", "account_component",
}  # fmt: skip
_ALL = load_catalog()
_VIEWS = tuple(view for view in _ALL.views if view.name in _NAMES)
CATALOG: Catalog = replace(
    _ALL,
    views=_VIEWS,
    services=tuple(
        replace(service, views=tuple(item.view for item in service.selections if item.view in _NAMES))
        for service in _ALL.services
        if service.name in {"radar_v1", "radar_checkout_v1"}
    ),
)
