"""Long tails are folded into blocks: the same values before, while and after, whoever pushes meanwhile and wherever a fold is killed."""

import multiprocessing
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples

from features import Catalog, EventFreshness
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import Settings, load
from features.store.keys import entity_key, redis_tail
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store
from tests import oracle
from tests.features.serving.habits import CUT, HOUR
from tests.features.serving.test_clocks import BEFORE, CATALOG, LIVE, PAID, clock, row
from tests.features.serving.test_states import _as_ingested, _iso, _one_a_version, _schema, put
from tests.jobs.killed_loads import door
from tests.properties.agreement import agree
from tests.states import kept_cases
from tests.strategies import NO_HEALTH_CHECK, Case

SECOND = 1_000_000
NOW = CUT + 12 * HOUR
INSTANTS = (CUT + HOUR + 1, CUT + 2 * HOUR, CUT + 3 * HOUR + 7, NOW)
Rows = list[dict[str, Any]]
DRAW = random.Random(7)  # noqa: S311 - orders and moments, no secrets


@pytest.fixture
def settings(either_store: Settings) -> Settings:
    put(either_store, LIVE, BEFORE)
    return clock(either_store, NOW)


def card_key(card: str) -> bytes:
    return entity_key({"card_id": card}, "string")


def pushed(settings: Settings, rows: Rows) -> int:
    texts = [{**one, **{name: _iso(one[name]) for name in ("event_time", "known")}} for one in rows]
    return push(settings, CATALOG, "paid", texts).new


def folded(settings: Settings, *cards: str, bound: int = 0) -> int:
    store = open_store(settings, writable=True)
    try:
        return store.fold(PAID, [card_key(card) for card in cards], bound)
    finally:
        store.close()


def fields(settings: Settings, card: str) -> int:
    """How many values a lookup reads of its tail."""
    store = open_store(settings, writable=False)
    try:
        if isinstance(store, RedisStore):
            return int(store.client.hlen(redis_tail(card_key(card), "paid")))
        found = store._db.execute("SELECT count(*) FROM asof_tails WHERE entity_key = ?", (card_key(card),)).fetchone()
        return int(found[0])
    finally:
        store.close()


def said(settings: Settings, *cards: str) -> list[Mapping[str, Any]]:
    with Reader(settings, CATALOG) as reader:
        keys = [{"card_id": card} for card in cards]
        return [row.values for at in INSTANTS for row in reader.lookup("stream", keys, at).rows]


def meant(rows: Rows, *cards: str) -> list[Mapping[str, Any]]:
    """By the oracle, of the rows that count."""
    found = [oracle.answer(LIVE, {"paid": [*BEFORE, *rows]}, (card,), at).values for at in INSTANTS for card in cards]
    return [{f"live__{name}": value for name, value in values.items()} for values in found]


def many(count: int, card: str = "c1") -> Rows:
    made = []
    for n in range(count):
        happened = CUT + HOUR + n * 7_003_001 % (2 * HOUR)
        made.append({**row(f"{card} {n}", happened, happened + n % 9 * SECOND, n), "card_id": card})
    return made


def test_a_folded_tail_gives_the_same_values_in_a_few_fields(settings: Settings) -> None:
    rows = many(300) + many(20, "c2")
    DRAW.shuffle(rows)
    assert pushed(settings, rows) == 320
    before = said(settings, "c1", "c2", "c3")
    assert before == meant(rows, "c1", "c2", "c3")
    assert folded(settings, "c1", "c2", "c3", bound=20) == 300
    assert (fields(settings, "c1"), fields(settings, "c2")) == (1, 20)
    assert said(settings, "c1", "c2", "c3") == before
    # What is known is pushed again, something new with it.
    new = row("new", CUT + 2 * HOUR, CUT + 2 * HOUR, 5)
    assert pushed(settings, [*rows[:50], new]) == 1
    assert said(settings, "c1", "c2") == meant([*rows, new], "c1", "c2")
    folded(settings, "c1", "c2")
    assert said(settings, "c1", "c2") == meant([*rows, new], "c1", "c2")
    assert folded(settings, "c1") == 0


def test_small_blocks_become_larger_ones(settings: Settings) -> None:
    rows = many(640)
    for start in range(0, 640, 20):
        pushed(settings, rows[start : start + 20])
        folded(settings, "c1")
    assert fields(settings, "c1") <= 7
    assert said(settings, "c1") == meant(rows, "c1")


