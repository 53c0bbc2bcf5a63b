"""Training frames: for each label row the values as they could be known at its instant. One row out for one row in, in the input's order."""

import shutil
from pathlib import Path
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.freshness import EventFreshness, Schedule
from features.definitions.views import FeatureView
from features.errors import InputError
from features.settings import Settings
from features.values.partition import EntityViews, entity_views, finish
from jobs.assembling import assemble
from jobs.commands import Frame
from jobs.labels import EVENT_TIMESTAMP, Labels, stage_labels
from jobs.rows import ask_rows, event_rows, output_schema
from jobs.session import spark as session
from jobs.sizing import size
from jobs.stages import say, side_by_side

__all__ = ["answers", "frame", "run"]

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
    groups = entity_views(view for view, _ in chosen)
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        staged = stage_labels(labels, tuple(view for view, _ in chosen), str(work / "labels.parquet"))
        if not staged.rows:
            msg = f"The label file {labels} has no rows. Give at least one."
            raise InputError(msg)
        folders = [work / f"answers-{n}" for n, _ in enumerate(groups)]
        side_by_side(
            lambda n: _answered(spark, settings, groups[n], staged).write.parquet(str(folders[n])), range(len(groups))
        )
        return assemble(staged, folders, chosen, Path(out))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _answered(spark: SparkSession, settings: Settings, group: EntityViews, staged: Labels) -> DataFrame:
    asked = spark.read.parquet(staged.path)
    keys = [F.col(name).alias(key) for name, key in zip(group.views[0].keys, group.keys, strict=True)]
    asks = asked.select(*keys, "asof_row", F.unix_micros(EVENT_TIMESTAMP).alias("asof_time"))
    return answers(spark, settings, group, asks, earliest=staged.earliest, latest=staged.latest, rows=staged.rows)


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
    """Values of one entity's views for asks (k0…, asof_row, asof_time): one row an ask whose key columns are not null, each partition by asof_row.

    Args:
        spark: the session.
        settings: where tables are.
        group: the views.
        asks: any order; instants in microseconds UTC.
        earliest: no ask is before this.
        latest: no ask is later than this.
        rows: how many asks there are, about. The keys of few are sent to the sources, whose rows are limited to them before the shuffle.
    """
    before = max(_known_before(view, latest) for view in group.views)
    anchor = min(_anchor(view, earliest) for view in group.views)
    events = event_rows(spark, settings, group, before=before, anchor=anchor)
    if rows <= _FEW:
        keys = F.broadcast(asks.select(*group.keys).distinct())
        events = events.join(keys, list(group.keys), "left_semi").select(*events.columns)
    events = events.withColumn("asof_row", F.lit(None).cast("bigint"))
    both = events.unionByName(ask_rows(asks, group, events))
    count = size(settings, group, before=before, anchor=anchor, asks=rows).partitions
    return both.repartition(count, *group.keys).mapInArrow(finish(group), output_schema(group, snapshot=False))


def _known_before(view: FeatureView, latest: int) -> int:
    """No ask up to `latest` sees what is known at this instant or later: a scheduled view sees what its served cut knew."""
    return latest + 1 if isinstance(view.freshness, EventFreshness) else view.schedule.cut_served(latest)


def _anchor(view: FeatureView, earliest: int) -> int:
    """No ask from `earliest` on has a window that ends before this."""
    fresh = view.freshness
    return fresh.cut_served(earliest) if isinstance(fresh, Schedule) and fresh.anchor == "cut" else earliest
