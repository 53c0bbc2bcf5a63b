"""`asof serve` and `asof grant` as processes: several workers, one set of counts, and an end that loses no request."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
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


def started(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "ASOF_HOME": str(home), "ASOF_CATALOG": CATALOG, "ASOF_CLOCK": "2026-01-01T02:00:00Z"}
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
