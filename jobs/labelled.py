"""Frames whose rows are the events of a label: Spark brings events and outcomes of one id together, workers label and sample, the rest is Arrow.

What is taken travels to the driver as narrow rows (ids, keys, label, weight); features are joined to it as to any label file.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import micros, utc
from features.definitions.services import FeatureService, Label
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.labels import ASKED, STATUSES
from features.values.sampling import WEIGHT, Sampling, capped, parse_sampling, thinned, weighted
from features.values.splits import SPLIT, Split, parse_split, split_rows
from jobs.commands import LabelledFrame
from jobs.frame import Asked, joined, views_for
from jobs.labels import EVENT_TIMESTAMP, stage_labels
from jobs.manifest import Snapshots, definition, sha256, snapshots
from jobs.outcomes import Span, labelled_events, read_columns, told_of
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["LabelAsk", "label_ask", "labelled_frame", "run", "wanted_columns"]

_OURS = (EVENT_TIMESTAMP, "label", "label_status", "label_known_at", "label_mature")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAsk:
    """Which events of a label a frame takes."""

    label: Label
    span: Span
    sampling: Sampling = field(default_factory=Sampling)
    split: Split | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the events that sampling and split read."""
        return (*self.sampling.columns, *(self.split.entity if self.split else ()))


def label_ask(command: LabelledFrame, label: Label) -> LabelAsk:
    """What a command asks for.

    Raises:
        InputError: a text of --sample or --split is wrong.
    """
    span = Span(start=micros(command.start), end=micros(command.end), as_of=micros(command.as_of))
    return LabelAsk(
        label=label, span=span, sampling=parse_sampling(command.sample), split=parse_split(command.split, label.horizon_us)
    )  # fmt: skip


def run(command: LabelledFrame, settings: Settings) -> int:
    """Writes a frame of a label's events."""
    catalog = load_catalog(settings.catalog)
    ask = label_ask(command, catalog.label(command.label))
    wanted_columns(ask, catalog, catalog.service(command.service))  # what is missing is said before Spark starts
    made = labelled_frame(session(settings, "frame"), settings, catalog, ask, service=command.service, out=command.out)
    say(f"{made['rows']} rows for service {command.service} in {command.out}. {told_of(made['seen'], made['unknown'])}")
    return 0


def labelled_frame(
    spark: SparkSession, settings: Settings, catalog: Catalog, ask: LabelAsk, *, service: str, out: str
) -> Mapping[str, Any]:
    """Writes a frame whose rows are the label's events, by time and id; gives its `rows`, the events `seen` by status, and the `unknown` ids.

    Columns before the features: the event's id, the key columns and request fields of the service, `event_timestamp`, `label` (int8: 1, 0, or null where
    there is none yet), `label_status`, `label_known_at`, `label_mature`, `asof_weight` and, with a split, `asof_split`.

    Raises:
        MissingError: no such service, column or source partition.
        InputError: outcomes that arrived before their events, propensities that are none, no rows, or a part of the split without rows.
        BusyError: a source changed while the frame was made.
    """
    wanted = wanted_columns(ask, catalog, catalog.service(service))
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        with translated(settings.logs):
            sources, told, rows = _labelled(spark, settings, ask, wanted, work)
        path = str(work / "events.parquet")
        _write(ask, rows, wanted, path)
        asks = _asks(ask, told, path)
        staged = stage_labels(path, views_for(catalog, service), str(work / "labels.parquet"), own=True)
        made = joined(spark, settings, catalog, Asked(staged=staged, service=service, asks=asks, sources=sources), out)
        return {"rows": made, "seen": told["seen"], "unknown": told["unknown"]}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def wanted_columns(ask: LabelAsk, catalog: Catalog, service: FeatureService) -> dict[str, str]:
    """Columns of the frame to those of the labelled events: their id, the keys of the service's views, and request fields as they were asked with.

    Raises:
        MissingError: the event source lacks a key or a request field, or a column that sampling or split names.
        InputError: a column would have the name of one of the frame's own.
    """
    source = ask.label.event_source
    wanted = {source.event_id or "": source.event_id or ""}
    for view, _ in catalog.views_of(service):
        columns = source.key_columns(view.entity.name, view.keys)
        _refuse_missing(ask.label, columns, f"view {view.name!r} of service {service.name!r} has it as a key")
        wanted |= dict(zip(view.keys, columns, strict=True))
        _refuse_missing(
            ask.label, view.request, f"view {view.name!r} of service {service.name!r} has it as a request field"
        )
        wanted |= {name: ASKED + name for name in view.request if name not in wanted}
    _refuse_missing(ask.label, ask.sampling.columns, "--sample names it")
    _refuse_missing(ask.label, ask.split.entity if ask.split else (), "--split names it")
    reads, _ = read_columns(ask.label, (*_own(wanted), *_asked(wanted), *ask.columns))
    if taken := sorted({*wanted, *reads} & {*_OURS} - {source.event_time}):
        msg = f"The columns {', '.join(taken)} of source {source.name!r} have names of a frame's own. Give them other names, or use a label file with --labels."
        raise InputError(msg)
    return wanted


