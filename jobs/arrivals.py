"""The arrival audit: whether what a value used had really arrived when its source says it was known.

The engine keeps to known_at, so what is left to find is a known_at that is not true: stamped by the event's own clock, missing, moved in bulk, or standing
on a row that was written again once its outcome was known. Outcomes give it away: they cannot be known with the event they are of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import DAY, MINUTE, SECOND, duration_text
from features.definitions.features import CohortRate
from features.definitions.names import micros
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.versions import ADD
from jobs import ledger
from jobs.audited import AuditedFrame, Targets
from jobs.findings import Finding, Severity, feature_list
from jobs.known import known_rows

__all__ = [
    "Link", "additions", "arrivals", "counted_rows", "earlier_outcomes", "label_arrival", "pair_findings", "source_findings", "sources_of",
]  # fmt: skip

_CHECK = "arrival"
_LEAST = 20
"""Rows below which a share says nothing."""
_ALL = 0.99
_MANY = 0.1
_SOME = 0.01
_FEW = 5
_BULK_ROWS = 100
_BULK = 0.5
_HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Outcomes and the events they are of."""

    name: str
    """Of the rate's feature, or of the label."""
    events: Source
    outcomes: Source
    of: str
    delay: int | None = None
    """Of a rate: how old a cohort is, in microseconds."""


def sources_of(frame: AuditedFrame) -> dict[str, tuple[Source, list[str]]]:
    """Each source by name, with the features of the frame that read it; the label's sources too."""
    found: dict[str, tuple[Source, list[str]]] = {}
    for view, names in frame.chosen:
        for source in view.sources:
            readers = [f"{view.name}__{name}" for name in names if _reads(view, name, source)]
            found.setdefault(source.name, (source, []))[1].extend(readers)
    for source in (frame.label.event_source, frame.label.outcomes) if frame.label else ():
        found.setdefault(source.name, (source, []))
    return found


def _reads(view: FeatureView, name: str, source: Source) -> bool:
    feature = next(each for each in view.features if each.name == name)
    if source.name == view.source.name:
        return True
    return isinstance(feature, CohortRate) and feature.outcomes == source.name


def arrivals(spark: SparkSession, settings: Settings, frame: AuditedFrame) -> dict[str, Any]:
    """Plain data: what was counted of each source, of each pair of outcomes and events; and the `findings` that follow.

    Raises:
        MissingError: a source partition is not there.
    """
    sources = sources_of(frame)
    told, findings = [], list(earlier_outcomes(frame, sources))
    for source, readers in sources.values():
        counted = counted_rows(additions(spark, settings, frame, source), source)
        told.append({"source": source.name, "features": readers, **counted})
        findings += source_findings(settings, frame, source, readers, counted)
    pairs = []
    for link in _links(frame):
        counted = _paired(spark, settings, frame, link)
        pairs.append({"name": link.name, "outcomes": link.outcomes.name, "events": link.events.name, **counted})
        findings += pair_findings(link, counted)
    return {"sources": told, "outcomes": pairs, "findings": findings}


def _before(frame: AuditedFrame, source: Source) -> int:
    return micros(datetime.fromisoformat(frame.manifest["sources"][source.ingested_by]["before"]))


def _known(source: Source) -> Column:
    happened = F.unix_micros(source.event_time)
    return F.greatest(F.col("asof_known"), happened + F.lit(source.lag_us)) if source.lag_us else F.col("asof_known")


def additions(spark: SparkSession, settings: Settings, frame: AuditedFrame, source: Source) -> DataFrame:
    """Every version of a source's rows that the frame could read, retractions apart.

    Raises:
        MissingError: a source partition is not there.
    """
    return known_rows(spark, settings, source, before=_before(frame, source)).where(F.col("asof_op") == ADD)


