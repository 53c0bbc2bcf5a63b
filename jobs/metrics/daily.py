"""`asof metrics`: the days of events that are due, measured in Spark's workers, each day shown as a whole or not at all.

A day is computed when it is over, and once more when all its events are older than the label's horizon; the second time is the last. A run does all days
that are due at its cut, so missed runs are made up for, and a run that was killed is finished by the next.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.compiled import compile_definition, load_definition
from features.definitions.expressions import Expression, columns_of
from features.definitions.metrics import RiskMetrics
from features.definitions.names import micros, utc
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.expressions import mask
from features.values.sampling import weighted
from jobs import ledger, tables
from jobs.commands import Metrics
from jobs.files import write_rows
from jobs.metrics.arrivals import network_rows
from jobs.metrics.day import Row, day_rows
from jobs.metrics.records import Computed, computed_days, definition_of, due_days, mature_at, record_day
from jobs.outcomes import Span, labelled_events
from jobs.ready import refuse_unready
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["COLUMNS", "TABLE", "daily", "run"]

TABLE = "risk.metrics_daily"
COLUMNS = {
    "definition": "string", "metric": "string", "segment": "string", "unit": "string", "value": "double", "low": "double", "high": "double",
    "count": "bigint", "entities": "bigint", "pending": "bigint", "unobserved": "bigint", "young": "bigint", "mature": "boolean", "as_of": "timestamp",
}  # fmt: skip
"""Column to Hive type; the partition `ds` is the UTC day of the events. docs/metrics.md says what each means."""

_ARROW = {
    "string": pa.string(), "double": pa.float64(), "bigint": pa.int64(), "boolean": pa.bool_(), "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip
_AT_ONCE = 31
"""Days that are labelled in one pass."""


def run(command: Metrics, settings: Settings) -> int:
    """Computes what is due.

    Raises:
        BusyError: a source's last partition before the cut is not there yet.
        InputError: a day that is not over at the cut, or before the first partition.
        MissingError: the catalogue watches nothing.
    """
    metrics = load_catalog(settings.catalog).metrics
    if not metrics:
        msg = f"The catalogue {settings.catalog!r} has no RiskMetrics, so there is nothing to measure. Define some: docs/metrics.md shows how."
        raise MissingError(msg)
    cut = micros(command.cut)
    sources = {source.ingested_by for item in metrics for source in (item.label.event_source, item.label.outcomes)}
    refuse_unready(settings, sources, cut)
    days = _days(settings, metrics, cut, command.days)
    if not days:
        say(
            f"No day of {TABLE} is due at {utc(cut).isoformat()}: all that are over were computed, and none has matured since."
        )
        return 0
    rows = daily(session(settings, "metrics"), settings, metrics, days, cut)
    shown = ", ".join(map(str, days[:5])) + (" …" if len(days) > 5 else "")  # noqa: PLR2004
    say(f"{rows} rows of {len(days)} day(s) are in {TABLE}, as known at {utc(cut).isoformat()}: {shown}.")
    return 0


def daily(
    spark: SparkSession, settings: Settings, metrics: Sequence[RiskMetrics], days: Sequence[date], cut: int
) -> int:
    """Computes days, oldest first, and shows each as a whole; gives how many rows there are. Again is harmless.

    One worker holds the events of one day, as narrow rows.
    """
    with translated(settings.logs):
        tables.ensure_table(spark, settings, TABLE, COLUMNS, "ds")
        return sum(_chunk(spark, settings, metrics, chunk, cut) for chunk in _chunks(days))


def _days(settings: Settings, metrics: Sequence[RiskMetrics], cut: int, asked: Sequence[date]) -> tuple[date, ...]:
    names = {item.label.event_source.ingested_by for item in metrics}
    first = date.fromisoformat(min(item.ds for name in names for item in ledger.partitions(settings, name)))
    if wrong := [day for day in sorted(asked) if not first <= day < utc(cut).date()]:
        msg = f"--ds {wrong[0]} is not a day from {first}, the first partition, to the last before the cut {utc(cut).isoformat()}. Give a later cut, or another day."
        raise InputError(msg)
    return tuple(sorted(set(asked))) or due_days(metrics, computed_days(settings), first, cut)


def _chunks(days: Sequence[date]) -> Iterator[list[date]]:
    """Days that follow one another, and not too many."""
    runs = groupby(enumerate(days), lambda pair: pair[1] - timedelta(days=pair[0]))
    for _, run_ in runs:
        follow = [day for _, day in run_]
        yield from (follow[n : n + _AT_ONCE] for n in range(0, len(follow), _AT_ONCE))


def _chunk(
    spark: SparkSession, settings: Settings, metrics: Sequence[RiskMetrics], days: Sequence[date], cut: int
) -> int:
    made: dict[date, list[Row]] = {day: [] for day in days}
    for item in metrics:
        for found in (_measured(spark, settings, item, days, cut), network_rows(spark, settings, item, days, cut)):
            for day, rows in found.items():
                made[day] += rows
    folders = {}
    for day, rows in made.items():
        folders[str(day)] = f"{settings.tables_root}/risk.db/metrics_daily/ds={day}/{uuid4().hex[:12]}"
        write_rows(
            f"{folders[str(day)]}/part-0.parquet", _table(rows, mature=mature_at(metrics, day) <= cut, as_of=cut)
        )
    tables.point_at(spark, TABLE, "ds", folders)
    for day, rows in made.items():
        record_day(settings, Computed(day=str(day), as_of=cut, mature=mature_at(metrics, day) <= cut, rows=len(rows), definition=definition_of(metrics)))  # fmt: skip
    return sum(map(len, made.values()))


def _table(rows: Sequence[Row], *, mature: bool, as_of: int) -> pa.Table:
    every = [asdict(row) | {"mature": mature, "as_of": as_of} for row in rows]
    return pa.table({name: pa.array([row[name] for row in every], _ARROW[kind]) for name, kind in COLUMNS.items()})


def _measured(
    spark: SparkSession, settings: Settings, metrics: RiskMetrics, days: Sequence[date], cut: int
) -> dict[date, list[Row]]:
    """Events are labelled, brought together by day, and measured there."""
    start, end = (
        micros(utc(0).fromisoformat(f"{day}T00:00:00+00:00")) for day in (days[0], days[-1] + timedelta(days=1))
    )
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        span = Span(start=start, end=end, as_of=cut)
        labelled_events(spark, settings, metrics.label, span, _columns(metrics), _to_file(metrics, str(work)))
        if not any(work.iterdir()):
            return {}
        rows = (
            spark.read.parquet(str(work))
            .groupBy("asof_day")
            .applyInArrow(_in_worker(metrics), "day string, rows string")
            .collect()
        )
        return {date.fromisoformat(row["day"]): [Row(**found) for found in json.loads(row["rows"])] for row in rows}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _columns(metrics: RiskMetrics) -> tuple[str, ...]:
    score = () if metrics.score is None else (metrics.score,)
    return tuple(
        dict.fromkeys(
            (*metrics.entity_columns, metrics.amount, *score, *metrics.by, *sorted(columns_of(metrics.approved)))
        )
    )


def _to_file(metrics: RiskMetrics, folder: str) -> Callable[[pa.Table], str]:
    """In a worker: what the metrics read of its labelled events."""
    compiled = compile_definition(metrics)

    def write(rows: pa.Table) -> str:
        if len(rows):
            made = _shaped(load_definition(compiled, RiskMetrics), rows)
            pq.write_table(made, Path(folder) / f"events-{uuid4().hex}.parquet")
        return ""

    return write


def _shaped(metrics: RiskMetrics, rows: pa.Table) -> pa.Table:
    label, source = metrics.label, metrics.label.event_source
    rows = weighted(label, rows)
    columns = {name: rows[name].combine_chunks() for name in rows.column_names}

    def met(condition: Expression | None) -> np.ndarray:
        return np.zeros(len(rows), bool) if condition is None else mask(condition, columns, len(rows))

    explored = met(label.explored)
    given = label.propensity
    share = rows[given].to_numpy() if isinstance(given, str) else np.full(len(rows), 1.0 if given is None else given)
    names = dict.fromkeys(
        (source.event_id or "", source.event_time, *metrics.entity_columns, metrics.amount, *metrics.by)
    )
    kept = [
        *names,
        *(() if metrics.score is None else (metrics.score,)),
        "label",
        "label_status",
        "label_known_at",
        "label_mature",
        "asof_weight",
    ]
    return rows.select(list(dict.fromkeys(kept))).append_column("asof_approved", pa.array(met(metrics.approved))) \
        .append_column("asof_flagged", pa.array(met(label.blocked) | explored)).append_column("asof_explored", pa.array(explored)) \
        .append_column("asof_propensity", pa.array(np.where(explored, share, 1.0))) \
        .append_column("asof_day", pc.strftime(rows[source.event_time], "%Y-%m-%d"))  # fmt: skip


def _in_worker(metrics: RiskMetrics) -> Callable[[pa.Table], pa.Table]:
    compiled = compile_definition(metrics)

    def measure(frame: pa.Table) -> pa.Table:
        found = day_rows(load_definition(compiled, RiskMetrics), frame)
        return pa.table({"day": [frame["asof_day"][0].as_py()], "rows": [json.dumps([asdict(row) for row in found])]})

    return measure
