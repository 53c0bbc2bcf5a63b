"""The modules that make up the risk catalogue: the default of the setting `catalog`."""

from features import services, sources
from features.views import identity, merchants, payments, target_encodings

__all__ = ["identity", "merchants", "payments", "services", "sources", "target_encodings"]
