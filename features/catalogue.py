"""The modules that make up the risk catalogue: the default of the setting `catalog`."""

from features import services, sources
from features.views import (
    checkout,
    credit,
    graph,
    identity,
    merchants,
    payments,
    places,
    supportability,
    target_encodings,
)

__all__ = [
    "checkout", "credit", "graph", "identity", "merchants", "payments", "places", "services", "sources", "supportability", "target_encodings",
]  # fmt: skip
