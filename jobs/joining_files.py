"""As-of joins where a source is plain Parquet files: which sources are, and the join in Spark. No Feast.

Spark's scan makes rows of columns, and columns of the rows again for the Python workers, also of rows that answer nobody. Here Spark decides which
task runs where and again, and carries keys, instants and places between tasks; the columns of an answer are read where they lie.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    FractionalType,
    IntegralType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from features.definitions.names import utc
from jobs.feast_sources import SORTABLE, Span, within
from jobs.joining import BLOB, task_number
from jobs.pit import ASKS, ROW, blobs
from jobs.pit_files import Files, fetched, found, narrow, winners
from jobs.pit_sent import candidates, chosen, columns, of_units, sent

__all__ = ["Wanted", "asked_blobs", "files_of", "found_in_files", "joined_files"]

_PART = 1
_UNIT = 256 << 20
"""About so many bytes of files are one task's."""
_WON = "bucket int, data binary"
_FOLDER = re.compile(r"([^=/]+)=([^/]*)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_PLAIN = (IntegralType, FractionalType, BooleanType, BinaryType, DateType, DecimalType, TimestampType, TimestampNTZType)
_ASKED_OTHERWISE = {
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.files.ignoreMissingFiles": "true",
    "spark.sql.execution.arrow.useLargeVarTypes": "true",
}
"""Settings under which Spark reads files in ways of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a source, by its own names."""

    keys: Mapping[str, str]
    """From a key column to the type by which it meets the asks'."""

    time: str
    created: str | None
    features: Mapping[str, str]
    """From the answer's names to the source's."""

    ttl_us: int
    known: bool
    span: Span


def files_of(rows: DataFrame, source: Any, wanted: Wanted) -> Files | None:  # noqa: ANN401 - Feast's SparkSource
    """The files of a source, where tasks can read what is wanted of them; None where only Spark can.

    Args:
        rows: all rows of the source, as Spark reads them.
        source: a table or a path.
        wanted: columns that it has.
    """
    spark, schema = rows.sparkSession, rows.schema
    names = [*wanted.keys, wanted.time, *([wanted.created] if wanted.created else []), *wanted.features.values()]
    if any(spark.conf.get(name, "false") == value for name, value in _ASKED_OTHERWISE.items()):
        return None
    if not all(_readable(schema[name]) for name in names) or wanted.span.last is None:
        return None
    kinds = [_key_type(schema[name].dataType, kind) for name, kind in wanted.keys.items()]
    instants = [schema[name].dataType for name in (wanted.time, wanted.created) if name]
    if None in kinds or not all(isinstance(kind, TimestampType | TimestampNTZType | DateType) for kind in instants):
        return None
    paths = _paths(spark, rows, source, wanted, set(names))
    if not paths:
        return None
    columns = StructType([StructField(name, schema[held].dataType) for name, held in wanted.features.items()])
    called = to_arrow_schema(columns)
    return Files(
        paths=tuple(paths),
        units=_units(paths, _cores(spark)),
        keys=tuple((name, kind) for name, kind in zip(wanted.keys, kinds, strict=True) if kind is not None),
        time=wanted.time,
        created=wanted.created,
        columns=pa.schema(
            [field.with_name(held) for field, held in zip(called, wanted.features.values(), strict=True)]
        ),
        names=tuple(wanted.features),
        first=wanted.span.first,
        last=wanted.span.last,
    )


def _readable(field: StructField) -> bool:
    kind = field.dataType
    if isinstance(kind, ArrayType):  # of instants: files write those in several ways
        return not isinstance(kind.elementType, TimestampType | TimestampNTZType | ArrayType) and _readable(StructField("", kind.elementType))  # fmt: skip
    # Spark pads values of char columns, and compares text of other collations in other ways.
    return isinstance(kind, _PLAIN) or (kind == StringType() and "__CHAR_VARCHAR_TYPE_STRING" not in field.metadata)


def _key_type(kind: DataType, meets: str) -> pa.DataType | None:
    if meets == "bigint" and isinstance(kind, IntegralType):
        return pa.int64()
    return pa.string() if meets == "string" and isinstance(kind, IntegralType | StringType) else None


def _paths(spark: SparkSession, rows: DataFrame, source: Any, wanted: Wanted, names: set[str]) -> list[str]:  # noqa: ANN401 - as above
    """In the order of their names; none where they are not files of this machine's folders."""
    if source.table:
        folders = _table_folders(spark, source.table)
        if folders is None or folders & names:
            return []
        found = within(rows, source, wanted.time, wanted.span).inputFiles()
        return sorted(_local(found))
    if not source.path or source.query or source.file_format != "parquet" or getattr(source, "table_format", None):
        return []
    paths = _local(rows.inputFiles())
    if any(name in names for path in paths for name, _ in _FOLDER.findall(path)):
        return []
    return sorted(_of_days(paths, rows, source, wanted.span))


def _table_folders(spark: SparkSession, table: str) -> set[str] | None:
    """The columns that are folders' names; None where it is no table of Parquet files."""
    name = ".".join(f"`{part}`" for part in table.split("."))
    told = [(row["col_name"], row["data_type"]) for row in spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()]
    titles = [n for n, (title, _) in enumerate(told) if title.startswith("# Detailed Table Information")]
    details = dict(told[titles[0] :]) if titles else {}
    hive = details.get("Provider") == "hive" and "ParquetHiveSerDe" in details.get("Serde Library", "")
    if details.get("Type") not in {"MANAGED", "EXTERNAL"} or not (hive or details.get("Provider") == "parquet"):
        return None
    return set(spark.table(name).columns) - {
        each.name for each in spark.catalog.listColumns(name) if not each.isPartition
    }


def _local(names: Sequence[str]) -> list[str]:
    """Paths of files; none if one lies elsewhere, or is a folder."""
    if not all(name.startswith("file:/") for name in names):
        return []
    paths = [unquote("/" + name.removeprefix("file:").lstrip("/")) for name in names]
    return paths if all(Path(path).is_file() for path in paths) else []


def _of_days(paths: Sequence[str], rows: DataFrame, source: Any, span: Span) -> list[str]:  # noqa: ANN401 - as above
    """Without the folders of days outside a span, as `within` leaves them out; none where their type is another one."""
    day, form = source.date_partition_column or "", source.date_partition_column_format or ""
    if day.startswith("_") or day not in rows.columns or not SORTABLE.fullmatch(form):
        return list(paths)
    held = {path: dict(_FOLDER.findall(path)).get(day) for path in paths}
    if None in held.values():  # it is a column like any other
        return []
    kind = rows.schema[day].dataType
    if not isinstance(kind, StringType | DateType | IntegralType):
        return []

    def ranked(text: str) -> Any:  # noqa: ANN401 - numbers, or text that sorts as days do
        return int(text) if isinstance(kind, IntegralType) else text

    edges = [None if bound is None else ranked(utc(bound).strftime(form)) for bound in (span.first, span.last)]
    kept = []
    for path, text in held.items():
        if text is None or text == _NO_VALUE:
            continue
        value = ranked(unquote(text))
        if (edges[0] is None or value >= edges[0]) and (edges[1] is None or value <= edges[1]):
            kept.append(path)
    return kept


def _cores(spark: SparkSession) -> int:
    if not hasattr(spark, "_jsparkSession"):  # Spark Connect
        return int(spark.conf.get("spark.sql.shuffle.partitions") or 200)
    return spark.sparkContext.defaultParallelism


def _units(paths: Sequence[str], cores: int) -> tuple[tuple[int, int], ...]:
    """Neighbours of about equal bytes together."""
    ends = np.cumsum([max(1, Path(path).stat().st_size) for path in paths])
    count = min(len(paths), max(2 * cores, int(ends[-1]) // _UNIT + 1))
    edges = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count, side="left") + 1
    bounds = sorted({0, len(paths), *(int(edge) for edge in edges if edge < len(paths))})
    return tuple(pairwise(bounds))


def joined_files(
    asks: DataFrame,
    files: Files,
    wanted: Wanted,
    kinds: StructType,
    *,
    count: int,
    keys: np.ndarray | None,
    packed: bool,
) -> DataFrame:
    """`asof_row` and the columns of the answer, one row for each ask that has one.

    Args:
        asks: blobs, as `asked_blobs` gives them, of `count` buckets.
        files: the source.
        wanted: what it was made for.
        kinds: the columns of the answer, as Spark calls their types.
        count: buckets.
        keys: hashes of the asks' keys, sorted, where they are few enough to be sent to all tasks.
        packed: give `data`, blobs of Arrow's stream format, for the driver.
    """
    spark, units = asks.sparkSession, len(files.units)
    rows = spark.range(0, units, 1, units).mapInArrow(narrow(files, count, keys), BLOB)
    reading = found(_PART, ttl_us=wanted.ttl_us, created=files.created is not None, known=wanted.known)
    met = asks.unionAll(rows).repartitionById(count, F.col("bucket"))
    won = met.mapInArrow(winners(files, reading), _WON).repartitionById(units, F.col("bucket"))
    schema = "data binary" if packed else StructType([StructField(ROW, LongType()), *kinds.fields])
    return won.mapInArrow(fetched(files, packed=packed), schema)


def found_in_files(spark: SparkSession, asks: pa.Table, files: Files, wanted: Wanted) -> list[pa.Table]:
    """What `joined_files` finds for asks (`k0` …, `asof_time`, `asof_row`; no key is null) that are few enough to be sent; in two Spark jobs without a shuffle."""
    reading = found(_PART, ttl_us=wanted.ttl_us, created=files.created is not None, known=wanted.known)
    made, units = sent(asks, len(files.keys)), len(files.units)
    numbers = spark.range(0, units, 1, units)
    newest = _opened(numbers.mapInArrow(candidates(files, reading, made), "data binary"))
    places = of_units(files, made, *chosen(newest, reading, len(made.row)))
    return _opened(numbers.mapInArrow(columns(files, places), "data binary")) if places else []


def _opened(blobs: DataFrame) -> list[pa.Table]:
    return [pa.ipc.open_stream(each.as_buffer()).read_all() for each in blobs.toArrow()["data"].combine_chunks()]


def asked_blobs(asks: DataFrame, keys: int, count: int) -> DataFrame:
    """Asks (`k0` …, `asof_time`, `asof_row`) as blobs of `count` buckets."""
    names = [f"k{n}" for n in range(keys)]
    asks = asks.dropna(subset=names) if names else asks
    return asks.mapInArrow(blobs(ASKS, keys, count, task_number), BLOB)
