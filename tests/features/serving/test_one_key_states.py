"""A lookup of one key from states says what a lookup that goes view by view says, whatever lies in the store and whenever it is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import (
    EventFreshness,
    FeatureView,
    Field,
    Schedule,
    count,
    difference,
    distinct,
    flat,
    max_,
    mean,
    std,
    sum_,
    time_since_last,
)
from features.errors import AsofError
from features.serving.one_key import OneKey
from features.serving.push import push
from features.serving.reader import Chosen
from features.serving.served import Served
from features.settings import load
from features.store.heads import Head
from features.store.reads import Answer
from features.store.sqlite_store import SqliteStore
from features.store.together import Strings, Together
from tests.features.serving import habits
from tests.features.serving import test_states as stated
from tests.features.serving.habits import CARD, CUT, DAY, HABIT_ROWS, HABITS, HOUR, PAYMENTS

CLEARED = replace(
    PAYMENTS, name="cleared", known_at="cleared", columns=(*PAYMENTS.columns, Field(name="cleared", type="timestamp"))
)
WAITING = FeatureView(
    name="waiting", entity=CARD, source=CLEARED, remember="30d", features=flat((count("1h 24h"),)),
    freshness=EventFreshness(lag="5s", lateness="1m", cuts=Schedule(period="1d", publish_lag="0")),
)  # fmt: skip
"""Its state of c1 holds a row that counts from three seconds after the cut on."""
SELF = FeatureView(
    name="self", entity=CARD, source=PAYMENTS, freshness=EventFreshness(lateness="2h"), remember="30d", request=("id",), include_self=True,
    features=flat((count("24h"),)),
)  # fmt: skip
COUNTED = FeatureView(
    name="counted", entity=CARD, source=PAYMENTS, freshness=EventFreshness(lateness="2h"), remember="30d",
    features=flat((mean("amount", "24h"), count("1h 24h 7d"), sum_("amount", "24h"), std("amount", "7d"), max_("amount", "24h"),
                   distinct("shop", "24h", limit=1), time_since_last("24h"))),
)  # fmt: skip
DERIVED = replace(COUNTED, name="derived", features=(*COUNTED.features, difference("count_24h", "count_1h")))
VIEWS = {view.name: view for view in (COUNTED, DERIVED, HABITS, stated.LIVE, SELF, stated.SLIDING, WAITING)}
CHOICES = [
    ("counted",),
    ("sliding", "counted"),
    ("counted", "habits", "sliding"),
    ("counted", "live"),
    ("derived", "sliding"),
    ("waiting",),
    ("waiting", "counted"),
    ("self",),
]
CARDS = ("c1", "c2", "c3", "nobody")
HORIZON = 31 * DAY
SECOND = HOUR // 3600
INSTANTS = (
    [CUT + 2 * SECOND, CUT + 3 * SECOND]
    + [CUT + hours * HOUR + more for hours in (0, 1, 2, 3, 24, 26) for more in (-1, 0, 1)]
    + [CUT + HORIZON + DAY]
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Answer]:
    """What a store says of each view and card: of the first one events came since the cut, the last it never saw."""
    settings = load(home=tmp_path_factory.mktemp("home"), clock="2026-01-01T02:00:00Z")
    for view in VIEWS.values():
        if view is WAITING:
            stated.put(settings, view, [stated.paid(8, "c1", CUT - 3 * SECOND) | {"cleared": CUT - 2 * SECOND}])
        elif view.stateful:
            stated.put(settings, view, stated.BEFORE)
    habits.put(settings, HABITS, HABIT_ROWS)
    since = [{**stated.paid(5, "c1", 0), "event_time": "2026-01-01T01:30:00Z"}]
    push(settings, stated.CATALOG, "payments", since)
    store = SqliteStore(settings.online_db)
    found = {(name, card): answer for name in VIEWS for card in CARDS for answer in store.ask(asked([name], card))}
    store.close()
    return found


def asked(names: Sequence[str], card: str) -> Sequence[Any]:
    chosen = Chosen("", [(Served(VIEWS[name]), ()) for name in names])
    return chosen.lookup([keyed(names, card)], CUT + 2 * HOUR, is_now=False).questions


def keyed(names: Sequence[str], card: str) -> dict[str, object]:
    return {"card_id": card, **({"id": "p9"} if "self" in names else {})}


def together(found: Sequence[Answer]) -> Together:
    return Together((), (), Strings((), (), (), ()), {}, dict(enumerate(found)))


def said(chosen: Chosen, key: dict[str, object], found: Sequence[Answer], at: int) -> object:
    """All that a lookup says, or its error."""
    lookup = chosen.lookup([key], at, is_now=False)
    try:
        return chosen.result("all", lookup, found).rows
    except AsofError as error:
        return type(error), str(error)


def later(head: Head | None) -> Head | None:
    return head and replace(head, cut=head.cut + DAY, valid_from=head.valid_from + DAY)


def damaged(states: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """One byte turns."""
    return {key: state and state[:-3] + bytes([state[-3] ^ 64]) + state[-2:] for key, state in states.items()}


CHANGES: dict[str, Callable[[Answer], Answer]] = {
    "as usual": lambda answer: answer,
    "later cut": lambda answer: answer._replace(head=later(answer.head)),
    "another definition": lambda answer: answer._replace(head=answer.head and replace(answer.head, definition="other")),
    "never loaded": lambda _: Answer(None),
    "damaged": lambda answer: answer._replace(states=damaged(answer.states)),
    "silent": lambda answer: answer._replace(watermark=CUT - DAY),
    "told": lambda answer: answer._replace(watermark=CUT + 3 * HOUR),
}
HOW = st.just("as usual") | st.sampled_from(list(CHANGES))
ASKED = st.tuples(st.sampled_from(CARDS), st.sampled_from(INSTANTS), st.lists(HOW, min_size=3, max_size=3))


@given(st.sampled_from(CHOICES), st.lists(ASKED, min_size=1, max_size=5), st.integers(1, 9), st.randoms())
def test_of_one_key_is_said_what_is_said_view_by_view(
    answers: dict[tuple[str, str], Answer],
    names: tuple[str, ...],
    asks: list[tuple[str, int, list[str]]],
    some: int,
    random: Any,
) -> None:
    """One after the other by the same choice, so that what was remembered of the one before is not said of the next."""
    own = [random.sample(list(VIEWS[name].types), len(VIEWS[name].types))[:some] for name in names]
    chosen = Chosen("service 'all'", [(Served(VIEWS[name]), one) for name, one in zip(names, own, strict=True)])
    for card, at, how in asks:
        found = [CHANGES[one](answers[name, card]) for name, one in zip(names, how, strict=False)]
        key = keyed(names, card)
        assert repr(said(chosen, key, together(found), at)) == repr(said(chosen, key, found, at))


def test_a_row_that_waits_in_a_state_counts_from_its_instant_on(answers: dict[tuple[str, str], Answer]) -> None:
    chosen = Chosen("service 'all'", [(Served(WAITING), ("count_1h",))])
    found = together([answers["waiting", "c1"]])
    for at, count_ in ((CUT + 2 * SECOND, 0), (CUT + 3 * SECOND, 1)):
        (row,) = chosen.result("all", chosen.lookup([{"card_id": "c1"}], at, is_now=False), found).rows
        assert row.values == {"waiting__count_1h": count_}


def test_an_ask_that_counts_is_counted(answers: dict[tuple[str, str], Answer]) -> None:
    chosen, at = Chosen("service 'all'", [(Served(SELF), ("count_24h",))]), CUT + 2 * HOUR
    lookup = chosen.lookup([keyed(("self",), "c2")], at, is_now=False)
    (row,) = chosen.result("all", lookup, together([answers["self", "c2"]])).rows
    assert row.values == {"self__count_24h": 2}


@pytest.mark.parametrize(("card", "status"), [("c1", "ok"), ("c2", "ok"), ("nobody", "never_seen")])
def test_usual_states_are_finished_as_one(
    answers: dict[tuple[str, str], Answer], monkeypatch: pytest.MonkeyPatch, card: str, status: str
) -> None:
    """And say their cut and age."""
    monkeypatch.setattr("features.serving.one_key.answered", None)
    names, at = ("sliding", "counted"), CUT + HOUR + 7
    one = OneKey([(Served(VIEWS[name]), tuple(VIEWS[name].types)) for name in names])
    found = [answers[name, card] for name in names]
    keys = [question.keys for question in asked(names, card)]
    told = found[1].watermark
    assert told is not None
    sliding, counted = one.columns(keys, together(found), at, {})
    assert (sliding.statuses, sliding.cuts, sliding.ages) == ((status,), (CUT,), (at - CUT,))
    assert (counted.statuses, counted.cuts, counted.ages) == ((status,), (CUT,), (max(0, at - told),))
