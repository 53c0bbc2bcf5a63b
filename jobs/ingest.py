"""Raw files into Hive: declared types, versions as additions and retractions, what does not fit into quarantine. Again is harmless.

Each partition `ds` of a source is a function of the rows known on that day and of what was stored before it.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from glob import glob
from itertools import pairwise
from typing import Any
from uuid import uuid4

from pyspark.sql import Column, DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from features.definitions.catalog import load_catalog
from features.definitions.names import micros, quarantine_of, snapshots_of, utc, waiting_of
from features.definitions.sources import Source
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.snapshots import Snapshot
from features.values.versions import ADD, AGAIN
from jobs import ledger, tables
from jobs.commands import Ingest
from jobs.files import exists, folders, make_folder, remove_folder
from jobs.fitting import NO_DAY, fitted, from_the_day_before
from jobs.landing import read_landing
from jobs.placing import placed
from jobs.resolving import LATE, stored_columns, to_stored
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["ingest", "run"]

_A_YEAR = 366
_NAMED = re.compile(r"/ds=(\d{4}-\d\d-\d\d)(?=/|$)")
_FOLLOWS = {
    "events": "corrections find what they replace",
    "changes": "corrections find what they replace",
    "full": "each snapshot is compared with the one before it",
}


def run(command: Ingest, settings: Settings) -> int:
    """Ingests sources from files, one after another; `{source}` in the input stands for each one's name."""
    catalog = load_catalog(settings.catalog)
    sources = [catalog.source(name) for name in command.source.split(",")]
    if derived := [source for source in sources if source.graph is not None]:
        msg = f"Source {derived[0].name!r} is derived from a graph: `asof graph --cut …` fills it. Ingest what the graph reads."
        raise InputError(msg)
    spark = session(settings, "ingest")
    for source in sources:
        ingest(spark, settings, source, command.input.replace("{source}", source.name), only=command.ds)
    return 0


def ingest(
    spark: SparkSession, settings: Settings, source: Source, path: str, *, only: date | None = None
) -> list[ledger.Partition]:
    """Writes every partition that the input has rows of, points Hive at them, and records them.

    Raises:
        InputError: the source reads another's table; later partitions exist that were built on what would change.
        MissingError: the input, a column of it, or a parent's partition is not there.
        AsofError: what Spark could not read or write; the log that it names has Spark's own words.
    """
    with translated(settings.logs):
        return _ingested(spark, settings, source, path, only)


def _ingested(
    spark: SparkSession, settings: Settings, source: Source, path: str, only: date | None
) -> list[ledger.Partition]:
    if source.reads is not None:
        msg = f"Source {source.name!r} reads the table of {source.reads!r}. Ingest that one: `asof ingest --source {source.reads}`."
        raise InputError(msg)
    path, only = _of_a_day(path, only)
    root = f"{settings.tables_root}/sources/{source.name}/{uuid4().hex[:12]}"
    began = micros(settings.now())  # what arrives while it runs may be missed
    _landed(spark, source, path, only).write.mode("overwrite").parquet(f"{root}/fitted")
    landed = spark.read.parquet(f"{root}/fitted")
    if source.kind == "full":
        landed = _one_snapshot_a_folder(landed)
    days = _days(source, landed, path, only)
    _refuse_order(settings, source, days)
    mine = landed.where(F.col("ds").between(days[0], days[-1]) | F.col("asof_reason").isNotNull())
    good = mine.where(F.col("asof_reason").isNull()).select(*(c.name for c in source.columns), "asof_known_at", "ds")
    rows, waiting = placed(spark, settings, source, good.drop("ds"), days)
    snapshots = _snapshots(source, mine)
    made = to_stored(spark, source, rows, snapshots, days[0])
    shelved = made.withColumn("asof_shelf", F.when(F.col("asof_op") == LATE, "late").otherwise("rows"))
    shelved.repartition("ds").write.mode("overwrite").partitionBy("asof_shelf", "ds").parquet(f"{root}/made")
    if waiting is not None:
        waiting.coalesce(1).write.mode("overwrite").partitionBy("ds").parquet(f"{root}/waiting")
    if source.kind == "full":
        good.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/snapshots")
    _refuse_other_rows(spark, settings, source, root, days)
    holds = _kept_holds(spark, settings, source, root, days)
    taken = {utc(item.taken_at).date(): item for item in snapshots}
    return _show(spark, settings, source, _Run(root=root, days=days, began=began, snapshots=taken, holds=holds))


