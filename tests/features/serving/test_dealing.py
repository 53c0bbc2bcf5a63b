"""Connections are dealt to the worker that has the fewest, and none is lost that no worker has taken."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.serving.dealing import Dealer


@pytest.fixture
def dealer(tmp_path: Path) -> Iterator[Dealer]:
    with Dealer("127.0.0.1", 0, tmp_path) as made:
        yield made


def worker(dealer: Dealer) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(5)
    made.connect(dealer.place.path)
    return made


def ask(dealer: Dealer) -> socket.socket:
    return socket.create_connection(dealer.address, timeout=5)


def take(of: socket.socket) -> socket.socket:
    """The next connection that a worker is dealt; it takes it."""
    said, found, *_ = socket.recv_fds(of, 1, 1)
    assert said == b"+"
    of.send(b"+")
    return socket.socket(fileno=found[0])


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_each_of_two_workers_gets_half_and_whoever_has_fewer_the_next(dealer: Dealer) -> None:
    with worker(dealer) as one, worker(dealer) as two:
        asked = [ask(dealer) for _ in range(8)]
        taken = [take(of) for of in (one, two) * 4]
        for each in taken[1:7:2]:
            each.close()
        two.send(b"---")
        for each in taken[1:7:2]:
            assert asked[taken.index(each)].recv(1) == b""  # nobody else holds it, so it has ended
        asked += [ask(dealer) for _ in range(4)]
        taken += [take(of) for of in (two, two, two, one)]
        for each in (*asked, *taken):
            each.close()


def test_whoever_comes_before_any_worker_waits_for_one(dealer: Dealer) -> None:
    with ask(dealer) as asked:
        asked.sendall(b"hello")
        with worker(dealer) as one, take(one) as connection:
            assert connection.recv(5) == b"hello"


def test_what_a_worker_had_not_taken_when_it_went_another_gets(dealer: Dealer) -> None:
    with worker(dealer) as one, worker(dealer) as two:
        asked = [ask(dealer) for _ in range(4)]
        with take(one) as mine:
            one.close()
            got = [take(two) for _ in range(3)]
            assert mine.getpeername() == asked[0].getsockname()
        assert {each.getpeername() for each in got} == {each.getsockname() for each in asked[1:]}
        for each in (*asked, *got):
            each.close()


def test_more_than_a_worker_can_be_sent_at_once_wait(dealer: Dealer) -> None:
    with worker(dealer) as one:
        asked = [ask(dealer) for _ in range(350)]
        for number, each in enumerate(asked):
            each.sendall(b"%3d" % number)
        for number in range(350):
            with take(one) as connection:
                assert connection.recv(3) == b"%3d" % number
            one.send(b"-")
        for each in asked:
            each.close()


def test_once_it_stops_whoever_connects_is_refused_and_what_was_dealt_stays(dealer: Dealer) -> None:
    with worker(dealer) as one, ask(dealer) as asked, take(one) as connection:
        dealer.stop()
        until(lambda: _is_refused(dealer))
        asked.sendall(b"still here")
        assert connection.recv(10) == b"still here"


def _is_refused(dealer: Dealer) -> bool:
    try:
        ask(dealer).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it waited when the listener was closed
        return False
    return False
