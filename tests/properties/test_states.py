"""A lookup from a state gives what the oracle counts from all that is known at the instant."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    first,
    flat,
    last,
    max_,
    min_,
    sum_,
    time_since_first,
    time_since_last,
)
from features.values.state import beside, finish, merging, pack
from features.values.state.plan import Span
from tests import states
from tests.properties.agreement import agree, expected
from tests.properties.drawing import drawn
from tests.states import kept_cases, looked_up
from tests.strategies import NO_HEALTH_CHECK, Case, attribute_cases

QUICK = settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)


def differences(case: Case) -> list[str]:
    """A line for each value or status that is not the oracle's."""
    found: list[str] = []
    types = case.view.types
    for (key, t), got, meant in zip(case.asks, looked_up(case), expected(case), strict=True):
        if got.status != meant.status:
            found.append(f"{key} at {t}: status {got.status}, meant {meant.status}")
        for name, value in meant.values.items():
            if not agree(case, types[name], name, key, t, got.values[name], value):
                found.append(f"{key} at {t}: {name} is {got.values[name]!r}, meant {value!r}")
    return found


@QUICK
@given(kept_cases())
def test_a_lookup_from_a_state_is_the_oracles(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=30)
@given(kept_cases(of_course=True))
def test_courses_from_a_state_are_the_oracles(case: Case) -> None:
    assert differences(case) == []


@settings(QUICK, max_examples=30)
@given(attribute_cases().filter(lambda case: case.view.stateful))
def test_attributes_from_a_state_are_the_oracles(case: Case) -> None:
    assert differences(case) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(QUICK, max_examples=400)
@given(kept_cases())
def test_a_lookup_from_a_state_is_the_oracles_at_length(case: Case) -> None:
    assert differences(case) == []


SECOND = 1_000_000
CARD = Entity(name="card", keys=("card",))
SALES = Source(
    name="s", table="raw.s", event_id="id", known_at="known",
    columns=(*fields("string", "id card shop"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
)  # fmt: skip
WEIGHED = replace(SALES, columns=(*SALES.columns, *fields("float64", "weight")))
LIVE = FeatureView(
    name="v", entity=CARD, source=SALES, freshness=EventFreshness(cuts=Schedule(period="10s", publish_lag="0")), remember="1d",
    features=flat((count("1m"), sum_("amount", "1m"), max_("amount", "1m"), distinct("shop", "1m", limit=1), time_since_last("1m"))),
)  # fmt: skip


@pytest.mark.parametrize("at", [10, 11, 12, 15, 19])
def test_an_event_of_the_future_outdoes_none_before_its_time(at: int) -> None:
    rows = [
        {
            "id": f"{n}",
            "card": "c",
            "shop": f"s{n}",
            "amount": amount,
            "event_time": when * SECOND,
            "known": known * SECOND,
        }
        for n, (when, known, amount) in enumerate([(3, 4, 5), (8, 8, 1), (12, 9, 7), (15, 9, 9)])
    ]
    case = Case(view=LIVE, raw={"s": rows}, asks=[(("c",), at * SECOND), (("c",), at * SECOND + 1)])
    assert differences(case) == []


@pytest.mark.parametrize(
    "window",
    [Window("20s", step="5s"), Window("20s", step="exact"), Window("20s", "5s", "5s"), Window("40s", step="15s")],
)
def test_windows_of_lookups_begin_where_those_of_no_cut_do(window: Window) -> None:
    """Cuts lie 20 s apart, so that a tile of cuts holds rows that lookups tell apart."""
    made = flat(
        (
            first("amount", window),
            max_("weight", window),
            min_("weight", window),
            time_since_first(window),
            last("shop", window),
        )
    )
    view = replace(
        LIVE, source=WEIGHED, features=made, freshness=EventFreshness(cuts=Schedule(period="20s", publish_lag="0"))
    )
    rows = [
        {"id": f"{n}", "card": "c", "shop": f"s{n}", "amount": n, "weight": float(7 * n % 5), "event_time": n * SECOND, "known": n * SECOND}
        for n in range(0, 40, 2)
    ]  # fmt: skip
    asks = [(("c",), at * SECOND + beside) for at in range(40, 80) for beside in (-1, 0, 1)]
    assert differences(Case(view=view, raw={"s": rows}, asks=asks)) == []


MANY = replace(
    LIVE,
    freshness=EventFreshness(cuts=Schedule(period="10s", publish_lag="2s")),
    features=flat((distinct("amount", "20s 1m", limit=50), distinct("shop", "20s", limit=3), count("1m"))),
)
AMOUNTS = st.sampled_from([1, 90, 1 << 7, 1 << 13, 1 << 20, 1 << 27, 1 << 34, 1 << 62]).flatmap(
    lambda most: st.integers(-1 if most > 1 << 40 else 0, most)
)


@settings(QUICK, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 45), st.integers(-15, 15), AMOUNTS, st.booleans()), min_size=12, max_size=40
    ),
    st.lists(st.integers(10, 60), min_size=1, max_size=8),
)  # fmt: skip
def test_different_values_are_the_oracles_whether_they_are_read_or_only_counted(
    events: list[tuple[int, int, int, bool]], instants: list[int]
) -> None:
    """Of long lists, with events since the cut, of the future, and values that come again; the same amount often, or never."""
    rows = [
        {
            "id": f"{n}",
            "card": "c",
            "shop": f"s{amount % 5}",
            "amount": events[n - 1][2] if again and n else amount,
            "event_time": max(0, known + later) * SECOND,
            "known": known * SECOND,
        }
        for n, (known, later, amount, again) in enumerate(events)
    ]
    asks = [(("c",), at * SECOND + beside) for at in instants for beside in (-1, 0)]
    assert differences(Case(view=MANY, raw={"s": rows}, asks=asks)) == []


