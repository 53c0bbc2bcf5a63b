"""A command of `asof` as a task: a process group of its own, no shell, its output line by line in the log."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from typing import Any, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from jobs.commands import Exit

__all__ = ["ASOF", "FINAL", "AsofOperator", "AsofProcessError"]

ASOF: Final = (sys.executable, "-P", "-m", "jobs")
"""`asof` of this very environment; -P keeps a `jobs` folder of the working directory out of the way."""

FINAL: Final = frozenset({Exit.REFUSED, Exit.HELD, Exit.PARITY, Exit.LEAKS})
"""Codes after which another attempt would say the same."""

_GRACE_SECONDS = 3.0
"""Airflow kills the task itself five seconds after asking."""
_PR_SET_PDEATHSIG = 1


class AsofProcessError(AirflowException):
    """The command failed in a way that another attempt may mend."""


class AsofOperator(BaseOperator):
    """Run `asof` with these arguments.

    Args:
        argv: the arguments after `asof`; templated, so that the run's cut can be filled in.
        program: what stands before them.

    Raises:
        AirflowFailException: exit 2, 3 or 4 (refused, held, parity): no further attempt.
        AsofProcessError: any other exit but 0, 75 (busy) above all: the task is tried again.
    """

    template_fields: Collection[str] = ("argv",)
    ui_color = "#e8f0fe"

    def __init__(self, *, argv: Sequence[str], program: Sequence[str] = ASOF, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.argv = list(argv)
        self.program = list(program)
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow's signature
        """Run the command to its end."""
        command = [*self.program, *self.argv]
        self.log.info("Running %s", subprocess.list2cmdline(command))
        last = ""
        with subprocess.Popen(  # noqa: S603 - no shell, and argv comes from our definitions
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
        ) as self._process:
            try:
                for line in self._process.stdout or ():
                    self.log.info("%s", line.rstrip())
                    last = line.strip() or last
                self._process.wait()
            finally:
                self.on_kill()
        _judge(self._process.returncode, last or "The command said nothing.")

    def on_kill(self) -> None:
        """End the command and everything it started: SIGTERM, and SIGKILL for what is left after three seconds."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)


def _judge(code: int, last: str) -> None:
    if code == Exit.OK:
        return
    message = f"{last} (exit {code})" if code > 0 else f"{last} (ended by {signal.Signals(-code).name})"
    if code in FINAL:
        raise AirflowFailException(message)
    raise AsofProcessError(message)


def _die_with_parent() -> None:
    # A task process that is killed outright runs no on_kill; the command must not go on alone (its JVM ends with it).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
