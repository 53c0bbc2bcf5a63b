"""The files of source tables by their days: what Spark is asked once, and many entities read."""

import re
from functools import lru_cache

from pyspark.sql import SparkSession

from features.definitions.sources import Source
from features.settings import Settings
from jobs import ledger
from jobs.files import exists
from jobs.ledger import Partition
from jobs.tables import files_of, source_table

__all__ = ["day_of", "files_of_days"]


def files_of_days(spark: SparkSession, settings: Settings, source: Source, first: str, last: str) -> list[str]:
    """The files of a source's partitions from one day to another, both included."""
    return _named(spark, settings, source, ledger.partitions(settings, source.ingested_by), first, last)


def _named(
    spark: SparkSession, settings: Settings, source: Source, partitions: tuple[Partition, ...], first: str, last: str
) -> list[str]:
    asked = (spark, source, settings.tables_root, partitions)
    if not all(exists(path) for _, path in _listed(*asked)):  # somebody wrote the table by other means
        _listed.cache_clear()
    return [path for ds, path in _listed(*asked) if first <= ds <= last]


@lru_cache(maxsize=64)
def _listed(
    spark: SparkSession,
    source: Source,
    root: str,  # noqa: ARG001 - tables of another root are other ones
    partitions: tuple[Partition, ...],  # noqa: ARG001 - what is ingested anew lies in other files
) -> tuple[tuple[str, str], ...]:
    """Each file of a source's table, with its day. Many entities read the same sources, and the metastore takes its time to answer."""
    return tuple((day_of(path), path) for path in files_of(source_table(spark, source)))


def day_of(path: str) -> str:
    """Of a partition's file; ingest writes each day into a folder of its name."""
    days: list[str] = re.findall(r"/ds=(\d{4}-\d\d-\d\d)/", path)
    return days[-1]
