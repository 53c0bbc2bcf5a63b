"""Entity frames of a retrieval made ready: pandas, SQL or Spark; each row numbered, its instant checked, the query run once. No Feast.

A time without a zone is UTC, as Feast's users write it; every other time is the instant that it names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import DateType, StructType, TimestampNTZType, TimestampType

from features.errors import InputError, MissingError
from jobs.feast_sources import zoned
from jobs.joining import micros_of
from jobs.pit import ROW, TIME

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EVENT_TIMESTAMP", "EntityFrame", "entity_frame", "of_spark"]

EVENT_TIMESTAMP = "event_timestamp"
_WHERE = "The entity frame"
_INSTANT = pa.timestamp("us", "UTC")
_SHOWN = 3
_WIDER = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(), pa.float16(): pa.float32()}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFrame:
    """The rows that are asked for. What a person gave is in `table` or in `stored`, whichever costs no copy."""

    spark: SparkSession
    schema: StructType
    """Of the columns that were given, without Asof's own."""

    time: str
    """The column of instants."""

    rows: int
    earliest: int
    """Microseconds UTC."""

    latest: int
    given: pa.Table | None = None
    stored: DataFrame | None = None
    """With `asof_row`, which orders its rows and may leave numbers out."""

    def narrow(self, columns: Sequence[str]) -> DataFrame:
        """Those columns, `asof_time` (microseconds UTC) and `asof_row`, for tasks."""
        if self.stored is not None:
            time = micros_of(self.time, self.schema[self.time].dataType, _WHERE).alias(TIME)
            return self.stored.select(*(F.col(f"`{name}`") for name in columns), time, ROW)
        table = _table(self)
        made = table.select(list(columns)).append_column(TIME, table[self.time].cast(pa.int64()))
        return self.spark.createDataFrame(made.append_column(ROW, pa.array(np.arange(len(table)))))

    def whole(self) -> DataFrame:
        """All columns and `asof_row`."""
        if self.stored is not None:
            return self.stored
        table = _table(self)
        return self.spark.createDataFrame(table.append_column(ROW, pa.array(np.arange(len(table)))))

    def collected(self) -> tuple[pa.Table, np.ndarray]:
        """All columns in the frame's order, and the number of each row, rising."""
        if self.stored is None:
            return _table(self), np.arange(self.rows)
        table = self.stored.toArrow().combine_chunks()
        numbers = np.asarray(table[ROW])
        order = np.argsort(numbers)
        table = zoned(table.drop_columns([ROW]).take(pa.array(order)))
        return table, numbers[order]


def _table(frame: EntityFrame) -> pa.Table:
    if frame.given is None:
        msg = "An entity frame has no rows of its own."
        raise AssertionError(msg)
    return frame.given


def entity_frame(spark: SparkSession, given: Any) -> EntityFrame:  # noqa: ANN401 - whatever a person gave to Feast
    """Reads an entity frame; a SQL query is run once, here.

    Args:
        spark: the person's session.
        given: a pandas DataFrame, a Spark DataFrame or a SQL query. It is not changed.

    Raises:
        MissingError: there is no column of instants.
        InputError: no rows, an instant that is null or none, a column twice or of Asof's own name, or another kind of frame.
    """
    if isinstance(given, str):
        return of_spark(spark, spark.sql(given))
    if isinstance(given, DataFrame) or type(given).__module__.startswith("pyspark."):
        return of_spark(given.sparkSession, given)
    if type(given).__module__.startswith("pandas."):
        return _of_pandas(spark, given)
    msg = f"{_WHERE} is a {type(given).__name__}. Give a pandas DataFrame, a Spark DataFrame or a SQL query."
    raise InputError(msg)


