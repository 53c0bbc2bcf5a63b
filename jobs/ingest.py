"""Raw files into Hive: declared types, versions as additions and retractions, what does not fit into quarantine. Again is harmless.

Each partition `ds` of a source is a function of the rows known on that day and of what was stored before it.
"""

import re
from datetime import date, timedelta
from itertools import pairwise
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
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
    """
    if source.reads is not None:
        msg = f"Source {source.name!r} reads the table of {source.reads!r}. Ingest that one: `asof ingest --source {source.reads}`."
        raise InputError(msg)
    root = f"{settings.tables_root}/sources/{source.name}/{uuid4().hex[:12]}"
    began = micros(settings.now())  # what arrives while it runs may be missed
    _landed(spark, source, path, only).write.mode("overwrite").parquet(f"{root}/fitted")
    landed = spark.read.parquet(f"{root}/fitted")
    days = _days(source, landed, path, only)
    _refuse_order(settings, source, days)
    mine = landed.where((F.col("ds") <= days[-1]) | F.col("asof_reason").isNotNull())
    good = mine.where(F.col("asof_reason").isNull()).select(*(c.name for c in source.columns), "asof_known_at", "ds")
    rows, waiting = placed(spark, settings, source, good.drop("ds"), days)
    snapshots = _snapshots(source, mine)
    made = to_stored(spark, source, rows, snapshots, days[0])
    shelved = made.withColumn("asof_shelf", F.when(F.col("asof_op") == LATE, "late").otherwise("rows"))
    shelved.repartition("ds").write.mode("overwrite").partitionBy("asof_shelf", "ds").parquet(f"{root}/made")
    if waiting is not None:
        waiting.coalesce(1).write.mode("overwrite").parquet(f"{root}/waiting/ds={days[-1]}")
    if source.kind == "full":
        good.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/snapshots")
    _refuse_other_rows(spark, settings, source, root, days)
    return _show(spark, settings, source, root, days, began, {utc(item.taken_at).date(): item for item in snapshots})


def _landed(spark: SparkSession, source: Source, path: str, only: date | None) -> DataFrame:
    """Fitted rows of the input; for one day also those that its day before's folder holds of it."""
    rows = fitted(source, read_landing(spark, source, path, only=only), only)
    before = None if only is None else only - timedelta(days=1)
    if only is None or before is None or not exists(f"{path.rstrip('/')}/ds={before}"):
        return rows
    return rows.unionByName(
        from_the_day_before(source, read_landing(spark, source, f"{path.rstrip('/')}/ds={before}"), only)
    )


def _days(source: Source, landed: DataFrame, path: str, only: date | None) -> list[str]:
    """Partitions that this input fills: those its folders name, and the days of its rows; a file is complete between its first and last day."""
    if only is not None:
        return [str(only)]
    found = {row[0] for row in landed.where("asof_reason is null").select("ds").distinct().collect()}
    named = {name.removeprefix("ds=") for name in folders(path) if name.startswith("ds=")} if "*" not in path else set()
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
    bad = F.count_if(F.col("asof_reason").isNotNull())
    seen = landed.groupBy("ds").agg(F.unix_micros(F.max("asof_known_at")).alias("known"), bad.alias("bad")).collect()
    nowhere = any(row["ds"] == NO_DAY for row in seen)  # rows that may belong to any of the snapshots
    taken = {row["known"]: not (row["bad"] or nowhere) for row in seen if row["known"] is not None}
    return tuple(Snapshot(known, taken[known], known) for known in sorted(taken))


def _refuse_other_rows(spark: SparkSession, settings: Settings, source: Source, root: str, days: list[str]) -> None:
    """A day that later ones were built on may be ingested again, but not with other rows: theirs would stay as they are."""
    later = [item.ds for item in ledger.partitions(settings, source.name) if item.ds > days[-1]]
    if not later or source.event_id is None:
        return
    columns = sorted({*source.types, *tables.STORED_COLUMNS})
    new, old = _made(spark, source, root), tables.source_table(spark, source).where(F.col(source.partition).isin(days))
    sums = [_content(rows, columns) for rows in (new, old)]
    differ = sorted({*sums[0], *sums[1]} - {ds for ds in sums[0] if sums[0][ds] == sums[1].get(ds)})
    if differ:
        msg = (
            f"The input has other rows for {differ[0]} of source {source.name!r} than its table, and the later partition {later[0]} was built on those. "
            f"Nothing was changed. Ingest from {differ[0]} on to the end in one input, so that {_FOLLOWS[source.kind]}."
        )
        raise InputError(msg)


