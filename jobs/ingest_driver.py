"""An ingest whose rows are few: the same functions on Arrow tables in this process. A Spark job of a few rows takes longer than all of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import DAY
from features.definitions.names import micros, waiting_of
from features.definitions.sources import Enrich, Source
from features.settings import Settings
from features.values.hashing import row_hashes
from features.values.snapshots import Snapshot, changes
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD, AGAIN, RETRACT, STORED_FIELDS, VOID
from jobs import tables
from jobs.files import bytes_of, exists, open_system, read_files
from jobs.fitting import NO_DAY, fitted_table, table_of_the_day_before
from jobs.ingest_counts import Read, Written, reads
from jobs.ingest_spark import late_rows
from jobs.known_files import known_files, known_table
from jobs.landing import read_few
from jobs.parents import enriched_schema
from jobs.placing import ROLES, joined, stored_children, waiting_day
from jobs.resolving import LATE, resolved

__all__ = ["DriverWork"]

_INSTANT = ARROW_TYPES["timestamp"]
Array = np.ndarray


class DriverWork:
    """Rows of one ingest as Arrow tables."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        source: Source,
        root: str,
        fitted: pa.Table,
        files: Mapping[str, list[str]],
    ) -> None:
        self._spark, self._settings, self._source, self._root = spark, settings, source, root
        self._fitted, self._files = fitted, files
        self._late = pa.table({})

    @staticmethod
    def start(
        spark: SparkSession, settings: Settings, source: Source, root: str, path: str, only: date | None
    ) -> "DriverWork | None":
        """Fits the rows of the input; None where they, or those that they are compared with, are many.

        Raises:
            InputError: the input, or a file of it, cannot be read.
            MissingError: it is not there, or lacks a column.
        """
        kept = [source.table] if source.event_id is not None else []
        kept += [source.enriched.parent.table] if source.enriched is not None else []
        files = {table: tables.files_of(spark.table(table)) for table in kept if spark.catalog.tableExists(table)}
        if any(bytes_of(paths) >= settings.spark.few_bytes for paths in files.values()):
            return None
        fitted = _landed(spark, source, path, only, settings.spark.few_bytes)
        return None if fitted is None else DriverWork(spark, settings, source, root, fitted, files)

    def read(self) -> list[Read]:
        """Counts of the fitted rows."""
        rows = self._fitted
        good = rows["asof_reason"].is_null()
        rows = pa.table({
            "ds": rows["ds"], "folder": rows["asof_folder"], "good": good.cast(pa.int64()), "bad": pc.invert(good).cast(pa.int64()),
            "last": pc.if_else(good, rows["asof_known_at"].cast(pa.int64()), None), "cleared": rows["asof_cleared"], "raised": rows["asof_raised"],
        })  # fmt: skip
        sums = [(name, "sum") for name in ("good", "bad", "cleared", "raised")]
        found = rows.group_by(["ds", "folder"]).aggregate([*sums, ("last", "max")])
        return reads(found.rename_columns(["ds", "folder", *(name for name, _ in sums), "last"]).to_pylist())

    def write(self, days: list[str], taken: tuple[Snapshot, ...]) -> dict[str, Written]:
        """Writes what is stored of the days, what waits for a parent, and what snapshots said."""
        source = self._source
        rows = self._fitted.filter(self._fitted["asof_reason"].is_null())
        rows = _one_snapshot_a_folder(rows) if source.kind == "full" else rows
        rows = rows.filter(pc.and_(pc.greater_equal(rows["ds"], days[0]), pc.less_equal(rows["ds"], days[-1])))
        good = rows.select([*(c.name for c in source.columns), "asof_known_at"])
        if source.kind == "full":
            self._write(good.append_column("ds", rows["ds"]), "snapshots")
        if source.enriched is not None:
            good = self._placed(source.enriched, good, days)
        standing = None
        if source.table in self._files:
            tables.source_table(self._spark, source)  # has all columns
            standing = _standing(source, self._files[source.table], good[source.event_id or ""], days[0])
        good = good.select([*source.types, "asof_known_at"])
        made = changes(source, good, standing, taken) if source.kind == "full" else resolved(source, good, standing)
        made = made.append_column("ds", _day(made["asof_known_at"]))
        late = pc.equal(made["asof_op"], LATE)
        stored, self._late = made.filter(pc.invert(late)), made.filter(late)
        self._write(stored, "made/asof_shelf=rows")
        return _counts(source, stored, self._late)

    def write_refused(self, days: list[str]) -> None:
        """Writes the rows of the quarantine. What neither a folder nor a time places stays with the last day of its input."""
        bad = self._fitted.filter(self._fitted["asof_reason"].is_valid()).select(["asof_reason", "asof_row", "ds"])
        if len(self._late):
            late = late_rows(self._spark.createDataFrame(self._late), self._source).toArrow()
            bad = pa.concat_tables([bad, late.cast(bad.schema)])
        ds = pc.if_else(pc.equal(bad["ds"], NO_DAY), days[-1], bad["ds"])
        bad = bad.set_column(2, "ds", ds)
        self._write(bad.filter(pc.greater_equal(ds, days[0])), "quarantine")

    def end(self) -> None:
        """Nothing else was written."""

    def _placed(self, link: Enrich, good: pa.Table, days: list[str]) -> pa.Table:
        """Children with their parent's columns; those that wait for one at the end of a day are written. See `jobs.placing.placed`."""
        source, spark = self._source, self._spark
        own = [*(c.name for c in source.columns), "asof_known_at"]
        newest = waiting_day(spark, source, days[0])
        if newest is not None:
            rows = spark.table(waiting_of(source)).where(F.col("ds") == newest)
            good = pa.concat_tables([good, read_files(tables.files_of(rows), good.schema)])
        columns = [name for name in link.parent.types if name in {*link.columns, link.parent.event_id, link.parent.event_time}]  # fmt: skip
        children = good.append_column("asof_role", _role("child", len(good)))
        parts = [children, self._parents(link, columns, days)]
        if (kept := stored_children(spark, self._settings, source, link, days)) is not None:
            there = kept.drop("asof_id").toArrow()
            parts.append(there.set_column(there.schema.get_field_index("asof_role"), "asof_role", _role("stored", len(there))))  # fmt: skip
        schema = pa.schema([*enriched_schema(source), ("asof_waits", _INSTANT)])
        table = pa.concat_tables(parts, promote_options="default")
        batches = joined(source, link, table, columns)
        rows = pa.concat_tables([
            schema.empty_table(), *(pa.Table.from_batches([batch]).select(schema.names).cast(schema) for batch in batches),
        ])  # fmt: skip
        # A parent that was mended may have been known on a day whose children are stored already.
        known = pc.max_element_wise(rows["asof_known_at"].cast(pa.int64()), _start(days[0]), skip_nulls=False)
        rows = rows.set_column(rows.schema.get_field_index("asof_known_at"), "asof_known_at", known.cast(_INSTANT))
        self._write(_waiting(rows, own, days), "waiting")
        return rows.filter(rows["asof_known_at"].is_valid()).drop_columns(["asof_waits"])

    def _parents(self, link: Enrich, columns: list[str], days: list[str]) -> pa.Table:
        end, parent = _start(days[-1]) + DAY, link.parent
        kinds = [(name, ARROW_TYPES[parent.types[name]]) for name in columns]
        schema = pa.schema([*kinds, ("asof_known_at", _INSTANT), ("asof_op", pa.string())])
        files = known_files(self._spark, self._settings, parent, before=end)
        rows = known_table(self._spark, self._settings, parent, schema, files, before=end)
        rows = rows.rename_columns([*(f"p_{name}" for name in columns), "asof_known_at", "p_op"])
        return rows.append_column("asof_role", _role("parent", len(rows)))

    def _write(self, rows: pa.Table, folder: str) -> None:
        """A file for each ds."""
        system, place = open_system(f"{self._root}/{folder}")
        order = pc.sort_indices(rows["ds"])
        rows = rows.take(order).combine_chunks()
        own = rows.drop_columns(["ds"])
        for run in _runs(rows["ds"]):
            ds, start, count = run
            system.create_dir(f"{place}/ds={ds}", recursive=True)
            with system.open_output_stream(f"{place}/ds={ds}/part-00000-{uuid4()}.parquet") as stream:
                pq.write_table(own.slice(start, count), stream, compression="zstd", store_schema=False)


