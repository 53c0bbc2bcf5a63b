"""Spark's Python workers on one machine: where they import from, and what they look through for garbage."""

import gc
import sys
from collections.abc import Iterable
from pathlib import Path
from weakref import ref
from zipimport import zipimporter

import pyarrow as pa
from pyspark.sql import SparkSession

from jobs.worker_daemon import MODULE, folders, freezing


class _Node:
    """Garbage once it points at itself."""

    other: "_Node | None" = None


def _of_worker(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    import pyspark

    for _ in batches:
        archives = sum(isinstance(finder, zipimporter) for finder in sys.path_importer_cache.values())
        yield pa.RecordBatch.from_pylist(
            [{"file": pyspark.__file__, "archives": archives, "frozen": gc.get_freeze_count()}]
        )


def test_workers_import_from_folders_and_freeze_what_they_imported(spark: SparkSession) -> None:
    assert spark.conf.get("spark.python.daemon.module") == MODULE
    import pyspark

    (told,) = spark.range(0, 1, 1, 1).mapInArrow(_of_worker, "file string, archives long, frozen long").collect()
    assert (told["file"], told["archives"]) == (pyspark.__file__, 0)
    assert told["frozen"] > 20_000


def test_only_the_archives_of_spark_are_left_out() -> None:
    archives = ["/s/python/lib/pyspark.zip", "/s/python/lib/py4j-0.10.9.9-src.zip", "/s/jars/spark-core_2.13-4.1.4.jar"]
    kept = ["", "/mine/features.zip", *sys.path]
    assert folders([*archives, *kept]) == kept


def test_what_is_only_in_archives_is_imported_from_them(tmp_path: Path) -> None:
    path = [str(tmp_path), "/s/python/lib/pyspark.zip", "/s/python/lib/py4j-0.10.9.9-src.zip"]
    assert folders(path) == path


def test_a_task_leaves_no_garbage_frozen() -> None:
    seen: list[ref[_Node]] = []

    def task(count: int) -> int:
        node = _Node()
        node.other = node
        seen.append(ref(node))
        return count + 1

    gc.unfreeze()  # what another test's tasks may have left
    try:
        assert freezing(task)(1) == 2
        assert seen[0]() is None
        assert gc.get_freeze_count() > 0, "this process has many modules"
    finally:
        gc.unfreeze()