def counted_rows(rows: DataFrame, source: Source) -> dict[str, Any]:
    """`rows`, and of these: `stamped`, known_at is event_time; `early`, before it; `bulk`, known a day late or more in the commonest second; `ahead`, by column.

    `ahead` counts rows whose instant in that column is later than they were known.
    """
    happened, known = F.unix_micros(source.event_time), F.col("asof_known")
    stamp = F.unix_micros(source.known_at) if source.known_at else known - F.lit(source.lag_us)
    others = [
        name for name, kind in source.types.items() if kind == "timestamp" and name not in {source.event_time, source.known_at}
    ]  # fmt: skip
    late = known > happened + F.lit(DAY)
    second = F.floor(known / F.lit(SECOND))
    grouped = rows.groupBy(second.alias("second")).agg(
        F.count(F.lit(1)).alias("rows"), F.count_if(late).alias("late"), F.min(happened).alias("first"), F.max(happened).alias("last"),
        F.count_if(stamp == happened).alias("stamped"), F.count_if(stamp < happened).alias("early"),
        *(F.count_if(F.unix_micros(name) > known + F.lit(MINUTE)).alias(f"ahead_{n}") for n, name in enumerate(others)),
    )  # fmt: skip
    spread = (F.col("last") - F.col("first")) > F.lit(DAY)
    (found,) = grouped.agg(
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("rows", "stamped", "early")),
        *(F.coalesce(F.sum(f"ahead_{n}"), F.lit(0)).alias(f"ahead_{n}") for n in range(len(others))),
        F.coalesce(F.max(F.when(spread, F.col("late"))), F.lit(0)).alias("bulk"),
    ).collect()
    ahead = {name: int(found[f"ahead_{n}"]) for n, name in enumerate(others) if found[f"ahead_{n}"]}
    return {**{name: int(found[name]) for name in ("rows", "stamped", "early", "bulk")}, "ahead": ahead}


def source_findings(
    settings: Settings, frame: AuditedFrame, source: Source, readers: Sequence[str], counted: dict[str, Any]
) -> Iterable[Finding]:
    """What follows from what was counted of a source that these features read."""
    rows, read_by = counted["rows"], f"read by {feature_list(readers)}" if readers else "read for the label"
    if source.known_at is None and not source.lag_us:
        yield _said(
            source.name, "warning",
            f"it has neither known_at nor lag ({read_by}), so its rows count from event_time on, whenever they arrive. "
            "Declare the column that its first receiver stamps, or the lag that rows have.",
        )  # fmt: skip
    elif source.known_at is not None and rows >= _LEAST and counted["stamped"] >= _ALL * rows:
        days = frame.manifest["sources"][source.ingested_by]["partitions"]
        moved = sum(item.raised or 0 for item in ledger.partitions(settings, source.ingested_by) if item.ds in days)
        yield _stamped(source, read_by, counted["stamped"], rows, moved)
    if counted["early"] >= max(2 * _FEW, _SOME * rows):
        yield _said(
            source.name, "warning",
            f"{counted['early']} of {rows} rows are known before they happened ({read_by}): two clocks differ, or known_at is not what it says. "
            f"Compare {source.known_at} with the receiver's own log.",
        )  # fmt: skip
    if source.kind != "full" and counted["bulk"] >= max(_BULK_ROWS, _BULK * rows):
        yield _said(
            source.name, "warning",
            f"{counted['bulk']} of {rows} rows became known in one second, long after they happened ({read_by}): history was loaded at once. "
            "Frames before that load have null where lookups since have values; start the frame after it.",
        )  # fmt: skip
    for column, count in counted["ahead"].items():
        yield _said(
            source.name, "warning",
            f"its column {column} holds an instant later than the row was known in {count} of {rows} rows ({read_by}): a due date, or a row that was "
            "written again later under its first known_at. Of the latter, ingest each version with its own known_at.",
        )  # fmt: skip


def _stamped(source: Source, read_by: str, stamped: int, rows: int, moved: int) -> Finding:
    says = f"known_at ({source.known_at}) equals event_time in {stamped} of {rows} rows ({read_by})"
    if moved:
        return _said(
            source.name, "leak",
            f"{says}, and {moved} rows landed in folders of later days: they arrived late, and known_at does not say so. "
            "Stamp known_at where rows are first received.",
        )  # fmt: skip
    return _said(
        source.name, "warning",
        f"{says}: no delay at all is likelier a stamp of the event's own clock. Stamp known_at where rows are first received.",
    )  # fmt: skip


def earlier_outcomes(frame: AuditedFrame, sources: dict[str, tuple[Source, list[str]]]) -> Iterable[Finding]:
    """Features that read the label's own outcomes earlier than the label does."""
    if frame.label is None:
        return
    theirs = frame.label.outcomes
    for source, readers in sources.values():
        if readers and source.table == theirs.table and source.lag_us < theirs.lag_us:
            yield _said(
                source.name, "leak",
                f"it reads the label's outcomes ({theirs.table}) {duration_text(theirs.lag_us)} after they happened at the earliest for the label, and "
                f"{f'{duration_text(source.lag_us)} after' if source.lag_us else 'at once'} for {feature_list(readers)}. Give both one lag.",
            )  # fmt: skip


