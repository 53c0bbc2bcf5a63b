"""An application under uvicorn with `OneWrite`, some of which is answered directly, and what its connections hear."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from features.serving.http_protocol import DIRECT, STAYING, OneWrite
from features.serving.staying import Staying


class Told(Staying):
    """Keeps what it was told."""

    heard: ClassVar[list[str]] = []

    def answered(self) -> None:
        self.heard.append("answered")
        super().answered()

    def asked(self) -> None:
        self.heard.append("asked")
        super().asked()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of what it got, in one part or two; leaves without an answer where it is told to."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"][DIRECT] = {("POST", "/direct"): directly}
        scope["state"][STAYING] = Told(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    answer = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    for part in (answer[:1], answer[1:]) if scope["path"] == "/parts" else (answer,):
        await send({"type": "http.response.body", "body": part, "more_body": scope["path"] == "/parts"})
    if scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def directly(_: Scope, body: bytes) -> Response | Awaitable[Response] | None:
    """Tells that it was asked, at once or later; leaves some to the application."""
    if body == b"not mine":
        return None
    if body == b"wrong":
        raise ValueError(body)
    return later(body) if b"later" in body else made(body)


def made(body: bytes) -> Response:
    return Response(b"directly %d" % len(body), 201 if b"created" in body else 200)


async def later(body: bytes) -> Response:
    await asyncio.sleep(0.01)
    if b"wrong" in body:
        raise ValueError(body)
    return made(body)


@contextmanager
def served() -> Iterator[socket.socket]:
    """A connection to the app under uvicorn."""
    with listening() as address, connected(address) as link:
        yield link


def connected(address: tuple[str, int]) -> socket.socket:
    """What is sent goes out at once."""
    link = socket.create_connection(address, timeout=10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


@contextmanager
def listening() -> Iterator[tuple[str, int]]:
    """Where the app is under uvicorn."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=OneWrite, log_level="error", lifespan="on", timeout_keep_alive=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()
    finally:
        server.should_exit = True
        thread.join()


def answers(link: socket.socket, count: int = 1) -> list[bytes]:
    """The next answers, each with its status and its body."""
    file, made = link.makefile("rb"), []
    for _ in range(count):
        status, length = file.readline().split(b" ", 1)[1].strip(), 0
        while (line := file.readline()) != b"\r\n":
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
        made.append(status + b": " + file.read(length))
    file.close()
    return made


HEAD = b"POST /direct HTTP/1.1\r\nhost: a\r\n"


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body
