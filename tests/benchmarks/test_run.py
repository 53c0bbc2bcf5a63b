"""The benchmark runner on tiny inputs: its values are checked, and its line is what the page says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is timed here tells nothing, so Java need not compile for speed.
QUICK = {"ASOF_SPARK__COMPILER": "quick", "ASOF_SPARK__SHUFFLE_PARTITIONS": "2"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    subprocess.run([sys.executable, str(ROOT / "benchmarks/workloads.py"), str(folder), "--scale", "0.002"], check=True)
    return folder


@pytest.mark.parametrize("workload", ["frame"])
def test_a_workload_is_checked_and_timed(data: Path, workload: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/run.py"), str(data), "--only", workload, "--runs", "1"]
    done = subprocess.run(command, env={**os.environ, **QUICK}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["workload"], line["rows"], len(line["seconds"])) == (workload, 2_000, 1)
    assert line["compared"] >= 20 * 2_000
    assert line["rows_per_second_and_core"] > 0
    assert line["peak_worker_mb"] > 0


@pytest.mark.long
def test_a_day_follows_from_the_one_before_and_is_checked(data: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/run.py"), str(data), "--only", "day", "--runs", "1"]
    done = subprocess.run(command, env={**os.environ, **QUICK}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["workload"] == "day"
    assert line["compared"] >= 15 * 390
    assert 0.5 < line["shuffled_rows_90_over_10"] < 2
    assert line["day_90_read_bytes"] > 0
