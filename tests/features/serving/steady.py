"""Clients that ask a service for minutes: mixed lookups and pushes at a steady rate, each answer checked, times and the server's memory kept."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from features.settings import Settings
from tests.features.serving.habits import CUT, HOUR

__all__ = ["Client", "Measured", "asked_for", "server"]

CARDS = 4000
MEGABYTE = 1 << 20
_EVENTS_AT_MOST = 40
"""Of one card, so that no tail grows without end: after that a client pushes what is known already."""


@contextmanager
def server(settings: Settings, port: int) -> Iterator[psutil.Process]:
    """`asof serve` in a process of its own, once it is ready."""
    url = settings.online.url
    environment = {
        **os.environ, "ASOF_HOME": str(settings.home), "ASOF_CATALOG": settings.catalog, "ASOF_CLOCK": settings.now().isoformat(),
        "ASOF_SERVING__AUTH": "none", "ASOF_ONLINE__KIND": settings.online.kind, "ASOF_SERVING__DEADLINE_MS": "10000",
    }  # fmt: skip
    if url is not None:
        environment["ASOF_ONLINE__URL"] = url.get_secret_value()
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "serve", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL
    ) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                while not _is_ready(client):
                    assert process.poll() is None
                    time.sleep(0.1)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


class Client(threading.Thread):
    """Of cards of its own, so that it knows what each must count; one request after the other, so many a second."""

    def __init__(self, port: int, number: int, clients: int, rate: float, until: float) -> None:
        super().__init__()
        self._port, self._rate, self._until = port, rate, until
        self._draw = random.Random(number)  # noqa: S311 - what to ask, no secret
        self._cards = [f"c{n}" for n in range(number, CARDS, clients)]
        self._pushed: dict[str, int] = {}
        self.lookups, self.pushes, self.wrong = list[float](), list[float](), list[Any]()

    def run(self) -> None:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30) as client:
                following = time.monotonic()
                while following < self._until:
                    following += 1 / self._rate
                    self._push(client) if self._draw.random() < 0.2 else self._look(client)
                    time.sleep(max(0.0, following - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - none is what is tested
            self.wrong.append(error)

    def _push(self, client: httpx.Client) -> None:
        card = self._draw.choice(self._cards)
        known = self._pushed.get(card, 0)
        new = min(self._draw.randrange(1, 5), _EVENTS_AT_MOST - known)
        numbers = range(max(0, known - 2), known + new)  # two that are known come again
        rows = {
            "id": [f"{card}-{n}" for n in numbers], "card_id": [card] * len(numbers), "shop": ["s"] * len(numbers), "till_id": [1] * len(numbers),
            "amount": [7] * len(numbers), "event_time": [_instant(CUT + HOUR + n * 1_000_000) for n in numbers],
        }  # fmt: skip
        body = {"push_source_name": "payments", "df": rows, "watermark": _instant(CUT + 2 * HOUR)}
        began = time.perf_counter()
        answer = client.post("/push", json=body)
        self.pushes.append(time.perf_counter() - began)
        self._pushed[card] = known + new
        told: Any = answer.json() if answer.status_code == 200 else answer.text
        if answer.status_code != 200 or told["new"] != new or told["known"] != len(numbers) - new:
            self.wrong.append((answer.status_code, told, new))

    def _look(self, client: httpx.Client) -> None:
        cards = self._draw.sample(self._cards, self._draw.choice([1, 1, 1, 5, 20, 100]))
        body = {"feature_service": "mixed", "entities": {"card_id": cards}, "full_feature_names": True}
        began = time.perf_counter()
        answer = client.post("/get-online-features", json=body)
        self.lookups.append(time.perf_counter() - began)
        if answer.status_code != 200:
            self.wrong.append((answer.status_code, answer.text))
            return
        found = answer.json()
        named = dict(zip(found["metadata"]["feature_names"], found["results"], strict=True))
        counts = [self._pushed.get(card, 0) for card in cards]
        sums = [7 * count for count in counts]
        got = [named[name]["values"] for name in ("live__count_1h", "live__sum_amount_24h", "habits__count_7d")]
        if got != [counts, sums, [2 if card == "c1" else 3 if card == "c2" else 0 for card in cards]]:
            self.wrong.append((cards, counts, got))


def _instant(at: int) -> str:
    from features.definitions.names import utc

    return utc(at).isoformat()


class Measured:
    """Times in seconds, and the server's memory in bytes, one a second."""

    def __init__(self, clients: list[Client], memory: list[int]) -> None:
        self.lookups = np.concatenate([np.array(client.lookups) for client in clients])
        self.pushes = np.concatenate([np.array(client.pushes) for client in clients])
        self.wrong = [one for client in clients for one in client.wrong]
        self.memory = np.array(memory)

    @property
    def growth(self) -> int:
        """Of the memory from the second quarter of the time to the last one, by their medians: the first is for caches to fill."""
        quarters = np.array_split(self.memory, 4)
        return int(np.median(quarters[3]) - np.median(quarters[1]))

    def __str__(self) -> str:
        parts = [
            f"{what} {len(times)}, p50 {np.percentile(times, 50) * 1000:.1f} ms, p99 {np.percentile(times, 99) * 1000:.1f} ms, most {times.max() * 1000:.0f} ms"
            for what, times in (("lookups", self.lookups), ("pushes", self.pushes))
        ]
        medians = ", ".join(f"{np.median(quarter) / MEGABYTE:.1f}" for quarter in np.array_split(self.memory, 4))
        return "; ".join([*parts, f"memory by quarters {medians} MB", f"{len(self.wrong)} wrong"])


def asked_for(seconds: float, port: int, process: psutil.Process, *, clients: int = 4, rate: float = 15) -> Measured:
    """Some clients for some time, each at a rate of requests a second."""
    until, memory = time.monotonic() + seconds, list[int]()
    threads = [Client(port, number, clients, rate, until) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append(process.memory_info().rss)
        time.sleep(min(1.0, seconds / 40))
    return Measured(threads, memory)
