"""Raw files into Hive: declared types, versions as additions and retractions, what does not fit into quarantine. Again is harmless.

Each partition `ds` of a source is a function of the rows known on that day and of what was stored before it.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.catalog import load_catalog
from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import micros, quarantine_of, waiting_of
from features.definitions.sources import Source
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.snapshots import Snapshot
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD
from jobs import ledger, tables
from jobs.commands import Ingest
from jobs.files import folders, make_folder
from jobs.fit import fit
from jobs.landing import read_landing
from jobs.parents import enrich
from jobs.resolving import to_stored
from jobs.session import spark as session
from jobs.stages import say

__all__ = ["ingest", "run"]

_ROLES = {"fitted": 0, "parent": 1}
_FOLLOWS = {
    "events": "corrections find what they replace",
    "changes": "corrections find what they replace",
    "full": "each snapshot is compared with the one before it",
}
NO_DAY = "unknown"
"""The ds in quarantine of a row that neither its folder nor its time places."""


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
    raw = read_landing(spark, source, path, only=only)
    _fitted(source, raw, only).write.mode("overwrite").parquet(f"{root}/fitted")
    fitted = spark.read.parquet(f"{root}/fitted")
    days = _days(source, fitted, path, only)
    _refuse_order(settings, source, days)
    good, waiting = _placed(spark, source, fitted, days)
    made = to_stored(spark, source, good, _snapshots(source, fitted), days[0])
    made.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/rows")
    if waiting is not None:
        waiting.coalesce(1).write.mode("overwrite").parquet(f"{root}/waiting/ds={days[-1]}")
    return _show(spark, settings, source, root, days, began)


def _fitted(source: Source, raw: DataFrame, only: date | None) -> DataFrame:
    """Good rows with their ds and known_at; the others with a reason and the row as JSON; both in one table."""
    compiled = compile_definition(source)
    wanted = None if only is None else str(only)

    def fitted(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        for batch in batches:
            table = pa.Table.from_batches([batch])
            # First: the fields that Spark could read of a broken row may fit by chance.
            broken = table.filter(pc.is_valid(table["asof_corrupt"]))
            texts = broken["asof_corrupt"].to_pylist()
            yield from _refused(
                broken, [f"the row has too many or too few fields: {text}" for text in texts], here, wanted
            )
            table = table.filter(pc.is_null(table["asof_corrupt"]))
            found = fit(here, table.drop_columns(["asof_input_ds", "asof_corrupt"]))
            yield from _padded(_with_ds(found.rows, wanted), cleared=found.cleared)
            bad = sorted(found.reasons)
            yield from _refused(table.take(pa.array(bad, pa.int64())), [found.reasons[n] for n in bad], here, wanted)

    columns = {name: tables.HIVE_TYPES[column.stored] for column in source.columns for name in (column.name,)}
    schema = ", ".join(f"`{name}` {kind}" for name, kind in {**columns, "asof_known_at": "timestamp"}.items())
    return raw.mapInArrow(fitted, f"{schema}, ds string, asof_reason string, asof_row string, asof_cleared bigint")


def _with_ds(rows: pa.Table, wanted: str | None) -> pa.Table:
    ds = pc.strftime(rows["asof_known_at"], format="%Y-%m-%d")
    rows = rows.append_column("ds", ds)
    return rows if wanted is None else rows.filter(pc.equal(ds, wanted))


def _padded(rows: pa.Table, *, cleared: int) -> Iterator[pa.RecordBatch]:
    empty = pa.nulls(len(rows), pa.string())
    counts = [cleared] + [0] * (len(rows) - 1) if len(rows) else []
    rows = (
        rows.append_column("asof_reason", empty)
        .append_column("asof_row", empty)
        .append_column("asof_cleared", pa.array(counts, pa.int64()))
    )
    yield from rows.combine_chunks().to_batches()


def _refused(rows: pa.Table, reasons: list[str], source: Source, wanted: str | None) -> Iterator[pa.RecordBatch]:
    if not len(rows):
        return
    ds = [found or wanted or NO_DAY for found in rows["asof_input_ds"].to_pylist()]
    shown = [
        json.dumps(row, default=str, sort_keys=True)
        for row in rows.drop_columns(["asof_input_ds", "asof_corrupt"]).to_pylist()
    ]
    columns: dict[str, Any] = {c.name: pa.nulls(len(rows), ARROW_TYPES[c.stored]) for c in source.columns}
    columns |= {
        "asof_known_at": pa.nulls(len(rows), ARROW_TYPES["timestamp"]),
        "ds": ds,
        "asof_reason": reasons,
        "asof_row": shown,
    }
    yield from pa.table({**columns, "asof_cleared": pa.array([0] * len(rows), pa.int64())}).to_batches()


def _days(source: Source, fitted: DataFrame, path: str, only: date | None) -> list[str]:
    """Partitions that this input fills: those its folders name, and the days of its rows; a file is complete between its first and last day."""
    if only is not None:
        return [str(only)]
    found = {row[0] for row in fitted.where("asof_reason is null").select("ds").distinct().collect()}
    named = {name.removeprefix("ds=") for name in folders(path) if name.startswith("ds=")} if "*" not in path else set()
    if not found | named:
        msg = f"The input {path} of source {source.name!r} has no rows that fit. Nothing was changed; look at the path, and at the declared columns."
        raise InputError(msg)
    first, last = (date.fromisoformat(edge(found | named)) for edge in (min, max))
    return [
        str(first + timedelta(days=n))
        for n in range((last - first).days + 1)
        if not named or str(first + timedelta(days=n)) in found | named
    ]


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


def _placed(
    spark: SparkSession, source: Source, fitted: DataFrame, days: list[str]
) -> tuple[DataFrame, DataFrame | None]:
    """Good rows with their parent's columns, and those whose parent is not known yet (None: the source has no parent)."""
    good = fitted.where(F.col("asof_reason").isNull()).select(*(c.name for c in source.columns), "asof_known_at")
    if source.enriched is None:
        return good, None
    rows = _enriched(spark, source, good, days).persist()
    own = [c.name for c in source.columns]
    waiting = rows.where(F.col("asof_known_at").isNull()).select(*own, F.col("asof_waits").alias("asof_known_at"))
    return rows.where(F.col("asof_known_at").isNotNull()).drop("asof_waits"), waiting


