"""The views that the tests of the stores share."""

import pytest

from features import FeatureView
from tests.features.store.hostile_rows import make_view


@pytest.fixture(
    params=[("string", ("z_key", "a_key")), ("string", ("key",)), ("int64", ("z_key", "a_key")), ("int64", ("key",))],
    ids=str,
)
def view(request: pytest.FixtureRequest) -> FeatureView:
    """Text and number, single and composite keys."""
    return make_view(type=request.param[0], keys=request.param[1])
