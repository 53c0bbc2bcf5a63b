"""Servers of Spark's own as background services: the `spark-submit` that starts one with the conf of a session of ours."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files

__all__ = ["environment", "spark_submit"]


def spark_submit(conf: Mapping[str, str], main: str, arguments: Sequence[str] = ()) -> tuple[str, ...]:
    """The command that runs the class `main` of Spark's jars; what must be known before the JVM starts goes by its own option."""
    given = dict(conf)
    master, memory, options = (
        str(given.pop(f"spark.{name}", None)) for name in ("master", "driver.memory", "driver.extraJavaOptions")
    )
    submit = (str(files("pyspark") / "bin" / "spark-submit"), "--master", master, "--driver-memory", memory)
    pairs = [part for name, value in given.items() for part in ("--conf", f"{name}={value}")]
    return (*submit, "--driver-java-options", options, *pairs, "--class", main, "spark-internal", *arguments)


def environment() -> dict[str, str]:
    """Ours, with the Python of this environment for Spark's workers."""
    return {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
