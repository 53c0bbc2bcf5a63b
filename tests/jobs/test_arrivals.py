"""What the arrival audit says of what it counted of sources and outcomes."""

from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features import fields
from features.definitions.catalog import Catalog
from features.definitions.durations import DAY, HOUR
from features.definitions.services import FeatureService
from features.settings import Settings
from jobs import ledger
from jobs.arrivals import Link, counted_rows, earlier_outcomes, pair_findings, source_findings, sources_of
from jobs.audited import AuditedFrame
from jobs.ledger import Partition
from tests.jobs.catalogue_of_leaks import AT_ONCE, CARDS, CLEAN, DISPUTE, DISPUTED, PAID

OTHER, GONE = fields("timestamp", "other"), fields("bool", "gone")


def frame(**changes: Any) -> AuditedFrame:
    given: dict[str, Any] = {
        "path": "f", "manifest": {"sources": {PAID.name: {"partitions": {"2026-03-01": {}}}}}, "catalog": Catalog(views=(CARDS,), services=(CLEAN,)),
        "service": FeatureService(name="cards_v1", views=(CARDS,)), "label": DISPUTE, "rows": 1, "columns": (),
    }  # fmt: skip
    return AuditedFrame(**given | changes)


def counts(**changes: Any) -> dict[str, Any]:
    return {"rows": 1000, "stamped": 0, "early": 0, "bulk": 0, "ahead": {}} | changes


def told(
    settings: Settings, source: Any, counted: dict[str, Any], readers: tuple[str, ...] = ("v__a",)
) -> list[tuple[str, str, str]]:
    found = source_findings(settings, frame(), source, readers, counted)
    return [(each.name, each.severity, each.says) for each in found]


def test_a_source_with_a_clock_of_its_own_passes(settings: Settings) -> None:
    assert told(settings, PAID, counts(stamped=989, early=9, bulk=499)) == []
    assert told(settings, replace(AT_ONCE, lag="1d"), counts()) == []
    assert told(settings, PAID, counts(rows=19, stamped=19)) == []  # too few to tell


def test_a_source_without_arrival(settings: Settings) -> None:
    assert told(settings, AT_ONCE, counts(stamped=1000), ()) == [(
        "leak_outcomes_at_once", "warning",
        ("it has neither known_at nor lag (read for the label), so its rows count from event_time on, whenever they arrive. "
        "Declare the column that its first receiver stamps, or the lag that rows have."),
    )]  # fmt: skip


def test_a_stamp_of_the_event_s_own_clock_is_a_leak_where_rows_came_late(settings: Settings) -> None:
    says = "known_at (known) equals event_time in 995 of 1000 rows (read by v__a)"
    assert told(settings, PAID, counts(stamped=995)) == [(
        "leak_payments", "warning",
        f"{says}: no delay at all is likelier a stamp of the event's own clock. Stamp known_at where rows are first received.",
    )]  # fmt: skip
    for day, raised in (("2026-03-01", 7), ("2026-03-02", 9)):  # the second day is not in the frame
        ledger.record_ingest(settings, Partition(source=PAID.name, ds=day, rows=10, raised=raised))
    assert told(settings, PAID, counts(stamped=995)) == [(
        "leak_payments", "leak",
        f"{says}, and 7 rows landed in folders of later days: they arrived late, and known_at does not say so. Stamp known_at where rows are first received.",
    )]  # fmt: skip