def test_a_version_that_was_known_earlier_outdoes_a_folded_one(settings: Settings) -> None:
    rows = many(40)
    pushed(settings, rows)
    folded(settings, "c1")
    # Another amount, another card, another time; each was known a second before the one that came first.
    earlier = [{**one, "known": one["known"] - SECOND} for one in rows[:30]]
    for n, one in enumerate(earlier):
        one.update(({"amount": 1000}, {"card_id": "c2"}, {"event_time": one["event_time"] - SECOND})[n % 3])
    counting = [*earlier, *rows[30:]]
    assert pushed(settings, earlier) == 0
    for _ in range(3):
        assert said(settings, "c1", "c2") == meant(counting, "c1", "c2")
        assert pushed(settings, rows) == 0, "the later versions come again, and change nothing"
        folded(settings, "c1", "c2")
    assert max(fields(settings, "c1"), fields(settings, "c2")) <= 2
    # And back: versions known earlier still, of the card that they had first.
    earliest = [{**one, "known": one["known"] - 2 * SECOND} for one in rows[:30]]
    pushed(settings, earliest)
    for _ in range(2):
        assert said(settings, "c1", "c2") == meant([*earliest, *rows[30:]], "c1", "c2")
        folded(settings, "c1", "c2")


def test_a_load_drops_blocks_that_it_knows(settings: Settings) -> None:
    rows = many(100)
    old, new = [[one for one in rows if (one["known"] < CUT + 2 * HOUR) == is_old] for is_old in (True, False)]
    for part in (old, new):
        pushed(settings, part)
        folded(settings, "c1", bound=len(part) // 2)  # not those of the first part again
    store = open_store(settings, writable=True)
    assert store.trim("paid", CUT + HOUR) == 0
    assert said(settings, "c1") == meant(rows, "c1")
    there = fields(settings, "c1")
    removed = store.trim("paid", CUT + 2 * HOUR)
    assert (removed in {0, len(old)}, fields(settings, "c1") == there - (removed > 0)) == (True, True)
    assert store.trim("paid", NOW) == len(rows) - removed
    assert fields(settings, "c1") == 0
    store.close()
    assert said(settings, "c1") == meant([], "c1")


def test_what_says_that_rows_count_no_more_goes_with_the_blocks(settings: Settings) -> None:
    rows = many(40)
    pushed(settings, rows)
    folded(settings, "c1")
    pushed(settings, [{**rows[0], "known": rows[0]["known"] - SECOND, "card_id": "c2"}])
    assert fields(settings, "c1") == 2
    store = open_store(settings, writable=True)
    store.trim("paid", CUT + HOUR)
    assert fields(settings, "c1") == 2
    store.trim("paid", NOW)
    store.close()
    assert fields(settings, "c1") == 0


def test_a_block_that_cannot_be_read_is_left_alone(settings: Settings) -> None:
    pushed(settings, many(40))
    folded(settings, "c1")
    store, key = open_store(settings, writable=True), card_key("c1")
    if isinstance(store, RedisStore):
        ((name, block),) = store.client.hgetall(redis_tail(key, "paid")).items()
        store.client.hset(redis_tail(key, "paid"), name, block[:-5])
    else:
        store._db.execute(
            "UPDATE asof_tails SET entry = substr(entry, 1, length(entry) - 5) WHERE entity_key = ?", (key,)
        )
    store.close()
    pushed(settings, many(60)[40:])
    assert folded(settings, "c1") == 20
    assert fields(settings, "c1") == 2
    assert said(settings, "c1") == meant(many(60)[40:], "c1")


def test_a_push_folds_a_tail_that_is_longer_than_the_setting_says(settings: Settings) -> None:
    settings = settings.model_copy(update={"online": settings.online.model_copy(update={"fold_at": 100})})
    rows = many(101)
    pushed(settings, rows[:100])
    assert fields(settings, "c1") == 100
    pushed(settings, rows[100:])
    assert fields(settings, "c1") == 1
    assert said(settings, "c1") == meant(rows, "c1")


def _written(settings: Settings, mine: Rows, others: Rows) -> None:
    mine = mine + DRAW.sample(others, 100)
    DRAW.shuffle(mine)
    for start in range(0, len(mine), 10):
        pushed(settings, mine[start : start + 10])


@pytest.mark.slow
def test_writers_and_folders_at_once_lose_nothing_and_count_nothing_twice(settings: Settings) -> None:
    rows = many(600)
    earlier = [{**one, "known": one["known"] - SECOND, "amount": 7} for one in rows[::5]]
    counting = [*earlier, *(one for n, one in enumerate(rows) if n % 5)]
    stop, counts, wrong = threading.Event(), list[int](), list[Exception]()

    def again(work: Any) -> None:
        try:
            while not stop.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - none is what is tested
            wrong.append(error)

    def look() -> None:
        with Reader(settings, CATALOG) as reader:
            (found,) = reader.lookup("stream", [{"card_id": "c1"}], NOW).rows
        counts.append(int(found.values["live__count_24h"] or 0))

    others = [
        threading.Thread(target=again, args=(work,))
        for work in (look, lambda: folded(settings, "c1"), lambda: folded(settings, "c1"))
    ]
    for thread in others:
        thread.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _written(settings, rows[number::4] + earlier[number::4], rows), range(4)))
    stop.set()
    for thread in others:
        thread.join()
    assert wrong == []
    assert counts == sorted(counts), "no event is ever lost, or counted twice and then once"
    assert said(settings, "c1") == meant(counting, "c1")
    _free(settings)
    folded(settings, "c1")
    assert fields(settings, "c1") <= 8
    assert said(settings, "c1") == meant(counting, "c1")


