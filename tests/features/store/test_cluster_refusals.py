"""What is said where no Redis Cluster is."""

from pathlib import Path

import pytest

from features.errors import BusyError, SettingsError
from features.settings import load
from features.store.stores import open_store

pytestmark = pytest.mark.services


def test_nobody_there_is_said(tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "redis-cluster", "url": "redis://:secret@127.0.0.1:1"})
    with pytest.raises(BusyError, match=r"The online store redis-cluster://127\.0\.0\.1:1 does not answer") as told:
        open_store(settings, writable=True)
    assert "secret" not in str(told.value)


def test_one_server_that_is_no_cluster_is_said(redis_url: str, tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "redis-cluster", "url": redis_url})
    with pytest.raises(BusyError, match="Cluster mode is not enabled on this node"):
        open_store(settings, writable=True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:secret@h:7000/3", r"names database 3, but a Redis Cluster has database 0 alone"),
        ("redis://:secret@h:7000,g:x", r"is no Redis URL"),
    ],
)
def test_a_url_that_is_none_of_a_cluster_is_said(url: str, says: str, tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "redis-cluster", "url": url})
    with pytest.raises(SettingsError, match=says) as told:
        open_store(settings, writable=True)
    assert "secret" not in str(told.value)
