"""Lookups while what they need fails: only clear errors, each key for itself, nothing wrong, nothing crashes, memory stays flat."""

import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from features.errors import BusyError, NotLoadedError
from features.serving.app import create_app
from features.serving.reader import Reader, Result
from features.settings import Settings, load
from features.store.keys import entity_key
from tests.features.serving import test_states as states
from tests.features.serving.habits import CATALOG, CUT, HABIT_ROWS, HABITS, HOUR, put
from tests.features.serving.server import serving

CARDS = [{"card_id": card} for card in ("c1", "c2", "nobody")]
MEGABYTE = 1 << 20


def test_ten_thousand_unknown_keys_get_ten_thousand_answers(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T02:00:00Z", serving={"auth": "none", "deadline_ms": 60_000})
    put(settings, HABITS, HABIT_ROWS)
    keys = ["c1", *(f"unknown {n}" for n in range(9_999))]
    with serving(create_app(settings, CATALOG)) as client:
        body = {"features": ["habits:count_7d", "habits:mean_amount_7d"], "entities": {"card_id": keys}}
        found = client.post("/get-online-features", json=body, timeout=60).json()
    _, counts, means = found["results"]
    assert counts["values"] == [2] + [0] * 9_999
    assert means["values"] == [350.0] + [None] * 9_999
    assert counts["statuses"] == ["PRESENT"] + ["NOT_FOUND"] * 9_999


@pytest.mark.slow
def test_any_byte_of_a_state_may_be_wrong(tmp_path: Path) -> None:
    """Two hundred states with a byte changed, cut off or added: each is said to be damaged, and its neighbour is as it was."""
    settings = load(home=tmp_path, clock="2026-01-01T01:00:00Z")
    states.put(settings, states.LIVE, states.BEFORE, now=CUT + HOUR)
    states.put(settings, states.SLIDING, states.BEFORE, now=CUT + HOUR)
    with Reader(settings, states.CATALOG) as reader:
        meant = reader.lookup("now", [{"card_id": "c2"}]).rows[0]
    key = entity_key({"card_id": "c1"}, "string")
    ((state,),) = _rows(settings, "SELECT state FROM asof_states WHERE view = 'live' AND entity_key = ?", key)
    draw = np.random.default_rng(7)
    for _ in range(200):
        wrong = bytearray(state)
        place = int(draw.integers(len(wrong)))
        match draw.integers(3):
            case 0:
                wrong[place] ^= 1 << int(draw.integers(8))
            case 1:
                del wrong[place:]
            case _:
                wrong.insert(place, int(draw.integers(256)))
        if not wrong or bytes(wrong) == state:  # of an empty one nothing was ever written
            continue
        _rows(settings, "UPDATE asof_states SET state = ? WHERE view = 'live' AND entity_key = ?", bytes(wrong), key)
        with Reader(settings, states.CATALOG) as reader:
            bad, good = reader.lookup("now", [{"card_id": "c1"}, {"card_id": "c2"}]).rows
        assert bad.views[0].status == "damaged", bytes(wrong).hex()
        assert bad.views[1].status == "ok"
        assert good == meant


def _rows(settings: Settings, statement: str, *values: object) -> list[tuple[bytes]]:
    with sqlite3.connect(settings.online_db) as link:
        found: list[tuple[bytes]] = link.execute(statement, values).fetchall()
    link.close()
    return found


def test_a_locked_file_ends_at_the_deadline_and_the_service_goes_on(tmp_path: Path) -> None:
    settings = load(
        home=tmp_path, clock="2026-01-01T02:00:00Z", serving={"auth": "none", "deadline_ms": 500, "threads": 2}
    )
    put(settings, HABITS, HABIT_ROWS)
    body = {"features": ["habits:count_7d"], "entities": {"card_id": ["c1"]}}
    holder = sqlite3.connect(settings.online_db, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    with serving(create_app(settings, CATALOG)) as client:
        holder.execute("BEGIN EXCLUSIVE")
        late = client.post("/get-online-features", json=body, timeout=30)
        assert (late.status_code, "the deadline of a request" in late.json()["detail"]) == (504, True)
        assert client.get("/health").status_code == 200
        holder.execute("ROLLBACK")
        holder.close()
        again = client.post("/get-online-features", json=body, timeout=30)
        for _ in range(100):
            if again.status_code == 200:
                break
            time.sleep(0.1)
            again = client.post("/get-online-features", json=body, timeout=30)
        assert again.json()["results"][1]["values"] == [2]


@pytest.mark.slow
def test_memory_stays_flat_under_a_steady_load(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T01:00:00Z")
    for view in (states.LIVE, states.SLIDING):
        states.put(settings, view, states.BEFORE, now=CUT + HOUR)
    process = psutil.Process()
    with Reader(settings, states.CATALOG) as reader:
        meant = reader.lookup("now", CARDS)
        for _ in range(300):
            reader.lookup("now", CARDS)
        before = process.memory_info().rss
        for _ in range(1000):
            assert reader.lookup("now", CARDS) == meant
        assert process.memory_info().rss - before < 4 * MEGABYTE


@contextmanager
def redis_at(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis of one's own, once it answers."""
    with subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    ) as server:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.02)
        try:
            yield server
        finally:
            server.kill()


@pytest.mark.services
def test_redis_is_killed_and_comes_back_under_load(tmp_path: Path) -> None:
    """Every answer is right or an error that says what to do; after a new load all readers go on by themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    settings = load(home=tmp_path, online={"kind": "redis", "url": url}, clock="2026-01-01T02:00:00Z")
    answers, errors, stop = list[Result](), list[Exception](), threading.Event()

    def ask() -> None:
        with Reader(settings, CATALOG) as reader:
            while not stop.is_set():
                try:
                    answers.append(reader.lookup("some", CARDS))
                except Exception as error:  # noqa: BLE001 - which ones is what is tested
                    errors.append(error)
                    time.sleep(0.02)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    with redis_at(port):
        put(settings, HABITS, HABIT_ROWS)
        for reader in readers:
            reader.start()
        _until(lambda: len(answers) > 100)
    _until(lambda: len(errors) > 20)
    told = len(answers)
    with redis_at(port):
        _until(lambda: any(isinstance(error, NotLoadedError) for error in errors))
        put(settings, HABITS, HABIT_ROWS)
        _until(lambda: len(answers) > told + 100)
        stop.set()
        for reader in readers:
            reader.join()
    assert all(answer == answers[0] for answer in answers)
    assert {type(error) for error in errors} == {BusyError, NotLoadedError}
    assert any(
        "does not answer as it should" in str(error) and "Mend it (online.url)" in str(error) for error in errors
    )


def _until(reached: Callable[[], bool]) -> None:
    for _ in range(1500):
        if reached():
            return
        time.sleep(0.02)
    pytest.fail("It took more than thirty seconds.")
