"""An answer is one packet; what may be answered directly is, wherever the request came whole, and all else takes uvicorn's way."""

import time

import pytest

from tests.features.serving.protocol import HEAD, Told, answers, connected, listening, served


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
