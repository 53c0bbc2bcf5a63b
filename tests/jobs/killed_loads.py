"""Loads in processes of their own, through a door to Redis that kills them after so many bytes."""

import multiprocessing
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from features import FeatureView
from features.settings import load
from features.store import redis_rows, redis_states
from features.store.heads import Loaded
from jobs import load_parts, materialize
from tests.features.serving.habits import HABITS
from tests.features.serving.test_states import LIVE

__all__ = ["VIEWS", "Door", "alone", "door", "load_cut"]

VIEWS: Mapping[str, FeatureView] = {view.name: view for view in (HABITS, LIVE)}
ROWS_IN_A_PART, ROWS_AT_ONCE = 40, 15
_CHUNK = 4096


def load_cut(
    home: Path, url: str, view: str, cut: int, published: Mapping[int, pa.Table], kind: str = "redis"
) -> Loaded:
    """Loads a published cut in small steps, so that there are many moments between them."""
    load_parts._ROWS_AT_ONCE = ROWS_IN_A_PART
    redis_rows._ROWS_AT_ONCE = redis_states._ROWS_AT_ONCE = ROWS_AT_ONCE
    settings = load(home=home, online={"kind": kind, "url": url}, clock="2026-01-01T10:00:00Z")
    return materialize.load_view(settings, VIEWS[view], cut, published.__getitem__, lambda: published)


def alone(
    home: Path, url: str, view: str, cut: int, published: Mapping[int, pa.Table], kind: str = "redis"
) -> BaseProcess:
    """The same in another process, which has begun."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=load_cut, args=(home, url, view, cut, published, kind))
    process.start()
    return process


class Door:
    """Passes on what a load says to Redis; `limit` bytes of it, and then the load is killed, or where none is named nothing passes any more."""

    def __init__(self, url: str, listener: socket.socket) -> None:
        self._to = urlsplit(url)
        self.url = self._to._replace(netloc=f"127.0.0.1:{listener.getsockname()[1]}").geturl()
        self._listener, self._lock = listener, threading.Lock()
        self.passed, self.limit = 0, 1 << 60
        self.load: BaseProcess | None = None

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.create_connection((self._to.hostname or "", self._to.port or 6379))
            for way in ((inside, outside, True), (outside, inside, False)):
                threading.Thread(target=self._pass, args=way, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asks: bool) -> None:  # noqa: FBT001
        with source:
            with suppress(OSError):  # either side may be killed
                while data := source.recv(_CHUNK):
                    target.sendall(self._within(data) if asks else data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

    def _within(self, data: bytes) -> bytes:
        with self._lock:
            room = self.limit - self.passed
            self.passed += len(data)
        if room >= len(data):
            return data
        if self.load is None:
            msg = "the door is shut"
            raise ConnectionError(msg)
        self.load.kill()
        return data[: max(0, room)]


@contextmanager
def door(url: str) -> Iterator[Door]:
    """One to the Redis of a URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Door(url, listener)
        threading.Thread(target=made.serve, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
