"""A service that commands share: started by the first that needs it, found by the others, ended by `asof stop`. One machine only."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from features.errors import BusyError

__all__ = ["LOG4J", "Service", "free_port", "write_whole"]

LOG4J = """status = error
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}}{{UTC}} %p %c{{1}}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""
"""A JVM's chatter to the file {log}; braces of log4j are doubled for str.format."""

_START_SECONDS = 120
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """What the running service left in `service.json`."""

    pid: int
    started: float
    """The process's own start, seconds since the epoch: a pid alone may have been given to another process since."""
    port: int

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return bool(abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How to start one, and how to know that it answers."""

    name: str
    """As a person calls it."""
    folder: Path
    log: Path
    port: int | None
    """None: any free one."""
    command: Callable[[int], Sequence[str]]
    """The process for a port."""
    answers: Callable[[int], bool]
    """Whether it answers on a port of 127.0.0.1."""
    env: Mapping[str, str] | None = None
    """None: this process's own."""

    def ensure(self) -> int:
        """Its port; starts it where it does not answer. Two processes never start two.

        Raises:
            BusyError: it does not answer within two minutes; the message names its log.
        """
        if (running := self._read()) and self.answers(running.port):
            return running.port
        with self._lock():
            running = self._read()
            if running and running.alive() and self._wait(running, _STOP_SECONDS):
                return running.port
            _end(running)
            if self.port is not None and not _is_free(self.port):
                message = f"Port {self.port} of 127.0.0.1, on which {self.name} should listen, is taken. End what listens there, or set another port (none takes any free one)."
                raise BusyError(message)
            began = time.monotonic()
            running = self._start()
            if not self._wait(running, _START_SECONDS):
                how = "did not answer" if running.alive() else "ended without an answer"
                _end(running)
                message = (
                    f"{self.name} {how} on 127.0.0.1:{running.port} within {time.monotonic() - began:.0f} s. "
                    f"Its log says why: {self.log}. Try again; if its database is damaged, remove {self.folder}."
                )
                raise BusyError(message)
            return running.port

    def stop(self) -> bool:
        """End it where it runs; nothing otherwise. Whether it ran."""
        if not (self.folder / "service.json").exists():
            return False
        with self._lock():
            running = self._read()
            ran = running is not None and running.alive()
            _end(running)
            (self.folder / "service.json").unlink(missing_ok=True)
        return ran

    def _start(self) -> _Running:
        port = self.port or free_port()
        with self.log.open("ab") as log:
            # Its own session: neither Ctrl-C nor the end of the process that needed it first takes it away from the others.
            process = subprocess.Popen(  # noqa: S603
                list(self.command(port)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.env, start_new_session=True
            )  # fmt: skip
        # It outlives this process on purpose; without a return code Popen would warn of that when collected.
        process.returncode = 0
        running = _Running(pid=process.pid, started=psutil.Process(process.pid).create_time(), port=port)
        write_whole(self.folder / "service.json", json.dumps(asdict(running)))
        return running

    def _wait(self, running: _Running, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.answers(running.port):
                return True
            if not running.alive():
                return False
            time.sleep(0.1)
        return False

    def _read(self) -> _Running | None:
        try:
            return _Running(**json.loads((self.folder / "service.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _end(running: _Running | None) -> None:
    """Ask, wait, then kill; with all that it started."""
    if running is None or not running.alive():
        return
    process = psutil.Process(running.pid)
    children = process.children(recursive=True)
    for ask in (signal.SIGTERM, signal.SIGKILL):
        with suppress(psutil.Error):
            process.send_signal(ask)
            process.wait(_STOP_SECONDS)
            break
    for child in children:
        with suppress(psutil.Error):
            child.kill()


def write_whole(path: Path, text: str) -> None:
    """Replaces a small file in one move."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """One that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
