"""A lookup of one entity each that was asked before says what one says that is asked for the first time, whatever happened meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from features import FeatureView, flat, sum_
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
from features.store.redis_store import RedisStore
from tests.features.serving.habits import CARD, CUT, HABIT_ROWS, HABITS, HOUR, PAYMENTS, TILL_ROWS, TILLS, put, rows
from tests.features.serving.test_one_key import NAMES, SUMS

WIDE = FeatureView(
    name="wide", entity=CARD, source=PAYMENTS, features=flat((sum_("amount", " ".join(f"{n}d" for n in range(1, 90))),))
)
"""So many bytes that nobody reads along those of views beside it."""
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
]  # fmt: skip
ONE_COMMAND = {("habits",), ("habits", "wide", "sums"), ("tills", "habits")}


@pytest.fixture
def filled(tmp_path: Path, redis_url: str) -> Iterator[Settings]:
    settings = load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T02:00:00Z")
    for view, batch in ROWS.items():
        put(settings, view, batch)
    yield settings
    store = RedisStore(redis_url)
    store.client.flushdb()
    store.close()


def asked(views: tuple[str, ...], card: str, till: int) -> OneEach:
    entities = {"tills": entity_key({"till_id": till}, "int64")}
    own = [entities.get(view, entity_key({"card_id": card}, "string")) for view in views]
    each = tuple(dict.fromkeys(own))
    return OneEach(Alike(views, tuple(each.index(one) for one in own)), each)


def fresh(url: str, questions: OneEach) -> list[Answer]:
    """As whoever never asked before is answered."""
    store = RedisStore(url)
    found = list(store.ask(list(questions)))
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
    each = list(product(("c1", "c2", "c3", "nobody"), (-7, 8, 9)))
    found = [list(store.ask(asked(views, *one))) for one in each]
    after = {command: calls(store, command) - count for command, count in before.items()}
    assert found == [fresh(redis_url, asked(views, *one)) for one in each]
    assert after["hgetall"] == 0
    if views in ONE_COMMAND:
        assert (after["exec"], after["mget"]) == (0, len(each))
    else:
        assert after["exec"] == len(each)
    store.close()


def load_anew(settings: Settings, _: RedisStore) -> None:
    put(settings, HABITS, HABIT_ROWS.slice(1), cut=CUT + HOUR)


def row_gone(_: Settings, store: RedisStore) -> None:
    store.client.delete(redis_rows(entity_key({"card_id": "c1"}, "string")))


def stamp_by_hand(_: Settings, store: RedisStore) -> None:
    store.client.delete(redis_stamp())
    store.client.set(redis_stamp(), b"by hand")


CHANGES: list[Callable[[Settings, RedisStore], object]] = [
    load_anew, row_gone, stamp_by_hand, lambda _, store: store.forget("habits"), lambda _, store: store.forget("sums"), lambda _, store: store.clear(),
    lambda _, store: store.client.delete(redis_stamp()),
]  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("views", [("habits", "wide", "sums"), ("habits", "sums")])
def test_the_next_lookup_sees_what_changed(
    filled: Settings, redis_url: str, change: Callable[[Settings, RedisStore], object], views: tuple[str, ...]
) -> None:
    reader, writer, questions = RedisStore(redis_url), RedisStore(redis_url), asked(views, "c1", 8)
    before = [list(reader.ask(questions)) for _ in range(3)]
    assert before == [fresh(redis_url, questions)] * 3
    change(filled, writer)
    after = [list(reader.ask(questions)) for _ in range(3)]
    assert after == [fresh(redis_url, questions)] * 3
    assert (after[0] == before[0]) == (change in (stamp_by_hand, CHANGES[-1]))


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_the_event_loops_reader_says_the_same(redis_url: str) -> None:
    async def ask() -> None:
        store = AsyncRedisStore(redis_url)
        for views in CHOICES:
            some = [asked(views, card, till) for card in ("c1", "c2", "nobody") for till in (-7, 9)] * 3
            one_by_one = [list(await store.ask(questions)) for questions in some]
            assert one_by_one == [fresh(redis_url, questions) for questions in some]
            assert [list(found) for found in await asyncio.gather(*map(store.ask, some))] == one_by_one
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


ALIKE = Alike(("a", "b"), (0, 1))
SHAPE = Shape.of({}, (), (), one_by_one=False)


def plain(entities: tuple[bytes, ...]) -> Asked:
    return Asked(range(2), (), SHAPE, surely=True, entities=[(one,) for one in entities], one=entities)


def test_it_is_prepared_only_under_the_records_that_it_was_asked_under(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups, known = PreparedLookups(), Known(ends=100.0)
    monkeypatch.setattr("time.monotonic", lambda: 99.0)
    assert lookups.of(ALIKE, known) is None
    lookups.remember(OneEach(ALIKE, (b"x", b"y")), known, plain((b"x", b"y")))
    assert lookups.of(ALIKE, known) == Prepared.of(known, SHAPE, range(2))
    assert lookups.of(Alike(("a", "b"), (0, 0)), known) is None
    assert lookups.of(ALIKE, Known(ends=100.0)) is None
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    assert lookups.of(ALIKE, known) is None


def test_entities_that_are_the_same_prepare_nothing() -> None:
    """Their questions came together, so that the next entities have other places."""
    lookups, known = PreparedLookups(), Known(ends=float("inf"))
    lookups.remember(OneEach(ALIKE, (b"x", b"x")), known, plain((b"x",)))
    assert lookups.of(ALIKE, known) is None
    lookups.remember(OneEach(ALIKE, (b"x", b"x")), known, plain((b"x",))._replace(one=None))
    assert lookups.of(ALIKE, known) is None
