"""Training frames: for each label row the values as they could be known at its instant. One row out for one row in, in the input's order."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.expressions import ColumnType
from features.definitions.freshness import EventFreshness
from features.definitions.requests import request_fields
from features.definitions.views import FeatureView
from features.errors import BusyError, InputError
from features.settings import Settings
from features.values.fits import Fits
from features.values.partition import EntityViews, entity_views, finish
from features.values.sweep import ARROW_TYPES
from jobs.assembling import assemble
from jobs.commands import Frame
from jobs.exchange import Exchange, exchange, exchangeable, in_buckets
from jobs.few import few_rows
from jobs.fits import cuts_at, cuts_of_asks, cuts_of_labels, fits
from jobs.labels import EVENT_TIMESTAMP, Labels, stage_labels
from jobs.manifest import Snapshots, befores_of, manifest_path, sha256, snapshots, source_changes, write_manifest
from jobs.rows import ask_rows, event_rows, output_schema, passed, shape_of
from jobs.session import spark as session
from jobs.shares import shares
from jobs.sizing import earliest_anchor, size
from jobs.source_files import asked, keyed
from jobs.stages import say, side_by_side
from jobs.tables import HIVE_TYPES
from jobs.workers import tasks

__all__ = ["Asked", "answers", "ask_edges", "collected", "frame", "joined", "request_types", "run", "views_for"]

_TOLD = "path string, rows bigint"
_FEW = 20_000
"""So many asks are answered here where rows are few too; else they are sent to the sources as keys, which then shuffle only their rows."""


def run(command: Frame, settings: Settings) -> int:
    """Writes a frame file."""
    catalog = load_catalog(settings.catalog)
    catalog.service(command.service)  # a wrong name is said before Spark starts
    rows = frame(
        session(settings, "frame"), settings, catalog, labels=command.labels, service=command.service, out=command.out
    )
    say(f"{rows} rows for service {command.service} in {command.out}.")
    return 0


def frame(spark: SparkSession, settings: Settings, catalog: Catalog, *, labels: str, service: str, out: str) -> int:
    """Writes the labels' columns, each feature as `view__feature` and each view's status, to the Parquet file `out`; gives its rows.

    Status: ok, never_seen, overflow, or no_key where a key column is null. The file appears whole or not at all; beside it, last, its manifest.

    Raises:
        MissingError: no such service, label file, column or source partition.
        InputError: labels that cannot be used; the message says which rows.
        BusyError: a source changed while the frame was made.
    """
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        staged = stage_labels(labels, views_for(catalog, service), str(work / "labels.parquet"))
        if not staged.rows:
            msg = f"The label file {labels} has no rows. Give at least one."
            raise InputError(msg)
        asks = {"file": str(Path(labels).resolve()), "sha256": sha256(labels)}
        return joined(spark, settings, catalog, Asked(staged=staged, service=service, asks=asks, sources={}), out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a frame is made for."""

    staged: Labels
    """Its folder is the frame's while it is made."""

    service: str
    asks: Mapping[str, Any]
    """Where the labels come from, for the manifest."""

    sources: Snapshots
    """What the labels were made from."""


def joined(spark: SparkSession, settings: Settings, catalog: Catalog, asked: Asked, out: str) -> int:
    """Writes staged labels with the service's features, and the manifest; gives the rows."""
    service = catalog.service(asked.service)
    chosen = catalog.views_of(service)
    groups = entity_views(view for view, _ in chosen)
    staged, work = asked.staged, Path(asked.staged.path).parent
    befores = [
        (source.ingested_by, ask_edges(group, staged.earliest, staged.latest)[0])
        for group in groups
        for source in group.sources
    ]
    before = snapshots(settings, befores)
    parts = side_by_side(lambda group: _answered(spark, settings, group, staged, work), groups)
    Path(manifest_path(out)).unlink(missing_ok=True)
    rows = assemble(staged, parts, chosen, Path(out))
    sources = snapshots(settings, [*befores, *befores_of(asked.sources)])
    if changed := source_changes(before, sources) + source_changes(asked.sources, sources):
        Path(out).unlink()
        msg = f"The sources changed while the frame was made: {'; '.join(changed[:3])}. Nothing was kept; run the same command again."
        raise BusyError(msg)
    write_manifest(out, service, [view for view, _ in chosen], asked.asks, sources)
    return rows