def _free(settings: Settings) -> None:
    """As if the time of an owner that was killed were over."""
    store = open_store(settings, writable=True)
    if isinstance(store, RedisStore):
        store.client.delete(redis_tail(card_key("c1"), "paid") + b":owner")
    store.close()


def fold_alone(home: Path, kind: str, url: str | None) -> None:
    online = {"kind": kind, "url": url} if url else {"kind": kind}
    folded(load(home=home, online=online), "c1")


def _killed(settings: Settings, kills: int) -> None:
    """Folds in processes of their own: killed after so many bytes to Redis, or after some milliseconds at SQLite and on a cluster."""
    draw, rows = DRAW, many(30 * (kills + 1))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    url = settings.online.url.get_secret_value() if settings.online.url else "redis://127.0.0.1:1/0"
    ended, through = 0, settings.online.kind == "redis"
    with door(url) as way:
        for n in range(kills):
            pushed(settings, rows[30 * n : 30 * n + 30])
            way.passed, way.limit = 0, 1 << 60
            given = (
                settings.home,
                settings.online.kind,
                (way.url if through else url) if settings.online.url else None,
            )
            way.load = process = context.Process(target=fold_alone, args=given)
            process.start()
            if through:
                way.limit = draw.randrange(50, 9000)
            else:
                time.sleep(draw.uniform(0, 0.08))
                process.kill()
            process.join()
            ended += process.exitcode == 0
            _free(settings)
            assert said(settings, "c1") == meant(rows[: 30 * n + 30], "c1")
    assert ended < kills
    pushed(settings, rows)
    folded(settings, "c1")
    assert said(settings, "c1") == meant(rows, "c1")
    assert fields(settings, "c1") <= 8


@pytest.mark.slow
def test_a_fold_that_is_killed_anywhere_changes_no_value(settings: Settings) -> None:
    _killed(settings, 10)


@pytest.mark.long
def test_a_fold_that_is_killed_a_hundred_times_changes_no_value(settings: Settings) -> None:
    _killed(settings, 100)


@pytest.mark.slow
@examples(max_examples=30, suppress_health_check=NO_HEALTH_CHECK)
@given(kept_cases().filter(lambda case: isinstance(case.view.freshness, EventFreshness)))
def test_what_is_pushed_and_folded_counts_as_the_oracle_says(case: Case) -> None:
    view = case.view
    rows = [_as_ingested(each) for each in _one_a_version(case.raw["s"], view)]
    catalog = Catalog(sources=view.sources, views=(view,))
    with TemporaryDirectory() as folder:
        settings = load(home=folder)
        for cut in sorted({view.schedule.cut_served(at) for _, at in case.asks}):
            settings.online_db.unlink(missing_ok=True)
            put(settings, view, rows, cut, now=cut + view.schedule.lag_us)
            for part in (rows[1::2], rows[::-1], rows[:3]):
                push(settings, catalog, "s", pa.Table.from_pylist(part, _schema(view)))
                store = SqliteStore(settings.online_db)
                keys = [key for (key,) in store._db.execute("SELECT DISTINCT entity_key FROM asof_tails")]
                store.fold(view.source, keys, 0)
                store.close()
            for name, want, got, asked in _answers(settings, catalog, case, cut):
                assert agree(case, view.types[name], name, *asked, got, want), f"{name} is {got}, meant {want}"


def _answers(
    settings: Settings, catalog: Catalog, case: Case, cut: int
) -> Iterator[tuple[str, Any, Any, tuple[Any, int]]]:
    view = case.view
    rows = [_as_ingested(each) for each in _one_a_version(case.raw["s"], view)]
    names = [feature.name for feature in view.features]
    with Reader(settings, catalog) as reader:
        for key, at in case.asks:
            if view.schedule.cut_served(at) == cut and None not in key:
                (found,) = reader.lookup_features({"v": names}, [dict(zip(view.keys, key, strict=True))], at).rows
                for name, want in oracle.answer(view, {**case.raw, "s": rows}, key, at).values.items():
                    yield name, want, found.values[f"v__{name}"], (key, at)
