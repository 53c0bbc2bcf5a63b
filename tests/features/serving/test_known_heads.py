"""A head that came before on a connection is taken apart once, and only where it is all that came before its body."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.serving.http_protocol import OneWrite
from tests.features.serving.protocol import HEAD, answers, connected, listening, served, whole


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