def _runs(days: pa.ChunkedArray) -> list[tuple[str, int, int]]:
    """Of a sorted column each value, where it begins, and how often it is there."""
    found = days.value_counts().to_pylist()
    starts = np.cumsum([0, *(item["counts"] for item in found)]).tolist()
    return [(item["values"], start, item["counts"]) for item, start in zip(found, starts, strict=False)]


def _landed(spark: SparkSession, source: Source, path: str, only: date | None, most: int) -> pa.Table | None:
    """See `jobs.ingest_spark.landed`."""
    there = only is not None and exists(f"{path.rstrip('/')}/ds={only}")
    whole = source.kind == "full" and there
    raw = read_few(spark, source, path, most, only=only)
    if raw is None:
        return None
    rows = fitted_table(source, raw, None if whole else only)
    if only is None or not there:
        return rows
    before = f"{path.rstrip('/')}/ds={only - timedelta(days=1)}"
    if not exists(before):
        return rows
    more = read_few(spark, source, before, most)
    if more is None:
        return None
    return pa.concat_tables([
        rows, fitted_table(source, more, None) if whole else table_of_the_day_before(source, more, only),
    ])  # fmt: skip


def _one_snapshot_a_folder(good: pa.Table) -> pa.Table:
    """See `jobs.ingest_counts.stated`."""
    known = good["asof_known_at"].cast(pa.int64())
    last = pa.table({"folder": good["asof_folder"], "known": known}).group_by("folder").aggregate([("known", "max")])
    last = last.filter(last["folder"].is_valid())
    at = last["known_max"].take(pc.index_in(good["asof_folder"], last["folder"].combine_chunks()))
    stamp = pc.coalesce(at, known).cast(_INSTANT)
    good = good.set_column(good.schema.get_field_index("asof_known_at"), "asof_known_at", stamp)
    return good.set_column(good.schema.get_field_index("ds"), "ds", _day(stamp))


