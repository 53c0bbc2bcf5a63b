"""What `asof stats` refuses, and which cut answers: found out from definitions and the ledger, before Spark starts."""

from datetime import UTC, datetime, timedelta

import pytest

from features.definitions.durations import DAY, HOUR
from features.definitions.names import micros
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import cli, ledger
from jobs.commands import Stats
from jobs.stats import ask, cuts_of
from tests.jobs.tiled_shop import CATALOG

CUT = datetime(2026, 3, 5, tzinfo=UTC)


@pytest.fixture
def home(settings: Settings) -> Settings:
    """Payments of March 1 to 4."""
    for n in range(1, 5):
        ledger.record_ingest(
            settings, ledger.Partition(source="shop_payments", ds=f"2026-03-0{n}", rows=1, ingested_at=n)
        )
    return settings.model_copy(update={"catalog": CATALOG})


_OPERATIONS = "`asof stats` answers for views of events with a cut-anchored schedule and an aggregate."


@pytest.mark.parametrize(("command", "error", "said"), [
    (Stats(view="tiled_record", window="1d", at=CUT), InputError,
     f"View 'tiled_record' has no tiles: its source 'shop_cards' is of kind changes. {_OPERATIONS}"),
    (Stats(view="tiled_live", window="1d", at=CUT), InputError,
     f"View 'tiled_live' has no tiles: it is computed when it is asked for, not at cuts. {_OPERATIONS}"),
    (Stats(view="tiled_asked", window="1d", at=CUT), InputError,
     f"View 'tiled_asked' has no tiles: it is computed when it is asked for, not at cuts. {_OPERATIONS}"),
    (Stats(view="tiled_rates", window="1d", at=CUT), InputError,
     f"View 'tiled_rates' has no tiles: it has no aggregate. {_OPERATIONS}"),
    (Stats(view="tiled_pairs", window="1d", by=("card", "amount"), at=CUT), MissingError,
     "There is no key column of view 'tiled_pairs' 'amount'. Known: card, shop. Group by any of these, or leave --by out for one total."),
    (Stats(view="tiled_pairs", window="90m", at=CUT), InputError,
     "The window 90m does not lie on the tiles of view 'tiled_pairs', which are 1h long, as its own windows make them. Ask for a multiple of 1h."),
    (Stats(view="tiled_pairs", window="0", at=CUT), InputError,
     "The window 0 does not lie on the tiles of view 'tiled_pairs', which are 1h long, as its own windows make them. Ask for a multiple of 1h."),
    (Stats(view="tiled_pairs", window="long", at=CUT), InputError,
     "--window: 'long' is not a duration. Write a whole number and a unit: 30s, 15m, 24h, 90d."),
    (Stats(view="tiled_pairs", window="1d", at=CUT + timedelta(days=1)), MissingError,
     ("The cut 2026-03-06T00:00:00+00:00 of view 'tiled_pairs' needs ds=2026-03-05 of source 'shop_payments', which has partitions from 2026-03-01 to "
     "2026-03-04. Ask with --at for an earlier cut, or load the day: `asof ingest --source shop_payments --input … --ds 2026-03-05`.")),
    (Stats(view="tiled_pairs", window="1d", at=datetime(2026, 3, 1, tzinfo=UTC)), MissingError,
     ("The cut 2026-03-01T00:00:00+00:00 of view 'tiled_pairs' needs ds=2026-02-28 of source 'shop_payments', which has partitions from 2026-03-01 to "
     "2026-03-04. Ask with --at for an earlier cut, or load the day: `asof ingest --source shop_payments --input … --ds 2026-02-28`.")),
])  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_its_remedy(
    home: Settings, command: Stats, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as refused:
        ask(home, command)
    assert str(refused.value) == said


def test_an_unknown_view_and_a_source_that_was_never_ingested_are_named(settings: Settings) -> None:
    bare = settings.model_copy(update={"catalog": CATALOG})
    with pytest.raises(MissingError, match="There is no view 'tiled_pear'"):
        ask(bare, Stats(view="tiled_pear", window="1d", at=CUT))
    with pytest.raises(
        MissingError, match=r"needs ds=2026-03-04 of source 'shop_payments', which has no partition\. Ask"
    ):
        ask(bare, Stats(view="tiled_pairs", window="1d", at=CUT))


def test_a_day_missing_among_others_is_named_too(home: Settings) -> None:
    ledger.record_ingest(home, ledger.Partition(source="shop_payments", ds="2026-03-06", rows=1, ingested_at=6))
    said = r"needs ds=2026-03-05 of source 'slow_payments', which has partitions from 2026-03-01 to 2026-03-06 and not that one\. Ask"
    with pytest.raises(MissingError, match=said):
        ask(home, Stats(view="tiled_hourly", window="1d", at=CUT + timedelta(hours=7)))


@pytest.mark.parametrize(("at", "cut"), [
    (CUT, CUT), (CUT + timedelta(minutes=59), CUT - timedelta(days=1)), (CUT + timedelta(hours=1), CUT), (CUT + timedelta(hours=23), CUT),
])  # fmt: skip
def test_a_cut_answers_for_itself_and_an_instant_is_answered_by_the_cut_served_then(
    home: Settings, at: datetime, cut: datetime
) -> None:
    question = ask(home, Stats(view="tiled_pairs", window="2d", by=("shop", "shop"), at=at))
    assert (question.cut, question.lower, question.by) == (micros(cut), micros(cut) - 2 * DAY, ("shop",))


def test_only_cuts_that_may_know_events_of_the_window_take_part(home: Settings) -> None:
    cuts = cuts_of(home, ask(home, Stats(view="tiled_pairs", window="1d", at=CUT)))
    # What happened at its first instant may have been known five minutes before, to the cut of that instant.
    assert cuts == (micros(CUT) - DAY, micros(CUT))
    cuts = cuts_of(home, ask(home, Stats(view="tiled_hourly", window="90d", at=CUT)))
    assert cuts == tuple(range(micros(datetime(2026, 3, 1, 1, tzinfo=UTC)), micros(CUT), 6 * HOUR))


def test_columns_are_given_with_commas_or_again() -> None:
    assert cli.parse(["stats", "v", "--window", "1d", "--by", "a,b", "--by", "c", "--at", "2026-03-05"]) == Stats(
        view="v", window="1d", by=("a", "b", "c"), at=CUT
    )
