"""As-of joins in Spark: asks and the rows of sources meet by key in one shuffle of columns, and each task answers its bucket. No Feast.

What is shuffled are few fat rows (`jobs.pit` makes them), so Spark's own shuffle carries them at the speed of a copy: no folder has to be seen by all
tasks, and a lost task is tried again like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)  # fmt: skip

from features.errors import InputError
from jobs.pit import CREATED, ROW, TIME, Reading, blobs, join

__all__ = ["BLOB", "FEW", "Side", "buckets", "joined", "key_kind", "keyed", "micros_of", "task_number"]

FEW = 20_000
"""So many asks are sent to the sources as keys, which then shuffle only their rows."""
BLOB = "bucket int, part int, place bigint, data binary"
_BUCKET_BYTES = 64 << 20
"""About so many stored bytes of sources make a bucket."""
_MOST = 8_192
_EPOCH = "1970-01-01 00:00:00"
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A source as the join takes it: `k0` …, `asof_time`, `asof_created` where it has one, and the columns of the answer."""

    rows: DataFrame
    ttl_us: int
    known: bool


def joined(asks: DataFrame, sides: Sequence[Side], keys: int, *, few: bool, packed: bool) -> DataFrame:
    """`asof_row` and the columns of all sides: one row for each ask (`k0` …, `asof_time`, `asof_row`) whose keys are not null.

    Args:
        asks: any order; instants in microseconds UTC.
        sides: sources with the same keys; no two have a column of one name.
        keys: how many key columns there are.
        few: there are at most `FEW` asks.
        packed: give `data`, blobs of Arrow's stream format, for the driver.
    """
    names = [f"k{n}" for n in range(keys)]
    asks = asks.dropna(subset=names) if names else asks
    rows = [side.rows.dropna(subset=names) if names else side.rows for side in sides]
    if few and names:
        wanted = F.broadcast(asks.select(*names).distinct())
        rows = [each.join(wanted, names, "left_semi").select(*each.columns) for each in rows]
    count = buckets(asks.sparkSession, [side.rows for side in sides]) if names else 1
    readings, kinds = [], list[StructField]()
    for part, (side, each) in enumerate(zip(sides, rows, strict=True), 1):
        fields = [field for field in each.schema.fields if field.name not in {*names, TIME, CREATED}]
        made = StructType(fields)
        readings.append(
            Reading(
                part=part, columns=to_arrow_schema(made), ttl_us=side.ttl_us, created=CREATED in each.columns, known=side.known
            )
        )  # fmt: skip
        kinds += fields
    cut = [each.mapInArrow(blobs(part, keys, count, task_number), BLOB) for part, each in enumerate([asks, *rows])]
    met = reduce(DataFrame.unionAll, cut).repartitionById(count, F.col("bucket"))
    schema = "data binary" if packed else StructType([StructField(ROW, LongType()), *kinds])
    return met.mapInArrow(join(keys, readings, packed=packed), schema)


def task_number() -> int:
    """Of the task that runs here."""
    context = TaskContext.get()
    return 0 if context is None else context.partitionId()


def buckets(spark: SparkSession, sources: Sequence[DataFrame]) -> int:
    """By the bytes that Spark's planner thinks the sources have; where it cannot be asked, as many as other shuffles have."""
    shuffles = int(spark.conf.get("spark.sql.shuffle.partitions") or 200)
    if not hasattr(sources[0], "_jdf"):  # Spark Connect
        return shuffles
    least = 2 * spark.sparkContext.defaultParallelism
    held: list[Any] = [source._jdf for source in sources]  # noqa: SLF001 - PySpark has no other way
    plans = [each.queryExecution().optimizedPlan() for each in held]
    size = sum(int(plan.stats().sizeInBytes()) for plan in plans)
    return max(least, min(size // _BUCKET_BYTES + 1, _MOST, max(least, 40 * shuffles)))


def micros_of(name: str, kind: DataType, where: str) -> Column:
    """A column of instants as microseconds UTC, whatever the session's zone; times without a zone, and dates, are UTC.

    Raises:
        InputError: the column holds no instants.
    """
    column = F.col(_quoted(name))
    if isinstance(kind, TimestampType):
        return F.unix_micros(column)
    if isinstance(kind, TimestampNTZType):
        return _naive_micros(column)
    if isinstance(kind, DateType):
        return F.unix_date(column).cast("bigint") * F.lit(86_400_000_000)
    if isinstance(kind, StringType):
        zoned = column.rlike(_ZONE) & column.contains(":")
        return F.when(zoned, F.unix_micros(column.cast("timestamp"))).otherwise(
            _naive_micros(column.cast("timestamp_ntz"))
        )
    msg = f"{where}: column {name} is {kind.simpleString()}, not a timestamp. Cast it to a timestamp."
    raise InputError(msg)


def _naive_micros(column: Column) -> Column:
    since = column - F.lit(_EPOCH).cast("timestamp_ntz")
    return (since.cast("interval second").cast("decimal(38, 6)") * F.lit(1_000_000)).cast("bigint")


def key_kind(name: str, asked: DataType, stored: DataType, where: str) -> str:
    """As what keys of two types meet: integers as bigint, integers and text as text.

    Raises:
        InputError: no value of one type equals one of the other.
    """
    if isinstance(asked, NullType):
        return "bigint" if isinstance(stored, IntegralType) else "string"
    whole = (IntegralType, FloatType, DoubleType, DecimalType)
    if isinstance(stored, IntegralType) and isinstance(asked, whole):
        return "bigint"
    if isinstance(asked, IntegralType) and isinstance(stored, whole):
        return "bigint"
    if isinstance(asked, StringType | IntegralType) and isinstance(stored, StringType | IntegralType):
        return "string"
    families: tuple[tuple[type[DataType], ...], ...] = (
        (FloatType, DoubleType), (DecimalType,), (BooleanType,), (DateType,), (BinaryType,), (TimestampType,), (TimestampNTZType,),
    )  # fmt: skip
    for family in families:
        if isinstance(asked, family) and isinstance(stored, family):
            return family[-1]().simpleString() if family[-1] is not DecimalType else "decimal(38,18)"
    msg = (
        f"{where}: join key {name} is {stored.simpleString()} in the source, but {asked.simpleString()} in the entity frame; "
        "they never meet. Cast one of them."
    )
    raise InputError(msg)


def keyed(name: str, kind: DataType, meets: str) -> Column:
    """A key column as bigint or text, by which it meets others of `key_kind`'s answer. A number that is not whole meets no integer."""
    column = F.col(_quoted(name))
    if meets == "bigint" and isinstance(kind, FloatType | DoubleType | DecimalType):
        return F.when(column == F.floor(column), column.cast("bigint"))
    made = {
        "date": lambda: F.unix_date(column).cast("bigint"),
        "timestamp": lambda: F.unix_micros(column),
        "timestamp_ntz": lambda: _naive_micros(column),
        "boolean": lambda: column.cast("int").cast("bigint"),
        "binary": lambda: F.hex(column),
        "bigint": lambda: column.cast("bigint"),
    }.get(meets)
    return column.cast(meets).cast("string") if made is None else made()


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
