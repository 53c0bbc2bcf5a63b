"""Training frames: for each label row the values as they could be known at its instant. One row out for one row in, in the input's order."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.freshness import EventFreshness
from features.definitions.names import status_column
from features.definitions.views import FeatureView
from features.errors import InputError
from features.settings import Settings
from features.values.partition import EntityViews, entity_views, finish
from jobs.commands import Frame
from jobs.labels import EVENT_TIMESTAMP, stage_labels
from jobs.rows import ask_rows, event_rows, output_schema
from jobs.session import spark as session
from jobs.stages import say

__all__ = ["answers", "frame", "run"]

Selected = Sequence[tuple[FeatureView, Sequence[str]]]
_FEW = 20_000
"""So many asks are sent to the sources as keys, which then shuffle only their rows."""


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

    Status: ok, never_seen, overflow, or no_key where a key column is null. The file appears whole or not at all.

    Raises:
        MissingError: no such service, label file, column or source partition.
        InputError: labels that cannot be used; the message says which rows.
    """
    chosen = catalog.views_of(catalog.service(service))
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        staged = stage_labels(labels, tuple(view for view, _ in chosen), str(work / "labels.parquet"))
        if not staged.rows:
            msg = f"The label file {labels} has no rows. Give at least one."
            raise InputError(msg)
        asked = spark.read.parquet(staged.path)
        made = _joined(spark, settings, asked, chosen, staged.columns, latest=staged.latest, few=staged.rows <= _FEW)
        made.orderBy("asof_row").drop("asof_row").write.parquet(str(work / "frame"))
        return _one_file(work / "frame", Path(out))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _joined(
    spark: SparkSession,
    settings: Settings,
    asked: DataFrame,
    chosen: Selected,
    columns: Sequence[str],
    *,
    latest: int,
    few: bool,
) -> DataFrame:
    made = asked.select("asof_row", *columns)
    for group in entity_views(view for view, _ in chosen):
        keys = [F.col(name).alias(key) for name, key in zip(group.views[0].keys, group.keys, strict=True)]
        asks = asked.select(*keys, "asof_row", F.unix_micros(EVENT_TIMESTAMP).alias("asof_time"))
        made = made.join(answers(spark, settings, group, asks, latest=latest, few=few), "asof_row", "left")
    values = [F.col(f"{view.name}__{name}") for view, names in chosen for name in names]
    statuses = [F.coalesce(status_column(view), F.lit("no_key")).alias(status_column(view)) for view, _ in chosen]
    return made.select("asof_row", *columns, *values, *statuses)


def answers(
    spark: SparkSession, settings: Settings, group: EntityViews, asks: DataFrame, *, latest: int, few: bool = False
) -> DataFrame:
    """Values of one entity's views for asks (k0…, asof_row, asof_time): one row an ask whose key columns are not null.

    Args:
        spark: the session.
        settings: where tables are.
        group: the views.
        asks: any order; instants in microseconds UTC.
        latest: no ask is later than this.
        few: the keys fit into memory; the sources' rows are then limited to them before the shuffle.
    """
    rows = event_rows(spark, settings, group, before=max(_known_before(view, latest) for view in group.views))
    if few:
        rows = rows.join(F.broadcast(asks.select(*group.keys).distinct()), list(group.keys), "left_semi").select(
            *rows.columns
        )
    both = rows.unionByName(ask_rows(asks, group, rows))
    return both.repartition(*group.keys).mapInArrow(finish(group), output_schema(group, snapshot=False))


def _known_before(view: FeatureView, latest: int) -> int:
    """No ask up to `latest` sees what is known at this instant or later: a scheduled view sees what its served cut knew."""
    return latest + 1 if isinstance(view.freshness, EventFreshness) else view.schedule.cut_served(latest)


def _one_file(folder: Path, out: Path) -> int:
    """Joins Spark's part files, in order, to one file, batch by batch."""
    parts = sorted(folder.glob("part-*.parquet"))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid4().hex[:8]}")
    rows = 0
    try:
        with pq.ParquetWriter(temporary, pq.read_schema(parts[0]), compression="zstd") as writer:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches():
                    writer.write_batch(batch)
                    rows += batch.num_rows
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return rows
