"""Columns that tell an event's outcome in the very row that was known first: written again in place once the outcome came, under the old known_at.

Looked at are the sources of features whose event id is a column of the frame, and of these the columns that features read.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.definitions.expressions import columns_of
from features.definitions.features import Aggregate, Attribute, CohortRate, Feature
from features.definitions.sources import Source
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from jobs.arrivals import additions
from jobs.audited import AuditedFrame, Targets
from jobs.findings import Finding, feature_list
from jobs.rows import passed
from jobs.separation import separation

__all__ = ["overwritten"]

Array = np.ndarray
_EVENTS = 20_000
"""Events looked at, at the most; half of them positive where there are so many."""


def overwritten(
    spark: SparkSession, settings: Settings, frame: AuditedFrame, targets: Targets, threshold: float, seed: int
) -> dict[str, Any]:
    """Plain data: `columns`, each with what `jobs.separation.separation` says of it, and the `findings` that follow.

    Raises:
        MissingError: a source partition is not there.
    """
    told: list[dict[str, Any]] = []
    for source, readers in _sources(frame).values():
        first = _first_versions(spark, settings, frame, targets, source, list(readers), seed)
        positive = np.asarray(first["asof_positive"].to_numpy(zero_copy_only=False)).astype(bool)
        for column, names in readers.items():
            values = first[column].cast(ARROW_TYPES[source.types[column]]).combine_chunks()
            made = separation(column, values, positive, threshold, seed)
            leaks = [each for each in made["findings"] if each.severity == "leak"]
            findings = [_finding(source, column, names, leak, len(first)) for leak in leaks]
            told.append({"source": source.name, "column": column, "features": names, **made, "findings": findings})
    return {"columns": told, "findings": [finding for each in told for finding in each.pop("findings")]}


def _sources(frame: AuditedFrame) -> dict[str, tuple[Source, dict[str, list[str]]]]:
    """Sources by name, each with its columns that features read, and those features."""
    found: dict[str, tuple[Source, dict[str, list[str]]]] = {}
    for view, _ in frame.chosen:
        source = view.source
        if source.kind != "events" or source.event_id is None or source.event_id not in frame.columns:
            continue
        readers = found.setdefault(source.name, (source, {}))[1]
        for feature in view.features:
            for column in sorted(_columns(feature) | set(columns_of(source.filter))):
                if column != source.event_id:
                    readers.setdefault(column, []).append(f"{view.name}__{feature.name}")
    return {name: each for name, each in found.items() if each[1]}


def _columns(feature: Feature) -> set[str]:
    match feature:
        case Aggregate():
            return set(columns_of(feature.where)).union(*(columns_of(node) for node in feature.reads))
        case CohortRate():
            return set(columns_of(feature.eligible))
        case Attribute():
            return {feature.column}
        case _:
            return set()  # derived from features above it


def _first_versions(
    spark: SparkSession,
    settings: Settings,
    frame: AuditedFrame,
    targets: Targets,
    source: Source,
    columns: list[str],
    seed: int,
) -> pa.Table:
    """The columns as first known of some of the frame's events, and `asof_positive`; without positives whose outcome was known by then."""
    ids = frame.column(source.event_id or "").cast(pa.string())
    known = frame.label_known_at()
    told = np.full(frame.rows, np.iinfo(np.int64).max) if known is None else known  # after all rows, where nobody says
    rows = _some(targets, seed)
    positive = dict(zip(targets.rows.tolist(), targets.positive.tolist(), strict=True))
    asked = [
        (ids[row].as_py(), bool(positive[row]), int(told[row]) if positive[row] else None)
        for row in rows.tolist()
        if ids[row].is_valid
    ]
    events = spark.createDataFrame(asked, "asof_id string, asof_positive boolean, asof_told bigint")
    rows_of = additions(spark, settings, frame, source)
    values = [
        (F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name)).cast(passed(source.types[name])).alias(name)
        for name in columns
    ]  # fmt: skip
    named = rows_of.select(
        F.col(source.event_id or "").cast("string").alias("asof_id"), "asof_known", F.struct(*values).alias("asof_row")
    )
    first = named.join(F.broadcast(events), "asof_id").groupBy("asof_id", "asof_positive", "asof_told").agg(
        F.min("asof_known").alias("asof_known"), F.min_by("asof_row", "asof_known").alias("asof_row")
    )  # fmt: skip
    later = F.col("asof_told").isNull() | (F.col("asof_told") > F.col("asof_known"))
    return first.where(later).orderBy("asof_id").select("asof_positive", "asof_row.*").toArrow()


def _some(targets: Targets, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    sides = (targets.rows[targets.positive], targets.rows[~targets.positive])
    return np.concatenate([rng.permutation(side)[: _EVENTS // 2] for side in sides])


def _finding(source: Source, column: str, readers: list[str], leak: Finding, rows: int) -> Finding:
    says = (
        f"{leak.says.partition(' Look up')[0].rstrip('.,')}: so it is in the first version of {rows} of the frame's own events, before any outcome was known. "
        f"The column is written again in place once the outcome comes; read by {feature_list(readers)}. "
        "Ingest each version with its own known_at, or leave the column out."
    )
    return Finding(check="arrival", severity="leak", name=f"{source.name}.{column}", says=says)