def _of_a_day(path: str, only: date | None) -> tuple[str, date | None]:
    """A path that ends with a day's folder means that day of the folder above, whose day before may hold rows of it."""
    found = re.fullmatch(r"(.+)/ds=(\d{4}-\d\d-\d\d)/?", path)
    if found is None or "*" in found[1] or (only is not None and str(only) != found[2]):
        return path, only
    return found[1], date.fromisoformat(found[2])


def _landed(spark: SparkSession, source: Source, path: str, only: date | None) -> DataFrame:
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


def _one_snapshot_a_folder(landed: DataFrame) -> DataFrame:
    """Of a full source: the rows of a folder ds=… are one statement, known when the last of them was, whatever midnight lies between."""
    good = F.col("asof_reason").isNull() & F.col("asof_folder").isNotNull()
    last = F.max(F.when(good, F.col("asof_known_at"))).over(Window.partitionBy("asof_folder"))
    known = F.when(good, last).otherwise(F.col("asof_known_at"))
    ds = F.when(good, F.date_format(last, "yyyy-MM-dd")).otherwise(F.col("ds"))
    return (
        landed.withColumn("asof_last", known)
        .withColumn("ds", ds)
        .withColumn("asof_known_at", F.col("asof_last"))
        .drop("asof_last")
    )


def _days(source: Source, landed: DataFrame, path: str, only: date | None) -> list[str]:
    """Partitions that this input fills: those its folders name, and the days of its rows; a file is complete between its first and last day."""
    if only is not None:
        return [str(only)]
    found = {row[0] for row in landed.where("asof_reason is null").select("ds").distinct().collect()}
    named = {name.removeprefix("ds=") for name in folders(path) if name.startswith("ds=")} if "*" not in path else set()
    if "*" in path:
        named |= {ds for place in glob(path) for ds in _NAMED.findall(place)}  # noqa: PTH207 - Path.glob takes no absolute pattern
    named |= set(_NAMED.findall(path))
    if named:  # what its last folder holds of the day after comes with that day
        found = {ds for ds in found if ds <= max(named)}
    if not found | named:
        msg = f"The input {path} of source {source.name!r} has no rows that fit. Nothing was changed; look at the path, and at the declared columns."
        raise InputError(msg)
    if not named:
        _refuse_years(source, path, sorted(found))
    first, last = (date.fromisoformat(edge(found | named)) for edge in (min, max))
    return [
        str(first + timedelta(days=n))
        for n in range((last - first).days + 1)
        if not named or str(first + timedelta(days=n)) in found | named
    ]


def _refuse_years(source: Source, path: str, found: list[str]) -> None:
    """A wrong known_at must not fill years with partitions of nothing."""
    for before, after in pairwise(found):
        if date.fromisoformat(after) - date.fromisoformat(before) > timedelta(days=_A_YEAR):
            msg = (
                f"The input {path} of source {source.name!r} has no row that became known between {before} and {after}: more than a year, and a partition "
                f"would be made for each day of it. Look at {source.known_at or source.event_time}; if both are right, ingest the earlier days with --ds, one by one."
            )
            raise InputError(msg)


def _refuse_order(settings: Settings, source: Source, days: list[str]) -> None:
    later = [item.ds for item in ledger.partitions(settings, source.name) if item.ds > days[-1]]
    if later and source.event_id is not None:
        known = ledger.partition(settings, source.name, days[-1]) is not None
        if source.kind == "full" or not known:
            msg = (
                f"Source {source.name!r} has the later partition {later[0]}, which was built on what stood before {days[0]} … {days[-1]}. "
                f"Ingest from {days[0]} on to the end in one input, so that {_FOLLOWS[source.kind]}."
            )
            raise InputError(msg)
    if source.enriched is not None:
        parent = source.enriched.parent
        newest = max((item.ds for item in ledger.partitions(settings, parent.ingested_by)), default=None)
        if newest is None or newest < days[-1]:
            msg = (
                f"Source {source.name!r} takes columns of {parent.name!r}, whose newest partition is {newest or 'none'}; {days[-1]} is needed. "
                f"Run `asof ingest --source {parent.ingested_by}` first."
            )
            raise MissingError(msg)