def test_rows_known_before_they_happened_loaded_at_once_or_ahead_of_themselves(settings: Settings) -> None:
    found = told(settings, PAID, counts(early=10, bulk=500, ahead={"due": 3}))
    assert found == [
        ("leak_payments", "warning", ("10 of 1000 rows are known before they happened (read by v__a): two clocks differ, or known_at is not what it says. "
         "Compare known with the receiver's own log.")),
        ("leak_payments", "warning", ("500 of 1000 rows became known in one second, long after they happened (read by v__a): history was loaded at once. "
         "Frames before that load have null where lookups since have values; start the frame after it.")),
        ("leak_payments", "warning", ("its column due holds an instant later than the row was known in 3 of 1000 rows (read by v__a): a due date, or a row that was "
         "written again later under its first known_at. Of the latter, ingest each version with its own known_at.")),
    ]  # fmt: skip
    assert (
        told(settings, replace(PAID, kind="full", deleted="gone", columns=(*PAID.columns, *GONE)), counts(bulk=900))
        == []
    )


def test_features_that_read_the_label_s_outcomes_earlier_than_the_label() -> None:
    late = replace(DISPUTE, outcomes=DISPUTED.derive("leak_disputes_late", lag="30d"))
    made = frame(label=late)
    (finding,) = earlier_outcomes(made, sources_of(made))
    assert (finding.name, finding.severity, finding.says) == (
        "leak_disputes", "leak",
        ("it reads the label's outcomes (leaks.disputes) 30d after they happened at the earliest for the label, and at once for "
        "leak_cards__leak_disputes_rate_5d_offset_4d, leak_cards__leak_disputes_rate_smoothed_5d_offset_4d. Give both one lag."),
    )  # fmt: skip
    assert list(earlier_outcomes(frame(), sources_of(frame()))) == []
    assert list(earlier_outcomes(frame(label=None), sources_of(frame(label=None)))) == []


@pytest.mark.parametrize(("counted", "severity", "said"), [
    ({"rows": 100, "at_once": 10, "in_time": 90, "lag": HOUR}, "leak", "10 of 100 outcomes of 'leak_disputes' are known with the event of 'leak_payments' that they are of"),
    ({"rows": 100, "at_once": 5, "in_time": 90, "lag": HOUR}, "warning", "5 of 100 outcomes of 'leak_disputes' are known with the event"),
    ({"rows": 100, "at_once": 4, "in_time": 90, "lag": HOUR}, None, ""),
    ({"rows": 100, "at_once": 0, "in_time": 49, "lag": 5 * DAY}, "warning",
     "its delay 4d is shorter than most outcomes of 'leak_disputes' take: of 100 that are known, 49 were within it (median 5.0 d). Young cohorts look good; take a longer delay."),
    ({"rows": 19, "at_once": 0, "in_time": 0, "lag": 5 * DAY}, None, ""),
])  # fmt: skip
def test_outcomes_known_with_their_event_and_delays_that_are_too_short(
    counted: dict[str, Any], severity: str | None, said: str
) -> None:
    link = Link(name="v__rate", events=PAID, outcomes=DISPUTED, of="payment", delay=4 * DAY)
    found = list(pair_findings(link, counted))
    assert [(each.name, each.severity) for each in found] == ([("v__rate", severity)] if severity else [])
    assert all(said in each.says for each in found)


def test_rows_are_counted_by_their_clocks(spark: SparkSession) -> None:
    hours = [
        # event, stamp, known, other
        (0, 0, 0, 0),  # stamped
        (30, 29, 29, 28),  # early
        (1, 90, 90, 91),  # late, in the commonest second; ahead
        (28, 90, 90, None),  # late, likewise
        (80, 90, 90, 0),
        (2, 95, 95, 0),  # late, alone
    ]
    rows = spark.createDataFrame(
        [tuple(None if at is None else at * HOUR for at in row) for row in hours],
        "event_time bigint, known bigint, asof_known bigint, other bigint",
    )
    instants = [F.timestamp_micros(name).alias(name) for name in ("event_time", "known", "other")]
    source = replace(DISPUTED, columns=(*DISPUTED.columns, *OTHER), enriched=None)
    found = counted_rows(rows.select(*instants, "asof_known"), source)
    assert found == {"rows": 6, "stamped": 1, "early": 1, "bulk": 2, "ahead": {"other": 1}}
