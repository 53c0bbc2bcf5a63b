"""Spark's Java classes, loaded and checked once for this environment: a session starts in half the time.

What compiled bytecode is to Python's modules (JEP 350). `make env` builds it; without it, or with another Java, everything still runs.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.settings import Settings, load
from jobs.java import find_java

if TYPE_CHECKING:
    import subprocess

    import pyarrow as pa

__all__ = ["archive", "build", "java_options"]

_EXIT_SECONDS = 180


def archive(java_home: Path) -> Path:
    """Where this environment's archive for this Java is, built or not: the name changes with Java and with Spark's jars."""
    facts = [str(java_home)]
    paths = sorted([*Path(str(files("pyspark") / "jars")).iterdir(), java_home / "release", java_home / "bin" / "java"])
    facts += [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths if path.exists()]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
    return Path(sys.prefix) / "share" / "asof" / f"spark-classes-{digest}.jsa"


def java_options(java_home: Path) -> str:
    """The option that makes a JVM use the archive; empty where it is not built."""
    path = archive(java_home)
    return f"-XX:SharedArchiveFile={path}" if path.exists() else ""


def build() -> Path | None:
    """Build it where it is missing: one small Spark that does once what jobs do. None where this Java cannot."""
    with tempfile.TemporaryDirectory(prefix="asof-classes-") as folder:
        home = Path(folder)
        java_home = find_java(load().home)
        path = archive(java_home)
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            _run(home, draft)
            if not draft.exists():
                return None
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        for old in path.parent.glob("spark-classes-*.jsa"):
            if old != path:
                old.unlink()
        return path


def _run(home: Path, draft: Path) -> None:
    from jobs.session import spark  # noqa: PLC0415 - session imports this module

    settings = load(
        home=home,
        # With the most classes: what a session of the bundled service needs besides is little.
        metastore={"kind": "embedded"},
        tables={"root": None},
        spark={
            "master": "local[2]",
            "driver_memory": "1g",
            "compiler": "quick",
            "conf": {"spark.driver.extraJavaOptions": f"-XX:ArchiveClassesAtExit={draft}"},
        },
    )
    session = spark(settings, "classes")
    # Untyped in pyspark: the JVM is its child, and writes the archive when its standard input closes.
    context: Any = session.sparkContext
    jvm: subprocess.Popen[bytes] = context._gateway.proc  # noqa: SLF001
    for statement in _statements(settings):
        session.sql(statement).collect()
    session.table("classes.t").repartition(2, "k").sortWithinPartitions("k", "id").mapInArrow(
        _same, "id long, k long, ds string"
    ).toArrow()
    session.stop()
    if jvm.stdin:
        jvm.stdin.close()
    jvm.wait(_EXIT_SECONDS)


def _same(batches: Iterable["pa.RecordBatch"]) -> Iterable["pa.RecordBatch"]:
    yield from batches


def _statements(settings: Settings) -> tuple[str, ...]:
    attempt = f"{settings.tables_root}/t"
    return (
        "CREATE DATABASE IF NOT EXISTS classes",
        "CREATE TABLE classes.t (id BIGINT, k BIGINT, ds STRING) USING parquet PARTITIONED BY (ds)",
        "INSERT OVERWRITE classes.t PARTITION (ds) SELECT id, id % 7, '2026-01-01' FROM range(1000)",
        # The path is ours, a temporary folder.
        f"INSERT OVERWRITE DIRECTORY '{attempt}' USING parquet SELECT id, id % 7 AS k FROM range(1000)",  # noqa: S608
        f"ALTER TABLE classes.t ADD IF NOT EXISTS PARTITION (ds = '2026-01-02') LOCATION '{attempt}'",
        f"ALTER TABLE classes.t PARTITION (ds = '2026-01-01') SET LOCATION '{attempt}'",
        "SELECT k, count(*), sum(id), min(id), max(id), avg(id), count(DISTINCT id) FROM classes.t GROUP BY k ORDER BY k",
        "SELECT a.id, row_number() OVER (PARTITION BY k ORDER BY b.id DESC) FROM classes.t a JOIN classes.t b USING (k) LIMIT 3",
        "SHOW PARTITIONS classes.t",
        "DESCRIBE FORMATTED classes.t PARTITION (ds = '2026-01-01')",
    )


if __name__ == "__main__":
    built = build()
    print(f"Spark's classes: {built}" if built else "This Java keeps no class archive; Spark starts without.")  # noqa: T201
