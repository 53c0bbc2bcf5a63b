"""`asof validate`: meet a cut's source partitions and attempts with their expectations. Verdicts are records; nothing is published here."""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations import suites
from expectations.report import Report
from features.definitions.names import cut_text, micros
from features.definitions.views import FeatureView
from features.errors import MissingError
from features.settings import Settings
from jobs import attempts, audits, session
from jobs.audit_sources import audit_partition
from jobs.audit_views import audit_view
from jobs.commands import Exit, Validate
from jobs.stages import say, side_by_side, stage_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Held", "SourceAudit", "audit_attempts", "audit_sources", "run", "validate"]

Held = Mapping[str, Mapping[str, Report]]
"""View to the reports of its sources' partitions that are held, by source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAudit:
    """What the partitions that a cut newly knows are like."""

    reports: tuple[Report, ...]
    held: Held
    results: Mapping[str, suites.Judged]
    """For the data docs."""


def run(command: Validate, settings: Settings) -> int:
    """Prints a sentence for each source, view and failure. 0, or 3 where every view is held.

    Raises:
        MissingError: a view has no finished attempt at the cut, or a source partition was never ingested.
    """
    catalog, views, cut = stage_views(command, settings)
    with ThreadPoolExecutor(max_workers=1) as other:
        # Both take seconds, the one in Java, the other in Python.
        other.submit(suites.warm_up)
        spark = session.spark(settings, "validate")
    began = time.perf_counter()
    reports = validate(settings, spark, views, audits.sources_of(catalog, views), cut)
    for made in reports:
        _say(made)
    say(f"Validated {len(views)} views at {cut_text(cut)} in {time.perf_counter() - began:.1f} s.")
    held = {made.subject for made in reports if made.verdict == "hold"}
    return Exit.HELD if all(view.name in held for view in views) else Exit.OK


def validate(
    settings: Settings, spark: "SparkSession", views: Sequence[FeatureView], sources: audits.Sources, cut: int
) -> tuple[Report, ...]:
    """Reports of the source partitions, then of the views. Running it again gives the same."""
    # Before any audit: a missing attempt must not leave half of the verdicts behind.
    for view in views:
        _finished(settings, view, cut)
    found = audit_sources(settings, spark, sources, cut)
    return (*found.reports, *audit_attempts(settings, spark, views, cut, found.held, shown=found.results))


def audit_sources(settings: Settings, spark: "SparkSession", sources: audits.Sources, cut: int) -> SourceAudit:
    """Judges the partitions that a cut newly knows, and holds the bad ones."""
    shown: dict[str, suites.Judged] = {}
    reports: list[Report] = []
    held: dict[str, dict[str, Report]] = {view.name: {} for _, _, readers in sources for view in readers}
    days = [
        (source, keys, readers, ds) for source, keys, readers in sources for ds in audits.partitions_of(readers, cut)
    ]
    now = micros(settings.now())
    judgements = side_by_side(lambda day: audit_partition(settings, spark, day[0], day[3], keys=day[1], now=now), days)
    for (source, _, readers, _), judged in zip(days, judgements, strict=True):
        reports.append(judged.report)
        shown |= judged.results
        if judged.report.verdict == "hold":
            for view in readers:
                held[view.name][source.name] = judged.report
    return SourceAudit(reports=tuple(reports), held=held, results=shown)


def audit_attempts(
    settings: Settings, spark: "SparkSession", views: Sequence[FeatureView], cut: int, held: Held,
    *, shown: Mapping[str, suites.Judged] | None = None,
) -> tuple[Report, ...]:  # fmt: skip
    """Judges the views' finished attempts at a cut; a view one of whose partitions is held is held. `shown` goes into the docs as well."""
    found = [(view, _finished(settings, view, cut)) for view in views]
    made = side_by_side(lambda pair: audit_view(settings, spark, *pair, held[pair[0].name]), found)
    _docs(settings, {**(shown or {}), **{name: judged for each in made for name, judged in each.results.items()}})
    return tuple(each.report for each in made)


def _finished(settings: Settings, view: FeatureView, cut: int) -> attempts.Attempt:
    found = attempts.finished(settings, view, cut)
    if found is None:
        known = [cut_text(each) for each in attempts.cuts_with_attempts(settings, view)]
        remedy = f"Run `asof compute --cut {cut_text(cut)} --view {view.name}` first."
        raise MissingError.of("finished attempt", f"{view.name} at {cut_text(cut)}", known, remedy)
    return found


def _docs(settings: Settings, shown: Mapping[str, suites.Judged]) -> None:
    """The docs never decide a verdict: where they cannot be written, the log says why."""
    try:
        suites.write_docs(settings.docs, shown)
    except Exception:
        logging.getLogger(__name__).exception("The data docs were not written.")


def _say(made: Report) -> None:
    say(made.sentence())
    for failure in made.failures:
        say(f"  {'blocks' if failure.blocks else 'warns'}: {failure.sentence()}")
