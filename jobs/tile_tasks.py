"""Tiles of what some cuts newly know, built bucket by bucket: for builds that no older row has a part in."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.carrying import tile_rows
from features.values.tiles import tiles
from jobs.bucket_files import join_tiles, write_tiles
from jobs.exchange import Exchange, Told, bucket_rows, exchange
from jobs.source_files import entity_schema
from jobs.workers import settle, tasks

__all__ = ["build"]

_TOLD = "cut string, day string, rows bigint"


def build(
    spark: SparkSession, settings: Settings, what: Exchange, cuts: Sequence[int], location: str
) -> Mapping[str, Mapping[str, Any]]:
    """Writes the tiles of one view; gives what there is of each cut.

    Args:
        spark: the session.
        settings: where the source lies.
        what: one view, and what the cuts newly know; its folder goes.
        cuts: microseconds UTC.
        location: the folder of the build.
    """
    try:
        told = exchange(spark, settings, what).files
        rows = (
            spark.range(0, what.buckets, 1, tasks(settings, what.buckets))
            .mapInArrow(_task(what, told, cuts, location), _TOLD)
            .collect()
        )
    finally:
        shutil.rmtree(Path(what.folder).parent, ignore_errors=True)
    made: dict[str, dict[str, Any]] = {}
    for row in sorted(rows):
        days = made.setdefault(row["cut"], {"days": {}, "replacing": 0})["days"]
        days[row["day"]] = days.get(row["day"], 0) + row["rows"]
    join_tiles(location, {(cut, day): rows for cut, item in made.items() for day, rows in item["days"].items()})
    return made


def _task(
    what: Exchange, told: Sequence[Told], cuts: Sequence[int], location: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    compiled, schema, buckets = (
        json.dumps(compile_definition(what.group.views)),
        entity_schema(what.group, what.shape),
        what.buckets,
    )

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle()
        (view,) = (load_definition(item, FeatureView) for item in json.loads(compiled))
        for bucket in (number for batch in batches for number in batch["id"].to_pylist()):
            made = tiles(view, tile_rows(view, bucket_rows(told, bucket, schema)), cuts)
            written = list(write_tiles(view, made, Path(location), bucket, buckets))
            columns = zip(*written, strict=True) if written else ((), (), ())
            kinds = (pa.string(), pa.string(), pa.int64())
            yield pa.RecordBatch.from_arrays(
                [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], ["cut", "day", "rows"]
            )

    return run
