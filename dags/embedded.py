"""A whole Airflow under one folder, for the demo: scheduler with LocalExecutor and API server, started, asked, stopped.

Runs are made through the REST API with a partition key: they get the same partition key and date as scheduled and
backfilled runs, and the scheduler runs them the same way; but they can be asked for one by one, between two days of data.
Nothing of Airflow is imported here.
"""

import os
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from dags.processes import Processes
from dags.rest import Api
from features.errors import AsofError, BusyError, MissingError

__all__ = ["EmbeddedAirflow", "OnState", "RunRecord"]

OnState = Callable[[str, datetime, str, str, float], None]
"""Told DAG id, cut, task, its new state, and the seconds the task has run."""

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

_RUN_ENDED = ("success", "failed")
_TASK_ENDED = (*_RUN_ENDED, "upstream_failed", "skipped", "removed")
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What Airflow recorded of one run."""

    dag_id: str
    run_id: str
    cut: datetime
    state: str
    """success or failed."""
    tasks: dict[str, str]
    """Each task's last state."""
    seconds: dict[str, float]
    """Of each task's last attempt; 0 for one that never ran."""
    logs: dict[str, Path]
    """Of each task's last attempt, for tasks that ran."""


class EmbeddedAirflow:
    """Airflow on SQLite in `home/airflow`, open to this machine only and to everyone on it, while the context lasts.

    Args:
        home: everything is written below it; a second use keeps the record, and ends what a killed one left running.
        dags_folder: the DAG files.
        env: variables for Airflow and its tasks, over ours and the caller's environment.
        port: of the API server; None: any free one.
        patience: seconds after which a machine counts as stuck, not slow: to start, or without any answer.

    Raises:
        BusyError: the port is taken, or a part does not come up or answer in time.
        AsofError: a DAG file does not load, or a part ends; with its last lines.
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        patience: float = 300,
    ) -> None:
        self.home = home.absolute() / "airflow"
        self.logs = self.home / "logs"
        self.port = port or _free_port()
        self.env = {**_inherited(), **_settings(self.home, dags_folder.absolute(), self.port), **(env or {})}
        self.seconds: dict[str, float] = {}
        """How long each part of the start took."""
        self._old_handler: Handler = None
        self._processes = Processes(self.home, self.env)
        self._api = Api(f"http://127.0.0.1:{self.port}", patience, self._processes.check)

    @property
    def url(self) -> str:
        """Airflow's own pages."""
        return self._api.url

    def __enter__(self) -> Self:
        self._old_handler = _end_on_sigterm()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def run(
        self, dag_id: str, cuts: Sequence[datetime], on_state: OnState | None = None, *, timeout: float = 3600
    ) -> list[RunRecord]:
        """Run a DAG for these cuts, each after the one before has ended, well or not.

        A cut that ran before runs again under a new run id.

        Raises:
            MissingError: there is no such DAG.
            BusyError: a run has not ended after `timeout` seconds, or Airflow answers no more.
        """
        known = [dag["dag_id"] for dag in self._api.call("GET", "/api/v2/dags?limit=1000")["dags"]]
        if dag_id not in known:
            raise MissingError.of("DAG", dag_id, known, "Look into the definitions and the setting airflow.grouping.")
        self._api.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        return [self._run(dag_id, cut.astimezone(UTC), on_state or _silent, timeout) for cut in cuts]

    def _start(self) -> None:
        if self.port != _free_port(self.port):
            message = (
                f"Port {self.port} of 127.0.0.1 is taken. Unset airflow.port to use any free one, "
                "or end what listens there."
            )
            raise BusyError(message)
        self._processes.end_leftovers()
        used = self._timed("migrate", self._migrate)
        started = time.monotonic()
        self._processes.start("api-server")
        if used:
            # The scheduler would go on with what an interrupted demo left unfinished.
            self._api.wait(lambda: bool(self._api.health()), "the API server")
            self._end_unfinished()
        self._processes.start("scheduler", "--skip-serve-logs")
        # Airflow's dag-processor would parse again and again; the definitions do not change while the demo runs.
        self._timed("parse", lambda: self._processes.finish("dags", "reserialize"))
        self._api.wait(lambda: self._api.health().get("scheduler", {}).get("status") == "healthy", "the scheduler")
        # Its first request takes seconds of CPU; better here than in the first task.
        self._api.wait(lambda: self._api.answers("/execution/health"), "the execution API")
        self.seconds["healthy"] = round(time.monotonic() - started, 1)
        errors = self._api.call("GET", "/api/v2/importErrors")["import_errors"]
        if errors:
            shown = "\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors[:3])
            message = f"{len(errors)} DAG file(s) do not load. Mend them and start again.\n{shown}"
            raise AsofError(message)

    def _stop(self) -> None:
        self._processes.stop()
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)

    def _timed(self, name: str, part: Callable[[], Any]) -> Any:  # noqa: ANN401 - gives what `part` gives
        started = time.monotonic()
        result = part()
        self.seconds[name] = round(time.monotonic() - started, 1)
        return result

    def _migrate(self) -> bool:
        """Makes or renews Airflow's database; gives whether an earlier use left one."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._write_env()
        made, ours, database = self.home / "migrated", version("apache-airflow"), self.home / "airflow.db"
        before = made.read_text(encoding="utf-8") if made.exists() else None
        if before is None:
            # Half a migration cannot be taken up again, and nothing was ever recorded in it.
            database.unlink(missing_ok=True)
        if before != ours:
            self._processes.finish("db", "migrate")
            made.write_text(ours, encoding="utf-8")
        return before is not None

    def _write_env(self) -> None:
        path = self.home / "airflow.env"
        names = sorted(name for name in self.env if name.startswith(("AIRFLOW", "ASOF_")) or name == "PATH")
        lines = [f"export {name}={shlex.quote(self.env[name])}" for name in names]
        path.touch(mode=0o600)
        path.write_text(
            "# Look at these runs again: . this file, then `airflow standalone`.\n" + "\n".join(lines) + "\n",
            encoding="utf-8",
        )

    def _end_unfinished(self) -> None:
        for state in ("running", "queued"):
            for run in self._api.call("GET", f"/api/v2/dags/~/dagRuns?state={state}")["dag_runs"]:
                self._api.call(
                    "PATCH", f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}", {"state": "failed"}
                )

    def _run(self, dag_id: str, cut: datetime, on_state: OnState, timeout: float) -> RunRecord:
        key = f"{cut:%Y-%m-%dT%H:%M:%SZ}"
        run_id = f"asof__{key}__{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        self._api.call("POST", path, {"logical_date": None, "dag_run_id": run_id, "partition_key": key}, once=True)
        seen: dict[str, tuple[str, int]] = {}
        deadline = time.monotonic() + timeout
        while True:
            instances = self._api.call("GET", f"{path}/{run_id}/taskInstances")["task_instances"]
            for instance in instances:
                now = (instance["state"] or "none", instance["try_number"])
                if seen.get(instance["task_id"], ("none", 0)) != now:
                    seen[instance["task_id"]] = now
                    on_state(dag_id, cut, instance["task_id"], now[0], _seconds(instance))
            # Each request takes the CPU from the tasks, so the run is asked for only when its tasks have ended.
            if seen and all(state in _TASK_ENDED for state, _ in seen.values()):
                state = self._api.call("GET", f"{path}/{run_id}")["state"]
                if state in _RUN_ENDED:
                    return self._record(dag_id, run_id, cut, state, instances)
            if time.monotonic() > deadline:
                waiting = ", ".join(f"{task} {state}" for task, (state, _) in seen.items() if state not in _TASK_ENDED)
                message = (
                    f"{dag_id} of {key} has not ended after {timeout:.0f} s: {waiting or 'no task began'}. "
                    f"Its logs are in {self.logs}."
                )
                raise BusyError(message)
            time.sleep(_POLL_SECONDS)

    def _record(
        self, dag_id: str, run_id: str, cut: datetime, state: str, instances: list[dict[str, Any]]
    ) -> RunRecord:
        folder = self.logs / f"dag_id={dag_id}" / f"run_id={run_id}"
        ran = [instance for instance in instances if instance["start_date"] and instance["try_number"]]
        return RunRecord(
            dag_id=dag_id,
            run_id=run_id,
            cut=cut,
            state=state,
            tasks={instance["task_id"]: instance["state"] or "none" for instance in instances},
            seconds={instance["task_id"]: round(_seconds(instance), 3) for instance in instances},
            logs={
                each["task_id"]: folder / f"task_id={each['task_id']}" / f"attempt={each['try_number']}.log"
                for each in ran
            },
        )


def _end_on_sigterm() -> Handler | None:
    """Makes SIGTERM end the context as Ctrl-C does; gives the handler before, None where only the main thread could set one."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, leave)


def _silent(*_: object) -> None: ...


def _seconds(instance: Mapping[str, Any]) -> float:
    if not instance["start_date"]:
        return 0.0
    ended = datetime.fromisoformat(instance["end_date"]) if instance["end_date"] else datetime.now(UTC)
    return max(0.0, (ended - datetime.fromisoformat(instance["start_date"])).total_seconds())


def _free_port(wanted: int = 0) -> int:
    """Gives `wanted` if it is free, else 0; for 0 any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def _inherited() -> dict[str, str]:
    # Another Airflow's variables would point ours at its database.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW__", "AIRFLOW_"))}
    # spark-submit and asof's Python are found on PATH.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept


def _settings(home: Path, dags_folder: Path, port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        # Without passwords: only processes of this machine reach the port.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        # Not WARNING: that silences the tasks' own output too.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        # The demo's days are long past: only asked runs, none of today.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
    }
