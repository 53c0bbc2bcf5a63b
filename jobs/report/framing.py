"""`asof report`: payments and their features from an ingested home, by Spark as in `asof frame`; all else is Arrow and numpy."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.compiled import compile_definition, load_definition
from features.definitions.durations import DAY, duration
from features.definitions.names import micros
from features.definitions.services import FeatureService, Label
from features.errors import InputError
from features.settings import Settings
from jobs import ledger
from jobs.audits import day_start
from jobs.commands import Report
from jobs.frame import frame
from jobs.outcomes import Span, labelled_events
from jobs.report.measure import measure
from jobs.report.plan import Plan
from jobs.report.truths import READS, asked, with_truth
from jobs.report.writing import SERVICES, beside, disputed, write
from jobs.session import spark as session
from jobs.simulate.truth import attacks
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["known_days", "plan_of", "reported", "run"]

_UNION = "report"


def run(command: Report, settings: Settings) -> int:
    """Writes the page and its numbers."""
    catalog = load_catalog(settings.catalog)
    plan, truth = (
        plan_of(command),
        attacks(Path(command.truth)),
    )  # what is wrong with arguments is said before Spark starts
    span = known_days(settings, disputed(catalog))
    write(command.out, reported(session(settings, "report"), settings, catalog, plan, truth, span))
    say(f"The report is {command.out}, its numbers {beside(command.out)}.")
    return 0


def reported(
    spark: SparkSession, settings: Settings, catalog: Catalog, plan: Plan, truth: pa.Table, span: Span
) -> dict[str, object]:
    """The report's numbers.

    Raises:
        MissingError: the catalogue lacks a service, or the home a source partition.
        InputError: the truth is of other payments, a part has no payments or no attacks, or graphs are not derived.
    """
    services = {
        name: [f"{view.name}__{feature}" for view, names in catalog.views_of(catalog.service(name)) for feature in names]
        for name in SERVICES
    }  # fmt: skip
    work = settings.home / "frames" / uuid4().hex[:12]
    work.mkdir(parents=True)
    try:
        events, unknown = with_truth(_events(spark, settings, disputed(catalog), span, work), truth)
        path, out = str(work / "asked.parquet"), str(work / "frame.parquet")
        pq.write_table(asked(plan, events), path)
        frame(spark, settings, _with_union(catalog), labels=path, service=_UNION, out=out)
        return measure(pq.read_table(out), events, services, plan) | {"unknown": unknown}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def plan_of(command: Report) -> Plan:
    """What a command asks for.

    Raises:
        InputError: the gap is no duration, a part of the span is empty, or a number makes no sense.
    """
    try:
        gap = duration(command.gap)
    except ValueError as error:
        msg = f"--gap {command.gap}: {error}"
        raise InputError(msg) from None
    return Plan(
        start=micros(command.start), held_back=micros(command.held_back), end=micros(command.end), gap=gap, budget=command.budget,
        review_cost=command.review_cost, honest=command.honest, judged=command.judged, samples=command.samples, seed=command.seed,
    )  # fmt: skip


def _with_union(catalog: Catalog) -> Catalog:
    """The catalogue with a service of all views that the report's services take."""
    views = [view.name for name in SERVICES for view, _ in catalog.views_of(catalog.service(name))]
    union = FeatureService(name=_UNION, owner="asof", views=tuple(dict.fromkeys(views)))
    return replace(catalog, services=(*catalog.services, union))


def known_days(settings: Settings, label: Label) -> Span:
    """All days of payments that are ingested.

    Raises:
        InputError: there are none.
    """
    days = [item.ds for item in ledger.partitions(settings, label.event_source.ingested_by)]
    if not days:
        msg = "No payments are ingested in this home. Run `asof ingest` on the simulation's files first, and set ASOF_HOME."
        raise InputError(msg)
    last = day_start(max(days)) + DAY
    return Span(start=day_start(min(days)), end=last, as_of=last)


def _events(spark: SparkSession, settings: Settings, label: Label, span: Span, work: Path) -> pa.Table:
    """Every payment, narrow: its id, instant and the columns of READS, and whether it was disputed. Workers write files."""
    with translated(settings.logs):
        found = labelled_events(spark, settings, label, span, READS, _to_file(label, str(work)))
    parts = [
        pq.read_table(path) for path in found.told
    ]  # a task that is tried again writes another file, and tells of one
    source = label.event_source
    rows = pa.concat_tables(parts).sort_by([(source.event_time, "ascending"), (source.event_id or "", "ascending")])
    return rows.rename_columns(
        ["event_timestamp" if name == source.event_time else name for name in rows.column_names]
    )  # fmt: skip


def _to_file(label: Label, folder: str) -> Callable[[pa.Table], str]:
    compiled = compile_definition(label)

    def write_rows(rows: pa.Table) -> str:
        source = load_definition(compiled, Label).event_source
        kept = (source.event_id or "", source.event_time, *READS, "label", "label_known_at", "label_mature")
        path = f"{folder}/events-{uuid4().hex}.parquet"
        pq.write_table(rows.select(list(kept)), path)
        return path

    return write_rows
