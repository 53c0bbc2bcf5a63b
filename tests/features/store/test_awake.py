"""Whoever waits awake in vain sleeps longer each time."""

import itertools
import socket

import pytest

from features.store.awake import Awake, Backoff


def test_whoever_waited_awake_in_vain_sleeps_longer_each_time_until_something_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(step=100e-6)
    looked = list[float]()

    def now() -> float:
        looked.append(next(clock))
        return looked[-1]

    mine, other = socket.socketpair()
    with mine, other, monkeypatch.context() as patch:
        patch.setattr("features.store.awake.time.perf_counter", now)
        patch.setattr("features.store.awake._processors", lambda: 2)
        awake = Awake(mine.fileno())

        def asleep() -> int:
            """How many answers are waited for asleep before one is looked for again; whoever looks, looks at the clock."""
            looked.clear()
            calls = 0
            while not looked:
                assert not awake.comes()
                calls += 1
            return calls - 1

        assert [asleep() for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 64, 64]
        for _ in range(64):
            assert not awake.comes()
        other.send(b"x")
        assert awake.comes()
        mine.recv(1)
        assert [asleep() for _ in range(3)] == [0, 1, 2]


def test_alone_on_a_processor_nobody_waits_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    mine, other = socket.socketpair()
    with mine, other:
        other.send(b"x")
        awake = Awake(mine.fileno())
        assert not any(awake.comes() for _ in range(1000))


def test_processors_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert not Backoff().is_awake()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5})
    assert Backoff().is_awake()
    monkeypatch.delattr("os.sched_getaffinity")
    assert Backoff().is_awake()
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert not Backoff().is_awake()
