"""An ingest whose rows are many: read, fitted, brought together and written by Spark."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.definitions.sources import Source
from features.settings import Settings
from features.values.snapshots import Snapshot
from features.values.versions import ADD, AGAIN
from jobs import tables
from jobs.files import exists, remove_folder
from jobs.fitting import NO_DAY, fitted, fitted_columns, from_the_day_before
from jobs.ingest_counts import Read, Written, reads
from jobs.landing import read_landing
from jobs.placing import placed
from jobs.resolving import LATE, stored_columns, to_stored

__all__ = ["SparkWork", "contents", "late_rows"]


class SparkWork:
    """Rows of one ingest as DataFrames; each pass leaves its result in the ingest's folder."""

    def __init__(self, spark: SparkSession, settings: Settings, source: Source, root: str) -> None:
        self._spark, self._settings, self._source, self._root = spark, settings, source, root

    def start(self, path: str, only: date | None) -> "SparkWork":
        """Fits the rows of the input.

        Raises:
            InputError: the input, or a file of it, cannot be read.
            MissingError: it is not there, or lacks a column.
        """
        landed(self._spark, self._source, path, only).write.mode("overwrite").parquet(f"{self._root}/fitted")
        return self

    def read(self) -> list[Read]:
        """Counts of the fitted rows."""
        good = F.col("asof_reason").isNull()
        rows = self._fitted().groupBy("ds", F.col("asof_folder").alias("folder")).agg(
            F.count_if(good).alias("good"), F.count_if(~good).alias("bad"), F.unix_micros(F.max(F.when(good, F.col("asof_known_at")))).alias("last"),
            F.sum("asof_cleared").alias("cleared"), F.sum("asof_raised").alias("raised"),
        ).collect()  # fmt: skip
        return reads(row.asDict() for row in rows)

    def write(self, days: list[str], taken: tuple[Snapshot, ...]) -> dict[str, Written]:
        """Writes what is stored of the days, what waits for a parent, and what snapshots said."""
        source, root = self._source, self._root
        rows = self._fitted()
        rows = _one_snapshot_a_folder(rows) if source.kind == "full" else rows
        good = rows.where(F.col("ds").between(days[0], days[-1]) & F.col("asof_reason").isNull())
        good = good.select(*(c.name for c in source.columns), "asof_known_at", "ds")
        found, waiting = placed(self._spark, self._settings, source, good.drop("ds"), days)
        made = to_stored(self._spark, source, found, taken, days[0])
        shelved = made.withColumn("asof_shelf", F.when(F.col("asof_op") == LATE, "late").otherwise("rows"))
        shelved.repartition("ds").write.mode("overwrite").partitionBy("asof_shelf", "ds").parquet(f"{root}/made")
        if waiting is not None:
            waiting.coalesce(1).write.mode("overwrite").partitionBy("ds").parquet(f"{root}/waiting")
        if source.kind == "full":
            good.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/snapshots")
        return self._written()

    def _written(self) -> dict[str, Written]:
        first = (F.col("asof_op") == ADD) & F.col("asof_first") | (F.col("asof_op") == AGAIN)
        there = F.col("asof_shelf") == "rows"
        rows = self._spark.read.schema(f"{stored_columns(self._source)}, asof_shelf string, ds string").parquet(
            f"{self._root}/made"
        )
        found = rows.groupBy("ds").agg(
            F.count_if(there).alias("stored"), F.count_if(there & (F.col("asof_op") != AGAIN)).alias("rows"), F.count_if(there & ~first).alias("changed"),
            F.sum(F.when(there, _hash(self._source))).alias("content"), F.count_if(~there).alias("late"),
        ).collect()  # fmt: skip
        return {
            str(row["ds"]): Written(
                stored=row["stored"], rows=row["rows"], changed=row["changed"], content=int(row["content"] or 0), late=row["late"],
            )
            for row in found
        }  # fmt: skip

    def write_refused(self, days: list[str]) -> None:
        """Writes the rows of the quarantine. What neither a folder nor a time places stays with the last day of its input."""
        bad = self._fitted().where("asof_reason is not null").select("asof_reason", "asof_row", "ds")
        place = f"{self._root}/made/asof_shelf=late"
        if exists(place):
            late = self._spark.read.schema(f"{stored_columns(self._source)}, ds string").parquet(place)
            bad = bad.unionByName(late_rows(late, self._source))
        bad = bad.withColumn("ds", F.when(F.col("ds") == NO_DAY, days[-1]).otherwise(F.col("ds")))
        bad = bad.where(F.col("ds") >= days[0])  # a full source reads the folder of the day before once more
        bad.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{self._root}/quarantine")

    def end(self) -> None:
        """Removes the fitted rows."""
        remove_folder(f"{self._root}/fitted")

    def _fitted(self) -> DataFrame:
        return self._spark.read.schema(fitted_columns(self._source)).parquet(f"{self._root}/fitted")


def landed(spark: SparkSession, source: Source, path: str, only: date | None) -> DataFrame:
    """Fitted rows of the input; for one day also those that its day before's folder holds of it."""
    there = only is not None and exists(f"{path.rstrip('/')}/ds={only}")
    whole = source.kind == "full" and there  # where a folder's rows belong shows only when all of them are known
    rows = fitted(source, read_landing(spark, source, path, only=only), None if whole else only)
    if only is None or not there:
        return rows
    before = f"{path.rstrip('/')}/ds={only - timedelta(days=1)}"
    if not exists(before):
        return rows
    more = read_landing(spark, source, before)
    return rows.unionByName(fitted(source, more, None) if whole else from_the_day_before(source, more, only))


def _one_snapshot_a_folder(rows: DataFrame) -> DataFrame:
    """Of a full source: see `jobs.ingest_counts.stated`."""
    good = F.col("asof_reason").isNull() & F.col("asof_folder").isNotNull()
    last = F.max(F.when(good, F.col("asof_known_at"))).over(Window.partitionBy("asof_folder"))
    known = F.when(good, last).otherwise(F.col("asof_known_at"))
    ds = F.when(good, F.date_format(last, "yyyy-MM-dd")).otherwise(F.col("ds"))
    return (
        rows.withColumn("asof_last", known)
        .withColumn("ds", ds)
        .withColumn("asof_known_at", F.col("asof_last"))
        .drop("asof_last")
    )


def _hash(source: Source) -> Column:
    """Of a stored row."""
    return F.xxhash64(*sorted({*source.types, *tables.STORED_COLUMNS})).cast("decimal(38, 0)")


def contents(spark: SparkSession, source: Source, days: list[str]) -> dict[str, tuple[int, int]]:
    """Of each of some partitions the rows, and a sum of their hashes."""
    rows = tables.source_table(spark, source).where(F.col(source.partition).isin(days))
    found = rows.groupBy("ds").agg(F.count(F.lit(1)), F.sum(_hash(source))).collect()
    return {str(ds): (count, int(total)) for ds, count, total in found}


def late_rows(rows: DataFrame, source: Source) -> DataFrame:
    """Versions that came too late, as rows of the quarantine."""
    event = f"{source.event_id}: {source.event_id} %s was last heard of at %s"
    reason = F.format_string(
        f"{event}, more than {source.correctable} before this row; older events are not corrected",
        F.col(source.event_id or source.event_time).cast("string"),
        F.date_format("asof_undoes", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"),
    )
    row = F.to_json(F.struct(*sorted(c.name for c in source.given)))
    return rows.select(reason.alias("asof_reason"), row.alias("asof_row"), "ds")
