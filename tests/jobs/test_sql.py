"""The SQL server: sources, quarantine, features and tiles read by PyHive and beeline as `asof sql` says, while commands go on writing them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from features import Entity, FeatureView, Field, Source, count, fields, flat, sum_
from features.errors import SettingsError
from features.settings import Settings, load
from jobs import metastore, sql, stop
from jobs.commands import Sql, Stop

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = """
import sys
from features.settings import load
from jobs import cli
for line in sys.argv[1:]:
    cli.run(cli.parse(line.split()), load())
"""
SALES = Source(
    name="read_sales", table="reading.sales", known_at="known", event_id="sale",
    columns=(*fields("string", "sale shop"), Field(name="amount", type="float64", scale=2), *fields("timestamp", "event_time known")),
)  # fmt: skip
DAILY = FeatureView(
    name="read_daily", entity=Entity(name="read_shop", keys=("shop",)), source=SALES, tiles=True, remember="9d",
    features=flat((count("1d 2d"), sum_("amount", "2d"))),
)  # fmt: skip
DAYS = {
    1: ["a,s1,1.00,2026-03-01T10:00:00Z", "b,s1,2.50,2026-03-01T11:00:00Z", "c,s2,much,2026-03-01T12:00:00Z"],
    2: ["a,s1,1.25,2026-03-02T10:00:00Z", "d,s2,4.00,2026-03-02T02:30:00Z"],
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    settings = load(home=tmp_path / "asof", metastore={"kind": "derby"})
    yield settings
    sql.stop(settings)
    metastore.stop(settings)


def environment(settings: Settings) -> dict[str, str]:
    given = {"HOME": str(settings.home), "CATALOG": "tests.jobs.test_sql", "SPARK__MASTER": "local[2]", "SPARK__DRIVER_MEMORY": "1g",
             "SPARK__COMPILER": "quick"}  # fmt: skip
    return {**os.environ, **{f"ASOF_{name}": value for name, value in given.items()}, "PYTHONPATH": str(ROOT)}


def asof(settings: Settings, *lines: str) -> str:
    """Commands in a process of their own, one after another; what they printed."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *lines], env=environment(settings), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def land(folder: Path, day: int) -> None:
    path = folder / f"ds=2026-03-{day:02d}" / "part-0.csv"
    path.parent.mkdir(parents=True)
    rows = [f"{row},{row.rpartition(',')[2]}" for row in DAYS[day]]
    path.write_text("\n".join(["sale,shop,amount,event_time,known", *rows]) + "\n")


def day_of(folder: Path, day: int) -> list[str]:
    """A day comes and is computed and published."""
    land(folder, day)
    cut = f"--cut 2026-03-{day + 1:02d}"
    only = f"ingest --source read_sales --input {folder} --ds 2026-03-{day:02d}"
    return [only, f"compute {cut}", f"validate {cut}", f"publish {cut}"]


def rows(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    return sorted(cursor.fetchall())


def of_home(settings: Settings) -> list[str]:
    """Processes that name this home."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(settings.home) in line:
            lines.append(line)
    return lines


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:pyhive")
def test_analysts_read_what_commands_write(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asof(home, *day_of(tmp_path / "landing", 1))
    beeline, python = asof(home, "sql").splitlines()
    names: dict[str, Any] = {}
    exec(python.partition(": ")[2], names)  # noqa: S102 - our own line
    connection = names["connection"]
    cursor = connection.cursor()
    assert rows(cursor, "SELECT sale, amount, asof_op, asof_known_at FROM reading.sales") == [
        ("a", 100, "add", datetime(2026, 3, 1, 10)),
        ("b", 250, "add", datetime(2026, 3, 1, 11)),
    ]
    assert rows(cursor, "SELECT ds, asof_reason FROM reading.sales__quarantine") == [
        ("2026-03-01", "amount: 'much' is not a number")
    ]
    day_one = ("2026-03-02T00-00Z", "s1", 2, 350)
    published = "SELECT cut, shop, count_2d, sum_amount_2d FROM features.read_daily"
    assert rows(cursor, published) == [day_one]
    print(asof(home, *day_of(tmp_path / "landing", 2)), asof(home, "sql"))
    print(
        rows(cursor, published),
        rows(cursor, "SELECT * from reading.sales"),
        rows(cursor, "select * from tiles.read_daily"),
    )
    command = f'{beeline.partition(": ")[2]} --silent=true --outputformat=csv2 -e "SELECT sale, asof_op, asof_known_at, ds FROM reading.sales ORDER BY asof_known_at, asof_op"'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    print(done)
    connection.close()
    stop.run(Stop(), home)
    print(of_home(home))
    raise SystemExit