def _snapshots(source: Source, landed: DataFrame) -> tuple[Snapshot, ...]:
    """Of a full source, the days that have rows; none for the other kinds."""
    if source.kind != "full":
        return ()
    bad = F.col("asof_reason").isNotNull()
    broken = {row[0] for row in landed.where(bad).select(F.coalesce("asof_folder", "ds")).distinct().collect()}
    good = landed.where(~bad).groupBy("ds")
    seen = good.agg(
        F.unix_micros(F.max("asof_known_at")).alias("known"), F.collect_set(F.coalesce("asof_folder", "ds")).alias("of")
    ).collect()
    nowhere = NO_DAY in broken  # rows that may belong to any of the snapshots
    taken = {row["known"]: not (nowhere or broken & set(row["of"])) for row in seen}
    return tuple(Snapshot(known, taken[known], known) for known in sorted(taken))


def _refuse_other_rows(spark: SparkSession, settings: Settings, source: Source, root: str, days: list[str]) -> None:
    """A day that later ones were built on may be ingested again, but not with other rows: theirs would stay as they are."""
    later = [item.ds for item in ledger.partitions(settings, source.name) if item.ds > days[-1]]
    if not later or source.event_id is None:
        return
    new, old = _made(spark, source, root), tables.source_table(spark, source).where(F.col(source.partition).isin(days))
    sums = [_content(rows, source) for rows in (new, old)]
    differ = sorted({*sums[0], *sums[1]} - {ds for ds in sums[0] if sums[0][ds] == sums[1].get(ds)})
    if differ:
        msg = (
            f"The input has other rows for {differ[0]} of source {source.name!r} than its table, and the later partition {later[0]} was built on those. "
            f"Nothing was changed. Ingest from {differ[0]} on to the end in one input, so that {_FOLLOWS[source.kind]}."
        )
        raise InputError(msg)


def _kept_holds(
    spark: SparkSession, settings: Settings, source: Source, root: str, days: list[str]
) -> dict[str, dict[str, Any]]:
    """Of held and released days that are ingested again with the very rows they have: they stay so."""
    before = {
        ds: item
        for ds in days
        if (item := ledger.partition(settings, source.name, ds)) is not None and item.held_at is not None
    }
    if not before:
        return {}
    there = F.col("ds").isin(list(before))
    new = _content(_made(spark, source, root).where(there), source)
    old = _content(tables.source_table(spark, source).where(F.col(source.partition).isin(list(before))), source)
    same = [item for ds, item in before.items() if new.get(ds) == old.get(ds)]
    return {item.ds: {"held_at": item.held_at, "reason": item.reason, "released_at": item.released_at} for item in same}


def _hashes(source: Source) -> Column:
    """A sum of the hashes of stored rows."""
    return F.sum(F.xxhash64(*sorted({*source.types, *tables.STORED_COLUMNS})).cast("decimal(38, 0)"))


def _content(rows: DataFrame, source: Source) -> dict[str, tuple[int, int]]:
    """Of each ds the rows, and a sum of their hashes."""
    found = rows.groupBy("ds").agg(F.count(F.lit(1)), _hashes(source)).collect()
    return {str(ds): (count, int(total)) for ds, count, total in found}


