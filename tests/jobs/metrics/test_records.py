"""Which days a run computes."""

from datetime import UTC, date, datetime

from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.settings import Settings
from jobs.metrics.records import Computed, computed_days, definition_of, due_days, mature_at, record_day
from jobs.status import status
from tests.jobs.catalogue_of_metrics import WATCHED

FIRST = date(2026, 3, 1)


def at(day: int, hour: int = 0) -> int:
    return micros(datetime(2026, 3, day, hour, tzinfo=UTC))


def computed(day: int, as_of: int, *, mature: bool = False) -> Computed:
    return Computed(day=f"2026-03-{day:02d}", as_of=as_of, mature=mature, rows=7, definition=definition_of([WATCHED]))


def test_new_days_and_those_that_matured_are_due() -> None:
    # Three days of horizon: March 1 is mature when March 4 is over.
    assert mature_at([WATCHED], FIRST) == at(5)
    assert due_days([WATCHED], {}, FIRST, at(3, 6)) == (FIRST, date(2026, 3, 2))
    done = {item.day: item for item in (computed(1, at(3)), computed(2, at(3)), computed(4, at(5)))}
    assert due_days([WATCHED], done, FIRST, at(5) - 1) == (date(2026, 3, 3),)
    assert due_days([WATCHED], done, FIRST, at(5)) == (FIRST, date(2026, 3, 3))
    done |= {item.day: item for item in (computed(1, at(5), mature=True), computed(3, at(5)))}
    assert due_days([WATCHED], done, FIRST, at(5)) == ()
    assert due_days([WATCHED], done, FIRST, at(1)) == ()


def test_records_are_read_back_and_status_counts_them(settings: Settings) -> None:
    catalog = load_catalog("tests.jobs.catalogue_of_metrics")
    assert status(settings, catalog)["metrics"] == {"days": 0, "mature": 0, "last": None, "as_of": None}
    for item in (computed(2, at(5)), computed(1, at(5), mature=True)):
        record_day(settings, item)
    assert list(computed_days(settings).values()) == [computed(1, at(5), mature=True), computed(2, at(5))]
    assert status(settings, catalog)["metrics"] == {
        "days": 2,
        "mature": 1,
        "last": "2026-03-02",
        "as_of": "2026-03-05T00:00:00+00:00",
    }
