"""A real Airflow: its scheduler, LocalExecutor and API server run a real pipeline with a stand-in command."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest

from dags.embedded import EmbeddedAirflow, RunRecord
from dags.operators import ASOF
from features.errors import AsofError, BusyError, MissingError
from features.settings import load
from jobs.metrics.records import computed_days
from jobs.simulate.simulation import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
HELD, BUSY, FAILS, LAST = (FIRST + timedelta(days=day) for day in range(4))
STAGES = ("ready", "compute", "validate", "held", "publish", "materialize", "prove")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where `asof` itself keeps what it measures."""
    spark = {"ASOF_SPARK__MASTER": "local[2]", "ASOF_SPARK__DRIVER_MEMORY": "1g", "ASOF_SPARK__COMPILER": "quick"}
    return spark | {"ASOF_HOME": str(tmp_path_factory.mktemp("measured")), "ASOF_METASTORE__KIND": "embedded"}


@pytest.fixture(scope="module")
def airflow(home: Path, root: Path, toy: Path, measured: dict[str, str]) -> Iterator[EmbeddedAirflow]:
    before = _below(os.getpid())  # of other files' tests
    with EmbeddedAirflow(home, toy, {"TOY_ROOT": str(root)} | measured) as started:
        yield started
        running = [process for process in _below(os.getpid()) if process not in before]
    assert _alive(running) == []


@pytest.fixture
def migrated(airflow: EmbeddedAirflow, tmp_path: Path) -> Path:
    """A home whose database is as the first start made it; making one takes ten seconds."""
    home = tmp_path / "used"
    (home / "airflow").mkdir(parents=True)
    shutil.copy(airflow.home / "migrated", home / "airflow")
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as made, closing(sqlite3.connect(home / "airflow" / "airflow.db")) as copy:  # fmt: skip
        made.backup(copy)
    return home


@dataclass(frozen=True, slots=True)
class Ran:
    """What five runs in a row came to, what was told meanwhile, and what their commands noted."""

    records: list[RunRecord]
    told: list[tuple[datetime, str, str]]
    noted: list[tuple[str, str]]


@pytest.fixture(scope="module")
def ran(airflow: EmbeddedAirflow, root: Path) -> Ran:
    """One call, so that each cut also shows that the one before stops nothing."""
    told: list[tuple[datetime, str, str]] = []

    def on_state(dag_id: str, cut: datetime, task: str, state: str, seconds: float) -> None:
        assert dag_id == "features_toy"
        assert 0 <= seconds < 60
        told.append((cut, task, state))

    for cut, stage, codes in ((HELD, "held", "3\n3\n3\n3\n"), (BUSY, "compute", "75\n"), (FAILS, "publish", "2\n")):
        (root / f"{stage}-{cut:%Y-%m-%d}").write_text(codes, encoding="utf-8")
    records = airflow.run("features_toy", [HELD, BUSY, FAILS, LAST, LAST], on_state)
    lines = [line.split() for line in (root / "ran.txt").read_text(encoding="utf-8").splitlines()]
    return Ran(records, told, [(stage, of) for stage, of in lines])


def test_every_stage_of_every_cut_runs_in_order_and_is_told(ran: Ran) -> None:
    assert [record.cut for record in ran.records] == [HELD, BUSY, FAILS, LAST, LAST]
    assert [of for _, of in ran.noted] == sorted(of for _, of in ran.noted)
    record = ran.records[3]
    assert record.state == "success"
    assert record.tasks == dict.fromkeys(STAGES, "success")
    assert set(record.seconds) == set(STAGES)
    assert f"prove of {LAST.isoformat()}: attempt 1" in record.logs["prove"].read_text(encoding="utf-8")
    assert {(LAST, stage, "success") for stage in STAGES} <= set(ran.told)
    order = [stage for stage, of in ran.noted if of == LAST.isoformat()][: len(STAGES)]
    assert [stage for stage in order if stage != "held"] == [stage for stage in STAGES if stage != "held"]


def test_a_hold_reddens_the_run_and_stops_nothing_else(ran: Ran) -> None:
    record = ran.records[0]
    assert record.state == "failed"
    assert record.tasks == dict.fromkeys(STAGES, "success") | {"held": "failed"}
    assert ran.noted.count(("held", HELD.isoformat())) == 1
    assert "held ends with 3: card_velocity (exit 3)" in record.logs["held"].read_text(encoding="utf-8")


def test_a_busy_stage_is_tried_again(ran: Ran) -> None:
    record = ran.records[1]
    assert record.state == "success"
    assert record.logs["compute"].name == "attempt=2.log"
    assert f"compute of {BUSY.isoformat()}: attempt 2" in record.logs["compute"].read_text(encoding="utf-8")


def test_a_stage_that_fails_stops_what_needs_it_and_not_the_next_cut(ran: Ran) -> None:
    bad, good = ran.records[2:4]
    assert (bad.state, good.state) == ("failed", "success")
    assert bad.tasks["materialize"] == bad.tasks["prove"] == "upstream_failed"
    assert "prove" not in bad.logs


