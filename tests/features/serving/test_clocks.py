"""Clocks that are an hour off: each answer is of the instant that its own clock says, and what is old is said to be old.

It is noon. The cut of midnight is loaded; the stream told of two payments this morning, and has told everything up to now.
"""

from typing import Any

import pytest

from features import Catalog, EventFreshness, FeatureService, FeatureView, Source, count, fields, flat, sum_
from features.definitions.names import utc
from features.errors import BusyError
from features.serving.app import create_app
from features.serving.push import PushResult, push
from features.serving.reader import Reader, ViewValues
from features.settings import Settings
from tests.features.serving import habits
from tests.features.serving.habits import CARD, CUT, DAY, HABIT_ROWS, HABITS, HOUR
from tests.features.serving.server import serving
from tests.features.serving.test_states import put

MINUTE, SECOND = HOUR // 60, 1_000_000
NOON = CUT + 12 * HOUR
PAID = Source(
    name="paid", table="raw.paid", event_id="id", known_at="known",
    columns=(*fields("string", "id card_id"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
)  # fmt: skip
LIVE = FeatureView(
    name="live", entity=CARD, source=PAID, freshness=EventFreshness(lateness="2h", silence="5m"), remember="30d",
    features=flat((count("1h 24h"), sum_("amount", "24h"))),
)  # fmt: skip
CATALOG = Catalog(
    sources=(PAID,), views=(LIVE, HABITS), services=(FeatureService(name="both", views=(LIVE, HABITS)), FeatureService(name="stream", views=(LIVE,)))
)  # fmt: skip
Rows = list[dict[str, Any]]


def row(name: str, happened: int, known: int, amount: int) -> dict[str, Any]:
    return {"id": name, "card_id": "c1", "amount": amount, "event_time": happened, "known": known}


BEFORE: Rows = [row("p1", CUT - 2 * HOUR, CUT - 2 * HOUR + SECOND, 1)]
SINCE: Rows = [
    row("p2", NOON - 30 * MINUTE, NOON - 30 * MINUTE + SECOND, 10),
    row("p3", NOON - 90 * MINUTE, NOON - 90 * MINUTE + SECOND, 100),
]


def clock(settings: Settings, at: int) -> Settings:
    return settings.model_copy(update={"clock": utc(at)})


def pushed(settings: Settings, now: int, rows: Rows, watermark: int | None = None) -> PushResult:
    """By a service whose clock says now."""
    texts = [{**one, **{name: utc(one[name]).isoformat() for name in ("event_time", "known")}} for one in rows]
    return push(clock(settings, now), CATALOG, "paid", texts, watermark)


def of_live(settings: Settings, now: int) -> ViewValues:
    """What a service says of the card, by its clock."""
    with Reader(clock(settings, now), CATALOG) as reader:
        return reader.lookup("stream", [{"card_id": "c1"}]).rows[0].views[0]


def said(settings: Settings, now: int) -> tuple[int, int, int, str, int]:
    """The counts of an hour and a day, the sum, the status and the age."""
    found = of_live(settings, now)
    one, day, total = (found.values[name] for name in ("count_1h", "count_24h", "sum_amount_24h"))
    assert isinstance(one, int)
    assert isinstance(day, int)
    assert isinstance(total, int)
    return one, day, total, found.status, found.age


@pytest.fixture
def settings(either_store: Settings) -> Settings:
    put(either_store, LIVE, BEFORE)
    habits.put(either_store, HABITS, HABIT_ROWS, now=NOON)
    return either_store


@pytest.fixture
def noon(settings: Settings) -> Settings:
    pushed(settings, NOON, SINCE, watermark=NOON)
    return settings


def test_a_right_clock(noon: Settings) -> None:
    assert said(noon, NOON) == (1, 3, 111, "ok", 0)


def test_a_service_an_hour_ahead_gives_its_own_instant_and_says_that_it_is_stale(noon: Settings) -> None:
    assert said(noon, NOON + HOUR) == (0, 3, 111, "stale", HOUR)
    with Reader(clock(noon, NOON + HOUR), CATALOG) as reader:
        (found,) = reader.lookup_features({"habits": ["count_7d"]}, [{"card_id": "c1"}]).rows[0].views
    assert (found.values["count_7d"], found.status, found.age) == (2, "ok", 13 * HOUR)


def test_a_service_an_hour_behind_gives_what_was_known_then(noon: Settings) -> None:
    # At eleven p2 had not happened; p3 had, half an hour before.
    assert said(noon, NOON - HOUR) == (1, 2, 101, "ok", 0)
    # Between two instants of p3: it happened, and nobody knew it.
    assert said(noon, NOON - 90 * MINUTE + SECOND - 1) == (0, 1, 1, "ok", 0)
    assert said(noon, NOON - 90 * MINUTE + SECOND) == (1, 2, 101, "ok", 0)


def test_a_service_whose_clock_is_behind_the_load_says_whose_fault_it_is(noon: Settings) -> None:
    early = clock(noon, CUT + HOUR - 1)
    for service in ("both", "stream"):
        with Reader(early, CATALOG) as reader, pytest.raises(BusyError) as error:
            reader.lookup(service, [{"card_id": "c1"}])
        assert str(error.value).endswith(
            "Nobody asked for that instant: it is this machine's clock, which is behind that of the load. Set it right, or try again then."
        )
    open_ = early.model_copy(
        update={"serving": early.serving.model_copy(update={"auth": "none", "deadline_ms": 60_000})}
    )
    with serving(create_app(open_, CATALOG)) as client:
        found = client.post("/get-online-features", json={"feature_service": "both", "entities": {"card_id": ["c1"]}})
        assert (found.status_code, client.get("/ready").status_code) == (503, 503)
        asked = {"feature_service": "both", "entities": {"card_id": ["c1"]}, "at": utc(NOON).isoformat()}
        assert client.post("/get-online-features", json=asked).status_code == 200


def test_a_service_an_hour_behind_takes_the_generation_of_its_own_instant(noon: Settings) -> None:
    put(noon, LIVE, BEFORE + SINCE, cut=CUT + DAY, now=CUT + DAY)
    there = CUT + DAY + HOUR  # from now on the new cut is valid
    pushed(noon, there, [], watermark=there)
    assert [of_live(noon, at).cut for at in (there - HOUR, there - 1, there)] == [CUT, CUT, CUT + DAY]
    assert [said(noon, at)[:4] for at in (there - HOUR, there - 1, there)] == [(0, 2, 110, "ok"), (0, 2, 110, "ok"), (0, 2, 110, "ok")]  # fmt: skip


def test_a_producer_an_hour_ahead_counts_an_hour_late_and_makes_no_silent_stream_live(noon: Settings) -> None:
    ahead = row("p4", NOON + HOUR, NOON + HOUR, 1000)
    done = pushed(noon, NOON, [ahead])
    assert (done.new, done.refused, done.told) == (1, {}, NOON)
    assert said(noon, NOON) == (1, 3, 111, "ok", 0)
    assert said(noon, NOON + 5 * MINUTE) == (1, 3, 111, "ok", 5 * MINUTE)
    # It said that it has told everything up to one o'clock. Nobody can know that at noon.
    assert said(noon, NOON + 5 * MINUTE + 1) == (1, 3, 111, "stale", 5 * MINUTE + 1)
    pushed(noon, NOON + HOUR, [], watermark=NOON + HOUR)
    assert said(noon, NOON + HOUR) == (0, 3, 111, "ok", 0)  # at one o'clock an event of that instant is not before it
    assert said(noon, NOON + HOUR + 1) == (1, 4, 1111, "ok", 1)


def test_a_producer_an_hour_behind_counts_at_once_and_the_stream_is_as_old_as_it_says(settings: Settings) -> None:
    pushed(settings, NOON, SINCE, watermark=NOON - HOUR)
    assert said(settings, NOON) == (1, 3, 111, "stale", HOUR)
    pushed(settings, NOON, [row("p5", NOON - HOUR, NOON - HOUR, 1000)])  # it happened just now
    assert said(settings, NOON) == (2, 4, 1111, "stale", HOUR)
    pushed(settings, NOON, [], watermark=NOON)  # another producer, whose clock is right, says that it has told all
    assert said(settings, NOON) == (2, 4, 1111, "ok", 0)


def test_a_producer_behind_that_tells_of_a_day_whose_cut_is_loaded_counts_from_the_next_cut_on(noon: Settings) -> None:
    # A quarter to one at night by a right clock: the cut of midnight, which knew nothing of it, claims all that became known before midnight.
    late = row("p6", CUT - 15 * MINUTE, CUT - 15 * MINUTE, 1000)
    assert pushed(noon, CUT + 45 * MINUTE, [late]).new == 1
    assert said(noon, NOON)[:3] == (1, 3, 111)
    put(noon, LIVE, [*BEFORE, *SINCE, late], cut=CUT + DAY, now=CUT + DAY + HOUR)
    pushed(noon, CUT + DAY + HOUR, [], watermark=CUT + DAY + HOUR)
    with Reader(clock(noon, CUT + DAY + HOUR), CATALOG) as reader:
        assert reader.lookup("stream", [{"card_id": "c1"}]).rows[0].views[0].values["sum_amount_24h"] == 110
    assert meant_with(late, CUT + DAY + HOUR) == 110


def meant_with(late: dict[str, Any], at: int) -> Any:
    from tests import oracle

    return oracle.answer(LIVE, {"paid": [*BEFORE, *SINCE, late]}, ("c1",), at).values["sum_amount_24h"]


def test_a_load_whose_clock_is_behind_waits_and_the_old_values_are_said_to_be_old(settings: Settings) -> None:
    nearly = CUT + DAY + HOUR - 1
    with pytest.raises(BusyError, match="Loaded earlier it would be read too early"):
        habits.put(settings, HABITS, HABIT_ROWS, cut=CUT + DAY, now=nearly)
    with Reader(settings, CATALOG) as reader:
        edge = CUT + 2 * DAY + HOUR
        for at, status in ((edge - 1, "ok"), (edge, "stale")):
            (found,) = reader.lookup_features({"habits": ["count_7d"]}, [{"card_id": "c1"}], at).rows[0].views
            assert (found.status, found.cut) == (status, CUT)


def test_a_load_whose_clock_is_ahead_is_refused_by_readers_until_it_is_valid(settings: Settings) -> None:
    # The load believes that it is an hour later, so that plain values are there before they are valid; states wait by themselves.
    valid = CUT + DAY + HOUR
    for view, rows in ((HABITS, HABIT_ROWS),):
        habits.put(settings, view, rows, cut=CUT + DAY, now=valid + MINUTE)
    put(settings, LIVE, BEFORE + SINCE, cut=CUT + DAY, now=valid + MINUTE)
    with Reader(clock(settings, valid - 1), CATALOG) as reader:
        with pytest.raises(BusyError, match="this machine's clock, which is behind that of the load"):
            reader.lookup_features({"habits": ["count_7d"]}, [{"card_id": "c1"}])
        assert reader.lookup("stream", [{"card_id": "c1"}]).rows[0].views[0].cut == CUT
    with Reader(clock(settings, valid), CATALOG) as reader:
        found = reader.lookup("both", [{"card_id": "c1"}]).rows[0].views
    assert [view.cut for view in found] == [CUT + DAY, CUT + DAY]
