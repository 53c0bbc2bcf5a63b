import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from features.errors import BusyError
from features.settings import Settings, load
from jobs import metastore


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each new home compiles before its service starts, compiled once."""
    settings = load(home=tmp_path_factory.mktemp("listener"), metastore={"kind": "derby"})
    metastore._configure(settings)
    metastore._compile_listener(settings)
    return settings.home / "metastore" / "conf"


def _new_home(home: Path, listener: Path) -> Settings:
    shutil.copytree(listener, home / "metastore" / "conf")
    return load(home=home, metastore={"kind": "derby"})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Settings]:
    settings = load(home=tmp_path / "asof", metastore={"kind": "derby"})
    yield settings
    metastore.stop(settings)


def _port(uri: str) -> int:
    return int(uri.rpartition(":")[2])


def _ensure(home: Path) -> str:
    return metastore.ensure(load(home=home, metastore={"kind": "derby"}))


@pytest.mark.slow
def test_the_service_starts_once_survives_a_kill_and_stops(service: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        first, second = pool.map(_ensure, [service.home, service.home])
    assert first == second, "two processes that need it at once share one"
    assert metastore.answers(_port(first))

    record = service.home / "metastore" / "service.json"
    pid = int(record.read_text().partition('"pid": ')[2].partition(",")[0])
    heard = {c.laddr for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert heard in ({("127.0.0.1", _port(first))}, {("::ffff:127.0.0.1", _port(first))}), (
        "only this machine reaches it"
    )
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    again = metastore.ensure(service)
    assert metastore.answers(_port(again)), "Derby's own lock outlives a kill, and does not keep the next out"

    metastore.stop(service)
    assert not metastore.answers(_port(again))
    assert not record.exists()
    metastore.stop(service)


@pytest.mark.slow
def test_a_service_that_cannot_start_is_busy_and_names_its_log(service: Settings) -> None:
    # A file where Derby wants its folder: the JVM starts, and gives up.
    (service.home / "metastore").mkdir(parents=True)
    (service.home / "metastore" / "derby").write_text("no database")
    with pytest.raises(
        BusyError, match=r"ended without an answer on 127\.0\.0\.1:\d+.*Its log says why: .*logs/metastore\.log"
    ) as caught:
        metastore.ensure(service)
    assert (service.logs / "metastore.log").stat().st_size > 0
    assert str(service.home / "metastore") in str(caught.value)


def test_an_open_port_that_is_no_metastore_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not metastore.answers(port, seconds=0.2)
    assert not metastore.answers(port, seconds=0.2)


def test_a_record_that_is_no_record_counts_as_none(service: Settings) -> None:
    record = service.home / "metastore" / "service.json"
    record.parent.mkdir(parents=True)
    for text in ("", "{", "[]", '{"pid": 1}'):
        record.write_text(text)
        metastore.stop(service)
        assert not record.exists()


def test_another_process_with_the_same_pid_is_not_ended(service: Settings) -> None:
    record = service.home / "metastore" / "service.json"
    record.parent.mkdir(parents=True)
    record.write_text(f'{{"pid": {os.getpid()}, "started": 1.0, "port": 1}}')
    metastore.stop(service)
    assert not record.exists()


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = load(home=tmp_path / "asof", metastore={"kind": "derby", "port": port})
        with pytest.raises(
            BusyError,
            match=rf"Port {port} of 127\.0\.0\.1, on which The Hive metastore service should listen, is taken",
        ):
            metastore.ensure(settings)


def _killed_first_start_ruins_nothing(settings: Settings, after: float) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_ensure, args=(settings.home,))
    process.start()
    record = settings.home / "metastore" / "service.json"
    while not record.exists():
        time.sleep(0.02)
    pid = int(record.read_text().partition('"pid": ')[2].partition(",")[0])
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    process.kill()
    process.join()
    try:
        assert metastore.answers(_port(metastore.ensure(settings)))
    finally:
        metastore.stop(settings)


# From the JVM's start to the making of the schema.
@pytest.mark.slow
def test_a_first_start_that_is_killed_ruins_nothing(tmp_path: Path, listener: Path) -> None:
    _killed_first_start_ruins_nothing(_new_home(tmp_path / "asof", listener), 1.45)


@pytest.mark.long
@pytest.mark.parametrize("after", [0.4, 0.75, 1.1, 1.8, 2.15])
def test_a_first_start_that_is_killed_at_other_moments_ruins_nothing(
    tmp_path: Path, listener: Path, after: float
) -> None:
    _killed_first_start_ruins_nothing(_new_home(tmp_path / "asof", listener), after)
