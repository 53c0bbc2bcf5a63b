"""The embedded Spark Connect server: started once, shared, ended; what jobs do through a session of their own they do through it."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from features.errors import BusyError
from features.settings import load
from jobs import connect, metastore, stop
from jobs.commands import Stop

SCRIPT = """
import pyarrow.compute as pc
from expectations import suites
from expectations.rules import Rule
from features.settings import load
from jobs.session import spark

settings = load()
session = spark(settings, "test")
print("there", session.catalog.tableExists("shared.t"))
session.sql("CREATE DATABASE IF NOT EXISTS shared")
session.sql("CREATE TABLE IF NOT EXISTS shared.t (id bigint, amount bigint, ds string) USING hive OPTIONS (fileFormat 'parquet') PARTITIONED BY (ds)")
rows = session.range(10).selectExpr("id", "id - 3 AS amount")

def doubled(batches):
    for batch in batches:
        yield batch.set_column(1, "amount", pc.multiply(batch["amount"], 2))

print("sum", rows.repartition("id").mapInArrow(doubled, "id long, amount long").agg({"amount": "sum"}).collect()[0][0])
print("zone", session.conf.get("spark.sql.session.timeZone"))
rule = Rule(name="amount_sign", severity="block", says="Amounts are not negative.", remedy="Mend them.", check="between", columns=("amount",), lower=0)
judged = suites.look_closer("t", [rule], rows, {"id": "int64", "amount": "int64"})
print("unexpected", [item.result["unexpected_count"] for item in judged.results])
"""


@pytest.mark.slow
def test_commands_share_one_server_and_gx_looks_at_rows_through_it(tmp_path: Path) -> None:
    home = tmp_path / "asof"
    settings = load(
        home=home,
        metastore={"kind": "embedded"},
        spark={"remote": "embedded", "master": "local[2]", "driver_memory": "1g", "compiler": "quick"},
    )
    env = {
        "ASOF_HOME": str(home), "ASOF_METASTORE__KIND": "embedded", "ASOF_SPARK__REMOTE": "embedded", "ASOF_SPARK__MASTER": "local[2]",
        "ASOF_SPARK__DRIVER_MEMORY": "1g", "ASOF_SPARK__COMPILER": "quick", "ASOF_SPARK__SHUFFLE_PARTITIONS": "2", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd()),
    }  # fmt: skip
    try:
        seen = set()
        for there in (False, True):  # what the first command asked is answered anew to the second
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=False, cwd=tmp_path
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-4:] == [f"there {there}", "sum 30", "zone UTC", "unexpected [3]"]
            seen.add((home / "connect" / "service.json").read_text())
        assert len(seen) == 1, "the second command found the first one's server"
    finally:
        connect.stop(settings)
        metastore.stop(settings)
    assert not (home / "connect" / "service.json").exists()


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(
        BusyError,
        match=r"The Spark Connect server sc://127\.0\.0\.1:1 does not answer: .*Start it, or correct spark\.remote",
    ):
        connect.require("sc://127.0.0.1:1")


def test_stop_says_what_it_ended(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = load(home=tmp_path / "asof")
    stop.run(Stop(), settings)
    assert capsys.readouterr().out == (
        "Nothing to end: neither the SQL server nor the embedded Spark Connect server nor the metastore service runs.\n"
    )
    service = tmp_path / "asof" / "metastore"
    service.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": 1}
    (service / "service.json").write_text(json.dumps(record))
    stop.run(Stop(), settings)
    assert capsys.readouterr().out == "Ended the metastore service.\n"
    assert process.wait(10) is not None
