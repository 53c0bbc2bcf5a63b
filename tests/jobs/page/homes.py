"""Homes as runs leave them, small: attempts with rows, profiles and verdicts, partitions, a proof. Written by the jobs' own writers, without Spark."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.report import Failure, Report, Verdict
from features.definitions.durations import DAY
from features.definitions.names import cut_text, micros
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from jobs import attempts, audits, ledger, proofs
from tests.jobs.page.catalogue_of_pages import BUYS, HABITS, RECORD

LAST = micros(datetime(2026, 3, 10, tzinfo=UTC))
KEYS = 100
NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
VALUES = {
    "count_declined_7d": [n % 4 for n in range(KEYS)], "count_7d": [0] * 40 + [5] * 60, "sum_amount_minor_30d": [n * n * 100 for n in range(KEYS)],
    "time_since_last_ever": [None] * 25 + [DAY * 3] * 75, "count_declined_7d_per_count_7d": [None] * 50 + [0.5] * 50,
    "country": ["DE"] * 70 + ["<i>FR</i>"] * 30, "verified": [True] * 80 + [None] * 10 + [False] * 10, "born": [LAST - n * DAY for n in range(KEYS)],
}  # fmt: skip


def filled(settings: Settings) -> Settings:
    """Three cuts of each of two views, the middle one of one held; a week of partitions, one of them held; one proof."""
    home = settings.model_copy(update={"catalog": "tests.jobs.page.catalogue_of_pages", "clock": NOW})
    for back in (2, 1, 0):
        cut = LAST - back * DAY
        attempted(home, HABITS, cut, "hold" if back == 1 else "warn" if back == 0 else "pass")
        attempted(home, RECORD, cut, "pass")
    for day in range(1, 10):
        ledger.record_ingest(
            home,
            ledger.Partition(
                source=BUYS.name, ds=f"2026-03-{day:02d}", rows=1000 + day, quarantined=day == 9, ingested_at=1
            ),
        )
    bad = ledger.partition(home, BUYS.name, "2026-03-08")
    assert bad is not None
    ledger.hold(home, bad, at=2, reason="amounts are a hundredfold. For example buyer_id=b17.")
    audits.write_partition_report(home, Report(subject=BUYS.name, at="2026-03-09", verdict="warn", rules=3))
    proof = {"compared": 4321, "different": 2, "informative": 9, "keys": 3, "instants": 2,
             "examples": ("page_habits.count_7d buyer_id=b17 at 2026-03-10T02:00:00+00:00: 1 online, 2 in the frame",)}  # fmt: skip
    proofs.add_to_history(home, LAST, 5, ("page_habits", "page_record"), proof)
    return home


def attempted(settings: Settings, view: FeatureView, cut: int, verdict: Verdict) -> attempts.Attempt:
    """A finished attempt with rows and a verdict; published unless it is held."""
    attempt = attempts.new_attempt(settings, view, cut)
    columns = {name: pa.array(VALUES[name], ARROW_TYPES[view.types[name]]) for name in VALUES if name in view.types}
    rows = pa.table({"buyer_id": [f"b{n}" for n in range(KEYS)], **columns})
    Path(attempt.location).mkdir(parents=True)
    for part, chosen in enumerate(np.array_split(np.arange(KEYS), 3)):
        pq.write_table(rows.take(chosen), f"{attempt.location}/part-{part}.parquet")
    failures = (
        ()
        if verdict == "pass"
        else (failure(f"drift/null_share/{view.features[0].name}"), failure("count_declined_7d_le_count_7d"))
    )
    report = Report(subject=view.name, at=cut_text(cut), verdict=verdict, rules=9, failures=failures)
    attempt.write("verdict", report.record())
    attempts.finish(attempt, {"rows": KEYS, "seconds": 1.5, "finished_at": 1.0})
    if verdict != "hold":
        attempt.write("published", {"at": "2026-03-10T01:00:00+00:00"})
    return attempt


def failure(rule: str) -> Failure:
    return Failure(
        rule=rule,
        blocks=False,
        says=f"{rule} says something.",
        observed="7",
        expected="none",
        examples=("buyer_id=b17",),
        remedy="Look.",
    )
