"""The definitions that the service serves under a steady load: a stream, windows that slide, and plain values."""

from features import FeatureService
from tests.features.serving.habits import CARD, HABITS, PAYMENTS
from tests.features.serving.test_states import LIVE, SLIDING

__all__ = ["CARD", "HABITS", "LIVE", "MIXED", "PAYMENTS", "SLIDING"]

MIXED = FeatureService(name="mixed", views=(LIVE, SLIDING, HABITS))