def _own(wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Columns that are as known at the frame's as_of."""
    return tuple(column for column in wanted.values() if not column.startswith(ASKED))


def _asked(wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Columns that are as the events' first versions have them."""
    return tuple(column.removeprefix(ASKED) for column in wanted.values() if column.startswith(ASKED))


def _refuse_missing(label: Label, columns: Iterable[str], why: str) -> None:
    source = label.event_source
    if missing := [name for name in columns if name not in source.types]:
        msg = (
            f"Source {source.name!r}, whose events label {label.name!r} is of, has no column {', '.join(missing)}; {why}. "
            f"It has {', '.join(sorted(source.types))}. Use another column, or a label file with --labels."
        )
        raise MissingError(msg)


def _labelled(
    spark: SparkSession, settings: Settings, ask: LabelAsk, wanted: Mapping[str, str], work: Path
) -> tuple[Snapshots, dict[str, Any], pa.Table]:
    """The snapshots that were read, what was seen, and the rows that the rates left, in no order."""
    label = ask.label
    befores = [(source.ingested_by, ask.span.as_of) for source in (label.event_source, label.outcomes)]
    sources = snapshots(settings, befores)
    columns = *_own(wanted), *ask.columns
    found = labelled_events(spark, settings, label, ask.span, columns, _to_file(ask, str(work)), _asked(wanted))
    told = [json.loads(item) for item in found.told]
    seen: Counter[str] = Counter()
    for item in told:
        seen.update(item["seen"])
    parts = [pq.read_table(item["path"]) for item in told if item["path"]]
    if not parts:
        raise _no_rows(ask, seen)
    return sources, {"seen": {name: seen[name] for name in STATUSES}, "unknown": found.unknown}, pa.concat_tables(parts)


def _to_file(ask: LabelAsk, folder: str) -> Callable[[pa.Table], str]:
    """In a worker: weighs and thins labelled events, writes what is left, and tells."""
    label, sampling = compile_definition(ask.label), ask.sampling

    def write(rows: pa.Table) -> str:
        here = load_definition(label, Label)
        seen = {
            item["values"]: item["counts"]
            for item in pc.value_counts(rows["label_status"].combine_chunks()).to_pylist()
        }
        taken = thinned(sampling, weighted(here, rows), here.event_source.event_id or "")
        path = f"{folder}/events-{uuid4().hex}.parquet" if len(taken) else ""
        if path:
            pq.write_table(taken, path)
        return json.dumps({"path": path, "seen": seen})

    return write


def _write(ask: LabelAsk, rows: pa.Table, wanted: Mapping[str, str], path: str) -> None:
    """The label file: capped, split, by time and id, so that the same events are the same bytes."""
    source = ask.label.event_source
    event_id = source.event_id or ""
    rows = rows.rename_columns([EVENT_TIMESTAMP if name == source.event_time else name for name in rows.column_names])
    rows = capped(ask.sampling, rows, event_id)
    if ask.split is not None:
        rows = split_rows(ask.split, rows, event_id)
    rows = rows.sort_by([(EVENT_TIMESTAMP, "ascending"), (event_id, "ascending")])
    columns = {name: rows[column] for name, column in wanted.items()}
    ours = (*_OURS, WEIGHT, *((SPLIT,) if ask.split is not None else ()))
    pq.write_table(pa.table(columns | {name: rows[name] for name in ours}), path)


def _no_rows(ask: LabelAsk, seen: Mapping[str, int]) -> InputError:
    edges = f"from {utc(ask.span.start).isoformat()} on, before {utc(ask.span.end).isoformat()}"
    source = ask.label.event_source.name
    if not sum(seen.values()):
        return InputError(
            f"Source {source!r} has no events {edges}, known at {utc(ask.span.as_of).isoformat()}. Take another span, or a later --as-of."
        )
    counts = ", ".join(f"{seen.get(name, 0)} {name}" for name in STATUSES)
    return InputError(
        f"--sample leaves none of the {sum(seen.values())} events of {source!r} {edges} ({counts}). Take a larger rate, or keep other statuses."
    )


def _asks(ask: LabelAsk, told: Mapping[str, Any], path: str) -> dict[str, Any]:
    """For the manifest: what was asked for, and what came of it."""
    taken = pq.read_table(path, columns=["label_status", *((SPLIT,) if ask.split is not None else ())])
    counts = Counter(taken["label_status"].to_pylist())
    made: dict[str, Any] = {
        "label": {"name": ask.label.name, **definition(ask.label)},
        "start": utc(ask.span.start).isoformat(), "end": utc(ask.span.end).isoformat(), "as_of": utc(ask.span.as_of).isoformat(),
        "sample": list(ask.sampling.texts), "split": list(ask.split.texts) if ask.split else [],
        "events": told["seen"], "rows": {name: counts[name] for name in STATUSES}, "unknown_events": told["unknown"]["count"],
        "sha256": sha256(path),
    }  # fmt: skip
    if ask.split is not None:
        parts = pc.value_counts(taken[SPLIT].combine_chunks()).to_pylist()
        made["parts"] = {item["values"]: item["counts"] for item in parts}
    return made
