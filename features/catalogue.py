"""The modules that make up the risk catalogue: the default of the setting `catalog`."""

from features import services, sources
from features.views import (
    anomalies,
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
    "anomalies", "checkout", "credit", "graph", "identity", "merchants", "payments", "places", "services", "sources", "supportability", "target_encodings",
]  # fmt: skip
