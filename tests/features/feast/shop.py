"""A catalogue with every kind of view, in an online store and in a registry: for tests of Feast's SDK."""

from feast import FeatureStore

from features import Catalog, FeatureService
from features.settings import Settings
from tests.features.serving import habits, test_states
from tests.features.serving.habits import CUT, HABITS, HOUR, PAIRS, PAYMENTS, PROFILES, TILLS
from tests.features.serving.test_states import BEFORE, LIVE, SINCE, SLIDING

__all__ = ["BEFORE", "CATALOG", "CUT", "HABITS", "HOUR", "LIVE", "PAYMENTS", "SINCE", "filled", "stock"]

CATALOG = Catalog(
    sources=(PAYMENTS, PROFILES),
    views=(HABITS, PAIRS, TILLS, LIVE, SLIDING),
    services=(
        FeatureService(name="all", views=(HABITS, PAIRS, LIVE, SLIDING)),
        FeatureService(name="till", views=(TILLS,)),
    ),
)


def filled(settings: Settings) -> None:
    """The values and states of one cut of every view."""
    habits.put(settings, HABITS, habits.HABIT_ROWS)
    habits.put(settings, PAIRS, habits.PAIR_ROWS)
    habits.put(settings, TILLS, habits.TILL_ROWS)
    for view in (LIVE, SLIDING):
        test_states.put(settings, view, BEFORE)


def stock(settings: Settings) -> FeatureStore:
    """Feast's own, over the repository that `asof apply` wrote."""
    return FeatureStore(repo_path=str(settings.feast))
