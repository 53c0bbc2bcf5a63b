"""Records are read once and remembered under their stamp; whatever changes one, another reader's next lookup sees."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from features.settings import Settings, load
from features.store.heads import Head, Layout
from features.store.keys import entity_key, redis_stamp
from features.store.one_each import Alike, OneEach
from features.store.reads import Question
from features.store.redis_client import records_of
from features.store.redis_known import Known
from features.store.redis_shapes import Live
from features.store.redis_store import RedisStore
from tests.features.serving import test_states as states
from tests.features.serving.habits import CUT, HABIT_ROWS, HABITS, HOUR, put


def question(*views: str) -> list[Question]:
    return [Question(view=view, keys=()) for view in views]


def head(view: str, generation: int) -> Head:
    return Head(view=view, definition="d", generation=generation, cut=1, valid_from=2, horizon=3, rows=4, loaded_at=5)


def live(view: str, generation: int = 1) -> Live:
    return Live(head(view, generation), None)


def test_what_was_read_under_one_stamp_is_sure_until_another_comes() -> None:
    known = Known()
    assert not known.is_sure(question("a"))
    known = known.told(b"1", {"a": live("a")}, {})
    assert known.is_sure(question("a"))
    assert not known.is_sure(question("a", "b"))
    known = known.told(b"1", {}, {"b": (head("b", 1),)})
    assert known.is_sure(question("a", "b"))
    known = known.told(b"2", {"a": live("a", 2)}, {})
    assert (known.is_sure(question("a")), known.is_sure(question("b"))) == (True, False)
    assert known.generations["b"] == (head("b", 1),)  # a guess
    assert not known.doubted().is_sure(question("a"))
    assert known.doubted().lives == known.lives


def test_without_a_stamp_nothing_is_sure() -> None:
    known = Known().told(None, {"a": live("a")}, {})
    assert not known.is_sure(question("a"))
    assert known.lives == {"a": live("a")}
    assert not known.told(None, {"a": live("a")}, {}).is_sure(question("a"))


def test_after_a_second_nothing_is_sure_and_what_is_read_then_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    known = Known().told(b"1", {"a": live("a"), "b": live("b")}, {})
    now[0] += 0.9
    known = known.told(b"1", {"c": live("c")}, {})
    assert known.is_sure(question("a", "b", "c"))
    now[0] += 0.2
    assert not known.is_sure(question("c"))
    known = known.told(b"1", {"a": live("a")}, {})
    assert (known.is_sure(question("a")), known.is_sure(question("b"))) == (True, False)


@pytest.fixture
def filled(tmp_path: Path, redis_url: str) -> Iterator[Settings]:
    settings = load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T02:00:00Z")
    put(settings, HABITS, HABIT_ROWS)
    states.put(settings, states.SLIDING, states.BEFORE, now=CUT + HOUR)
    yield settings
    store = RedisStore(redis_url)
    store.client.flushdb()
    store.close()


def asked() -> list[Question]:
    keys = tuple(entity_key({"card_id": card}, "string") for card in ("c1", "c2"))
    return [Question(view="habits", keys=keys), Question(view="sliding", keys=keys, states=True, at=CUT + 2 * HOUR)]


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_a_lookup_reads_no_record_while_none_changes(redis_url: str) -> None:
    store = RedisStore(redis_url)
    meant = store.ask(asked())

    def read() -> int:
        return int(store.client.info("commandstats").get("cmdstat_hgetall", {}).get("calls", 0))

    before = read()
    for _ in range(20):
        assert store.ask(asked()) == meant
    assert read() == before
    store.client.delete(redis_stamp())  # as of a store that was loaded by a version without it
    for _ in range(20):
        assert store.ask(asked()) == meant
    assert read() >= before + 40
    store.close()


def load_plain(settings: Settings, _: RedisStore) -> None:
    put(settings, HABITS, HABIT_ROWS, cut=CUT + HOUR)


def load_states(settings: Settings, _: RedisStore) -> None:
    states.put(settings, states.SLIDING, states.BEFORE, cut=CUT + HOUR, now=CUT + 2 * HOUR)


CHANGES: list[Callable[[Settings, RedisStore], None]] = [
    load_plain, load_states, lambda _, store: store.forget("habits"), lambda _, store: store.forget("sliding"),
    lambda _, store: store.roll_back("sliding", 1), lambda _, store: store.clear(),
]  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_lookup_of_another_reader_sees_what_changes_a_record(
    filled: Settings, redis_url: str, change: Callable[[Settings, RedisStore], None]
) -> None:
    reader, writer = RedisStore(redis_url), RedisStore(redis_url)
    before = reader.ask(asked())
    assert reader.ask(asked()) == before
    change(filled, writer)
    after = reader.ask(asked())
    assert [answer.head for answer in after] != [answer.head for answer in before]
    assert after == RedisStore(redis_url).ask(asked())


@pytest.mark.services
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("keys", range(7))
def test_of_a_clearing_that_is_killed_a_reader_sees_what_is_left(
    redis_url: str, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    reader, writer = RedisStore(redis_url), RedisStore(redis_url)
    assert reader.ask(asked()) == reader.ask(asked())
    unlink, gone = writer.client.unlink, list[bytes]()

    def killed(key: bytes) -> None:
        if len(gone) == keys:
            raise Killed
        unlink(key)
        gone.append(key)

    monkeypatch.setattr(writer.client, "unlink", killed)
    with pytest.raises(Killed):
        writer.clear()
    assert len(gone) == keys
    assert reader.ask(asked()) == RedisStore(redis_url).ask(asked())


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_a_record_that_is_changed_by_hand_is_seen_within_a_second(redis_url: str) -> None:
    store = RedisStore(redis_url)
    before, _ = store.ask(asked())
    assert before.head is not None
    store.client.hset(records_of(store.client, "habits").head, "rows", 77)
    ends = time.monotonic() + 1.5
    while (found := store.ask(asked())[0].head) == before.head:
        assert time.monotonic() < ends
    assert found == replace(before.head, rows=77)


@pytest.mark.services
@pytest.mark.usefixtures("filled")
def test_threads_that_share_a_store_see_each_load(redis_url: str) -> None:
    """Whoever asks after a load has ended sees it, or a later one."""
    store, generations, wrong, is_over = RedisStore(redis_url), [1], list[str](), threading.Event()

    def ask(some: Sequence[Question]) -> None:
        while not is_over.is_set():
            wanted = generations[-1]
            for answer in store.ask(some):
                if answer.head is None or (answer.head.view == "habits" and answer.head.generation < wanted):
                    wrong.append(f"{answer.head} after generation {wanted}")

    one_each = OneEach(Alike(("habits",), (0,), (None,)), asked()[0].keys[:1], 0)
    choices = asked(), asked()[:1], asked()[1:], one_each, one_each
    threads = [threading.Thread(target=ask, args=(some,)) for some in choices]
    for thread in threads:
        thread.start()
    layout = Layout.of(HABITS, CUT)
    for number in range(2, 30):
        with RedisStore(redis_url).loading(layout, CUT + HOUR) as load:
            load.begin()
            load.end(written=2, removed=0)
        generations.append(number)
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
