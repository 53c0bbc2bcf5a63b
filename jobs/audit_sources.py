"""The audit of source partitions: profile, compare with the days before, judge, and hold what must not be known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from expectations import drift, suites
from expectations.derived import source_rules
from expectations.profiles import Profile
from expectations.report import report
from expectations.rules import Rule
from expectations.views import facts_of
from features.definitions.durations import DAY
from features.definitions.sources import Source
from features.errors import MissingError
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from features.values.versions import AGAIN, STORED_FIELDS
from jobs import audits, ledger
from jobs.audits import Judgement
from jobs.files import bytes_of, read_files
from jobs.listing import files_of_days
from jobs.measuring_partitions import measured_partition
from jobs.profiling import partition_types, profile_partitions, sample_modulus
from jobs.tables import source_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["HISTORY_DAYS", "audit_partition", "compared", "judge_partition", "row_rules"]

HISTORY_DAYS = 28
_RELEASED = "It was released by hand, so it is let through."


def row_rules(source: Source, ds: str) -> tuple[Rule, ...]:
    """Of the rows of one partition."""
    start = audits.day_start(ds)
    return source_rules(source, facts_of(source), day_from=start, known_before=start + DAY)


def audit_partition(
    settings: Settings, spark: "SparkSession", source: Source, ds: str, *, keys: Sequence[str], now: int
) -> Judgement:
    """Judges one partition of a source's table, writes profile and verdict beside its record, and holds it where the verdict is hold.

    Partitions of the last weeks that have no profile yet are profiled as well, so that the first audit has a history.
    A partition that was released by hand is not held again.

    Raises:
        MissingError: the partition was never ingested.
    """
    found = ledger.partition(settings, source.name, ds)
    if found is None:
        known = [item.ds for item in ledger.partitions(settings, source.name)]
        raise MissingError.of(
            "partition", f"{source.name} {ds}", known, f"Run `asof ingest --source {source.name} --ds {ds}` first."
        )
    first = (date.fromisoformat(ds) - timedelta(days=HISTORY_DAYS)).isoformat()
    earlier = [item for item in ledger.partitions(settings, source.name) if first <= item.ds < ds and not item.held]
    _profile_missing(settings, spark, source, [*earlier, found], keys)
    history = [
        profile for item in earlier if (profile := audits.partition_profile(settings, source.name, item.ds)) is not None
    ]
    profile = audits.partition_profile(settings, source.name, ds)
    if profile is None:
        raise MissingError.of(
            "profile", f"{source.name} {ds}", [item.at for item in history], "Run the same command again."
        )
    judged = judge_partition(source, profile, history, lambda: _of_days(spark, source, [ds]), keys=keys)
    made = judged.report
    if made.verdict == "hold" and found.released_at is not None:
        made = replace(made, verdict="warn", because=_RELEASED)
    audits.write_partition_report(settings, made)
    if made.verdict == "hold":
        ledger.hold(settings, found, at=now, reason=made.failures[0].sentence())
    return Judgement(report=made, results=judged.results)


def _profile_missing(
    settings: Settings, spark: "SparkSession", source: Source, wanted: Sequence[ledger.Partition], keys: Sequence[str]
) -> None:
    missing = [item for item in wanted if audits.profiled_ingest(settings, source.name, item.ds) != item.ingested_at]
    if not missing:
        return
    made = _profiles(settings, spark, source, {item.ds: item.rows for item in missing}, keys)
    history = [
        profile
        for item in wanted
        if item not in missing and (profile := audits.partition_profile(settings, source.name, item.ds)) is not None
    ]
    for item in missing:
        share = item.quarantined / max(item.rows + item.quarantined, 1)
        profile = replace(made[item.ds], metrics={**made[item.ds].metrics, "quarantined_share": share})
        earlier = sorted((other for other in history if other.at < item.ds), key=lambda other: other.at)
        profile = compared(profile, earlier)
        history.append(profile)
        audits.write_partition_profile(settings, profile, item.ingested_at)


def _profiles(
    settings: Settings, spark: "SparkSession", source: Source, days: Mapping[str, int], keys: Sequence[str]
) -> Mapping[str, Profile]:
    """Of each day, given with its rows: in this process while the files are few, the others together in one Spark job."""
    modulus, left = sample_modulus(max(days.values())), settings.spark.few_bytes
    made: dict[str, Profile] = {}
    for ds in sorted(days):
        files = files_of_days(spark, settings, source, ds, ds) if left > 0 else []
        left -= bytes_of(files)
        if left <= 0:
            break
        rows = read_files(files, _schema(source))
        rows = rows.filter(pc.not_equal(rows["asof_op"], AGAIN))
        made[ds] = measured_partition(rows, source, ds, row_rules(source, ds), keys=keys, modulus=modulus)
    if many := [ds for ds in sorted(days) if ds not in made]:
        rules = {ds: row_rules(source, ds) for ds in many}
        made |= profile_partitions(_of_days(spark, source, many), source, rules, keys=keys, modulus=modulus)
    return made


def _schema(source: Source) -> pa.Schema:
    return pa.schema([*((name, ARROW_TYPES[kind]) for name, kind in source.types.items()), *STORED_FIELDS])


def _of_days(spark: "SparkSession", source: Source, days: Sequence[str]) -> "DataFrame":
    """What partitions changed: versions that changed nothing are kept for holds alone, and say nothing of a day."""
    table = source_table(spark, source)
    return table.where(table["asof_op"] != AGAIN).where(table[source.partition].cast("string").isin([*days]))


def compared(profile: Profile, history: Sequence[Profile]) -> Profile:
    """The profile with what only a comparison with the days before gives."""
    return replace(profile, metrics={**profile.metrics, **drift.compared(profile, history)})


def judge_partition(
    source: Source,
    profile: Profile,
    history: Sequence[Profile],
    told: Callable[[], "DataFrame"],
    *,
    keys: Sequence[str],
) -> Judgement:
    """The verdict on a profiled partition; its rows (`told`) are looked at only where a row rule failed."""
    rules = (*row_rules(source, profile.at), *drift.drift_rules(profile, history))
    name = f"{source.name} {profile.at}"
    outcomes, result = suites.judge(name, rules, profile.metrics)
    failed = [outcome.rule for outcome in outcomes if not outcome.passed and outcome.rule.rows]
    types = partition_types(source)
    results = {name: result}
    shown: dict[str, tuple[str, ...]] = {}
    if failed:
        rows = told().cache()
        results[f"{name} rows"] = suites.look_closer(name, failed, rows, types)
        shown = {rule.name: suites.examples(rule, rows, types, _shown_keys(source, keys)) for rule in failed}
        rows.unpersist()
    return Judgement(report=report(source.name, profile.at, outcomes, shown), results=results)


def _shown_keys(source: Source, keys: Iterable[str]) -> tuple[str, ...]:
    return (source.event_id,) if source.event_id is not None else tuple(keys)
