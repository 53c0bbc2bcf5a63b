"""`asof serve` and `asof grant` as processes: several workers, one set of counts, and an end that loses no request."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from features.errors import BusyError, MissingError
from features.settings import Settings, load
from jobs.commands import Grant, Serve
from jobs.grant import run as run_grant
from jobs.serve import run as run_serve
from tests.features.serving.habits import HABIT_ROWS, HABITS, put

CATALOG = "tests.features.serving.habits"
BODY = {"feature_service": "some", "entities": {"card_id": ["c1"]}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(home=tmp_path, clock="2026-01-01T02:00:00Z", catalog=CATALOG)
    put(made, HABITS, HABIT_ROWS)
    return made


def started(home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "ASOF_HOME": str(home),
        "ASOF_CATALOG": CATALOG,
        "ASOF_CLOCK": "2026-01-01T02:00:00Z",
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "jobs", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("settings")
def test_two_workers_serve_count_together_and_end(tmp_path: Path) -> None:
    port = free_port()
    granted = started(tmp_path, "grant", "checkout", "--service", "some")
    token = granted.communicate(timeout=60)[0].strip()
    assert granted.returncode == 0, token
    process = started(tmp_path, "serve", "--port", str(port), "--workers", "2")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as client:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                try:
                    client.get("/health")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            answers = [
                client.post("/get-online-features", json=BODY, headers={"Connection": "close"}) for _ in range(20)
            ]
            assert [answer.json()["results"][1]["values"] for answer in answers] == [[350.0]] * 20
            counted = client.get("/metrics").text.splitlines()
            assert 'asof_requests_total{code="200",path="/get-online-features"} 20.0' in counted
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert f"Serving on http://127.0.0.1:{port}" in said
    assert token not in said


@contextmanager
def serving(home: Path) -> Iterator[tuple[psutil.Process, int]]:
    """The service with two workers that both get connections, where nobody is asked for a token, and its port."""
    port = free_port()
    process = started(home, "serve", "--port", str(port), "--workers", "2", ASOF_SERVING__AUTH="none")
    try:
        until(lambda: len(ready(process.pid)) == 2)
        yield psutil.Process(process.pid), port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def ready(of: int) -> list[psutil.Process]:
    """The workers that get connections: those that hold one to the dealer's door."""
    doors = [each for each in psutil.Process(of).net_connections("unix") if str(each.laddr).endswith("/workers")]
    alive = [each for each in psutil.Process(of).children() if each.status() != psutil.STATUS_ZOMBIE]
    workers = [each for each in alive if "spawn_main" in " ".join(each.cmdline())]
    return workers if len(doors) == len(workers) + 1 else []


def connections(of: psutil.Process, port: int) -> int:
    return sum(1 for each in of.net_connections("tcp4") if each.laddr.port == port and each.status == "ESTABLISHED")


def until(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_each_worker_has_half_of_the_connections_and_none_is_left_open(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, port):
        workers, files = ready(service.pid), list[list[int]]()
        for count in (4, 8, 8):
            clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}") for _ in range(count)]
            assert [client.get("/health").status_code for client in clients] == [200] * count
            assert [connections(each, port) for each in workers] == [count / 2] * 2
            for client in clients:
                client.close()
            until(lambda: [connections(each, port) for each in workers] == [0, 0])
            time.sleep(0.2)
            files.append([each.num_fds() for each in (service, *workers)])
        assert files[1] == files[2]


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_a_worker_that_is_killed_under_load_is_replaced_and_requests_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, port):
        killed, other = ready(service.pid)
        ended, failed, answered = threading.Event(), list[str](), list[float]()

        def ask() -> None:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                while not ended.is_set():
                    try:
                        code = client.post("/get-online-features", json=BODY).status_code
                    except httpx.TransportError as error:  # it was at the killed worker
                        failed.append(repr(error))
                        continue
                    answered.append(time.monotonic())
                    assert code == 200

        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(ask) for _ in range(4)]
            try:
                until(lambda: len(answered) > 20)
                killed.kill()
                until(lambda: len(ready(service.pid)) == 2 and killed not in ready(service.pid))
                done = len(answered)
                until(lambda: len(answered) > done + 20)
            finally:
                ended.set()
            for each in asking:
                each.result()
        assert len(failed) <= 4, failed
        (new,) = (each for each in ready(service.pid) if each != other)
        clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}") for _ in range(4)]
        assert [client.get("/health").status_code for client in clients] == [200] * 4
        assert connections(new, port) == connections(other, port) == 2
        for client in clients:
            client.close()


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_what_runs_when_the_service_is_ended_is_answered(tmp_path: Path) -> None:
    body = json.dumps(BODY).encode()
    head = b"POST /get-online-features HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(tmp_path) as (service, port):
        links = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(2)]
        for link in links:
            link.sendall(head + body[:10])
        until(lambda: [connections(each, port) for each in ready(service.pid)] == [1, 1])
        service.terminate()
        until(lambda: is_refused(port))
        for link in links:
            link.sendall(body[10:])
            answer = b""
            while part := link.recv(65_536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b'"values":[350.0]' in answer
            link.close()


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    process = started(tmp_path, "serve", "--port", str(free_port()), "--workers", "2", ASOF_SERVING__AUTH="none")
    until(lambda: len(ready(process.pid)) == 2)
    workers = ready(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_a_port_that_is_taken_is_said(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            BusyError,
            match=rf"Nothing can listen on 127.0.0.1:{port}: Address already in use. .*asof serve --port PORT",
        ):
            run_serve(Serve(port=port), settings)


def test_a_token_of_a_service_that_is_none_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingError, match=r"There is no service 'nope'. Known: both, now, some, till"):
        run_grant(Grant(holder="checkout", services=("nope",)), settings)
    assert not settings.tokens.exists()
    run_grant(Grant(holder="checkout", services=("some",)), settings)
    token = capsys.readouterr().out.strip()
    assert token not in settings.tokens.read_text()
    run_grant(Grant(holder="checkout", revoke=True), settings)
    assert capsys.readouterr().out == "The token of checkout is no longer good.\n"
