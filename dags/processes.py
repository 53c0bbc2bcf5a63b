"""The processes of an embedded Airflow: started in groups of their own, watched, and all of them ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import psutil

from features.errors import AsofError

__all__ = ["Processes"]

_AIRFLOW = (sys.executable, "-m", "airflow")
_GRACE_SECONDS = 10
_POLL_SECONDS = 0.05
_SHOWN_LINES = 15


class Processes:
    """Airflow's commands, each with a log file in `home`; `processes.json` there names them, for whoever comes after a kill."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self._home = home
        self._env = dict(env)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, command: str, *arguments: str) -> None:
        """Start a part that stays."""
        with self._log(command).open("ab") as log:
            self._running[command] = self._popen([command, *arguments], log)
        self._write()

    def finish(self, *command: str) -> None:
        """Run a command to its end.

        Raises:
            AsofError: it failed; with its last lines.
        """
        name = "-".join(command)
        with self._log(name).open("ab") as log:
            process = self._popen(list(command), log)
        self._running[name] = process
        self._write()
        code = process.wait()
        del self._running[name]
        if code:
            raise AsofError(self._obituary(name, code))

    def check(self) -> None:
        """Raises AsofError, with its last lines, if a part has ended."""
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise AsofError(self._obituary(name, code))

    def stop(self) -> None:
        """End every part and everything below it, tasks and their commands too."""
        roots = [process.pid for process in self._running.values()]
        _end(_trees(roots), roots)
        for process in self._running.values():
            process.wait()
        self._running.clear()
        self._record.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """End what an earlier, killed use left running; a process id given anew since is left alone."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            for pid, created in json.loads(self._record.read_text(encoding="utf-8")):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if psutil.Process(pid).create_time() == created:
                        _end(_trees([pid]), [pid])
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self._home / "processes.json"

    def _write(self) -> None:
        alive: list[tuple[int, float]] = []
        for process in self._running.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                alive.append((process.pid, psutil.Process(process.pid).create_time()))
        draft = self._record.with_suffix(".tmp")
        draft.write_text(json.dumps(alive), encoding="utf-8")
        draft.replace(self._record)

    def _popen(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - Airflow's own commands
            [*_AIRFLOW, *command],
            env=self._env,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _log(self, name: str) -> Path:
        return self._home / f"{name}.log"

    def _obituary(self, name: str, code: int) -> str:
        last = self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        return (
            f"`airflow {name.replace('-', ' ')}` ended with {code}. All it said is in {self._log(name)}, at last:\n"
            + "\n".join(last)
        )


def _trees(roots: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            found += [*process.children(recursive=True), process]
    return found


def _end(processes: list[psutil.Process], groups: Iterable[int]) -> None:
    # LocalExecutor waits for running tasks when it is asked to end, so the tasks are asked as well.
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _wait(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    _wait(processes)


def _wait(processes: Iterable[psutil.Process]) -> None:
    deadline = time.monotonic() + _GRACE_SECONDS
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    # A container may have nobody who buries orphans: they stay zombies.
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
