"""An answer is one packet; what may be answered directly is, wherever the request came whole, and all else takes uvicorn's way."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
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


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([HEAD + b"content-length: 3\r\n\r\nabc"], b"200 OK: directly 3"),
        ([HEAD + b"content-length: 7\r\n\r\ncreated"], b"201 Created: directly 7"),
        ([HEAD + b"content-length: 5\r\n\r\nlater"], b"200 OK: directly 5"),
        ([HEAD + b"content-length: 13\r\n\r\ncreated later"], b"201 Created: directly 13"),
        ([HEAD + b"\r\n"], b"200 OK: directly 0"),
        ([HEAD.replace(b"direct", b"direct?a=b") + b"content-length: 3\r\n\r\nabc"], b"200 OK: directly 3"),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"], b"200 OK: directly 3"),
        ([HEAD + b"content-length: 8\r\n\r\nnot mine"], b"200 OK: 8"),
        ([HEAD + b"content-length: 3\r\n\r\n", b"ab", b"c"], b"200 OK: 3"),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"], b"200 OK: 3"),
        ([HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 1000, b"x" * 299_000], b"200 OK: 300000"),
        ([HEAD.replace(b"POST", b"PUT") + b"content-length: 3\r\n\r\nabc"], b"200 OK: 3"),
        ([HEAD.replace(b"/direct", b"/other") + b"content-length: 3\r\n\r\nabc"], b"200 OK: 3"),
    ],
)
def test_what_came_whole_is_answered_directly_and_all_else_by_the_application(parts: list[bytes], said: bytes) -> None:
    with served() as link:
        for _ in range(3):  # the connection stays
            for part in parts:
                link.sendall(part)
                time.sleep(0.05)
            assert answers(link) == [said]


def test_whoever_waits_for_a_word_to_send_the_rest_gets_it() -> None:
    with served() as link:
        link.sendall(HEAD + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n")
        assert link.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(b"abc")
        assert answers(link) == [b"200 OK: 3"]


def test_answers_keep_the_order_of_their_requests_whoever_makes_them() -> None:
    """Of requests that were sent together those that wait for another's answer take uvicorn's way."""
    asked = {
        body: head + b"content-length: %d\r\n\r\n" % len(body) + body
        for head, body in ((HEAD, b"a"), (HEAD.replace(b"/direct", b"/other"), b"bc"), (HEAD, b"later"))
    }
    for bodies, direct in (
        ([b"a", b"bc", b"a", b"a", b"bc"], 1),
        ([b"a", b"a", b"later", b"a"], 3),
        ([b"later", b"bc"], 1),
    ):
        with served() as link:
            link.sendall(b"".join(map(asked.__getitem__, bodies)))
            said = [b"directly %d" % len(body) for body in bodies[:direct]] + [
                b"%d" % len(body) for body in bodies[direct:]
            ]
            assert answers(link, len(bodies)) == [b"200 OK: " + one for one in said]


def test_a_request_that_is_begun_behind_others_is_answered_once_it_is_whole() -> None:
    whole = HEAD + b"content-length: 1\r\n\r\nx"
    with served() as link:
        for first in (whole, HEAD + b"content-length: 5\r\n\r\nlater"):
            link.sendall(first + HEAD + b"content-length: 3\r\n\r\na")
            time.sleep(0.05)
            link.sendall(b"bc")
            assert answers(link, 2)[1] in {b"200 OK: 3", b"200 OK: directly 3"}


def test_what_is_no_request_behind_one_that_is_not_whole_gets_no_answer_but_that() -> None:
    with served() as link:
        link.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\nno length\r\n")
        answer = b""
        while part := link.recv(65_536):
            answer += part
        assert answer.count(b"HTTP/1.1") == 1
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("version", [b"HTTP/1.0\r\nhost: a\r\n", b"HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"])
def test_a_connection_that_ends_with_its_direct_answer_says_so(version: bytes) -> None:
    with served() as link:
        link.sendall(b"POST /direct " + version + b"content-length: 3\r\n\r\nabc")
        answer = b""
        while part := link.recv(65_536):
            answer += part
        assert answer.endswith(b"connection: close\r\n\r\ndirectly 3")


@pytest.mark.parametrize("body", [b"wrong", b"wrong later"])
def test_a_failure_of_what_answers_directly_is_uvicorns_to_answer(body: bytes) -> None:
    with served() as link:
        link.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert answers(link) == [b"500 Internal Server Error: Internal Server Error"]


def test_a_connection_on_which_nobody_asks_any_more_is_ended_and_no_other() -> None:
    ask = HEAD + b"content-length: 3\r\n\r\n"
    with served() as link:
        for pause in (0.7, 0.7, 0.7):
            link.sendall(ask + b"abc")
            assert answers(link) == [b"200 OK: directly 3"]
            time.sleep(pause)
        link.sendall(ask)
        time.sleep(1.5)  # the rest is on its way
        link.sendall(b"abc")
        assert answers(link) == [b"200 OK: 3"]
        asked = time.monotonic()
        assert link.recv(1) == b""
        assert 0.9 < time.monotonic() - asked < 3


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each request that uvicorn's parser is given."""
    begun, begin = list[None](), OneWrite.on_message_begin

    def on_message_begin(self: OneWrite) -> None:
        begun.append(None)
        begin(self)

    monkeypatch.setattr(OneWrite, "on_message_begin", on_message_begin)
    return begun


