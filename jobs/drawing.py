"""Which keys a proof asks for: half of them published, half of source rows, so that a key that was lost on the way is missed; and some that nobody ever saw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import DAY
from features.definitions.names import micros, utc
from features.definitions.sources import Source
from features.settings import Settings
from features.values.hashing import row_hashes
from features.values.partition import EntityViews
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD
from jobs import tables
from jobs.files import bytes_of, parquet_files, read_files
from jobs.known import newest_day
from jobs.listing import files_of_days

__all__ = ["UNKNOWN", "Places", "drawn", "requests"]

Places = Mapping[str, str | None]
"""By view the folder of its published rows; None: not published."""
UNKNOWN = 10
"""Keys that no source has."""
_RECENT = 7 * DAY
_POOL = 100_000


def drawn(
    spark: SparkSession, settings: Settings, group: EntityViews, cut: int, keys: int, places: Places
) -> list[tuple[Any, ...]]:
    """About so many keys and `UNKNOWN` more, by the order of a hash that changes with the cut.

    Args:
        spark: reads what is too much for this process.
        settings: where tables are.
        group: the views.
        cut: microseconds UTC; published of each of the views.
        keys: how many.
        places: of the views' rows.
    """
    share = -(-keys // (2 * len(group.views)))
    found: dict[tuple[Any, ...], None] = {}
    entity = group.views[0].entity
    first = partial(_first, settings.spark.few_bytes, cut=cut, kind=ARROW_TYPES[entity.type])
    for view in group.views:
        files = parquet_files(places[view.name] or "")
        rows = _Rows(files=files, many=partial(tables.published, spark, view, cut), stored=False)
        found |= dict.fromkeys(first(rows, list(view.keys), count=share))
    for source in group.sources:
        columns = list(source.key_columns(entity.name, entity.keys))
        # The last days' rows: keys that are asked for tomorrow, and not every partition is read.
        since = str(utc(cut - _RECENT).date())
        files = files_of_days(spark, settings, source, since, newest_day(cut))
        rows = _Rows(files=files, many=partial(_recent, spark, source, cut, since), stored=True)
        found |= dict.fromkeys(first(rows, columns, count=share * len(group.views) // len(group.sources) + 1))
    strange = (f"never seen {n}" if entity.type == "string" else -(2**62) - n for n in range(UNKNOWN))
    return [*found, *(tuple(value for _ in entity.keys) for value in strange)]


def requests(
    spark: SparkSession, settings: Settings, group: EntityViews, cut: int, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What each key brings: request fields of one of its own rows where it has some, even one that is known after the cut; else of whatever row.

    Args:
        spark: reads what is too much for this process.
        settings: where tables are.
        group: the views.
        cut: microseconds UTC.
        keys: of the asks.
    """
    made: dict[tuple[Any, ...], dict[str, Any]] = {key: {} for key in keys}
    entity = group.views[0].entity
    for source in group.sources:
        names = [name for view in group.views if view.source.name == source.name for name in view.request]
        if not names:
            continue
        columns = list(source.key_columns(entity.name, entity.keys))
        rows = _some_rows(spark, settings, source, cut, list(dict.fromkeys([*columns, *names]))).to_pylist()
        own: dict[tuple[Any, ...], dict[str, Any]] = {tuple(row[name] for name in columns): row for row in rows}
        for n, key in enumerate(keys):
            row = own.get(key) or (rows[n % len(rows)] if rows else dict.fromkeys(names))
            made[key] |= {name: _sendable(row[name]) for name in names if name not in entity.keys}
    return made


def _some_rows(spark: SparkSession, settings: Settings, source: Source, cut: int, columns: list[str]) -> pa.Table:
    """Of the last days and of the day after the cut, in the order they are stored."""
    until = str(utc(cut + DAY - 1).date())
    since = str(utc(cut - _RECENT).date())
    files = files_of_days(spark, settings, source, since, until)
    if bytes_of(files) >= settings.spark.few_bytes:
        rows = tables.stored_rows(spark, source, before=cut + DAY).where(F.col("asof_op") == ADD)
        return rows.where(F.col(source.partition) >= since).select(*columns).limit(_POOL).toArrow()
    kinds = [(name, ARROW_TYPES[source.types[name]]) for name in columns]
    table = read_files(files, pa.schema([*kinds, ("asof_op", pa.string())]))
    return table.filter(pc.equal(table["asof_op"], ADD)).select(columns)


def _sendable(value: Any) -> Any:  # noqa: ANN401 - a cell of any type
    """As JSON and Feast carry it: instants are microseconds UTC, what is not finite is null."""
    if isinstance(value, datetime):
        return micros(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    files: Sequence[str]
    many: Callable[[], DataFrame]
    """The same rows by Spark."""

    stored: bool
    """As ingest stored them: those that were added before the cut count."""


def _recent(spark: SparkSession, source: Source, cut: int, since: str) -> DataFrame:
    rows = tables.stored_rows(spark, source, before=cut).where(F.col("asof_op") == ADD)
    return rows.where(F.col(source.partition) >= since)


def _first(
    few: int, rows: _Rows, columns: list[str], *, cut: int, count: int, kind: pa.DataType
) -> list[tuple[Any, ...]]:
    """Keys of rows, each once, nulls left out. Files of `few` bytes are Spark's."""
    if bytes_of(rows.files) >= few:
        keys = [F.col(name) for name in columns]
        some = rows.many().select(*keys).dropna().distinct().orderBy(F.xxhash64(*keys, F.lit(cut)), *keys).limit(count)
        return [tuple(row) for row in some.collect()]
    own = [("asof_op", pa.string()), ("asof_known_at", ARROW_TYPES["timestamp"])] if rows.stored else []
    table = read_files(rows.files, pa.schema([*((name, kind) for name in columns), *own]))
    if rows.stored:
        known = pc.less(table["asof_known_at"].cast(pa.int64()), cut)
        table = table.filter(pc.and_(pc.equal(table["asof_op"], ADD), known))
    table = table.select(columns).drop_null().group_by(columns).aggregate([]).combine_chunks()
    if not len(table):
        return []
    hashes = row_hashes([*(table[name].combine_chunks() for name in columns), pa.array([cut] * len(table), pa.int64())])
    chosen = table.take(pa.array(np.argsort(hashes, kind="stable")[:count]))
    return list(zip(*(chosen[name].to_pylist() for name in columns), strict=True))
