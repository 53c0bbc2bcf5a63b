"""The HTTP service under a real server, for tests that ask it as its users do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from features.serving.http_protocol import OneWrite

__all__ = ["serving"]


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the app under a real server, on any free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", http=OneWrite))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while "being compiled" in client.get("/ready").text:
                assert thread.is_alive()
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        assert not getattr(server.lifespan, "shutdown_failed", False)
