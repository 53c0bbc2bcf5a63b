"""A lookup of one entity each that was asked before says what one says that is asked for the first time, whatever happened meanwhile."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from features import Catalog, FeatureView, flat, sum_
from features.serving.push import push
from features.settings import Settings, load
from features.store.heads import Layout
from features.store.keys import entity_key, redis_rows, redis_stamp
from features.store.one_each import Alike, OneEach
from features.store.reads import Answer
from features.store.redis_async import AsyncRedisStore
from features.store.redis_known import Known
from features.store.redis_plain import Asked
from features.store.redis_prepared import Prepared, PreparedLookups
from features.store.redis_shapes import Shape
from features.store.redis_states import NOTHING
from features.store.redis_store import RedisStore
from tests.features.serving import test_states as stated
from tests.features.serving.habits import (
    CARD,
    CUT,
    DAY,
    HABIT_ROWS,
    HABITS,
    HOUR,
    PAYMENTS,
    TILL,
    TILL_ROWS,
    TILLS,
    put,
    rows,
)
from tests.features.serving.test_one_key import NAMES, SUMS

WIDE = FeatureView(
    name="wide", entity=CARD, source=PAYMENTS, features=flat((sum_("amount", " ".join(f"{n}d" for n in range(1, 90))),))
)
"""So many bytes that nobody reads along those of views beside it."""
TILL_LIVE = replace(stated.LIVE, name="till_live", entity=TILL)
FOLLOWED = Catalog(sources=(PAYMENTS,), views=(stated.LIVE, stated.SLIDING, TILL_LIVE), services=())
ROWS = {
    HABITS: HABIT_ROWS,
    WIDE: rows(WIDE, {"card_id": ["c1", "c3"]}, ["ok", "ok"], **{name: [1, None] for name in WIDE.types}),
    SUMS: rows(SUMS, {"card_id": ["c1", "c2"]}, ["ok", "ok"], sum_amount_1d=[-1, 2], sum_amount_7d=[7, 2], mean_amount_1d=[0.5, None]),
    NAMES: rows(NAMES, {"card_id": ["c1", "c2"]}, ["ok", "ok"], name=["Ada", None], opened=[-7, 0]),
    TILLS: TILL_ROWS,
}  # fmt: skip
CHOICES = [
    ("habits",), ("habits", "wide", "sums"), ("habits", "sums"), ("sums",), ("names",), ("names", "habits"), ("tills", "habits"),
    ("habits", "tills", "names", "sums", "wide"), ("sums", "nobody"),
    ("live",), ("sliding", "live"), ("tills", "sliding", "habits"), ("live", "tills", "names", "sliding"), ("live", "never"),
    ("live", "till_live"), ("till_live", "habits", "live"),
]  # fmt: skip
TAILS = {"live": "payments", "sliding": "", "never": "", "till_live": "payments"}
"""Of views of states; of `never` nothing was ever loaded."""
INSTANTS = [CUT + HOUR - 1, CUT + HOUR, CUT + DAY + HOUR - 1, CUT + DAY + HOUR]
"""Before, at and between the instants from which the generations of states are valid."""
ONE_COMMAND = {("habits",), ("habits", "wide", "sums"), ("tills", "habits")}


@pytest.fixture
def filled(tmp_path: Path, redis_url: str) -> Iterator[Settings]:
    settings = load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T02:00:00Z")
    for view, batch in ROWS.items():
        put(settings, view, batch)
    for view in (stated.LIVE, stated.SLIDING, TILL_LIVE):
        put_states(settings, view, CUT)
    put_states(settings, stated.SLIDING, CUT + DAY)
    push(settings, FOLLOWED, "payments", [paid(5, "c1"), paid(6, "c3")])
    yield settings
    store = RedisStore(redis_url)
    store.client.flushdb()
    store.close()


def put_states(settings: Settings, view: FeatureView, cut: int) -> None:
    stated.put(settings, view, stated.BEFORE, cut, cut + HOUR)


def paid(number: int, card: str) -> dict[str, object]:
    return {**stated.paid(number, card, 0), "till_id": 8, "event_time": "2026-01-01T01:30:00Z"}


def asked(views: tuple[str, ...], card: str, till: int, at: int = CUT + HOUR) -> OneEach:
    of_till, of_card = entity_key({"till_id": till}, "int64"), entity_key({"card_id": card}, "string")
    keys = [of_till if view in {"tills", "till_live"} else of_card for view in views]
    each = tuple(dict.fromkeys(keys))
    return OneEach(Alike(views, tuple(each.index(one) for one in keys), tuple(map(TAILS.get, views))), each, at)


def own(questions: OneEach, answers: Sequence[Answer]) -> list[Answer]:
    """With the tails of each question's own entity alone: others that were asked for may come with them."""
    return [
        answer._replace(tails={key: answer.tails[key] for key in question.keys if key in answer.tails})
        for question, answer in zip(questions, answers, strict=True)
    ]


