"""Tiles of what some cuts newly know, built bucket by bucket: out of new rows where no older one has a part in them, else out of all."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import cut_text, utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.carrying import tile_rows
from features.values.tiles import tiles
from jobs.bucket_files import join_tiles, write_tiles
from jobs.exchange import Exchange, Told, bucket_rows, exchange
from jobs.source_files import entity_schema
from jobs.workers import settle, tasks

__all__ = ["build"]

_TOLD = "cut string, day string, rows bigint, replacing bigint, oldest bigint"
_TYPES = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64())


def build(
    spark: SparkSession, settings: Settings, what: Exchange, cuts: Sequence[int], location: str
) -> Mapping[str, Mapping[str, Any]]:
    """Writes the tiles of one view; gives what there is of each cut: `days`, `replacing`, and `oldest`, the first tile among those that replace, or None.

    Args:
        spark: the session.
        settings: where the source lies.
        what: one view, and what the cuts newly know, or all rows; its folder goes.
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
    for row in sorted(rows, key=lambda row: (row["cut"], row["day"])):
        item = made.setdefault(row["cut"], {"days": {}, "replacing": 0, "oldest": None})
        item["days"][row["day"]] = item["days"].get(row["day"], 0) + row["rows"]
        item["replacing"] += row["replacing"]
        found = [instant for instant in (item["oldest"], row["oldest"]) if instant is not None]
        item["oldest"] = min(found, default=None)
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
            replaced = _replaced(made)
            found = [
                (cut, day, rows, *replaced.get((cut, day), (0, None)))
                for cut, day, rows in write_tiles(view, made, Path(location), bucket, buckets)
            ]
            columns = list(zip(*found, strict=True)) or [()] * len(_TYPES)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, ["cut", "day", "rows", "replacing", "oldest"])

    return run


def _replaced(made: pa.Table) -> dict[tuple[str, str], tuple[int, int]]:
    """By cut and day: how many rows replace, and the first tile among them."""
    some = made.filter(made["asof_replaces"]).select(["cut", "asof_tile"])
    places: dict[tuple[str, str], list[int]] = {}
    for row in some.to_pylist():
        places.setdefault((cut_text(row["cut"]), str(utc(row["asof_tile"]).date())), []).append(row["asof_tile"])
    return {place: (len(found), min(found)) for place, found in places.items()}