def _content(rows: DataFrame, columns: list[str]) -> dict[str, tuple[int, int]]:
    """Of each ds the rows, and a sum of their hashes."""
    hashes = F.sum(F.xxhash64(*columns).cast("decimal(38, 0)"))
    found = rows.groupBy("ds").agg(F.count(F.lit(1)), hashes).collect()
    return {str(ds): (count, int(total)) for ds, count, total in found}


def _made(spark: SparkSession, source: Source, root: str, shelf: str = "rows") -> DataFrame:
    """Stored rows that this run wrote; none where it wrote none."""
    schema = f"{stored_columns(source)}, ds string"
    place = f"{root}/made/asof_shelf={shelf}"
    return spark.read.schema(schema).parquet(place) if exists(place) else spark.createDataFrame([], schema)


def _show(
    spark: SparkSession,
    settings: Settings,
    source: Source,
    root: str,
    days: list[str],
    began: int,
    snapshots: dict[date, Snapshot],
) -> list[ledger.Partition]:
    """Points the tables at what was written, and records the partitions, oldest first."""
    landed, late = spark.read.parquet(f"{root}/fitted"), _late(_made(spark, source, root, "late"), source)
    seen = landed.agg(F.sum("asof_cleared").alias("cleared"), F.sum("asof_raised").alias("raised")).collect()[0]
    bad = landed.where("asof_reason is not null").select("asof_reason", "asof_row", "ds").unionByName(late)
    refused = {row["ds"]: row["count"] for row in bad.groupBy("ds").count().collect()}
    first = (F.col("asof_op") == ADD) & F.col("asof_first") | (F.col("asof_op") == AGAIN)
    tally = _made(spark, source, root).groupBy("ds").agg(F.count_if(F.col("asof_op") != AGAIN).alias("n"), F.count_if(~first).alias("changed")).collect()  # fmt: skip
    counts = {str(row["ds"]): row["n"] for row in tally}
    changed = {str(row["ds"]): row["changed"] for row in tally}
    _point(spark, settings, source.table, tables.source_columns(source), root, "made/asof_shelf=rows", days)
    if refused:
        columns = {"asof_reason": "string", "asof_row": "string"}
        bad.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/quarantine")
        _point(spark, settings, quarantine_of(source), columns, root, "quarantine", sorted(refused))
    given = {c.name: tables.HIVE_TYPES[c.stored] for c in source.columns} | {"asof_known_at": "timestamp"}
    if source.enriched is not None:
        _point(spark, settings, waiting_of(source), given, root, "waiting", [days[-1]])
    if source.kind == "full":
        _point(spark, settings, snapshots_of(source), given, root, "snapshots", days)
    made = [
        ledger.record_ingest(
            settings,
            ledger.Partition(
                source=source.name,
                ds=ds,
                rows=counts.get(ds, 0),
                quarantined=refused.get(ds, 0),
                ingested_at=began,
                changed=changed.get(ds, 0),
                snapshot_at=None if (taken := snapshots.get(date.fromisoformat(ds))) is None else taken.known_at,
                whole=taken is None or taken.complete,
            ),
        )
        for ds in days
    ]
    raised = f"; {seen['raised']} known from their folder's day on, after their known_at" if seen["raised"] else ""
    remove_folder(f"{root}/fitted")
    say(
        f"{source.name}: {sum(counts.values())} rows into {len(days)} partition(s) {days[0]} … {days[-1]} of {source.table}; "
        f"{sum(refused.values())} in quarantine{f' ({quarantine_of(source)})' if refused else ''}; {seen['cleared'] or 0} NaN or infinite values made null{raised}."
    )
    return made


def _late(rows: DataFrame, source: Source) -> DataFrame:
    """Versions that came too late, as rows of the quarantine."""
    event = f"{source.event_id}: {source.event_id} %s was last heard of at %s"
    reason = F.format_string(
        f"{event}, more than {source.correctable} before this row; older events are not corrected",
        F.col(source.event_id or source.event_time).cast("string"),
        F.date_format("asof_undoes", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"),
    )
    row = F.to_json(F.struct(*sorted(c.name for c in source.columns)))
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