def fresh(url: str, questions: OneEach) -> list[Answer]:
    """As whoever never asked before is answered."""
    store = RedisStore(url)
    found = own(questions, store.ask(list(questions)))
    store.close()
    return found


def calls(store: RedisStore, command: str) -> int:
    return int(store.client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.mark.services
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("views", CHOICES)
def test_an_entity_after_another_is_answered_as_if_it_were_the_first(redis_url: str, views: tuple[str, ...]) -> None:
    store = RedisStore(redis_url)
    store.ask(asked(views, "c1", 8))
    store.ask(asked(views, "c1", 8))
    before = {command: calls(store, command) for command in ("hgetall", "exec", "mget")}
    each = list(product(("c1", "c2", "c3", "nobody"), (-7, 8, 9)))  # of states all of one instant
    found = [list(store.ask(asked(views, *one))) for one in each]
    after = {command: calls(store, command) - count for command, count in before.items()}
    assert found == [fresh(redis_url, asked(views, *one)) for one in each]
    assert after["hgetall"] == 0
    if views in ONE_COMMAND:
        assert (after["exec"], after["mget"]) == (0, len(each))
    else:
        assert after["exec"] == len(each)
    store.close()


@pytest.mark.services
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("views", [("sliding",), ("habits", "live", "sliding"), ("never", "sliding")])
def test_each_instant_is_answered_from_its_generations(redis_url: str, views: tuple[str, ...]) -> None:
    store = RedisStore(redis_url)
    for at in INSTANTS + INSTANTS[::-1]:
        for card in ("c1", "c2", "c1"):
            questions = asked(views, card, 8, at)
            assert list(store.ask(questions)) == fresh(redis_url, questions)
    heads = [store.ask(asked(("sliding",), "c1", 8, at))[0].head for at in INSTANTS]
    assert [head and head.cut for head in heads] == [CUT, CUT, CUT, CUT + DAY]
    store.close()


@pytest.mark.services
@pytest.mark.parametrize("views", [("live",), ("habits", "sliding", "live")])
def test_pushed_events_and_watermarks_are_seen_at_once(
    filled: Settings, redis_url: str, views: tuple[str, ...]
) -> None:
    store, questions = RedisStore(redis_url), asked(views, "c2", 8)
    before = [list(store.ask(questions)) for _ in range(3)]
    push(filled, FOLLOWED, "payments", [paid(7, "c2")], watermark=CUT + 2 * HOUR)
    after = [list(store.ask(questions)) for _ in range(3)]
    assert after == [fresh(redis_url, questions)] * 3
    live = views.index("live")
    assert (before[2][live].tails, len(after[0][live].tails), after[0][live].watermark) == ({}, 1, CUT + 2 * HOUR)
    store.close()


def load_anew(settings: Settings, _: RedisStore) -> None:
    put(settings, HABITS, HABIT_ROWS.slice(1), cut=CUT + HOUR)


def states_anew(settings: Settings, _: RedisStore) -> None:
    put_states(settings, stated.LIVE, CUT + HOUR)


def rolled_back(_: Settings, store: RedisStore) -> None:
    store.roll_back("live", 1)


def row_gone(_: Settings, store: RedisStore) -> None:
    store.client.delete(redis_rows(entity_key({"card_id": "c1"}, "string")))


def stamp_by_hand(_: Settings, store: RedisStore) -> None:
    store.client.delete(redis_stamp())
    store.client.set(redis_stamp(), b"by hand")


CHANGES: list[tuple[Callable[[Settings, RedisStore], object], set[str]]] = [
    (load_anew, {"habits"}), (states_anew, {"live"}), (rolled_back, {"live"}), (row_gone, {"habits", "sums"}), (stamp_by_hand, set()),
    (lambda _, store: store.forget("habits"), {"habits"}), (lambda _, store: store.forget("sums"), {"sums"}), (lambda _, store: store.forget("live"), {"live"}),
    (lambda _, store: store.clear(), {"habits", "sums", "live"}), (lambda _, store: store.client.delete(redis_stamp()), set()),
]  # fmt: skip
"""And the views of which something else is said then."""


@pytest.mark.services
@pytest.mark.parametrize(("change", "changed"), CHANGES)
@pytest.mark.parametrize(
    "views", [("habits", "wide", "sums"), ("habits", "sums"), ("live",), ("habits", "live", "sums")]
)
def test_the_next_lookup_sees_what_changed(
    filled: Settings,
    redis_url: str,
    change: Callable[[Settings, RedisStore], object],
    changed: set[str],
    views: tuple[str, ...],
) -> None:
    reader, writer, questions = RedisStore(redis_url), RedisStore(redis_url), asked(views, "c1", 8, CUT + 2 * HOUR)
    before = [list(reader.ask(questions)) for _ in range(3)]
    assert before == [fresh(redis_url, questions)] * 3
    change(filled, writer)
    after = [list(reader.ask(questions)) for _ in range(3)]
    assert after == [fresh(redis_url, questions)] * 3
    assert (after[0] != before[0]) == bool(changed & {*views})


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_the_event_loops_reader_says_the_same(redis_url: str) -> None:
    async def ask() -> None:
        store = AsyncRedisStore(redis_url)
        for views in CHOICES:
            some = [asked(views, card, till) for card in ("c1", "c2", "nobody") for till in (-7, 9)] * 3
            one_by_one = [own(questions, await store.ask(questions)) for questions in some]
            assert one_by_one == [fresh(redis_url, questions) for questions in some]
            together = await asyncio.gather(*map(store.ask, some))
            assert [own(*each) for each in zip(some, together, strict=True)] == one_by_one
        store.close()

    asyncio.run(ask())


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_each_load_is_seen_by_the_next_lookup(redis_url: str) -> None:
    reader, questions = RedisStore(redis_url), asked(("habits", "sums", "wide"), "c1", 8)
    for number in range(2, 12):
        with RedisStore(redis_url).loading(Layout.of(HABITS, CUT), CUT + HOUR) as load_:
            load_.begin()
            load_.end(written=2, removed=0)
        for _ in range(3):
            head = reader.ask(questions)[0].head
            assert head is not None
            assert head.generation == number


ALIKE = Alike(("a", "b"), (0, 1), (None, None))
ASKED = OneEach(ALIKE, (b"x", b"y"), 0)
PLAIN = Asked(
    range(2), (), Shape.of({}, (), (), one_by_one=False), surely=True, entities=[(b"x",), (b"y",)], one=[b"x", b"y"]
)


def test_it_is_prepared_only_under_the_records_that_it_was_asked_under(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups, known = PreparedLookups(), Known(ends=100.0)
    monkeypatch.setattr("time.monotonic", lambda: 99.0)
    assert lookups.of(ASKED, known) is None
    lookups.remember(ASKED, known, PLAIN, NOTHING)
    assert lookups.of(ASKED, known) == Prepared.of(known, (b"x", b"y"), PLAIN, NOTHING)
    assert lookups.of(OneEach(Alike(("a", "b"), (0, 0), (None, None)), (b"x",), 0), known) is None
    assert lookups.of(OneEach(Alike(("a", "b"), (0, 1), (None, "")), (b"x", b"y"), 0), known) is None
    assert lookups.of(ASKED, Known(ends=100.0)) is None
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    assert lookups.of(ASKED, known) is None


def test_entities_that_are_the_same_prepare_nothing() -> None:
    """Their questions came together, so that the next entities have other places."""
    lookups, known = PreparedLookups(), Known(ends=float("inf"))
    alike = OneEach(ALIKE, (b"x", b"x"), 0)
    lookups.remember(alike, known, PLAIN._replace(one=[b"x"]), NOTHING)
    assert lookups.of(alike, known) is None
    lookups.remember(ASKED, known, PLAIN._replace(one=None), NOTHING)
    assert lookups.of(ASKED, known) is None
