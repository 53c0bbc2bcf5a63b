"""What a link says of a server that is no Redis, is silent, or ends the connection; it waits awake for a moment alone."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from features.store.redis_link import Link
from features.store.resp import command

PING = command(b"PING")


@contextmanager
def _answering(*answers: bytes, after: float = 0.0) -> Iterator[int]:
    """A port where one connection gets these answers, one a command, some time after each; then it is closed."""

    def serve() -> None:
        link, _ = server.accept()
        with link:
            rest = list(answers)
            while asked := link.recv(65_536):
                if PING not in asked:  # redis-py's greeting
                    link.sendall(b"+OK\r\n" * asked.count(b"*"))
                    continue
                if not rest:
                    return
                time.sleep(after)
                link.sendall(rest.pop(0))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def _link(port: int) -> Link:
    connection: Any = redis.Connection
    return Link(connection(host="127.0.0.1", port=port, socket_timeout=0.5))


def test_answers_come_in_order_and_a_refusal_is_one_of_them() -> None:
    with _answering(b"+PONG\r\n-ERR no such thing\r\n*2\r\n$2\r\nab\r\n-WRONGTYPE it is a list\r\n") as port:
        link = _link(port)
        pong, refused, (text, inside) = link.ask(PING * 3, 3)
        assert (pong, text) == (b"PONG", b"ab")
        assert [(type(one), str(one)) for one in (refused, inside)] == [
            (redis.ResponseError, "ERR no such thing"),
            (redis.ResponseError, "WRONGTYPE it is a list"),
        ]
        link.close()


@pytest.mark.parametrize("awake", [True, False])
def test_an_answer_in_pieces_is_whole(awake: bool) -> None:  # noqa: FBT001 - a case
    whole = b"*1\r\n$300000\r\n" + b"x" * 300_000 + b"\r\n"
    with _answering(whole) as port:
        link = _link(port)
        assert link.ask(PING, 1, awake=awake) == [[b"x" * 300_000]]
        link.close()


def test_who_waits_awake_in_vain_sleeps_the_next_times() -> None:
    with _answering(*[b"+PONG\r\n"] * 4, after=0.05) as port:
        link = _link(port)
        asked = []
        for _ in range(4):
            begun = time.thread_time()
            assert link.ask(PING, 1, awake=True) == [b"PONG"]
            asked.append(time.thread_time() - begun)
        link.close()
    assert max(asked[1:]) < 0.02, asked  # each answer takes 0.05 s, of which no processor saw much


@pytest.mark.parametrize(
    ("answers", "kind", "says"),
    [
        ([b"HTTP/1.1 400\r\n"], redis.ConnectionError, "it sent what is no answer"),
        ([b"$5\r\nhel"], redis.TimeoutError, "no answer in time"),
        ([], redis.ConnectionError, "the connection broke"),
    ],
)
def test_what_is_wrong_is_said_and_the_connection_is_closed(
    answers: list[bytes], kind: type[Exception], says: str
) -> None:
    with _answering(*answers) as port:
        link = _link(port)
        with pytest.raises(kind, match=says):
            link.ask(PING, 1)
        with pytest.raises(redis.ConnectionError, match="the connection broke"):
            link.ask(PING, 1)
