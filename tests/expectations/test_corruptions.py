"""Measured: seeded corruptions of a day against the audit of source partitions, and 60 clean days beside them.

The tolerances of expectations/drift.py were set on simulations of seed 11; the world and the damage here have other seeds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.profiles import Profile
from expectations.report import Report
from features import load_catalog
from features.definitions.sources import Source
from jobs import audits
from jobs.audit_sources import HISTORY_DAYS, compared, judge_partition, row_rules
from jobs.profiling import profile_partitions, sample_modulus
from jobs.simulate import CORRUPTIONS, corrupt, simulate
from jobs.simulate.landing import write_parquet
from tests.expectations.landed import partitions

SEED = 2027
START = date(2026, 1, 1)
CLEAN = 60
DAYS = HISTORY_DAYS + CLEAN
DAMAGED = START + timedelta(days=70)
SOURCES = ("payments", "disputes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Profiles of a source by day, and of each kind of damage to the one day; the rows of all of them."""

    source: Source
    keys: tuple[str, ...]
    days: Mapping[str, Profile]
    damaged: Mapping[str, Profile]
    rows: DataFrame


def ds(day: int) -> str:
    return (START + timedelta(days=day)).isoformat()


def label(number: int) -> date:
    """Each damage is profiled as a partition of its own, whole weeks after the day it was done to."""
    return DAMAGED + timedelta(weeks=100 + number)


@pytest.fixture(scope="module")
def measured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Measured, ...]]:
    out = tmp_path_factory.mktemp("landing")
    simulate(out, start=START, days=DAYS, scale=0.05, seed=SEED)
    for number, kind in enumerate(CORRUPTIONS):
        _damage(out, tmp_path_factory.mktemp(kind), kind, number)
    catalog = load_catalog()
    found = audits.sources_of(catalog, catalog.views)
    made = tuple(_measure(spark, out, source, keys) for source, keys, _ in found if source.name in SOURCES)
    yield made
    spark.catalog.clearCache()


def _damage(out: Path, folder: Path, kind: str, number: int) -> None:
    """Puts the damaged day, moved to its label, among the landed days."""
    for name in SOURCES:
        for day in (DAMAGED - timedelta(days=1), DAMAGED):
            copytree(out / name / f"ds={day}", folder / name / f"ds={day}")
    corrupt(folder / "payments" / f"ds={DAMAGED}", kind, seed=SEED)
    shift = pa.scalar(timedelta(weeks=100 + number), pa.duration("us"))
    for name in SOURCES:
        rows = pq.ParquetFile(folder / name / f"ds={DAMAGED}" / "part-0.parquet").read()
        for column in ("event_time", "ingested_at"):
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(
                place, rows.schema.field(place), pc.add(rows[column], shift).cast(rows.schema.field(place).type)
            )
        write_parquet(rows, out / name / f"ds={label(number)}" / "part-0.parquet")


def _measure(spark: SparkSession, out: Path, source: Source, keys: tuple[str, ...]) -> Measured:
    rows = partitions(spark, out, source).cache()
    wanted = [ds(day) for day in range(DAYS)] + [str(label(number)) for number in range(len(CORRUPTIONS))]
    profiles = profile_partitions(
        rows, source, {each: row_rules(source, each) for each in wanted}, keys=keys, modulus=sample_modulus(1_000)
    )
    days: dict[str, Profile] = {}
    for day in range(DAYS):
        days[ds(day)] = compared(whole(profiles[ds(day)]), list(days.values()))
    before = [days[each] for each in days if each < str(DAMAGED)]
    damaged = {kind: compared(whole(profiles[str(label(number))]), before) for number, kind in enumerate(CORRUPTIONS)}
    return Measured(source=source, keys=keys, days=days, rows=rows, damaged=damaged)


def whole(profile: Profile) -> Profile:
    """With what the ledger would add: nothing was quarantined."""
    return replace(profile, metrics={**profile.metrics, "quarantined_share": 0.0})


def judged(one: Measured, profile: Profile) -> Report:
    before = min(profile.at, str(DAMAGED)) if profile.at > ds(DAYS - 1) else profile.at
    history = [one.days[each] for each in sorted(one.days) if each < before][-HISTORY_DAYS:]
    told = one.rows.where(one.rows[one.source.partition].cast("string") == profile.at)
    return judge_partition(one.source, profile, history, lambda: told, keys=one.keys).report


@pytest.mark.long
@pytest.mark.timeout(600)
def test_at_least_nine_corruptions_in_ten_are_caught_and_no_clean_day_is_held(
    measured: tuple[Measured, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    table, caught = [f"{'corruption':26} {'verdict':8} {'first failure'}"], 0
    for kind in CORRUPTIONS:
        reports = [judged(one, one.damaged[kind]) for one in measured]
        worst = max((report.verdict for report in reports), key=("pass", "warn", "hold").index)
        first = next(
            (
                f"{report.subject}: {report.failures[0].rule}"
                for report in reports
                if report.verdict == worst and report.failures
            ),
            "-",
        )
        caught += worst != "pass"
        table.append(f"{kind:26} {worst:8} {first}")
    clean = [judged(one, one.days[ds(day)]) for day in range(HISTORY_DAYS, DAYS) for one in measured]
    held = [report.sentence() for report in clean if report.verdict == "hold"]
    warned = sum(report.verdict == "warn" for report in clean)
    table.append(
        f"{CLEAN} clean days, {len(clean)} partitions: {len(held)} held, {warned} warned. {caught} of {len(CORRUPTIONS)} corruptions caught."
    )
    with capsys.disabled():
        print("\n" + "\n".join(table))  # noqa: T201
    assert caught * 20 >= 18 * len(CORRUPTIONS)
    assert held == []
