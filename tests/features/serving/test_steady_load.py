"""The HTTP service under a steady load of mixed lookups and pushes: right answers, bounded times, flat memory. ASOF_TEST_MINUTES says how long (default 30)."""

import os
import socket
import sys
from pathlib import Path

import pytest

from features.settings import Settings, load
from tests.features.serving.habits import CUT, HABIT_ROWS, HABITS, HOUR, REDIS
from tests.features.serving.habits import put as put_rows
from tests.features.serving.steady import MEGABYTE, Measured, asked_for, server
from tests.features.serving.test_states import LIVE, SLIDING, paid, put

MINUTES = float(os.environ.get("ASOF_TEST_MINUTES", "30"))
SECONDS_AT_MOST = 0.5
"""The slowest but one of a hundred; of a machine that does other things beside it."""
OTHERS = [paid(n, f"of others {n}", CUT - HOUR) for n in range(100)]
STORES = ["sqlite", pytest.param("redis", marks=pytest.mark.services)]


def loaded(kind: str, home: Path) -> Settings:
    online = {"kind": kind, "url": REDIS} if kind == "redis" else {"kind": kind}
    catalog = "tests.features.serving.catalogue_of_steady_loads"
    settings = load(home=home, catalog=catalog, clock="2026-01-01T02:00:00Z", online=online)
    if kind == "redis":
        from features.store.redis_store import RedisStore

        store = RedisStore(REDIS)
        store.client.flushdb()
        store.close()
    for view in (LIVE, SLIDING):
        put(settings, view, OTHERS, now=CUT + HOUR)
    put_rows(settings, HABITS, HABIT_ROWS)
    return settings


def under_load(settings: Settings, seconds: float) -> Measured:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with server(settings, port) as process:
        measured = asked_for(seconds, port, process)
    sys.stdout.write(f"{measured}\n")  # pytest -s shows it
    assert measured.wrong[:3] == []
    for times in (measured.lookups, measured.pushes):
        assert len(times) > seconds
        assert sorted(times)[int(len(times) * 0.99)] < SECONDS_AT_MOST, str(measured)
    return measured


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
def test_a_short_load(tmp_path: Path, kind: str) -> None:
    under_load(loaded(kind, tmp_path), 12)


@pytest.mark.long
@pytest.mark.timeout(MINUTES * 60 + 600)
@pytest.mark.parametrize("kind", STORES)
def test_memory_stays_flat_for_half_an_hour(tmp_path: Path, kind: str) -> None:
    measured = under_load(loaded(kind, tmp_path), MINUTES * 60)
    assert measured.growth < 16 * MEGABYTE, str(measured)
