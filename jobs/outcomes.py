"""The events of a label with what became of them, read through Spark: one shuffle brings the rows of one event id together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.expressions import columns_of
from features.definitions.names import utc, waiting_of
from features.definitions.services import Label
from features.definitions.sources import Source
from features.errors import InputError
from features.settings import Settings
from features.values.labels import STATUSES, label_events
from features.values.sweep import ARROW_TYPES
from features.values.versions import ADD
from jobs import ledger
from jobs.known import known_rows
from jobs.rows import passed

__all__ = ["Found", "Span", "labelled_events", "read_columns", "told_of"]

_EVENT, _OUTCOME = 0, 1
_SHOWN = 3
_AT_ONCE = 250_000
"""Rows of a source that one worker holds, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Events in `[start, end)` as known at `as_of`; microseconds UTC."""

    start: int
    end: int
    as_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the workers told, and what stayed outside."""

    told: tuple[str, ...]
    unknown: dict[str, Any]
    """Ids that outcomes name and no event has: their `count`, and a few as `shown`."""


def labelled_events(
    spark: SparkSession,
    settings: Settings,
    label: Label,
    span: Span,
    columns: Sequence[str],
    tell: Callable[[pa.Table], str],
    asked: Sequence[str] = (),
) -> Found:
    """Labels the events of a span in Spark's workers, and gives what `tell` says of each worker's rows.

    Args:
        spark: the session.
        settings: where tables are.
        label: the definition.
        span: which events, as known when.
        columns: of the events, for `tell`; their id and event_time come too.
        tell: given `features.values.labels.Labelled.rows`.
        asked: columns as the events' first versions have them; see `features.values.labels.label_events`.

    Raises:
        MissingError: a partition of a source before `as_of` is not there.
        InputError: outcomes arrived before their events.
    """
    source = label.event_source
    reads = read_columns(label, (*columns, *asked))
    known = [
        known_rows(spark, settings, source, before=span.as_of, since=span.start),
        known_rows(spark, settings, label.outcomes, before=span.as_of),
    ]
    happened = F.unix_micros(source.event_time)
    rows = known[_EVENT].where((happened >= span.start) & (happened < span.end))
    both = _shaped(rows, source, reads[_EVENT], _EVENT, source.event_id or "").unionByName(
        _shaped(known[_OUTCOME], label.outcomes, reads[_OUTCOME], _OUTCOME, label.of), allowMissingColumns=True
    )
    workers = sum(item.rows for item in ledger.partitions(settings, source.ingested_by)) // _AT_ONCE + 1
    found = (
        both.repartition(workers, "asof_id")
        .mapInArrow(_work(label, reads, span.as_of, tell, asked), "told string, early long, shown string")
        .collect()
    )
    _refuse_early(label, sum(row["early"] for row in found), [row["shown"] for row in found if row["shown"]])
    told = tuple(row["told"] for row in found)
    return Found(told=told, unknown=_unknown(spark, settings, label, span.as_of))


