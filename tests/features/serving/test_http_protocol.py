"""An answer is one packet."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from features.serving.http_protocol import OneWrite


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of what it got, in one part or two; leaves without an answer where it is told to."""
    if scope["type"] != "http":
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


@contextmanager
def served() -> Iterator[socket.socket]:
    """A connection to the app under uvicorn."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=OneWrite, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=10) as link:
            yield link
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("path", ["/", "/parts"])
def test_head_and_body_come_together_and_the_connection_stays(path: str) -> None:
    with served() as link:
        for length in (7, 12, 70_000):
            link.sendall(
                b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (path.encode(), length) + b"x" * length
            )
            answer = link.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\n%d" % length)


def test_a_connection_that_is_to_end_gets_its_answer_first() -> None:
    with served() as link:
        link.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc")
        answer = b""
        while part := link.recv(65_536):
            answer += part
        assert answer.endswith(b"\r\n\r\n3")
        assert b"connection: close\r\n" in answer


def test_requests_that_were_sent_together_are_answered_in_their_order() -> None:
    one = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
    with served() as link:
        link.sendall(b"".join(one % length + b"x" * length for length in (1, 22, 333)))
        answer = b""
        while answer.count(b"HTTP/1.1 200 OK") < 3 or not answer.endswith(b"\r\n\r\n333"):
            answer += link.recv(65_536)
        assert [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
            b"1",
            b"22",
            b"333",
        ]
