"""Each online store in turn, empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.settings import Settings, load


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.services),
        pytest.param("redis-cluster", marks=pytest.mark.services),
    ]
)
def either_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "sqlite":
        yield load(home=tmp_path, online={"kind": "sqlite"}, clock="2026-01-01T02:00:00Z")
        return
    if request.param == "redis-cluster":
        online = request.getfixturevalue("redis_cluster").online
        yield load(home=tmp_path, online=online, clock="2026-01-01T02:00:00Z")
        return
    url = request.getfixturevalue("redis_url")
    yield load(home=tmp_path, online={"kind": "redis", "url": url}, clock="2026-01-01T02:00:00Z")
