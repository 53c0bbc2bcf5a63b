"""A day of everything on a standalone Spark cluster, whose executors are other processes: the same rows as on one machine. `make test-cluster`."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.simulate.sample import sample
from jobs.simulate.simulation import simulate

pytestmark = pytest.mark.cluster
CATALOG = "tests.jobs.catalogue_of_cluster"
CUT, DAYS = "2026-01-15", 10
SOURCES = "payments,disputes,accounts"
VIEWS = ("card_velocity", "card_checkout", "bin_fraud", "merchant_risk", "account_profile")
STEPS = (
    ("ingest", "--source", SOURCES, "--input", "{landing}/{{source}}"),
    ("apply",),
    ("compute", "--cut", CUT),
    ("validate", "--cut", CUT),
    ("publish", "--cut", CUT),
    ("materialize", "--cut", CUT),
    ("prove", "--cut", CUT, "--through", "reader"),
    ("frame", "--service", "clustered", "--labels", "{labels}", "--out", "{home}/frame.parquet"),
)


def day_of_everything(home: Path, landing: Path, labels: Path, master: str) -> str:
    """Runs every step as a process, each with Spark's tasks, however few rows there are; what they said."""
    places = {"landing": landing, "labels": labels, "home": home}
    said = ""
    for step in STEPS:
        arguments = [part.format(**places) for part in step]
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments], env=_environment(home, master), capture_output=True, text=True, timeout=900, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(arguments)} on {master}:\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    return said


def _environment(home: Path, master: str) -> Mapping[str, str]:
    return {
        **os.environ, "ASOF_CONFIG": os.devnull, "ASOF_HOME": str(home), "ASOF_CATALOG": CATALOG, "ASOF_SPARK__MASTER": master, "ASOF_SPARK__FEW_BYTES": "0",
        "ASOF_METASTORE__KIND": "embedded", "ASOF_CLOCK": f"{CUT}T03:00:00Z", "PYTHONPATH": str(Path.cwd()),
    }  # fmt: skip


def published(home: Path, view: str) -> pa.Table:
    """A view's published rows, by key."""
    files = sorted((home / "warehouse").glob(f"**/{view}/cut=*/**/part-*.parquet")) or sorted(
        home.glob(f"**/features/{view}/cut=*/**/part-*.parquet")
    )
    assert files, f"{view} has no rows under {home}"
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in files])
    keys = [name for name in table.column_names if name.endswith("_id") or name == "bin"][:1]
    return table.sort_by([(name, "ascending") for name in keys])


@pytest.mark.timeout(3000)
def test_a_cluster_gives_what_one_machine_gives(tmp_path: Path, spark_master: str) -> None:
    landing, labels = tmp_path / "landing", tmp_path / "labels.parquet"
    simulate(landing, start=date(2026, 1, 5), days=DAYS, scale=0.02, seed=5)
    sample(landing / "payments" / "ds=2026-01-14", labels, 200)
    said = day_of_everything(tmp_path / "cluster", landing, labels, spark_master)
    assert " 0 different" in said
    day_of_everything(tmp_path / "local", landing, labels, "local[1]")
    for view in VIEWS:
        assert published(tmp_path / "cluster", view).equals(published(tmp_path / "local", view)), view
    frames = [pq.ParquetFile(tmp_path / where / "frame.parquet").read() for where in ("cluster", "local")]
    assert len(frames[0]) == 200
    assert frames[0].equals(frames[1])
