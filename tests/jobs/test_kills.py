"""kill -9 of real compute, publish and materialize processes at random moments: a rerun gives what an undisturbed run gives.

ASOF_TEST_KILLS says how many (default 3, one a command); ASOF_TEST_SEED draws other moments.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import cut_text, utc
from features.settings import Settings, load
from jobs import attempts
from tests.jobs import hostile_days as days

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("ASOF_TEST_KILLS", "3"))
SEED = int(os.environ.get("ASOF_TEST_SEED", "20260302"))
CATALOG = "tests.jobs.shop"
REPOSITORY = Path(__file__).parents[2]
BEFORE, CUT = days.START + 3 * days.DAY, days.START + 4 * days.DAY
COMMANDS = ("compute", "publish", "materialize")
# One JVM for all that comes before the cut under test.
SEVERAL = """
import sys
from features.settings import load
from jobs.cli import parse, run
from tests.jobs.test_kills import BEFORE, passed
for line in sys.stdin.read().splitlines():
    if line == "pass":
        passed(load(), BEFORE)
    elif code := run(parse(line.split()), load()):
        sys.exit(code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home at one path, and a copy of it as it was before the cut under test."""

    settings: Settings
    copy: Path
    environment: Mapping[str, str]

    def restore(self) -> None:
        shutil.rmtree(self.settings.home)
        shutil.copytree(self.copy, self.settings.home, symlinks=True)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """In a process group of its own, so that a kill takes its JVM and Python workers along."""
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=REPOSITORY, env=dict(self.environment), text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, command: str) -> float:
        """Runs a command of the cut to its end; gives its seconds."""
        started = time.monotonic()
        process = self.start("-m", "jobs", command, "--cut", utc(CUT).isoformat())
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        if command == "compute":
            passed(self.settings, CUT)
        return time.monotonic() - started

    def kill(self, command: str, after: float) -> float:
        """Starts the command and kills its whole group so many seconds later, or earlier where it was done by then; gives the seconds."""
        kept = self.copy.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.settings.home, kept, symlinks=True)
        process = self.start("-m", "jobs", command, "--cut", utc(CUT).isoformat())
        try:
            said, _ = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
            return after
        assert process.returncode == 0, said
        # The machine has become faster: once more, from the same home.
        shutil.rmtree(self.settings.home)
        kept.rename(self.settings.home)
        return self.kill(command, after * 0.7)


def passed(settings: Settings, cut: int) -> None:
    """The verdict that `validate` would write; what is killed here are the steps around it."""
    for view in load_catalog(CATALOG).views:
        attempt = attempts.finished(settings, view, cut)
        if attempt is not None and attempt.record("verdict") is None:
            attempt.write("verdict", {"verdict": "pass"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("kills")
    days.write_days(days.days(seed=3), folder / "landing")
    variables = {
        "ASOF_HOME": str(folder / "home"), "ASOF_CATALOG": CATALOG, "ASOF_CLOCK": "2024-03-10T00:00:00Z", "ASOF_CONFIG": os.devnull,
        "ASOF_METASTORE__KIND": "embedded", "ASOF_SPARK__MASTER": "local[2]", "ASOF_SPARK__COMPILER": "quick",
        "ASOF_SPARK__DRIVER_MEMORY": "1g", "ASOF_SPARK__SHUFFLE_PARTITIONS": "2",
    }  # fmt: skip
    settings = load(home=folder / "home", catalog=CATALOG, clock="2024-03-10T00:00:00Z", metastore={"kind": "embedded"})
    made = Home(settings=settings, copy=folder / "copy", environment={**os.environ, **variables})
    before = f"--cut {utc(BEFORE).isoformat()}"
    names = "shop_payments,shop_disputes,shop_cards"
    ingest = f"ingest --source {names} --input {folder}/landing/{{source}}"
    _several(made, [ingest, f"compute {before}", "pass", "apply", f"publish {before}", f"materialize {before}"])
    shutil.copytree(settings.home, made.copy, symlinks=True)
    return made


def _several(home: Home, lines: list[str]) -> None:
    process = home.start("-c", SEVERAL)
    said, _ = process.communicate("\n".join(lines), timeout=300)
    assert process.returncode == 0, said


def tables(settings: Settings, catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """Rows of each view's published attempt at both cuts, sorted."""
    made = {}
    for view in (view for view in catalog.views if view.served):
        for cut in (BEFORE, CUT):
            attempt = attempts.finished(settings, view, cut)
            assert attempt is not None, (view.name, cut_text(cut))
            assert attempt.record("published") is not None, (view.name, cut_text(cut))
            rows = pq.read_table(attempt.location).to_pylist()
            made[f"{view.name} {cut_text(cut)}"] = sorted(rows, key=repr)
            assert len(rows) == (attempt.record("finished") or {})["rows"]
    return made


def store(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of the online store; generations are left out, since a rerun may count one more."""
    with sqlite3.connect(settings.online_db) as database:
        names = [
            row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        made = {}
        for name in names:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{name}")') if row[1] != "generation"]
            listed = ", ".join(f'"{column}"' for column in columns)
            made[name] = sorted(database.execute(f'SELECT {listed} FROM "{name}"').fetchall(), key=repr)  # noqa: S608
    database.close()
    return made


def test_a_rerun_after_kill_9_gives_what_an_undisturbed_run_gives(home: Home) -> None:
    catalog = load_catalog(CATALOG)
    seconds = {command: home.finish(command) for command in COMMANDS}
    wanted = tables(home.settings, catalog), store(home.settings)
    assert all(wanted[0].values())
    assert any(len(rows) > 1 for name, rows in wanted[1].items() if name != "heads")
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    killed = 0
    while killed < KILLS:
        home.restore()
        moments = []
        for command in COMMANDS:
            if killed < KILLS:
                # The JVM takes about the first half: every other moment falls after it.
                drawn = seconds[command] * rng.uniform(0.5 if killed % 2 == 0 else 0.05, 0.98)
                after = home.kill(command, drawn)
                moments.append(f"{command} after {after:.2f} of {seconds[command]:.2f} s")
                killed += 1
            home.finish(command)
        got = tables(home.settings, catalog), store(home.settings)
        assert got == wanted, f"seed {SEED}, {moments}"
    print(f"{killed} processes were killed before their end; commands took {seconds} s")  # noqa: T201
