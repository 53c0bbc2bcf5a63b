"""Feast's Spark sources as DataFrames: read as far as a span of time needs, and appended to. No session setting is changed, no view is left behind.

The sources are Feast's objects, taken as they are; this module does not import Feast.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from features.definitions.names import utc
from features.errors import ColumnsError, InputError, MissingError
from jobs.joining import micros_of

__all__ = ["SORTABLE", "Span", "append", "logged", "read", "within", "zoned"]

SORTABLE = re.compile(r"%Y[^%]*%m[^%]*%d([^%]*%H)?[^%]*|%Y|%Y[^%]*%m|%F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of time, both ends inclusive, in microseconds UTC; None: without end."""

    first: int | None = None
    last: int | None = None


def read(spark: SparkSession, source: Any) -> DataFrame:  # noqa: ANN401 - Feast's SparkSource
    """All columns of a source, nothing read yet.

    Raises:
        InputError: it is no SparkSource.
        MissingError: its table or files are not there.
    """
    name = source.name
    try:
        if getattr(source, "table", None):
            return spark.table(".".join(f"`{part}`" for part in source.table.split(".")))
        if getattr(source, "query", None):
            return spark.sql(source.query)
        if getattr(source, "path", None):
            return source._load_dataframe_from_path(spark)  # type: ignore[no-any-return]  # noqa: SLF001 - it knows table formats
    except AnalysisException as error:
        state = error.getSqlState() or ""
        if state.startswith("42P01") or error.getCondition() in {"PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND"}:
            what = source.table or source.path or "what its query names"
            msg = f"Source {name!r}: {what} is not there. Write it first, or correct the source and run `feast apply`."
            raise MissingError(msg) from error
        raise
    msg = f"Source {name!r} is a {type(source).__name__}. The Asof offline store reads SparkSource: a table, a query or a path."
    raise InputError(msg)


def within(rows: DataFrame, source: Any, time: str, span: Span) -> DataFrame:  # noqa: ANN401 - as above
    """Rows of a span; folders and row groups outside it are not opened, where the source tells of its partitions.

    Raises:
        MissingError: the source has no such column.
        InputError: the column holds no instants.
    """
    _require(rows, source, [time])
    kind = rows.schema[time].dataType
    exact = micros_of(time, kind, f"Source {source.name!r}")
    day, form = source.date_partition_column or "", source.date_partition_column_format or ""
    # Hive's metastore reads no name that begins with an underscore, and fails.
    prunes = not day.startswith("_") and day in rows.columns and bool(SORTABLE.fullmatch(form))
    for bound, last in ((span.first, False), (span.last, True)):
        if bound is None:
            continue
        if isinstance(kind, TimestampType):  # a literal, which goes into the scan
            instant = F.timestamp_micros(F.lit(bound).cast("bigint"))
            rows = rows.where(F.col(f"`{time}`") <= instant if last else F.col(f"`{time}`") >= instant)
        else:
            rows = rows.where(exact <= bound if last else exact >= bound)
        if prunes:
            edge = F.lit(utc(bound).strftime(form)).cast(rows.schema[day].dataType)
            rows = rows.where(F.col(f"`{day}`") <= edge if last else F.col(f"`{day}`") >= edge)
    return rows


def _require(rows: DataFrame, source: Any, names: Sequence[str]) -> None:  # noqa: ANN401 - as above
    if missing := [name for name in names if name not in rows.columns]:
        msg = f"Source {source.name!r} has no column {', '.join(missing)}. It has {', '.join(rows.columns)}."
        raise MissingError(msg)


def append(spark: SparkSession, source: Any, table: pa.Table) -> None:  # noqa: ANN401 - as above
    """Appends rows to the source's table or files, columns by name. Readers see them when Spark commits the job; a second call appends again.

    Times without a zone are UTC. The date partition may be left out: it follows from the rows' instants.

    Raises:
        ColumnsError: the table has other columns than the source, or values that its types do not hold.
        InputError: the source is a query.
    """
    if not (source.table or source.path):
        msg = f"Source {source.name!r} is a query; rows can be appended to a table or a path. Give the source one of them."
        raise InputError(msg)
    stored = read(spark, source) if source.table else spark.read.format(source.file_format).load(source.path)
    table = _partitioned(table, source, stored.columns)
    missing, more = [n for n in stored.columns if n not in table.column_names], [n for n in table.column_names if n not in stored.columns]  # fmt: skip
    if missing or more:
        parts = [f"lack {', '.join(missing)}"] * bool(missing) + [f"have {', '.join(more)}, which it has not"] * bool(
            more
        )
        msg = f"Source {source.name!r}: the rows {' and '.join(parts)}. Its columns are {', '.join(stored.columns)}, in any order."
        raise ColumnsError(msg)
    given = spark.createDataFrame(zoned(table.select(stored.columns)))
    rows = given.select(*(F.col(f"`{f.name}`").cast(f.dataType).alias(f.name) for f in stored.schema))
    if source.table:
        rows.write.mode("append").insertInto(source.table)
    else:
        days = [source.date_partition_column] if source.date_partition_column in stored.columns else []
        rows.write.format(source.file_format).mode("append").partitionBy(*days).save(source.path)


def logged(spark: SparkSession, source: Any, table: pa.Table, schema: pa.Schema) -> None:  # noqa: ANN401 - as above
    """Appends the logs of a feature service; the table or folder is made with the first, a partition a day.

    Raises:
        ColumnsError: the rows have other columns than the schema.
    """
    if set(table.column_names) != set(schema.names):
        msg = f"The logs have the columns {', '.join(sorted(table.column_names))}; the feature service writes {', '.join(sorted(schema.names))}."
        raise ColumnsError(msg)
    rows, day = spark.createDataFrame(zoned(table.select(schema.names).cast(schema))), source.date_partition_column
    if source.path:
        rows.write.format(source.file_format).mode("append").partitionBy(day).save(source.path)
    elif spark.catalog.tableExists(source.table):
        rows.select(*(F.col(f.name).cast(f.dataType) for f in spark.table(source.table).schema)).write.mode(
            "append"
        ).insertInto(source.table)
    else:
        rows.write.format("parquet").partitionBy(day).saveAsTable(source.table)


def zoned(table: pa.Table) -> pa.Table:
    """Times without a zone as UTC, so that no session's zone moves them."""
    for n, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(n, field.name, table[n].cast(pa.timestamp("us", "UTC"), safe=False))
    return table.replace_schema_metadata(None)


def _partitioned(table: pa.Table, source: Any, columns: Sequence[str]) -> pa.Table:  # noqa: ANN401 - as above
    day, time = source.date_partition_column, source.timestamp_field
    if not day or day in table.column_names or day not in columns or time not in table.column_names:
        return table
    instants = zoned(table.select([time]))[time]
    return table.append_column(day, pc.strftime(instants, format=source.date_partition_column_format or "%Y-%m-%d"))