def _made(spark: SparkSession, source: Source, root: str, shelf: str = "rows") -> DataFrame:
    """Stored rows that this run wrote; none where it wrote none."""
    schema = f"{stored_columns(source)}, ds string"
    place = f"{root}/made/asof_shelf={shelf}"
    return spark.read.schema(schema).parquet(place) if exists(place) else spark.createDataFrame([], schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one ingest wrote and knows."""

    root: str
    days: list[str]
    began: int
    snapshots: dict[date, Snapshot]
    holds: dict[str, dict[str, Any]]


def _show(spark: SparkSession, settings: Settings, source: Source, run: _Run) -> list[ledger.Partition]:
    """Points the tables at what was written, and records the partitions, oldest first."""
    root, days = run.root, run.days
    landed = spark.read.parquet(f"{root}/fitted")
    seen = (
        landed.groupBy("ds")
        .agg(
            F.sum("asof_cleared").alias("cleared"),
            F.sum("asof_raised").alias("raised"),
            F.count_if(F.col("asof_reason").isNull()).alias("good"),
        )
        .collect()
    )
    raises = {str(row["ds"]): row["raised"] for row in seen}
    left = sum(row["good"] for row in seen if str(row["ds"]) > days[-1])
    bad = _bad(landed, _late(_made(spark, source, root, "late"), source), days)
    refused = {row["ds"]: row["count"] for row in bad.groupBy("ds").count().collect()}
    tally = _tally(spark, source, root)
    counts = {ds: row["n"] for ds, row in tally.items()}
    _point(spark, settings, source.table, tables.source_columns(source), root, "made/asof_shelf=rows", days)
    if refused:
        columns = {"asof_reason": "string", "asof_row": "string"}
        bad.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/quarantine")
        _point(spark, settings, quarantine_of(source), columns, root, "quarantine", sorted(refused))
    given = {c.name: tables.HIVE_TYPES[c.stored] for c in source.columns} | {"asof_known_at": "timestamp"}
    if source.enriched is not None:
        _point(spark, settings, waiting_of(source), given, root, "waiting", days)
    if source.kind == "full":
        _point(spark, settings, snapshots_of(source), given, root, "snapshots", days)
    made = [
        ledger.record_ingest(
            settings,
            ledger.Partition(
                **run.holds.get(ds, {}),
                source=source.name,
                ds=ds,
                rows=counts.get(ds, 0),
                quarantined=refused.get(ds, 0),
                ingested_at=run.began,
                changed=tally[ds]["changed"] if ds in tally else 0,
                raised=raises.get(ds, 0),
                content=str(tally[ds]["content"]) if ds in tally else "0",
                snapshot_at=None if (taken := run.snapshots.get(date.fromisoformat(ds))) is None else taken.known_at,
                whole=taken is None or taken.complete,
            ),
        )
        for ds in days
    ]
    cleared, raised = (sum(row[name] or 0 for row in seen) for name in ("cleared", "raised"))
    more = f"; {raised} known from their folder's day on, after their known_at" if raised else ""
    more += f"; {left} known after {days[-1]}, left for their own day" if left else ""
    remove_folder(f"{root}/fitted")
    say(
        f"{source.name}: {sum(counts.values())} rows into {len(days)} partition(s) {days[0]} … {days[-1]} of {source.table}; "
        f"{sum(refused.values())} in quarantine{f' ({quarantine_of(source)})' if refused else ''}; {cleared} NaN or infinite values made null{more}."
    )
    return made


def _tally(spark: SparkSession, source: Source, root: str) -> dict[str, Row]:
    """Of each ds what this run wrote: the rows `n`, those that are no first additions, and the sum of all hashes."""
    first = (F.col("asof_op") == ADD) & F.col("asof_first") | (F.col("asof_op") == AGAIN)
    found = _made(spark, source, root).groupBy("ds").agg(
        F.count_if(F.col("asof_op") != AGAIN).alias("n"), F.count_if(~first).alias("changed"), _hashes(source).alias("content")
    ).collect()  # fmt: skip
    return {str(row["ds"]): row for row in found}


def _bad(landed: DataFrame, late: DataFrame, days: list[str]) -> DataFrame:
    """Rows of the quarantine, with their ds. What neither a folder nor a time places stays with the last day of its input."""
    bad = landed.where("asof_reason is not null").select("asof_reason", "asof_row", "ds").unionByName(late)
    bad = bad.withColumn("ds", F.when(F.col("ds") == NO_DAY, days[-1]).otherwise(F.col("ds")))
    return bad.where(F.col("ds") >= days[0])  # a full source reads the folder of the day before once more


def _late(rows: DataFrame, source: Source) -> DataFrame:
    """Versions that came too late, as rows of the quarantine."""
    event = f"{source.event_id}: {source.event_id} %s was last heard of at %s"
    reason = F.format_string(
        f"{event}, more than {source.correctable} before this row; older events are not corrected",
        F.col(source.event_id or source.event_time).cast("string"),
        F.date_format("asof_undoes", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"),
    )
    row = F.to_json(F.struct(*sorted(c.name for c in source.given)))
    return rows.select(reason.alias("asof_reason"), row.alias("asof_row"), "ds")


def _point(
    spark: SparkSession,
    settings: Settings,
    table: str,
    columns: dict[str, str],
    root: str,
    folder: str,
    days: list[str],
) -> None:
    tables.ensure_table(spark, settings, table, columns, "ds")
    for ds in days:
        make_folder(f"{root}/{folder}/ds={ds}")  # a day without rows is a partition all the same
    tables.point_at(spark, table, "ds", {ds: f"{root}/{folder}/ds={ds}" for ds in days})
