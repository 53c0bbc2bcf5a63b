"""Loads into Redis that are killed at random bytes go on where they stopped, and no reader ever notices."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from features.definitions.names import STATE
from features.serving.reader import Reader
from features.settings import Settings, load
from features.store import redis_rows, redis_states
from features.store.keys import entity_keys
from features.store.keys import redis_rows as rows_key
from features.store.keys import redis_states as states_key
from features.store.redis_client import records_of
from features.store.redis_store import RedisStore
from features.store.stores import open_store
from jobs import load_parts
from tests.engine import encoded, stored
from tests.features.serving.habits import CUT, HABITS, HOUR, PAYMENTS
from tests.features.serving.test_states import CATALOG as STATES
from tests.features.serving.test_states import LIVE, paid
from tests.jobs.killed_loads import VIEWS, Door, alone, door, load_cut
from tests.redis_cluster import Nodes
from tests.states import states_of

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]
CUTS = [CUT + n * HOUR // 60 for n in range(60)]
AT = CUT + 3 * HOUR
KEYS = 300
BYTES = {"habits": 115_000, "live": 55_000}
"""A little more than what a load says to Redis."""
VALUES = {
    "habits": ["count_7d", "count_30d", "sum_amount_7d", "mean_amount_7d"],
    "live": ["count_24h", "sum_amount_24h", "max_amount_24h"],
}


def cards(number: int) -> list[str]:
    """Of a cut: each lacks ten of the one before, and has ten that are new."""
    return [f"c{n:04}" for n in range(10 * number, 10 * number + KEYS)]


def habits(number: int) -> pa.Table:
    """All features of a cut say which it is."""
    names, whole = cards(number), pa.array([number + 1] * KEYS, pa.int64())
    columns = {name: whole.cast(pa.float64()) if kind == "float64" else whole for name, kind in HABITS.types.items()}
    return pa.table({"card_id": names, **columns, "asof_status": ["ok"] * KEYS})


def live(number: int) -> pa.Table:
    """States of as many payments as the number of the cut says and one more, each of which is worth one."""
    rows = [paid(n, card, CUT - 1 - n, 1) for card in ("c",) for n in range(number + 1)]
    (state,) = states_of(LIVE, {"payments": stored(PAYMENTS, rows)}, {encoded(("c",)): 0}, CUTS[number])
    return pa.table({"card_id": cards(number), STATE: pa.array([state] * KEYS, pa.binary())})


PUBLISHED = {"habits": habits, "live": live}


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    _kept(monkeypatch)
    store = RedisStore(redis_url)
    store.client.flushdb()
    yield load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T10:00:00Z")
    store.client.flushdb()
    store.close()


def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (load_parts, redis_states, redis_rows):  # `load_cut` makes them small
        monkeypatch.setattr(module, "_ROWS_AT_ONCE", module._ROWS_AT_ONCE)


class Watching(threading.Thread):
    """Looks keys up again and again: each answer is of one cut, the live one or the one that is being loaded."""

    def __init__(self, settings: Settings, view: str) -> None:
        super().__init__()
        self.settings, self.view, self.live, self.loading, self.stop = settings, view, 0, 0, threading.Event()
        self.wrong, self.seen = list[Any](), set[int]()

    def run(self) -> None:
        try:
            with Reader(self.settings, _catalog(self.view)) as reader:
                while not self.stop.is_set():
                    self._look(reader)
        except Exception as error:  # noqa: BLE001 - none is what is tested
            self.wrong.append(error)

    def _look(self, reader: Reader) -> None:
        oldest = self.live
        keys = cards(oldest)[::17] + cards(oldest)[:12] + cards(oldest + 1)[-12:]
        found = reader.lookup_features({self.view: VALUES[self.view]}, [{"card_id": card} for card in keys], AT)
        newest = self.loading
        for card, row in zip(keys, found.rows, strict=True):
            allowed = [_meant(self.view, n, card) for n in range(oldest, newest + 1)]
            got = list(row.views[0].values.values())
            if got not in allowed:
                self.wrong.append((card, oldest, newest, got, row.views[0]))
            self.seen.add(row.views[0].cut)


def _catalog(view: str) -> Any:
    from tests.features.serving.habits import CATALOG as PLAIN

    return PLAIN if view == "habits" else STATES


def _meant(view: str, number: int, card: str) -> list[Any]:
    """No two of a card are the same, and none is partly another."""
    if card not in cards(number):
        return [0, 0, 0, None] if view == "habits" else [0, 0, None]
    return [number + 1] * 4 if view == "habits" else [number + 1, number + 1, 1]


def _published(view: str, number: int) -> dict[int, pa.Table]:
    return {cut: PUBLISHED[view](n) for n, cut in enumerate(CUTS[: number + 1])}


def _one_load(store: RedisStore, way: Door, settings: Settings, view: str, number: int, limit: int) -> bool:
    """A load that is killed after so many bytes; whether it ended before."""
    way.passed, way.limit = 0, 1 << 60
    way.load = alone(settings.home, way.url, view, CUTS[number], _published(view, number))
    way.limit = limit
    way.load.join()
    store.client.delete(records_of(store.client, view).lease)  # nobody renews it; half a minute later it would be gone
    return way.load.exitcode == 0


def _finished(store: RedisStore, view: str) -> int:
    """Rows of parts that are recorded as finished."""
    return sum(
        int(rows)
        for name, rows in store.client.hgetall(records_of(store.client, view).parts).items()
        if name != b"load"
    )


def _killed(settings: Settings, url: str, view: str, kills: int) -> None:
    draw, store, number = random.Random(7), RedisStore(url), 1  # noqa: S311 - moments, no secrets
    load_cut(settings.home, url, view, CUTS[0], _published(view, 0))
    watching, stopped_at = Watching(settings, view), set[int]()
    watching.start()
    with door(url) as way:
        watching.loading = number
        while kills:
            before = _finished(store, view)
            if _one_load(store, way, settings, view, number, draw.randrange(200, BYTES[view])):
                watching.live, number = number, number + 1
                watching.loading = number
                continue
            kills -= 1
            stopped_at.add(_finished(store, view))
            assert before <= _finished(store, view) or _finished(store, view) == 0
    there = _finished(store, view)
    done = load_cut(settings.home, url, view, CUTS[number], _published(view, number))
    if done.sentence is not None:  # the last one was killed while it cleaned up; the next load does that
        number, there, watching.loading = number + 1, 0, number + 1
        done = load_cut(settings.home, url, view, CUTS[number], _published(view, number))
    watching.live = number
    watching.stop.set()
    watching.join()
    assert watching.wrong[:3] == []
    assert len(watching.seen) > 1
    assert len(stopped_at) > 2, "they were killed at different places"
    assert (done.sentence, done.already, done.written, done.head.rows) == (None, there, KEYS, KEYS)
    _nothing_is_left(settings, store, view, number)
    store.close()


def _nothing_is_left(settings: Settings, store: RedisStore, view: str, number: int) -> None:
    """The rows of the cut, and of the generation before where it is kept; no record of what was begun."""
    assert store.client.exists(records_of(store.client, view).parts) == 0
    record = store.client.hgetall(
        records_of(store.client, view).head if view == "habits" else records_of(store.client, view).generations
    )
    assert not [name for name in record if name.startswith(b"begun")]
    kept = len(store.generations(view))
    every = sorted({card for n in range(number + 2) for card in cards(n)})
    keys = entity_keys({"card_id": pa.array(every)}, "string")
    if view == "habits":
        assert [key for key in keys if store.client.exists(rows_key(key))] == keys[-KEYS - 10 : -10]
        assert not [key for key in keys if store.client.exists(states_key(key))]
    else:
        assert sum(len(store.client.hkeys(states_key(key))) for key in keys) == kept * KEYS
    plain = [key for key in store.client.scan_iter(count=5000) if not key.startswith(b"asof:")]
    assert len(plain) == (KEYS if view == "habits" else 0)
    with Reader(settings, _catalog(view)) as reader:
        found = reader.lookup_features({view: VALUES[view]}, [{"card_id": card} for card in every], AT).rows
    got = [list(row.views[0].values.values()) for row in found]
    assert got == [_meant(view, number, card) for card in every]


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_load_that_is_killed_ten_times_ends_as_one_that_was_not(
    settings: Settings, redis_url: str, view: str
) -> None:
    _killed(settings, redis_url, view, 10)


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_a_load_that_is_killed_a_hundred_times_ends_as_one_that_was_not(
    settings: Settings, redis_url: str, view: str
) -> None:
    _killed(settings, redis_url, view, 100)


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_load_into_a_cluster_that_is_killed_goes_on_while_slots_are_moved(
    redis_cluster: Nodes, tmp_path: Path, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at moments that it chooses itself: how many parts are finished."""
    _kept(monkeypatch)
    settings = load(home=tmp_path, online=redis_cluster.online, clock="2026-01-01T10:00:00Z")
    given = (settings.home, redis_cluster.url, view)
    load_cut(*given, CUTS[0], _published(view, 0), "redis-cluster")
    store, watching, moving = (
        cast("RedisStore", open_store(settings, writable=True)),
        Watching(settings, view),
        threading.Event(),
    )
    mover = threading.Thread(target=_moved_about, args=(redis_cluster, moving))
    watching.loading = 1
    mover.start()
    watching.start()
    for rows in (KEYS // 10, KEYS // 2):
        process = alone(*given, CUTS[1], _published(view, 1), "redis-cluster")
        while process.is_alive() and _finished(store, view) < rows:
            time.sleep(0.001)
        process.kill()
        process.join()
        store.client.delete(records_of(store.client, view).lease)
    there = _finished(store, view)
    assert there > 0
    done = load_cut(*given, CUTS[1], _published(view, 1), "redis-cluster")
    watching.live = 1
    moving.set()
    mover.join()
    watching.stop.set()
    watching.join()
    assert watching.wrong[:3] == []
    assert (done.sentence, done.already, done.written) == (None, there, KEYS)
    _nothing_is_left(settings, store, view, 1)
    store.close()


def _moved_about(nodes: Nodes, stop: threading.Event) -> None:
    """Slots of some keys go to a node that had none, and back."""
    keys = [states_key(key) for key in entity_keys({"card_id": pa.array(cards(0)[40:60])}, "string")]
    for slot in map(nodes.slot, keys):
        home = nodes.owner(slot)
        for to in (3, home):
            nodes.move(slot, to)
        if stop.is_set():
            return