def views_for(catalog: Catalog, service: str) -> tuple[FeatureView, ...]:
    """The views that a service takes features of."""
    return tuple(view for view, _ in catalog.views_of(catalog.service(service)))


def _answered(
    spark: SparkSession, settings: Settings, group: EntityViews, staged: Labels, work: Path
) -> tuple[Path, ...]:
    """The answers of an entity's views as Parquet files, each by asof_row. Workers write them: Spark's writer takes rows one by one."""
    before, anchor = ask_edges(group, staged.earliest, staged.latest)
    to_files = _to_files(group, str(work), fits(spark, settings, group, cuts_of_labels(staged, group)))
    if staged.rows <= _FEW:
        asks = asked(group, staged.path)
        if (few := few_rows(spark, settings, group, before=before, anchor=anchor, asks=asks)) is not None:
            return tuple(Path(path) for told in to_files(few.to_batches()) for path in told["path"].to_pylist())
    count = size(settings, group, before=before, anchor=anchor, asks=staged.rows).partitions
    if staged.rows > _FEW and exchangeable(settings, group, before):
        what = Exchange(
            group=group, shape=shape_of(settings, group, before), before=before, anchor=anchor, folder=f"{work}/{uuid4().hex}", buckets=count
        )  # fmt: skip
        found = exchange(spark, settings, what, staged.path)
        work_of = shares(found.sizes)
        finished = in_buckets(what, found.files, work_of, to_files)
        count = len(work_of) if work_of[0].of > 1 else tasks(settings, len(work_of))  # heavy ones side by side
        return _paths(spark.range(0, len(work_of), 1, count).mapInArrow(finished, _TOLD))
    keys = [F.col(name).alias(key) for name, key in zip(group.views[0].keys, group.keys, strict=True)]
    labels = spark.read.parquet(staged.path)
    request = [_travelling(labels, name).alias(column) for column, name in group.request.items()]
    there = labels.select(*keys, "asof_row", F.unix_micros(EVENT_TIMESTAMP).alias("asof_time"), *request)
    rows = _shuffled(spark, settings, group, there, earliest=staged.earliest, latest=staged.latest, rows=staged.rows)
    return _paths(rows.mapInArrow(to_files, _TOLD))


def _travelling(labels: DataFrame, name: str) -> Column:
    """Instants travel as microseconds."""
    return F.unix_micros(name) if labels.schema[name].dataType == TimestampType() else F.col(name)


def _paths(told: DataFrame) -> tuple[Path, ...]:
    """A task that is tried again writes another file; only what succeeded is told."""
    return tuple(Path(row["path"]) for row in told.collect() if row["rows"])


