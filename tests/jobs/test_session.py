import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.errors import BusyError, HeldError, InputError, MissingError, SettingsError
from features.settings import Settings, load
from jobs import session
from jobs.spark_errors import translated

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession


def test_what_correctness_depends_on_cannot_be_changed(settings: Settings) -> None:
    theirs = settings.model_copy(
        update={"spark": settings.spark.model_copy(update={"conf": {"spark.sql.session.timeZone": "CET"}})}
    )
    with pytest.raises(
        SettingsError, match=r"spark\.conf changes spark\.sql\.session\.timeZone.*it stays UTC\. Take it out"
    ):
        session.spark(theirs, "x")


def test_a_java_that_stops_at_once_is_a_setting_to_mend(tmp_path: Path) -> None:
    # In a process of its own: a failed start leaves pyspark's globals half made.
    code = (
        "from pathlib import Path\nfrom features.settings import load\nfrom jobs.session import spark\nfrom features.errors import SettingsError\n"
        f"s = load(home={str(tmp_path)!r}, metastore={{'kind': 'embedded'}}, spark={{'driver_memory': '900000g'}})\n"
        "try:\n    spark(s, 'x')\nexcept SettingsError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert "Spark's Java stopped before it was ready." in done.stdout
    assert "spark.driver_memory" in done.stdout
    assert f"The full text is in {tmp_path}/logs/errors.log" in done.stdout
    assert done.stderr == ""
    assert (
        "900000" in (tmp_path / "logs" / "spark.log").read_text()
        or "heap" in (tmp_path / "logs" / "spark.log").read_text()
    )


def test_the_session_is_utc_ansi_and_keeps_other_partitions(spark: "SparkSession") -> None:
    for name, value in session.CORRECTNESS.items():
        assert spark.conf.get(name) == value
    spark.sql("CREATE DATABASE IF NOT EXISTS house")
    spark.sql("DROP TABLE IF EXISTS house.days")
    spark.sql("CREATE TABLE house.days (id INT, ds STRING) USING parquet PARTITIONED BY (ds)")
    spark.sql("INSERT OVERWRITE house.days PARTITION (ds) VALUES (1, 'a'), (2, 'b')")
    spark.sql("INSERT OVERWRITE house.days PARTITION (ds) VALUES (3, 'b')")
    assert {tuple(row) for row in spark.table("house.days").collect()} == {(1, "a"), (3, "b")}
    assert (
        spark.sql("SELECT CAST(TIMESTAMP '2026-03-01 23:59:59.999999Z' AS STRING) t").collect()[0].t
        == "2026-03-01 23:59:59.999999"
    )


def test_the_workers_python_is_this_one(spark: "SparkSession") -> None:
    def executable(_: Iterable["pa.RecordBatch"]) -> Iterable["pa.RecordBatch"]:
        import pyarrow as pa

        yield pa.RecordBatch.from_pydict({"python": [sys.executable]})

    assert spark.range(1, numPartitions=1).mapInArrow(executable, "python string").collect()[0].python == sys.executable


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        ("SELECT * FROM house.nothing", MissingError, r"There is no table `house`\.`nothing`\. `asof ingest` makes"),
        ("SELECT nothing FROM range(1)", MissingError, r"There is no column `nothing`\. .*`id`"),
        (
            "SELECT * FROM parquet.`/no/such/folder`",
            MissingError,
            r"There is no file or folder file:/no/such/folder\. Check the path",
        ),
        ("SELECT CAST('x' AS INT)", InputError, r"another type than declared \(CAST_INVALID_INPUT\):.*'x'"),
        ("SELECT 2147483647 + 1", InputError, r"another type than declared \(ARITHMETIC_OVERFLOW"),
        ("USE no_such_database", MissingError, r"There is no database .*`no_such_database`"),
    ],
)
def test_what_spark_says_is_said_again(
    spark: "SparkSession",
    tmp_path: Path,
    statement: str,
    kind: type[Exception],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(kind, match=said) as caught, translated(tmp_path):
        spark.sql(statement).collect()
    assert type(caught.value) is kind
    assert f"The full text is in {tmp_path / 'errors.log'}." in str(caught.value)
    assert "Traceback" in (tmp_path / "errors.log").read_text()
    assert caught.value.__cause__ is not None
    assert capfd.readouterr() == ("", ""), "Spark's own chatter stays off the terminal"


@pytest.mark.parametrize("kind", [HeldError, BusyError, MissingError])
def test_an_error_of_ours_in_a_worker_comes_back_whole(
    spark: "SparkSession", tmp_path: Path, kind: type[Exception]
) -> None:
    text = "payments, row 7: amount = 'x'.\n  It is no number: mend it."

    def fail(batches: Iterable["pa.RecordBatch"]) -> Iterable["pa.RecordBatch"]:
        list(batches)
        raise kind(text)

    with pytest.raises(kind) as caught, translated(tmp_path):
        spark.range(10).mapInArrow(fail, "id long").collect()
    assert (type(caught.value), str(caught.value)) == (kind, text)


def test_a_file_gone_from_a_partition_is_missing(spark: "SparkSession", tmp_path: Path) -> None:
    spark.range(10).write.parquet(str(tmp_path / "t"))
    frame = spark.read.parquet(str(tmp_path / "t"))
    for file in (tmp_path / "t").glob("*.parquet"):
        file.unlink()
    with pytest.raises(MissingError, match="A file that a table's partition points at is gone"), translated(tmp_path):
        frame.collect()


@pytest.mark.slow
def test_two_sessions_share_the_service(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom features.settings import load\nfrom jobs.session import spark\n"
        "s = load(home=sys.argv[1], spark={'master': 'local[1]', 'driver_memory': '1g', 'compiler': 'quick'})\n"
        "spark(s, 'x').sql(sys.argv[2]).show()\n"
    )

    def run(statement: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), statement],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )

    from jobs import metastore

    with metastore.running(load(home=tmp_path)):
        assert run("CREATE TABLE shared_t USING parquet AS SELECT 42 AS answer").stderr == ""
        done = run("SELECT answer FROM shared_t")
    assert ("42" in done.stdout, done.stderr) == (True, "")