def _waiting(rows: pa.Table, own: Sequence[str], days: Sequence[str]) -> pa.Table:
    """Of each day's end the children that came and have no parent yet, with its ds."""
    came, known = _day(rows["asof_waits"]), _day(rows["asof_known_at"])
    parts = []
    for ds in days:
        left = pc.or_(known.is_null(), pc.fill_null(pc.greater(known, ds), False))
        found = rows.filter(pc.and_(pc.fill_null(pc.less_equal(came, ds), False), left))
        found = found.set_column(found.schema.get_field_index("asof_known_at"), "asof_known_at", found["asof_waits"])
        parts.append(found.select(own).append_column("ds", pa.array([ds] * len(found), pa.string())))
    return pa.concat_tables(parts)


def _standing(source: Source, files: Sequence[str], ids: pa.ChunkedArray, first: str) -> pa.Table:
    """See `jobs.resolving._standing`."""
    start, event_id = _start(first), source.event_id or ""
    kinds = [(name, ARROW_TYPES[kind]) for name, kind in source.types.items()]
    rows = read_files(files, pa.schema([*kinds, *STORED_FIELDS]))
    kept = pc.and_(pc.less(rows["asof_known_at"].cast(pa.int64()), start), pc.not_equal(rows["asof_op"], RETRACT))
    if source.kind != "full":
        kept = pc.and_(kept, pc.is_in(rows[event_id], ids.combine_chunks(), skip_nulls=True))
    rows = rows.filter(kept).combine_chunks()
    codes = np.asarray(rows[event_id].combine_chunks().dictionary_encode().indices.fill_null(-1)).astype(np.int64)
    known = _micros(rows["asof_known_at"])
    if source.kind != "full":
        received = _micros(rows[source.known_at or "asof_known_at"])
        rows = rows.append_column("asof_heard", _latest(known, codes))
        rows = rows.append_column("asof_received", _latest(received, codes, *_rank(source, rows)))
    counted = np.flatnonzero(np.asarray(pc.is_in(rows["asof_op"], pa.array([ADD, VOID]))))
    order = counted[np.lexsort((-known[counted], codes[counted]))]
    newest = order[np.flatnonzero(np.diff(codes[order], prepend=-2))]
    more = [] if source.kind == "full" else ["asof_heard", "asof_received"]
    return rows.take(pa.array(newest)).select([*source.types, "asof_known_at", *more])


def _rank(source: Source, rows: pa.Table) -> list[Array]:
    """What decides first between the versions of an event."""
    version = [] if source.version is None else [np.asarray(pc.fill_null(rows[source.version], 0))]
    return version + ([] if source.void is None else [np.asarray(pc.fill_null(rows[source.void], False))])


def _latest(instants: Array, *keys: Array) -> pa.Array:
    """The latest instant among the rows of the same keys, for each row."""
    order = np.lexsort((instants, *keys))
    ends = np.zeros(len(order), bool)
    ends[-1:] = True
    for key in keys:
        ends[:-1] |= key[order][1:] != key[order][:-1]
    last = np.flatnonzero(ends)
    made = np.empty(len(order), np.int64)
    made[order] = instants[order][last[np.searchsorted(last, np.arange(len(order)))]]
    return pa.array(made).cast(_INSTANT)


def _counts(source: Source, stored: pa.Table, late: pa.Table) -> dict[str, Written]:
    names = sorted({*source.types, *tables.STORED_COLUMNS})
    op = stored["asof_op"]
    again = pc.equal(op, AGAIN)
    first = pc.or_(pc.and_(pc.equal(op, ADD), stored["asof_first"]), again)
    columns = [stored[name].combine_chunks() for name in names]
    hashes = row_hashes(columns).tolist()
    made: dict[str, list[int]] = {}
    for ds, effective, changed, hashed in zip(
        stored["ds"].to_pylist(), pc.invert(again).to_pylist(), pc.invert(first).to_pylist(), hashes, strict=True
    ):
        counts = made.setdefault(ds, [0, 0, 0, 0])
        for n, value in enumerate((1, effective, changed, hashed)):
            counts[n] += value
    refused = {item["values"]: item["counts"] for item in late["ds"].value_counts().to_pylist()}
    return {
        ds: Written(stored=all_, rows=rows, changed=changed, content=content, late=refused.get(ds, 0))
        for ds in {*made, *refused}
        for all_, rows, changed, content in [made.get(ds, [0, 0, 0, 0])]
    }


def _day(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.strftime(instants, format="%Y-%m-%d")


def _start(ds: str) -> int:
    return micros(datetime.fromisoformat(ds).replace(tzinfo=UTC))


def _role(name: str, count: int) -> pa.Array:
    return pa.array([ROLES[name]] * count, pa.int32())


def _micros(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.cast(pa.int64()).to_numpy())
