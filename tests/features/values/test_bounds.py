"""No key's state is larger than its view's bound says, however many events the key has; what is not bounded is named."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features import (
    Entity,
    EventFreshness,
    FeatureView,
    Schedule,
    Source,
    Window,
    count,
    distinct,
    fields,
    flat,
    last,
    max_,
    mean,
    min_,
    std,
    sum_,
    time_since_last,
)
from features.definitions.durations import DAY
from features.values.state.bounds import Bound, bound_of
from features.values.state.pack import pack
from features.values.timeline import Rows, timeline

CARD = Entity(name="card", keys=("card",))
SALES = Source(
    name="s", table="raw.s", event_id="id", known_at="known",
    columns=(*fields("string", "id card shop"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
)  # fmt: skip
OVER = "1m 1h 24h 7d 90d ever"
VIEW = FeatureView(
    name="v", entity=CARD, source=SALES, freshness=EventFreshness(),
    features=flat((
        count(OVER), sum_("amount", OVER), std("amount", OVER), max_("amount", OVER), min_("amount", Window("7d", offset="1d")), distinct("shop", OVER, limit=500),
        time_since_last("90d"),
    )),
)  # fmt: skip
CUT = 20_454 * DAY


def whale(view: FeatureView, events: int) -> bytes:
    """The state of a key with so many events in a hundred days, all amounts and shops different."""
    draw = np.random.default_rng(3)
    time = np.sort(draw.integers(CUT - 100 * DAY, CUT, events))
    columns = {
        "amount": pa.array(draw.integers(-(2**62), 2**62, events)), "shop": pa.array([f"s{n}" for n in range(events)]), "id": pa.array([f"{n:09}" for n in range(events)]),
    }  # fmt: skip
    rows = Rows(
        key=np.zeros(events, np.int64), time=time, known=time, retract=np.zeros(events, bool), undoes=np.zeros(events, np.int64),
        first=np.ones(events, bool), columns={name: columns[name] for name in view.reads(view.source) if name in columns},
    )  # fmt: skip
    (state,) = pack(view, {"s": timeline(rows, view.source, view.freshness)}, 1, CUT).to_pylist()
    assert isinstance(state, bytes)
    return state


def test_a_whale_stays_below_the_bound_and_ten_times_the_events_change_little() -> None:
    bound = bound_of(VIEW)
    assert bound.grows == ()
    small, large = len(whale(VIEW, 30_000)), len(whale(VIEW, 300_000))
    assert bound.bytes / 8 < large <= bound.bytes
    assert large < 1.3 * small


@pytest.mark.parametrize(("lag", "of_a_day", "of_a_week"), [("0", 48, 8), ("1h", 46, 8)])
def test_the_bound_follows_windows_and_horizon(lag: str, of_a_day: int, of_a_week: int) -> None:
    """The lower edge moves in steps, of half an hour and of three hours, as long as the state serves, and up to the cut; and one row is the newest."""
    fresh = EventFreshness(cuts=Schedule(publish_lag=lag))
    view = replace(VIEW, freshness=fresh, features=count("24h"))
    assert bound_of(view).rows == 1 + of_a_day + 2
    assert bound_of(replace(view, features=count("7d"), horizon="1d")).rows == 1 + of_a_week + 2
    assert len(whale(view, 50_000)) <= bound_of(view).bytes


def test_what_grows_with_events_is_named() -> None:
    views = replace(
        VIEW, features=flat((count("7d"), last("amount", "7d"), mean("amount", Window("7d", step="exact"))))
    )
    assert bound_of(views).grows == ("last_amount_7d", "mean_amount_7d")
    assert len(whale(views, 100_000)) > bound_of(views).bytes


def test_windows_that_nothing_known_can_lie_in_hold_nothing() -> None:
    view = replace(VIEW, features=count("1m"), freshness=EventFreshness())
    assert bound_of(view) == Bound(rows=1, bytes=bound_of(view).bytes, grows=())
    assert len(whale(view, 10_000)) <= bound_of(view).bytes