def _snapshots(source: Source, fitted: DataFrame) -> tuple[Snapshot, ...]:
    """Of a full source, the days that have rows; none for the other kinds."""
    if source.kind != "full":
        return ()
    bad = F.count_if(F.col("asof_reason").isNotNull())
    seen = fitted.groupBy("ds").agg(F.unix_micros(F.max("asof_known_at")).alias("known"), bad.alias("bad")).collect()
    nowhere = any(row["ds"] == NO_DAY for row in seen)  # rows that may belong to any of the snapshots
    found = [Snapshot(row["known"], not (row["bad"] or nowhere)) for row in seen if row["known"] is not None]
    return tuple(sorted(found, key=lambda snapshot: snapshot.known_at))


def _enriched(spark: SparkSession, source: Source, good: DataFrame, days: list[str]) -> DataFrame:
    """Children with their parent's columns; those without keep their own known_at in `asof_waits`, and have a null asof_known_at."""
    link = source.enriched
    if link is None:
        return good
    end = micros(datetime.fromisoformat(days[-1]).replace(tzinfo=UTC) + timedelta(days=1))
    good = good.unionByName(_waiting(spark, source, days[0])) if spark.catalog.tableExists(waiting_of(source)) else good
    ids = good.select(F.col(link.on).alias("asof_id")).distinct()
    parents = tables.stored_rows(spark, link.parent, before=end)
    parents = parents.join(ids, parents[link.parent.event_id or ""] == ids["asof_id"], "left_semi")
    columns = [
        name for name in link.parent.types if name in {*link.columns, link.parent.event_id, link.parent.event_time}
    ]
    taken = parents.select(
        *(F.col(name).alias(f"p_{name}") for name in columns), F.col("asof_known_at"), F.col("asof_op").alias("p_op")
    )
    both = good.withColumn("asof_role", F.lit(_ROLES["fitted"])).withColumn("asof_id", F.col(link.on).cast("string"))
    taken = taken.withColumn("asof_role", F.lit(_ROLES["parent"])).withColumn(
        "asof_id", F.col(f"p_{link.parent.event_id}").cast("string")
    )
    compiled = compile_definition(source)

    def joined(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        found = list(batches)
        if not found or here.enriched is None:
            return
        table = pa.Table.from_batches(found)
        own = [c.name for c in here.columns]
        children = table.filter(pc.equal(table["asof_role"], _ROLES["fitted"])).select([*own, "asof_known_at"])
        those = table.filter(pc.equal(table["asof_role"], _ROLES["parent"]))
        parent = pa.table(
            {
                **{name: those[f"p_{name}"] for name in columns},
                "asof_known_at": those["asof_known_at"],
                "asof_op": those["p_op"],
            }
        )
        with_parent, without = enrich(here, here.enriched, children, parent)
        nothing = pa.nulls(len(with_parent), ARROW_TYPES["timestamp"])
        yield from with_parent.append_column("asof_waits", nothing).combine_chunks().to_batches()
        padded = {
            name: without[name] if name in own else pa.nulls(len(without), ARROW_TYPES[kind])
            for name, kind in here.types.items()
        }
        padded |= {
            "asof_known_at": pa.nulls(len(without), ARROW_TYPES["timestamp"]),
            "asof_waits": without["asof_known_at"],
        }
        yield from pa.table(padded).combine_chunks().to_batches()

    schema = ", ".join(f"`{name}` {tables.HIVE_TYPES[kind]}" for name, kind in source.types.items())
    union = both.unionByName(taken, allowMissingColumns=True)
    return union.repartition("asof_id").mapInArrow(joined, f"{schema}, asof_known_at timestamp, asof_waits timestamp")


def _waiting(spark: SparkSession, source: Source, before: str) -> DataFrame:
    """Children that found no parent up to the newest partition before a day."""
    earlier = [ds for ds in tables.partition_values(spark, waiting_of(source)) if ds < before]
    rows = spark.table(waiting_of(source)).where(F.col("ds") == (max(earlier) if earlier else ""))
    return rows.select(*(c.name for c in source.columns), "asof_known_at")


def _show(
    spark: SparkSession, settings: Settings, source: Source, root: str, days: list[str], began: int
) -> list[ledger.Partition]:
    """Splits what was written, points the tables at it, and records the partitions, oldest first."""
    fitted = spark.read.parquet(f"{root}/fitted")
    quarantined = F.count_if(F.col("asof_reason").isNotNull())
    seen = fitted.groupBy("ds").agg(quarantined.alias("n"), F.sum("asof_cleared").alias("cleared")).collect()
    refused = {row["ds"]: row["n"] for row in seen if row["n"]}
    stored = spark.read.schema(_stored_schema(source)).parquet(f"{root}/rows")
    first = (F.col("asof_op") == ADD) & F.col("asof_first")
    tally = stored.groupBy("ds").agg(F.count(F.lit(1)).alias("n"), F.count_if(~first).alias("changed")).collect()
    counts = {str(row["ds"]): row["n"] for row in tally}
    changed = {str(row["ds"]): row["changed"] for row in tally}
    _point(spark, settings, source.table, tables.source_columns(source), root, "rows", sorted({*days, *counts} - {""}))
    if refused:
        columns = {"asof_reason": "string", "asof_row": "string"}
        bad = fitted.where("asof_reason is not null").select("asof_reason", "asof_row", "ds")
        bad.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(f"{root}/quarantine")
        _point(spark, settings, quarantine_of(source), columns, root, "quarantine", sorted(refused))
    if source.enriched is not None:
        columns = {c.name: tables.HIVE_TYPES[c.stored] for c in source.columns} | {"asof_known_at": "timestamp"}
        _point(spark, settings, waiting_of(source), columns, root, "waiting", [days[-1]])
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
            ),
        )
        for ds in days
    ]
    cleared = sum(row["cleared"] or 0 for row in seen)
    say(
        f"{source.name}: {sum(counts.values())} rows into {len(days)} partition(s) {days[0]} … {days[-1]} of {source.table}; "
        f"{sum(refused.values())} in quarantine{f' ({quarantine_of(source)})' if refused else ''}; {cleared} NaN or infinite values made null."
    )
    return made


def _stored_schema(source: Source) -> str:
    kinds = {**tables.source_columns(source), "ds": "string"}
    return ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())


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