def test_a_head_that_came_before_is_taken_apart_once(parsed: list[None]) -> None:
    with served() as link:
        for _ in range(3):
            for body, said in (
                (b"abc", b"200 OK: directly 3"),
                (b"abd", b"200 OK: directly 3"),
                (b"later", b"200 OK: directly 5"),
                (b"early", b"200 OK: directly 5"),
                (b"created", b"201 Created: directly 7"),
            ):
                link.sendall(whole(body))
                assert answers(link) == [said]
    assert len(parsed) == 3  # lengths are in heads


def test_what_is_not_to_be_answered_directly_after_all_is_the_applications(parsed: list[None]) -> None:
    with served() as link:
        for body, said in (
            (b"not mini", b"200 OK: directly 8"),
            (b"not mine", b"200 OK: 8"),
            (b"not mini", b"200 OK: directly 8"),
        ):
            link.sendall(whole(body))
            assert answers(link) == [said]
        assert len(parsed) == 2


@pytest.mark.parametrize("body", [b"wrong", b"wrong later"])
def test_a_failure_under_a_head_that_came_before_is_uvicorns_to_answer(body: bytes, parsed: list[None]) -> None:
    with served() as link:
        link.sendall(whole(b"x" * len(body)))
        assert answers(link) == [b"200 OK: directly %d" % len(body)]
        link.sendall(whole(body))
        assert answers(link) == [b"500 Internal Server Error: Internal Server Error"]
    assert len(parsed) == 1


@pytest.mark.parametrize(
    "head",
    [HEAD + b"connection: close\r\n", HEAD.replace(b"1.1", b"1.0"), HEAD + b"upgrade: h2c\r\nconnection: upgrade\r\n"],
)
def test_a_head_that_asks_for_more_than_an_answer_is_not_remembered(head: bytes, parsed: list[None]) -> None:
    with served() as link:
        for _ in range(3):
            link.sendall(whole(b"abc", head))
            if b"upgrade" not in head:
                assert answers(link) == [b"200 OK: directly 3"]
                assert link.recv(1) == b""
                return
            assert answers(link) == [b"200 OK: directly 0"]  # what follows is in the other protocol
    assert len(parsed) == 3


CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        # a body that reads as a request
        ([whole(whole(b"abc"))[: -len(whole(b"abc"))], whole(b"abc")], [b"200 OK: %d" % len(whole(b"abc"))]),
        # one that comes before the answer to another
        ([whole(b"later"), whole(b"abc")], [b"200 OK: directly 5", b"200 OK: (directly )?3"]),
        # as many bytes as the body had, which are not all of it
        ([CHUNKED + b"2\r\n", b"ab\r\n1\r\nc\r\n0\r\n\r\n"], [b"200 OK: 3"]),
        # two, of which the first is known
        ([whole(b"abc") + whole(b"abd")], [b"200 OK: directly 3"] * 2),
        # the end of a known head
        ([whole(b"abc")[len(HEAD) :]], [b"400 Bad Request: Invalid HTTP request received."]),
    ],
)
def test_a_head_that_came_before_is_known_only_where_it_is_all_that_came(parts: list[bytes], said: list[bytes]) -> None:
    with served() as link:
        for one in (whole(b"abc"), whole(b"later"), CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"):
            link.sendall(one)
            assert answers(link)[0].startswith(b"200 OK: directly")
        link.sendall(HEAD)
        time.sleep(0.05)
        link.sendall(whole(b"abc")[len(HEAD) :])
        assert answers(link) == [b"200 OK: directly 3"]
        for part in parts:
            link.sendall(part)
            time.sleep(0.005)
        assert all(map(re.fullmatch, said, answers(link, len(said))))


def test_more_heads_than_are_remembered_are_answered_all_the_same() -> None:
    with served() as link:
        for length in [*range(1, 40), *range(1, 40)]:
            link.sendall(whole(b"x" * length))
            assert answers(link) == [b"200 OK: directly %d" % length]


OTHER = HEAD.replace(b"/direct", b"/other")
REQUESTS = [whole(b"a"), whole(b"later"), whole(b"seven b"), whole(b"x" * 17), whole(b"abc", OTHER), HEAD + b"\r\n"]
REQUESTS += [
    HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    whole(b"\r\n\r\n" + whole(b"a")),
]
LENGTHS = [1, 5, 7, 17, 3, 0, 3, len(whole(b"a")) + 4]


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with listening() as made:
        yield made


@settings(max_examples=50)
@given(st.data())
def test_however_requests_are_cut_and_put_together_each_gets_its_answer(
    address: tuple[str, int], data: st.DataObject
) -> None:
    """Their heads are known by then."""
    with connected(address) as link:
        for request in REQUESTS:
            link.sendall(request)
            answers(link)
        for _ in range(data.draw(st.integers(1, 4))):
            some = data.draw(st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=6))
            sent = b"".join(REQUESTS[one] for one in some)
            cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
            for first, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
                link.sendall(sent[first:end])
                time.sleep(data.draw(st.sampled_from([0, 0.002])))
            said = answers(link, len(some))
            lengths = [int(one.rpartition(b" ")[2]) for one in said]
            assert lengths == [LENGTHS[one] for one in some]
            assert all(one.startswith(b"200 OK: ") for one in said)


@pytest.mark.parametrize("path", ["direct", ""])
def test_the_loop_stays_awake_for_who_asks_alone(path: str) -> None:
    request = b"POST /%b HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx" % path.encode()
    with listening() as address, connected(address) as link:
        Told.heard.clear()
        for _ in range(3):
            link.sendall(request)
            assert link.recv(65_536).endswith(b"1")
        with connected(address) as other:
            for one in (other, link, other):
                one.sendall(request)
                assert one.recv(65_536).endswith(b"1")
        assert Told.heard == ["asked", "answered"] * 3 + ["asked"] * 3
