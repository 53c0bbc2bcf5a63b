"""The audit of a view's attempt at a cut: what its definition promises, what was written by hand, and the last cuts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from expectations import drift, suites
from expectations.derived import view_rules
from expectations.profiles import Profile
from expectations.report import Report, report
from expectations.rules import Rule
from expectations.views import facts_of, written_rules
from features.definitions.durations import DAY
from features.definitions.names import STATE, cut_text
from features.definitions.views import FeatureView
from features.settings import Settings
from jobs import audits
from jobs.attempts import Attempt
from jobs.audits import Judgement
from jobs.files import parquet_rows
from jobs.measuring import measured
from jobs.profiling import profile_cut, view_types
from jobs.written import attempt_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CELLS = 20_000_000
"""An attempt of more values is profiled by Spark; those of fewer take 200 MB in the driver at most."""

__all__ = ["audit_view", "held_by_source", "source_age_rules"]


def audit_view(
    settings: Settings, spark: "SparkSession", view: FeatureView, attempt: Attempt, held: Mapping[str, Report]
) -> Judgement:
    """Judges a finished attempt, and writes its profile and verdict beside its rows.

    Args:
        settings: Where earlier cuts' profiles lie.
        spark: The session that reads the attempt.
        view: The attempt's view.
        attempt: Finished.
        held: Reports of the sources' partitions that are held, by source.
    """
    rules = (
        *view_rules(view, facts_of(view.source), valid_from=attempt.cut + view.schedule.lag_us),
        *written_rules(view),
    )
    profile = _profile(spark, view, attempt, rules)
    ages = source_age_rules(settings, view, attempt.cut)
    profile = replace(profile, metrics={**profile.metrics, **{rule.metric: age for rule, age in ages}})
    history = audits.cut_history(settings, view, attempt.cut)
    judged = (*rules, *(rule for rule, _ in ages), *drift.drift_rules(profile, history, trend=True))
    name = f"{view.name} {cut_text(attempt.cut)}"
    outcomes, result = suites.judge(name, judged, profile.metrics)
    closer, shown = {}, {}
    if failed := [outcome.rule for outcome in outcomes if not outcome.passed and outcome.rule.rows]:
        frame = spark.read.parquet(attempt.location)
        closer = {f"{name} rows": suites.look_closer(name, failed, frame, view_types(view))}
        shown = {rule.name: suites.examples(rule, frame, view_types(view), view.keys) for rule in failed}
    made = held_by_source(report(view.name, cut_text(attempt.cut), outcomes, shown), held)
    attempt.write("profile", profile.record())
    attempt.write("verdict", made.record())
    return Judgement(report=made, results={name: result, **closer})


def _profile(spark: "SparkSession", view: FeatureView, attempt: Attempt, rules: Sequence[Rule]) -> Profile:
    rows = (attempt.record("finished") or {}).get("rows", _CELLS)
    if rows * len(view.types) > _CELLS:
        frame = spark.read.parquet(attempt.location).cache()
        try:
            return profile_cut(frame, view, attempt.cut, rules)
        finally:
            frame.unpersist()
    schema = attempt_schema(view)
    columns = [name for name in schema.names if name != STATE]
    table = parquet_rows([attempt.location], schema, pa.schema([]), columns, pc.scalar(True))
    return measured(table, view, attempt.cut, rules)


def held_by_source(made: Report, held: Mapping[str, Report]) -> Report:
    """A view is held where a partition that its cut newly knows is held: its values were computed from bad rows."""
    if not held:
        return made
    because = " ".join(f"Source {name} of {item.at} is held: {_reason(item)}" for name, item in sorted(held.items()))
    return replace(made, verdict="hold", because=because)


def _reason(held: Report) -> str:
    return held.failures[0].sentence() if held.failures else held.because


def source_age_rules(settings: Settings, view: FeatureView, cut: int) -> Sequence[tuple[Rule, float]]:
    """Per event source with rows every day: the newest of them is at most one period older than the cut. With the age, in periods."""
    made: list[tuple[Rule, float]] = []
    period = view.schedule.period_us
    for source in view.sources:
        profiles = [audits.partition_profile(settings, source.ingested_by, ds) for ds in audits.days_before(cut, 3)]
        newest = max(
            (
                profile.metrics["newest_known_at"]
                for profile in profiles
                if profile and "newest_known_at" in profile.metrics
            ),
            default=None,
        )
        if source.kind != "events" or newest is None:
            continue
        rule = Rule(
            name=f"source_age/{source.ingested_by}", severity="warn", says=f"The newest row of {source.ingested_by} is less than a period old at the cut.",
            remedy="The source is stuck or very quiet: ask its owner.", check="metric", metric=f"source_age/{source.ingested_by}", lower=0, upper=max(1.0, DAY / period),
        )  # fmt: skip
        made.append((rule, (cut - newest) / period))
    return made