def _links(frame: AuditedFrame) -> list[Link]:
    made = []
    for view, names in frame.chosen:
        for feature in view.features:
            if isinstance(feature, CohortRate) and feature.name in names:
                outcomes = view.outcome(feature.outcomes)
                delay = feature.window.offset_us
                made.append(Link(name=f"{view.name}__{feature.name}", events=view.source, outcomes=outcomes, of=feature.of, delay=delay))  # fmt: skip
    if frame.label is not None:
        label = frame.label
        made.append(Link(name=f"label {label.name}", events=label.event_source, outcomes=label.outcomes, of=label.of))
    return made


def _paired(spark: SparkSession, settings: Settings, frame: AuditedFrame, link: Link) -> dict[str, Any]:
    """Outcomes whose event is known: `rows`, those known `at_once` with their event, `in_time` for a rate's delay, and the median `lag` in microseconds."""
    happened = F.unix_micros(link.events.event_time)
    outcomes = additions(spark, settings, frame, link.outcomes)
    events = additions(spark, settings, frame, link.events)
    told = outcomes.select(F.col(link.of).cast("string").alias("asof_id"), _known(link.outcomes).alias("told"))
    told = told.where(F.col("asof_id").isNotNull()).groupBy("asof_id").agg(F.min("told").alias("told"))
    first = events.select(
        F.col(link.events.event_id or "").cast("string").alias("asof_id"),
        happened.alias("at"),
        _known(link.events).alias("known"),
    )
    first = first.groupBy("asof_id").agg(F.min("at").alias("at"), F.min("known").alias("known"))
    lag = F.col("told") - F.col("at")
    (found,) = told.join(first, "asof_id").agg(
        F.count(F.lit(1)).alias("rows"), F.count_if(F.col("told") <= F.greatest("at", "known")).alias("at_once"),
        F.count_if(lag <= F.lit(link.delay or 0)).alias("in_time"), F.percentile_approx(lag, 0.5).alias("lag"),
    ).collect()  # fmt: skip
    return {
        "rows": found["rows"],
        "at_once": found["at_once"],
        "in_time": None if link.delay is None else found["in_time"],
        "lag": found["lag"],
    }


def pair_findings(link: Link, counted: dict[str, Any]) -> Iterable[Finding]:
    """What follows from what was counted of outcomes and their events."""
    rows, at_once = counted["rows"], counted["at_once"]
    if at_once >= max(_FEW, _SOME * rows):
        yield _said(
            link.name, "leak" if at_once >= _MANY * rows else "warning",
            f"{at_once} of {rows} outcomes of {link.outcomes.name!r} are known with the event of {link.events.name!r} that they are of, which nobody could: "
            "they were joined without their arrival. Give the source the known_at of the outcome, not of the event.",
        )  # fmt: skip
    elif link.delay is not None and rows >= _LEAST and counted["in_time"] < _HALF * rows:
        yield _said(
            link.name, "warning",
            f"its delay {duration_text(link.delay)} is shorter than most outcomes of {link.outcomes.name!r} take: of {rows} that are known, "
            f"{counted['in_time']} were within it (median {counted['lag'] / DAY:.1f} d). Young cohorts look good; take a longer delay.",
        )  # fmt: skip


def label_arrival(frame: AuditedFrame, targets: Targets) -> list[Finding]:
    """Whether the frame's own labels say when they were known, and whether positives were so only after their event."""
    told, rows = frame.label_known_at(), targets.rows[targets.positive]
    if told is None:
        says = (
            "the frame has no column label_known_at of instants in UTC, so nothing tells whether its labels had arrived, nor from when on they could be "
            "learned. Bring it in the label file."
        )
        return [_said("label", "warning", says)]
    at_once = int((told[rows] <= frame.instants()[rows]).sum())
    if at_once < max(_FEW, _SOME * len(rows)):
        return []
    says = (
        f"{at_once} of {len(rows)} positive labels are known at the instant of their row or before it, which nobody could: labels were joined without "
        "their arrival. Take label_known_at from the outcome, not from the event."
    )
    return [_said("label", "leak" if at_once >= _MANY * len(rows) else "warning", says)]


def _said(name: str, severity: Severity, says: str) -> Finding:
    return Finding(check=_CHECK, severity=severity, name=name, says=says)