def _of_pandas(spark: SparkSession, given: "pd.DataFrame") -> EntityFrame:
    import pandas as pd  # noqa: PLC0415 - only who gives pandas pays for it

    times = [str(name) for name, kind in given.dtypes.items() if pd.api.types.is_datetime64_any_dtype(kind)]
    time = _checked([str(name) for name in given.columns], times)
    if not len(given):
        raise InputError(_EMPTY)
    instants = _instants(given[time], time)
    try:
        # The instants by themselves: pandas may hold objects of several zones, which are no Arrow column.
        table = pa.Table.from_pandas(given.assign(**{time: 0}), preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        msg = f"{_WHERE}: {'; '.join(map(str, error.args))}. Give each column values of one type."
        raise InputError(msg) from error
    table = zoned(_plain(table.set_column(table.column_names.index(time), time, instants)))
    edges = pc.min_max(table[time].cast(pa.int64())).as_py()
    return EntityFrame(
        spark=spark, schema=from_arrow_schema(table.schema), time=time, rows=len(table), earliest=edges["min"],
        latest=edges["max"], given=table,
    )  # fmt: skip


def _instants(values: "pd.Series[Any]", name: str) -> pa.Array:
    """Whatever pandas takes for times: zoned, naive (UTC), text, or objects of several zones."""
    import pandas as pd  # noqa: PLC0415 - as above

    if pd.api.types.is_numeric_dtype(values.dtype):  # pandas would take them for nanoseconds
        msg = f"{_WHERE}: column {name} is {values.dtype}, not timestamps. Give instants, as pd.to_datetime(…, unit='s', utc=True) makes them of seconds."
        raise InputError(msg)
    try:
        instants = pd.to_datetime(values, utc=True)
    except (ValueError, TypeError) as error:
        msg = f"{_WHERE}: column {name} is {values.dtype}, and not all of it are timestamps: {error}. Give instants such as 2026-01-02T10:00:00Z."
        raise InputError(msg) from error
    if instants.isna().any():
        raise InputError(_null(name, np.flatnonzero(instants.isna().to_numpy())))
    return pa.Array.from_pandas(instants).cast(_INSTANT, safe=False)


def _plain(table: pa.Table) -> pa.Table:
    """Types that Spark has: pandas' categories as their values, unsigned integers as wider ones."""
    for n, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        kind = _WIDER.get(kind, kind)
        if kind != field.type:
            try:
                table = table.set_column(n, field.name, table[n].cast(kind))
            except pa.ArrowInvalid as error:
                msg = f"{_WHERE}: column {field.name} is {field.type}: {error}. Give integers of at most 63 bits."
                raise InputError(msg) from error
    return table


def of_spark(spark: SparkSession, given: DataFrame, *, empty: int | None = None) -> EntityFrame:
    """A DataFrame's rows, computed once.

    Args:
        spark: its session.
        given: the rows.
        empty: an instant (microseconds UTC) to take for both ends where there are no rows, which is else an error.

    Raises:
        MissingError: there is no column of instants.
        InputError: as `entity_frame`.
    """
    times = [field.name for field in given.schema if isinstance(field.dataType, TimestampType | TimestampNTZType)]
    time = _checked(given.columns, times)
    if not isinstance(given.schema[time].dataType, TimestampType | TimestampNTZType | DateType):
        msg = f"{_WHERE}: column {time} is {given.schema[time].dataType.simpleString()}, not a timestamp. Cast it to a timestamp."
        raise InputError(msg)
    # Kept by the executors: a query whose rows differ from run to run would otherwise give values to rows that nobody asked for.
    stored = given.select(F.expr("*"), F.monotonically_increasing_id().alias(ROW)).localCheckpoint()
    instant = micros_of(time, given.schema[time].dataType, _WHERE)
    found = stored.agg(F.count("*"), F.count(instant), F.min(instant), F.max(instant)).first()
    if (found is None or not found[0]) and empty is not None:
        return EntityFrame(
            spark=spark, schema=given.schema, time=time, rows=0, earliest=empty, latest=empty, stored=stored
        )
    if found is None or not found[0]:
        raise InputError(_EMPTY)
    if found[0] != found[1]:
        msg = f"{_WHERE}: {time} is null in {found[0] - found[1]} row(s). A row without an instant has no values; leave it out."
        raise InputError(msg)
    return EntityFrame(
        spark=spark, schema=given.schema, time=time, rows=found[0], earliest=found[2], latest=found[3], stored=stored
    )


_EMPTY = f"{_WHERE} has no rows. Give at least one."


def _null(name: str, places: np.ndarray) -> str:
    shown = ", ".join(str(int(place) + 1) for place in places[:_SHOWN])
    more = " …" if len(places) > _SHOWN else ""
    return f"{_WHERE}: {name} is null in {len(places)} row(s): {shown}{more}. A row without an instant has no values; leave it out."


def _checked(columns: Sequence[str], times: Sequence[str]) -> str:
    """The column of instants, in a frame whose columns can be used."""
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        msg = f"{_WHERE} has the columns {', '.join(twice)} twice. Rename one of each."
        raise InputError(msg)
    if own := [name for name in columns if name.startswith("asof_")]:
        msg = f"{_WHERE} has the columns {', '.join(own)}; names that begin with asof_ are Asof's. Rename them."
        raise InputError(msg)
    if EVENT_TIMESTAMP in columns:
        return EVENT_TIMESTAMP
    if len(times) == 1:
        return times[0]
    shown = f"{len(times)} columns of timestamps ({', '.join(times)})" if times else "no column of timestamps"
    msg = f"{_WHERE} has no column {EVENT_TIMESTAMP} and {shown}; its columns are {', '.join(columns) or 'none'}. Name the instants {EVENT_TIMESTAMP}."
    raise MissingError(msg)
