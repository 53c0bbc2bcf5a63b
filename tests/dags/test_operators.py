"""The operators: a command's output, its end, and its death."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

import jobs
from dags.build import dags_of
from dags.operators import ASOF, AsofOperator, AsofProcessError
from dags.submit import AsofSparkSubmitOperator
from features.settings import load

NOTHING = Context()


def python(script: str, *argv: str) -> AsofOperator:
    return AsofOperator(task_id="x", argv=argv, program=(sys.executable, "-u", "-c", script))


def test_the_command_is_asof_of_this_environment() -> None:
    assert AsofOperator(task_id="x", argv=("compute",)).program == [sys.executable, "-P", "-m", "jobs"]
    assert ASOF[0] == sys.executable


def test_no_shell_reads_the_arguments_and_each_line_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    python("import sys; print('said', sys.argv[1]); sys.stdout.buffer.write(b'bad \\xff\\n')", "$HOME; `true`").execute(
        NOTHING
    )
    said = capsys.readouterr().out
    assert "said $HOME; `true`" in said
    assert "bad \N{REPLACEMENT CHARACTER}" in said


@pytest.mark.parametrize("code", [2, 3, 4])
def test_what_another_attempt_cannot_mend_is_not_tried_again(code: int) -> None:
    with pytest.raises(AirflowFailException, match=rf"^card_velocity was held \(exit {code}\)$"):
        python(f"print('a'); print('card_velocity was held'); print(); raise SystemExit({code})").execute(NOTHING)


@pytest.mark.parametrize("code", [1, 75])
def test_every_other_failure_is_tried_again(code: int) -> None:
    with pytest.raises(AsofProcessError, match=rf"^busy \(exit {code}\)$") as failure:
        python(f"print('busy'); raise SystemExit({code})").execute(NOTHING)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_command_that_says_nothing_or_is_killed_is_named_so() -> None:
    with pytest.raises(AsofProcessError, match=r"^The command said nothing. \(ended by SIGKILL\)$"):
        python("import os; os.kill(os.getpid(), 9)").execute(NOTHING)


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.mark.slow
def test_a_kill_ends_the_command_and_all_below_it_even_if_it_ignores_the_asking(tmp_path: Path) -> None:
    told = tmp_path / "child"
    operator = python(STUBBORN, str(told))
    failures: list[BaseException] = []
    thread = threading.Thread(target=_catch, args=(lambda: operator.execute(NOTHING), failures))
    thread.start()
    child = int(_written(told))
    operator.on_kill()
    thread.join(10)
    assert _gone(child)
    assert [type(failure) for failure in failures] == [AsofProcessError]
    assert "ended by SIGKILL" in str(failures[0])


@pytest.mark.slow
def test_a_task_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    told = tmp_path / "child"
    operator = python(STUBBORN.replace("time.sleep(600)\n", "print('up'); time.sleep(600)\n"), str(told))

    def stop(*_: object) -> None:
        raise TimeoutError  # what an execution timeout does: it raises in the middle of `execute`

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(TimeoutError):
            operator.execute(NOTHING)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert _gone(int(told.read_text()))


def test_a_task_process_that_is_killed_outright_takes_the_command_with_it(tmp_path: Path) -> None:
    told = tmp_path / "command"
    script = f"""
import sys
from dags.operators import AsofOperator
sleeper = "import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
AsofOperator(task_id="x", argv=(), program=(sys.executable, "-c", sleeper)).execute({{}})
"""
    task = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    command = int(_written(told))
    task.kill()
    task.wait()
    assert _gone(command)


def test_by_spark_submit_a_task_has_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", '{"conn_type": "spark", "host": "spark://127.0.0.1", "port": 7077}')
    (dag_id, dag), *_ = dags_of(load(airflow={"submit": "spark-submit", "spark_conn_id": "cluster"})).items()
    compute, local = dag.get_task("compute"), dags_of(load())[dag_id].get_task("compute")
    assert isinstance(compute, AsofSparkSubmitOperator)
    assert isinstance(local, AsofOperator)
    application = str(Path(jobs.__path__[0]) / "__main__.py")
    command = compute._get_hook()._build_spark_submit_command(application)
    assert command[command.index("--master") + 1] == "spark://127.0.0.1:7077"
    assert command[command.index("--name") + 1] == f"{dag_id}.compute"
    assert command[command.index(application) :] == [application, *local.argv]
    assert compute.application == application
    assert "application_args" in compute.template_fields
    assert (compute.retries, compute.execution_timeout) == (local.retries, local.execution_timeout)
    assert isinstance(dag.get_task("held"), AsofOperator)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "kind"), [(0, None), (3, AirflowFailException), (75, AirflowException)])
def test_spark_submit_runs_it_for_real(
    tmp_path: Path, code: int, kind: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = tmp_path / "app.py"
    application.write_text(
        f"import sys; open({str(tmp_path / 'argv')!r}, 'w').write(' '.join(sys.argv[1:])); sys.exit({code})",
        encoding="utf-8",
    )
    monkeypatch.setenv("AIRFLOW_CONN_LOCAL", '{"conn_type": "spark", "host": "local[1]"}')
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    operator = AsofSparkSubmitOperator(
        task_id="x",
        application=str(application),
        application_args=["compute", "--cut", "c"],
        conn_id="local",
        driver_memory="512m",
    )
    failures: list[BaseException] = []
    _catch(lambda: operator.execute(NOTHING), failures)
    # The provider leaves its child's pipe to the garbage collector, which would complain at any later moment.
    assert operator._hook is not None
    assert operator._hook._submit_sp is not None
    operator._hook._submit_sp.stdout.close()
    assert (tmp_path / "argv").read_text() == "compute --cut c"
    assert [isinstance(failure, AirflowFailException) for failure in failures] == (
        [] if kind is None else [kind is AirflowFailException]
    )


def _catch(run: Callable[[], object], failures: list[BaseException]) -> None:
    try:
        run()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        failures.append(error)


def _written(path: Path) -> str:
    for _ in range(200):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    message = f"{path} was not written"
    raise AssertionError(message)


def _gone(pid: int) -> bool:
    """Within five seconds; a zombie, which only its parent can bury, counts as gone."""
    for _ in range(50):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False
