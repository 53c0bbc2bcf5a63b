"""The SQL server: sources, quarantine, features and tiles read by PyHive and beeline as `asof sql` says, while commands go on writing them."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from features import Entity, FeatureView, Field, Source, count, fields, flat, sum_
from features.errors import SettingsError
from features.settings import Settings, load
from jobs import metastore, sql
from jobs.commands import Sql

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
    2: ["a,s1,1.25,2026-03-02T10:00:00Z", "d,s2,4.00,2026-03-02T02:30:00Z", "b,s1,2.50,2026-03-01T11:00:00Z,2026-03-02T11:00:00Z"],
}  # fmt: skip
"""What was not known at once says when it was."""
LATER = "e,s1,0.50,2026-03-01T13:00:00Z"
"""Comes when the first day is ingested again."""
ON_THE_PAGE = {
    "risk.payments": "reading.sales", "merchant_id": "shop", "amount_minor": "amount", "merchant_risk": "read_daily", "30d": "2d",
    "2026-02-03": "2026-03-03", "2026-02-02": "2026-03-02", "2026-01-04": "2026-03-01",
}  # fmt: skip
"""Its names and days, and those of this test."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    settings = load(home=tmp_path / "asof", metastore={"kind": "derby"})
    yield settings
    sql.stop(settings)
    metastore.stop(settings)


def asof(settings: Settings, *lines: str) -> str:
    """Commands in a process of their own, one after another; what they printed."""
    given = {"HOME": str(settings.home), "CATALOG": "tests.jobs.test_sql", "SPARK__MASTER": "local[2]", "SPARK__DRIVER_MEMORY": "1g",
             "SPARK__COMPILER": "quick", "SPARK__SHUFFLE_PARTITIONS": "2", "SPARK__FEW_BYTES": "0"}  # fmt: skip
    env = {**os.environ, **{f"ASOF_{name}": value for name, value in given.items()}, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *lines], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def come(folder: Path, day: int, *more: str) -> list[str]:
    """A day's rows in its folder; the commands that bring it to its features."""
    path = folder / f"ds=2026-03-{day:02d}" / "part-0.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row if row.count(",") == 4 else f"{row},{row.rpartition(',')[2]}" for row in (*DAYS[day], *more)]
    path.write_text("\n".join(["sale,shop,amount,event_time,known", *rows]) + "\n")
    cut = f"--cut 2026-03-{day + 1:02d}"
    only = f"ingest --source read_sales --input {folder} --ds 2026-03-{day:02d}"
    return [only, f"compute {cut}", f"validate {cut}", f"publish {cut}"]


def rows(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    return sorted(cursor.fetchall())


def connected(line: str) -> Any:
    """By the line that `asof sql` says."""
    names: dict[str, Any] = {}
    exec(line.removeprefix("PyHive: "), names)  # noqa: S102
    return names["connection"]


def by_beeline(line: str, statement: str) -> str:
    """The last row of the answer."""
    command = f"{line.removeprefix('beeline: ')} --silent=true --outputformat=csv2 -e {shlex.quote(statement)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def pid(settings: Settings, service: str) -> int:
    return int(json.loads((settings.home / service / "service.json").read_text())["pid"])


def of_home(settings: Settings) -> list[str]:
    """Processes that name this home."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(settings.home) in line]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_analysts_read_what_commands_write(home: Settings, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    beeline, python = asof(home, *come(landing, 1), "sql").splitlines()[-2:]
    heard = psutil.Process(pid(home, "sql")).net_connections("tcp")
    assert {c.laddr[0].removeprefix("::ffff:") for c in heard if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    connection = connected(python)
    cursor = connection.cursor()
    published = "SELECT cut, shop, count_2d, sum_amount_2d FROM features.read_daily"
    assert rows(cursor, published) == [("2026-03-02T00-00Z", "s1", 2, 350)]

    # While it runs: a day again, and with other rows; the next one; with a correction and a redelivery in it.
    said = asof(home, *come(landing, 1, LATER), *come(landing, 2), "sql")
    assert said.splitlines()[-2:] == [beeline, python], "the one that runs is found"
    assert rows(cursor, published) == [
        ("2026-03-02T00-00Z", "s1", 3, 400),
        ("2026-03-03T00-00Z", "s1", 3, 425),
        ("2026-03-03T00-00Z", "s2", 1, 400),
    ]
    assert rows(cursor, "SELECT sale, amount, asof_op, date_format(asof_known_at, 'dd HH:mm'), ds FROM reading.sales WHERE shop = 's1'") == [
        ("a", 100, "add", "01 10:00", "2026-03-01"),
        ("a", 100, "retract", "02 10:00", "2026-03-02"),
        ("a", 125, "add", "02 10:00", "2026-03-02"),
        ("b", 250, "add", "01 11:00", "2026-03-01"),
        ("b", 250, "again", "02 11:00", "2026-03-02"),
        ("e", 50, "add", "01 13:00", "2026-03-01"),
    ]  # fmt: skip
    assert [rows(cursor, statement) for statement in of_the_page()] == [
        [("s1", 3, 425), ("s2", 1, 400)],
        [("2026-03-01", "amount: 'much' is not a number", 1)],
        [("s1", 3, 425), ("s2", 1, 400)],
        [("s1", instant(1), 2), ("s1", instant(2), 1), ("s2", instant(2), 1)],
    ]
    last = "SELECT sale, event_time, ds FROM reading.sales WHERE sale = 'd'"
    assert by_beeline(beeline, last) == "d,2026-03-02 02:30:00.0,2026-03-02"
    assert rows(cursor, last) == [("d", instant(2, 2, 30), "2026-03-02")]
    connection.close()

    # A metastore that was killed comes back on another port, and the server follows.
    os.kill(pid(home, "metastore"), signal.SIGKILL)
    with connected(asof(home, "sql").splitlines()[1]) as connection:
        assert rows(connection.cursor(), f"{last} AND asof_op = 'add'") == [("d", instant(2, 2, 30), "2026-03-02")]
    said = asof(home, "stop")
    assert said == "Ended the SQL server and the metastore service.\n"
    assert of_home(home) == []


def of_the_page() -> list[str]:
    """The statements of docs/sql.md, on the tables of this test."""
    page = (ROOT / "docs/sql.md").read_text(encoding="utf-8")
    names = "|".join(re.escape(name) for name in ON_THE_PAGE)
    blocks = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    return [re.sub(names, lambda found: ON_THE_PAGE[found[0]], block) for block in blocks]


def instant(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """As PyHive gives one: UTC, and not saying so."""
    return datetime(2026, 3, day, hour, minute)  # noqa: DTZ001


def test_an_embedded_metastore_is_refused_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(SettingsError) as caught:
        sql.run(Sql(), settings)
    assert str(caught.value) == (
        "The SQL server is a process beside Asof's commands, and metastore.kind = 'embedded' admits one at a time. Use 'derby', the bundled "
        "service (what embedded wrote is there: end the process that holds it, `asof stop` if it is Spark Connect), or 'thrift'."
    )
    assert not (settings.home / "sql").exists()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request", b"\5\0\0\0\0"], ids=["nothing", "http", "welcome"])
def test_what_answers_is_known_from_another_that_listens(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=answer, args=(server, says))
        thread.start()
        assert sql._answers(port) == (says[:1] == b"\5")
        thread.join()
    assert not sql._answers(port)


def answer(server: socket.socket, says: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(64)
        connection.sendall(says)