def read_columns(label: Label, columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of events and of outcomes that take part."""
    source, outcomes = label.event_source, label.outcomes
    propensity = (label.propensity,) if isinstance(label.propensity, str) else ()
    asked = (source.event_id or "", source.event_time, *columns, *propensity)
    conditions = *columns_of(label.blocked), *columns_of(label.explored), *columns_of(source.filter)
    own = (
        label.of,
        outcomes.event_time,
        *((outcomes.event_id,) if outcomes.event_id else ()),
        *((outcomes.known_at,) if outcomes.known_at else ()),
    )
    told = *columns_of(label.positive), *columns_of(outcomes.filter)
    return tuple(sorted({*asked, *conditions})), tuple(sorted({*own, *told}))


def _shaped(rows: DataFrame, source: Source, names: Sequence[str], part: int, event_id: str) -> DataFrame:
    """A source's rows with their event's id as text; instants as microseconds, so that no session zone can touch them."""
    columns = [
        (F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name))
        .cast(passed(source.types[name]))
        .alias(f"p{part}_{name}")
        for name in names
    ]
    own = F.col(event_id).cast("string").alias("asof_id"), F.lit(part).cast("tinyint").alias("asof_part")
    return rows.select(*own, "asof_known", "asof_undoes", "asof_op", *columns).where(F.col("asof_id").isNotNull())


def _work(
    label: Label,
    reads: tuple[tuple[str, ...], tuple[str, ...]],
    as_of: int,
    tell: Callable[[pa.Table], str],
    asked: Sequence[str],
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    compiled = compile_definition(label)

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Label)
        found = list(batches)
        if found:
            table = pa.Table.from_batches(found)
            parts = [_rows(table, source, names, part) for part, (source, names) in
                     enumerate(zip((here.event_source, here.outcomes), reads, strict=True))]  # fmt: skip
            made = label_events(here, parts[_EVENT], parts[_OUTCOME], as_of, asked)
            shown = "; ".join(map(_early, made.early.slice(0, _SHOWN).to_pylist()))
            yield from pa.table({"told": [tell(made.rows)], "early": [len(made.early)], "shown": [shown]}).to_batches()

    return work


def _rows(table: pa.Table, source: Source, names: Sequence[str], part: int) -> pa.Table:
    """One source's rows, its columns named and typed as the source's."""
    own = table.filter(pc.equal(table["asof_part"], part))
    columns = {name: own[f"p{part}_{name}"].cast(ARROW_TYPES[source.types[name]]) for name in names}
    return pa.table(
        {**columns, **{name: own[name] for name in ("asof_known", "asof_undoes", "asof_op")}}
    ).combine_chunks()


def _early(row: Mapping[str, Any]) -> str:
    arrived, happened = (utc(row[name]).isoformat() for name in ("arrived", "happened"))
    return f"{row['outcome'] or 'one'} at {arrived}, of event {row['event']} at {happened}"


def _refuse_early(label: Label, count: int, shown: Sequence[str]) -> None:
    if count:
        first = "; ".join(sorted("; ".join(shown).split("; "))[:_SHOWN]) + (" …" if count > _SHOWN else "")
        msg = (
            f"Label {label.name!r}: {count} outcome(s) of {label.outcomes.name!r} arrived before their event happened: {first}. "
            f"One of the two is wrong: correct or void it in its source, and ingest it again."
        )
        raise InputError(msg)


def _unknown(spark: SparkSession, settings: Settings, label: Label, as_of: int) -> dict[str, Any]:
    """Ids that outcomes known by `as_of` name, and no event known by then has."""
    link = label.outcomes.enriched
    if link is not None and link.on == label.of and label.event_source.table == link.parent.table:
        lost = _waiting(spark, label, as_of)  # ingest let no outcome through without its event
    else:
        named, events = (
            known_rows(spark, settings, source, before=as_of).where(F.col("asof_op") == ADD).select(F.col(name).cast("string").alias("asof_id"))
            for source, name in ((label.outcomes, label.of), (label.event_source, label.event_source.event_id or ""))
        )  # fmt: skip
        lost = named.join(events, "asof_id", "left_anti")
    ids = sorted(row["asof_id"] for row in lost.where(F.col("asof_id").isNotNull()).distinct().collect())
    return {"count": len(ids), "shown": ids[:_SHOWN]}


def _waiting(spark: SparkSession, label: Label, as_of: int) -> DataFrame:
    """Ids of parents that the outcomes known by then still wait for."""
    last = str((utc(as_of) - timedelta(microseconds=1)).date())
    table = spark.table(waiting_of(label.outcomes)).where(F.col("ds") <= last)
    newest = table.agg(F.max("ds")).collect()[0][0]
    rows = table.where((F.col("ds") == newest) & (F.unix_micros("asof_known_at") < as_of))
    return rows.select(F.col(label.of).cast("string").alias("asof_id"))


def told_of(seen: Mapping[str, int], unknown: Mapping[str, Any]) -> str:
    """What was seen, in a sentence or two."""
    counts = ", ".join(f"{seen[name]} {name}" for name in STATUSES)
    if not unknown["count"]:
        return f"Events: {counts}."
    shown = ", ".join(unknown["shown"]) + (" …" if unknown["count"] > len(unknown["shown"]) else "")
    return f"Events: {counts}. Outcomes name {unknown['count']} event(s) that are not known, and count for nothing: {shown}."
