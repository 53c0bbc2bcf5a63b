"""The Spark session and the settings that correctness depends on; the only place that starts one.

What a person sees at the terminal is ours: the JVM's own chatter goes to `home/logs/spark.log`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import SettingsError
from features.settings import Settings
from jobs import class_archive, connect, metastore, worker_daemon
from jobs.background import LOG4J
from jobs.java import find_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["CORRECTNESS", "spark", "spark_conf"]

CORRECTNESS = {
    # Dates of instants are UTC dates, wherever the driver stands.
    "spark.sql.session.timeZone": "UTC",
    # A cast that loses a value or an overflow is an error, never a null.
    "spark.sql.ansi.enabled": "true",
    # Overwriting one partition never drops the others.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    "spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict",
    # Microseconds in the files, as everywhere else.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Falling back from Arrow would change types silently.
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.catalogImplementation": "hive",
}
"""No setting of a person may change these."""

_JAVA = "spark.driver.extraJavaOptions"
_SPEED = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.python.worker.reuse": "true",
    # Else each expression tells the JVM, in ten calls, which line made it.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    # Small tables: no scan of statistics we do not use, no listing by a Spark job.
    "spark.sql.statistics.size.autoUpdate.enabled": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    # A table's days are listed by the driver: as a Spark job it takes longer until there are thousands.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "4096",
    # One metastore change for all partitions of an ADD: readers never see some of them.
    "spark.sql.addPartitionInBatch.size": "100000",
}
_ONE_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.python.daemon.module": worker_daemon.MODULE}
_LOG4J = (
    LOG4J
    + """# Warnings of the healthy: no metastore version row yet, settings that Hive 2.3 does not know.
logger.conf.name = org.apache.hadoop.hive.conf.HiveConf
logger.conf.level = error
"""
)


def spark(settings: Settings, app: str) -> "SparkSession":
    """The session of this process, started where there is none; `app` names it to a cluster's master.

    Raises:
        SettingsError: no suitable Java, or `spark.conf` changes what correctness depends on.
        BusyError: the metastore or the JVM does not come up; the message names the log.
    """
    from pyspark.logger import PySparkLogger  # noqa: PLC0415 - the same
    from pyspark.sql import SparkSession  # noqa: PLC0415 - costs a second, and commands without Spark import this module

    from jobs.spark_errors import translated  # noqa: PLC0415 - the same

    # pyspark prints each failed statement as JSON on stderr before raising it; jobs/spark_errors.py writes the same to a log.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    if settings.spark.remote is not None:
        return _remote(settings, settings.spark.remote, app)
    conf = spark_conf(settings)
    # The workers' Python is this one: unset, Spark takes whatever `python3` is on PATH.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.appName(f"asof {app}")
    for name, value in conf.items():
        builder = builder.config(name, value)
    if _submitted():
        return builder.getOrCreate()
    with translated(settings.logs), _terminal_to(settings.logs / "spark.log"):
        return builder.getOrCreate()


def _remote(settings: Settings, url: str, app: str) -> "SparkSession":
    """A session of a Spark Connect server, which must run with what correctness depends on."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - as above

    from jobs.spark_errors import translated  # noqa: PLC0415 - the same

    if url == "embedded":
        url = connect.ensure(settings, spark_conf(settings))
    connect.require(url)
    with translated(settings.logs):
        session = SparkSession.builder.remote(url).appName(f"asof {app}").getOrCreate()
        for name, value in connect.FRESH.items():
            session.conf.set(name, value)
        for name, value in CORRECTNESS.items():
            if name.startswith("spark.sql.") and session.conf.get(name, value) != value:
                message = f"The Spark Connect server {url} runs with {name} = {session.conf.get(name)}; values depend on {value}. Start it with `asof` or with that setting."
                raise SettingsError(message)
    return session


def spark_conf(settings: Settings) -> dict[str, str]:
    """What a Spark of ours runs with: speed, then the person's own, then correctness: the later wins. Starts the bundled metastore.

    Raises:
        SettingsError: no suitable Java, or `spark.conf` changes what correctness depends on.
        BusyError: the metastore does not come up; the message names its log.
    """
    for name in settings.spark.conf:
        if name in CORRECTNESS:
            message = (
                f"The setting spark.conf changes {name}, on which the values depend; it stays {CORRECTNESS[name]}. "
                "Take it out of asof.toml or ASOF_SPARK__CONF."
            )
            raise SettingsError(message)
    given = settings.spark.conf
    local = {} if _submitted() else _local(settings)
    options = {_JAVA: f"{local[_JAVA]} {given.get(_JAVA, '')}".strip()} if local else {}
    return _SPEED | _shuffle(settings) | local | given | options | CORRECTNESS | _catalogue(settings)


def _submitted() -> bool:
    """Whether `spark-submit` started this process: master, memory and log are then its own."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _local(settings: Settings) -> dict[str, str]:
    logs = settings.logs
    logs.mkdir(parents=True, exist_ok=True)
    log4j = logs / "spark-log4j2.properties"
    draft = log4j.with_name(f".{log4j.name}.{os.getpid()}")
    draft.write_text(_LOG4J.format(log=logs / "spark.log"), encoding="utf-8")
    draft.replace(log4j)
    java_home = find_java(settings.home)
    os.environ["JAVA_HOME"] = str(java_home)
    options = (
        *(
            f"-Dlog4j2.configurationFile=file:{log4j}",
            "-Duser.timezone=UTC",
            f"-Dderby.stream.error.file={logs / 'derby.log'}",
        ),
        *(["-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m"] if settings.spark.compiler == "quick" else []),
        class_archive.java_options(java_home),
    )
    return {
        "spark.master": settings.spark.master,
        "spark.driver.memory": settings.spark.driver_memory,
        _JAVA: " ".join(options),
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
    } | (_ONE_MACHINE if settings.spark.master.startswith("local") else {})


def _shuffle(settings: Settings) -> dict[str, str]:
    count = settings.spark.shuffle_partitions
    if count is None and settings.spark.master.startswith("local") and not _submitted():
        count = 2 * (os.cpu_count() or 1)
    return {} if count is None else {"spark.sql.shuffle.partitions": str(count)}


def _catalogue(settings: Settings) -> dict[str, str]:
    warehouse = {"spark.sql.warehouse.dir": settings.tables_root}
    if settings.metastore.kind == "embedded":
        return warehouse | {f"spark.hadoop.{name}": value for name, value in metastore.hive_site(settings).items()}
    uri = settings.metastore.uri if settings.metastore.kind == "thrift" else metastore.ensure(settings)
    return warehouse | {"spark.hadoop.hive.metastore.uris": str(uri)}


@contextmanager
def _terminal_to(log: Path) -> Iterator[None]:
    """While the JVM starts, 1 and 2 are the log: it inherits them, and keeps them after ours come back."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)
