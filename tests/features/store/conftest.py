"""The views and stores that the tests of the stores share."""

from collections.abc import Iterator

import pytest

from features import FeatureView
from features.store.redis_store import RedisStore
from tests.features.store.hostile_rows import make_view
from tests.features.store.loads import opened


@pytest.fixture(
    params=[("string", ("z_key", "a_key")), ("string", ("key",)), ("int64", ("z_key", "a_key")), ("int64", ("key",))],
    ids=str,
)
def view(request: pytest.FixtureRequest) -> FeatureView:
    """Text and number, single and composite keys."""
    return make_view(type=request.param[0], keys=request.param[1])


@pytest.fixture(params=["redis", "redis-cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    """One server, and a cluster."""
    alone = request.param == "redis"
    made = (
        RedisStore(request.getfixturevalue("redis_url"))
        if alone
        else opened(request.getfixturevalue("redis_cluster").url)
    )
    made.client.flushdb()
    yield made
    made.client.flushdb()
    made.close()


@pytest.fixture
def one(redis_url: str) -> Iterator[RedisStore]:
    """One server."""
    made = RedisStore(redis_url)
    yield made
    made.close()