def test_a_cut_runs_again_under_a_new_run_id(ran: Ran) -> None:
    one, two = ran.records[3:]
    assert one.state == two.state == "success"
    assert one.run_id != two.run_id
    assert f"prove of {LAST.isoformat()}: attempt 2" in two.logs["prove"].read_text(encoding="utf-8")


@pytest.mark.long
def test_risk_metrics_are_measured_by_their_own_dag_and_each_day_once(
    airflow: EmbeddedAirflow, measured: dict[str, str], tmp_path: Path
) -> None:
    simulate(tmp_path, start=FIRST.date(), days=2, scale=0.02, seed=7)
    ingest = ("ingest", "--source", "payments,disputes", "--input", str(tmp_path / "{source}"))
    subprocess.run([*ASOF, *ingest], env=os.environ | measured, check=True)
    cut = FIRST + timedelta(days=2)
    first, again = airflow.run("risk_metrics_daily", [cut, cut])
    assert [(record.state, record.tasks) for record in (first, again)] == [("success", {"metrics": "success"})] * 2
    done = computed_days(load(home=Path(measured["ASOF_HOME"])))
    assert [(day, item.as_of) for day, item in done.items()] == [
        (day, cut.timestamp() * 1e6) for day in ("2026-01-01", "2026-01-02")
    ]
    table = Path(measured["ASOF_HOME"]) / "warehouse" / "risk.db" / "metrics_daily"
    for day, item in done.items():
        rows = ds.dataset(table / f"ds={day}").to_table()
        assert len(rows) == item.rows
        assert {"approval_rate_count", "share_pending", "chargeback_ratio_visa"} <= set(rows["metric"].to_pylist())
    said = f"{sum(item.rows for item in done.values())} rows of 2 day(s) are in risk.metrics_daily"
    assert said in first.logs["metrics"].read_text(encoding="utf-8")
    assert "No day of risk.metrics_daily is due" in again.logs["metrics"].read_text(encoding="utf-8")


def test_an_unknown_dag_is_named(airflow: EmbeddedAirflow) -> None:
    with pytest.raises(MissingError, match=r"There is no DAG 'features_x'. Known: features_toy"):
        airflow.run("features_x", [FIRST])


def test_a_port_that_is_taken_is_refused(airflow: EmbeddedAirflow, tmp_path: Path, toy: Path) -> None:
    with (
        pytest.raises(BusyError, match=rf"Port {airflow.port} of 127.0.0.1 is taken. Unset airflow.port"),
        EmbeddedAirflow(tmp_path, toy, port=airflow.port),
    ):
        pass


def test_a_dag_file_that_does_not_load_is_shown_and_nothing_stays(migrated: Path, tmp_path: Path) -> None:
    before = len(_alive(_below(os.getpid())))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "broken.py").write_text(
        "from airflow.sdk import DAG\nraise ValueError('no such view')\n", encoding="utf-8"
    )
    with (
        pytest.raises(AsofError, match=r"1 DAG file\(s\) do not load.*\n.*broken.py(.|\n)*no such view"),
        EmbeddedAirflow(migrated, tmp_path / "dags"),
    ):
        pass
    assert len(_alive(_below(os.getpid()))) == before


@pytest.mark.long
def test_a_demo_that_was_killed_is_cleaned_up_by_the_next_which_ends_a_run_that_takes_too_long(
    migrated: Path, tmp_path: Path, toy: Path
) -> None:
    (tmp_path / "compute-2026-01-01").write_text("-1\n", encoding="utf-8")
    script = f"""
from datetime import datetime, UTC
from pathlib import Path
from dags.embedded import EmbeddedAirflow
with EmbeddedAirflow(Path({str(migrated)!r}), Path({str(toy)!r}), {{"TOY_ROOT": {str(tmp_path)!r}}}) as airflow:
    airflow.run("features_toy", [datetime(2026, 1, 1, tzinfo=UTC)])
"""
    demo = subprocess.Popen([sys.executable, "-c", script])
    asleep = tmp_path / "asleep"
    for _ in range(600):
        if asleep.exists():
            break
        time.sleep(0.2)
    running = _below(demo.pid)
    demo.kill()
    demo.wait()
    assert any("--cut" in line for line in _alive(running))
    (tmp_path / "compute-2026-01-01").unlink()
    asleep.unlink()
    # A cut that runs on would keep the Airflow that others share from the next.
    (tmp_path / "compute-2026-01-07").write_text("-1\n", encoding="utf-8")
    with EmbeddedAirflow(migrated, toy, {"TOY_ROOT": str(tmp_path)}) as airflow:
        (record,) = airflow.run("features_toy", [datetime(2026, 1, 1, tzinfo=UTC)])
        assert record.state == "success"
        assert _alive(running) == []
        with pytest.raises(
            BusyError,
            match=r"features_toy of 2026-01-07T00:00:00Z has not ended after 15 s: .*compute running.*Its logs are in",
        ):
            airflow.run("features_toy", [datetime(2026, 1, 7, tzinfo=UTC)], timeout=15)
        pid = int(asleep.read_text())
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _alive(processes: list[psutil.Process]) -> list[str]:
    """The command lines of those of Airflow, and of its tasks, that still run; a zombie, which only its parent can bury, does not."""
    found: list[str] = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return [line for line in found if "airflow" in line or "--cut" in line]