def _to_files(
    group: EntityViews, folder: str, fitted: Mapping[str, Fits]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    answered = finish(group, fits=fitted)

    def write(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        made = list(answered(batches))
        if made:
            path = f"{folder}/answers-{uuid4().hex}.parquet"
            table = pa.Table.from_batches(made)
            pq.write_table(table, path, compression="lz4")
            yield pa.RecordBatch.from_pydict({"path": [path], "rows": [len(table)]})

    return write


def collected(
    spark: SparkSession, settings: Settings, group: EntityViews, asks: pa.Table, *, earliest: int, latest: int
) -> pa.Table:
    """What `answers` gives, in the order of `asof_row` where asks are few: by this process where rows are few too, by the exchange of files where asks are many.

    Args:
        spark: the session.
        settings: where tables are.
        group: the views.
        asks: k0…, asof_time in microseconds UTC, asof_row, and request fields as `EntityViews.request` names them, instants in microseconds.
        earliest: no ask is before this.
        latest: no ask is later than this.
    """
    before, anchor = ask_edges(group, earliest, latest)
    asks = keyed(group, asks)
    if len(asks) <= _FEW:
        fitted = fits(spark, settings, group, cuts_at(group, asks["asof_time"].to_numpy()))
        rows = few_rows(spark, settings, group, before=before, anchor=anchor, asks=asks)
        if rows is not None and len(asks):
            return pa.Table.from_batches(list(finish(group, fits=fitted)(rows.to_batches())))
    elif exchangeable(settings, group, before):
        return _by_exchange(spark, settings, group, asks, earliest=earliest, latest=latest)
    kind, given = HIVE_TYPES[group.views[0].entity.type], request_types(group)
    own = [*(f"{key} {kind}" for key in group.keys), "asof_row bigint", "asof_time bigint"]
    schema = ", ".join([*own, *(f"{column} {passed(type_)}" for column, type_ in given.items())])
    there = spark.createDataFrame(asks.select([*group.keys, "asof_row", "asof_time", *given]), schema)
    made = answers(spark, settings, group, there, earliest=earliest, latest=latest, rows=len(asks))
    return made.orderBy("asof_row").toArrow()


def request_types(group: EntityViews) -> dict[str, ColumnType]:
    """Of the columns that hold request fields."""
    types: dict[str, ColumnType] = request_fields(group.views)
    return {column: types[name] for column, name in group.request.items()}


def _by_exchange(
    spark: SparkSession, settings: Settings, group: EntityViews, asks: pa.Table, *, earliest: int, latest: int
) -> pa.Table:
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        columns = {name: asks[key] for name, key in zip(group.views[0].keys, group.keys, strict=True)}
        columns |= {EVENT_TIMESTAMP: asks["asof_time"].cast(ARROW_TYPES["timestamp"]), "asof_row": asks["asof_row"]}
        columns |= {name: asks[column] for column, name in group.request.items()}
        path = str(work / "labels.parquet")
        pq.write_table(pa.table(columns), path)
        staged = Labels(path=path, rows=len(asks), columns=(), earliest=earliest, latest=latest)
        return pa.concat_tables(
            [pq.ParquetFile(each).read() for each in _answered(spark, settings, group, staged, work)]
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def answers(
    spark: SparkSession,
    settings: Settings,
    group: EntityViews,
    asks: DataFrame,
    *,
    earliest: int,
    latest: int,
    rows: int,
) -> DataFrame:
    """Values of one entity's views for asks (k0…, asof_row, asof_time): one row an ask whose key columns are not null.

    Args:
        spark: the session.
        settings: where tables are.
        group: the views.
        asks: any order; instants in microseconds UTC.
        earliest: no ask is before this.
        latest: no ask is later than this.
        rows: how many asks there are, about. The keys of few are sent to the sources, whose rows are limited to them before the shuffle.
    """
    both = _shuffled(spark, settings, group, asks, earliest=earliest, latest=latest, rows=rows)
    fitted = fits(spark, settings, group, cuts_of_asks(asks, group))
    return both.mapInArrow(finish(group, fits=fitted), output_schema(group))


def _shuffled(
    spark: SparkSession,
    settings: Settings,
    group: EntityViews,
    asks: DataFrame,
    *,
    earliest: int,
    latest: int,
    rows: int,
) -> DataFrame:
    """Events and asks, those of one key together."""
    before, anchor = ask_edges(group, earliest, latest)
    events = event_rows(spark, settings, group, before=before, anchor=anchor)
    if rows <= _FEW:
        keys = F.broadcast(asks.select(*group.keys).distinct())
        events = events.join(keys, list(group.keys), "left_semi").select(*events.columns)
    events = events.withColumn("asof_row", F.lit(None).cast("bigint"))
    both = events.unionByName(ask_rows(asks, group, events))
    count = size(settings, group, before=before, anchor=anchor, asks=rows).partitions
    return both.repartition(count, *group.keys)


def ask_edges(group: EntityViews, earliest: int, latest: int) -> tuple[int, int]:
    """What is known from the first instant on is seen by no ask; no window of an ask ends before the second."""
    before = max(_known_before(view, latest) for view in group.views)
    return before, earliest_anchor(group, earliest)


def _known_before(view: FeatureView, latest: int) -> int:
    """No ask up to `latest` sees what is known at this instant or later: a scheduled view sees what its served cut knew."""
    return latest + 1 if isinstance(view.freshness, EventFreshness) else view.schedule.cut_served(latest)
