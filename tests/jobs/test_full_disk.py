"""A disk that is really full (a small tmpfs, so root is needed): the message, the exit code, and what stays."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import micros, view_table
from features.settings import Settings, load
from jobs import attempts, ledger, tables
from jobs.cli import main
from jobs.commands import Exit

pytestmark = pytest.mark.slow
CATALOG = "tests.jobs.catalogue_of_bad_input"
SALES, DAILY = load_catalog(CATALOG).source("bad_sales"), load_catalog(CATALOG).view("bad_daily")
FIRST, SECOND = "2026-03-02", "2026-03-03"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    # Limits of file sizes would not do: they say EFBIG, and only of single files.
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def home(
    spark: SparkSession, spark_settings: Settings, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Tables on the small disk, all else beside it; commands read the same from the environment."""
    for name, value in {
        "HOME": tmp_path / "home", "CATALOG": CATALOG, "TABLES__ROOT": disk, "METASTORE__KIND": "embedded",
        "SPARK__MASTER": "local[2]", "SPARK__SHUFFLE_PARTITIONS": spark_settings.spark.shuffle_partitions, "SPARK__COMPILER": "quick",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ASOF_{name}", str(value))
    _drop(spark)
    yield load()
    _drop(spark)


def _drop(spark: SparkSession) -> None:
    for table in (SALES.table, f"{SALES.table}__quarantine", view_table(DAILY)):
        spark.sql(f"DROP TABLE IF EXISTS {table}")


@pytest.fixture
def asof(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and what stood on stderr."""

    def run(*argv: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(argv))
        return int(caught.value.code or 0), capsys.readouterr().err

    return run


def _fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return filler


def _values(spark: SparkSession) -> list[tuple[Any, ...]]:
    rows = tables.published(spark, DAILY, micros(datetime.fromisoformat(FIRST).replace(tzinfo=UTC))).collect()
    return sorted(tuple(row) for row in rows)


def _pass(settings: Settings, cut: str) -> None:
    attempt = attempts.finished(settings, DAILY, micros(datetime.fromisoformat(cut).replace(tzinfo=UTC)))
    assert attempt is not None
    attempt.write("verdict", {"verdict": "pass"})


def _land(folder: Path) -> str:
    header = "sale,shop,amount,event_time,known"
    for day in (1, 2):
        at = f"2026-03-{day:02d}T10:00:00Z"
        path = folder / f"ds=2026-03-{day:02d}" / "part-0.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([header, *(f"d{day}n{n},s{n % 5},1.00,{at},{at}" for n in range(50))]) + "\n")
    return str(folder)


def test_a_full_disk_is_said_with_75_and_leaves_what_was_published(
    spark: SparkSession, home: Settings, disk: Path, tmp_path: Path, asof: Callable[..., tuple[int, str]]
) -> None:
    days = _land(tmp_path / "landing")
    assert asof("ingest", "--source", "bad_sales", "--input", days) == (Exit.OK, "")
    assert asof("compute", "--cut", FIRST) == (Exit.OK, "")
    _pass(home, FIRST)
    assert asof("publish", "--cut", FIRST) == (Exit.OK, "")
    before = _values(spark)
    assert [(row[0], row[1]) for row in before] == [(f"s{n}", 10) for n in range(5)]
    partitions = ledger.partitions(home, "bad_sales")

    filler = _fill(disk)
    for command in (("compute", "--cut", SECOND), ("ingest", "--source", "bad_sales", "--input", days)):
        code, said = asof(*command)
        assert (code, said.split("\n")[0]) == (
            Exit.BUSY,
            (
                "The disk is full. Free some space (old attempts are the first to go) and run the same command again: "
                "nothing half-written was published."
            ),
        )
        assert said.split("\n")[1] == f"The full text is in {home.logs / 'errors.log'}."
    assert attempts.finished(home, DAILY, micros(datetime.fromisoformat(SECOND).replace(tzinfo=UTC))) is None
    assert ledger.partitions(home, "bad_sales") == partitions
    assert _values(spark) == before

    filler.unlink()
    assert asof("compute", "--cut", SECOND) == (Exit.OK, "")
    _pass(home, SECOND)
    assert asof("publish", "--cut", SECOND) == (Exit.OK, "")
    assert _values(spark) == before
    assert len(tables.published_cuts(spark, DAILY)) == 2