@pytest.mark.parametrize("fresh", [1, 63, 64, 65, 110])
def test_different_values_beside_a_state_are_the_oracles_however_many_came(fresh: int) -> None:
    """A few are compared with those of the state, many are sorted with them; some are the state's, some come again."""
    times = [n * SECOND // 2 for n in range(20)] + [10 * SECOND + n * SECOND // 10 for n in range(fresh)]
    rows = [
        {"id": f"{n}", "card": "c", "shop": f"s{n % 7}", "amount": n * n % 45, "event_time": at, "known": at}
        for n, at in enumerate(times)
    ]
    asks = [(("c",), at * SECOND // 10) for at in range(125, 220, 5)]
    assert differences(Case(view=MANY, raw={"s": rows}, asks=asks)) == []


CHUNK, CHUNKS = 40, 8


def upper_edges_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Events of the future, and those that an offset keeps out, become one with those that count."""
    right = merging.zones
    patch.setattr(merging, "zones", lambda *given: right(*given)[::2])


def edges_stand_still(patch: pytest.MonkeyPatch) -> None:
    """As if windows never moved on."""
    right = merging.zones

    def wrong(windows: Any, span: Span, remember: int) -> Any:
        return right(windows, Span(begin=span.begin, end=span.begin), remember)

    patch.setattr(merging, "zones", wrong)


def the_base_knows_the_tail(patch: pytest.MonkeyPatch) -> None:
    """What became known at the cut itself is in both."""
    right = finish.finish

    def wrong(view: Any, cut: int, held: Any, asks: Any, tail: Any, request: Any) -> Any:
        return right(view, cut, held, asks, None if tail is None else beside.joined(tail, tail), request)

    patch.setattr(states, "finish", wrong)


def what_waits_is_lost(patch: pytest.MonkeyPatch) -> None:
    right = pack._block
    patch.setattr(
        pack,
        "_block",
        lambda names, line, chosen: right(names, line, chosen & (line.since <= line.time.max(initial=0))),
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "mutant",
    [
        upper_edges_are_forgotten, edges_stand_still, the_base_knows_the_tail, what_waits_is_lost,
    ],
)  # fmt: skip
def test_a_wrong_state_is_told_from_the_right_one(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(differences(case) for number in range(CHUNKS) for case in drawn(kept_cases, number, CHUNK))
