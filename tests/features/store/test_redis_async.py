"""Reads from an event loop say what the store's own reads say, many at once on one connection, whatever happens to it."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from features.errors import BusyError
from features.settings import Settings, load
from features.store.keys import entity_key
from features.store.reads import Question
from features.store.redis_async import AsyncRedisStore
from features.store.redis_store import RedisStore
from tests.features.serving import test_states as states
from tests.features.serving.habits import CUT, HABIT_ROWS, HABITS, HOUR, put


@pytest.fixture
def filled(tmp_path: Path, redis_url: str) -> Iterator[str]:
    settings = load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T01:00:00Z")
    put(settings, HABITS, HABIT_ROWS)
    _load_states(settings)
    yield redis_url
    store = RedisStore(redis_url)
    store.client.flushdb()
    store.close()


@pytest.fixture(params=[1, 2])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """With one nobody waits awake."""
    count: int = request.param
    monkeypatch.setattr("os.cpu_count", lambda: count)
    return count


def _load_states(settings: Settings) -> None:
    for view in (states.LIVE, states.SLIDING):
        states.put(settings, view, states.BEFORE, now=CUT + HOUR)


def questions(*cards: str) -> list[Question]:
    keys = tuple(entity_key({"card_id": card}, "string") for card in cards)
    return [
        Question(view="habits", keys=keys),
        Question(view="live", keys=keys, states=True, at=CUT + HOUR, tail="payments"),
        Question(view="sliding", keys=keys, states=True, at=CUT + HOUR),
    ]


@pytest.mark.services
@pytest.mark.usefixtures("processors")
def test_many_at_once_say_what_the_store_says(filled: str) -> None:
    asked = [questions(*cards) for cards in (("c1",), ("c2", "nobody"), ("c1", "c2", "c3"), ("nobody",))] * 25
    store = RedisStore(filled)
    meant = [list(store.ask(one)) for one in asked]

    async def ask() -> None:
        here = AsyncRedisStore(filled)
        assert [list(one) for one in await asyncio.gather(*map(here.ask, asked))] == meant
        here.close()

    asyncio.run(ask())
    store.close()


@pytest.mark.services
@pytest.mark.usefixtures("processors")
def test_a_connection_that_the_server_ends_is_made_anew(filled: str) -> None:
    store = RedisStore(filled)
    meant = list(store.ask(questions("c1")))

    async def ask() -> None:
        here = AsyncRedisStore(filled)
        assert list(await here.ask(questions("c1"))) == meant
        for _ in range(5):
            under = [asyncio.create_task(here.ask(questions("c1"))) for _ in range(20)]
            await asyncio.sleep(0)
            await asyncio.to_thread(store.client.client_kill_filter, _type="normal", skipme=True)
            assert [list(one) for one in await asyncio.gather(*under)] == [meant] * 20
        for _ in range(20):  # whoever asks next may write before the loop knows that the connection ended
            store.client.client_kill_filter(_type="normal", skipme=True)
            assert list(await here.ask(questions("c1"))) == meant
        here.close()

    asyncio.run(ask())
    store.close()


@pytest.mark.services
def test_an_answer_may_be_there_at_once_where_nobody_else_waits(filled: str, processors: int) -> None:
    store = RedisStore(filled)
    meant = list(store.ask(questions("c1")))

    async def ask() -> None:
        here = AsyncRedisStore(filled)
        await here.ask(questions("c1"))
        at_once = 0
        for _ in range(200):
            found = here.begun(questions("c1"))
            at_once += not isinstance(found, Coroutine)
            assert list(await found if isinstance(found, Coroutine) else found) == meant
        assert at_once == 0 if processors == 1 else at_once > 0
        waiting = [here.begun(questions("c1")) for _ in range(5)]
        assert sum(not isinstance(found, Coroutine) for found in waiting) in ({0} if processors == 1 else range(6))
        assert [list(await found if isinstance(found, Coroutine) else found) for found in waiting] == [meant] * 5
        here.close()

    asyncio.run(ask())
    store.close()


@pytest.mark.services
def test_who_stops_waiting_takes_no_other_ones_answer(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    store = RedisStore(filled)
    meant = {card: list(store.ask(questions(card))) for card in ("c1", "c2", "nobody")}

    async def ask() -> None:
        here = AsyncRedisStore(filled)
        await here.ask(questions("c1"))
        for _ in range(20):
            tasks = {card: asyncio.create_task(here.ask(questions(card))) for card in meant}
            await asyncio.sleep(0)
            tasks["c2"].cancel()
            assert [list(await tasks[card]) for card in ("c1", "nobody")] == [meant["c1"], meant["nobody"]]
        here.close()

    asyncio.run(ask())
    store.close()


@pytest.mark.services
@pytest.mark.usefixtures("processors")
def test_another_loop_of_a_new_load_is_followed(filled: str, tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "redis", "url": filled}, clock="2026-01-01T01:00:00Z")

    async def ask() -> None:
        here = AsyncRedisStore(filled)
        before = await here.ask(questions("c1"))
        states.put(settings, states.LIVE, states.BEFORE, now=CUT + HOUR)
        assert list(await here.ask(questions("c1"))) == list(RedisStore(filled).ask(questions("c1")))
        assert before[0] == (await here.ask(questions("c1")))[0]
        here.close()

    asyncio.run(ask())


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """A server that greets as Redis does and then says the same to everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_speak, args=(link, answer), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def _speak(link: socket.socket, answer: bytes) -> None:
    with link:
        while asked := link.recv(65_536):
            link.sendall(answer if b"MULTI" in asked else b"+OK\r\n" * max(1, asked.count(b"*")))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", r"it sent what is no answer"),
        (b"-LOADING Redis is loading the dataset in memory\r\n" * 9, r"loading the dataset"),
        (b"+OK\r\n" * 4, r"EXEC gave b'OK'"),
        (b"+OK\r\n" * 3 + b"*1\r\n$5\r\nhel", r"no answer within 1 s"),
    ],
)
def test_what_is_no_answer_is_said(answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.store.redis_async.TIMEOUT_SECONDS", 1)

    async def ask(url: str) -> None:
        here = AsyncRedisStore(url)
        with pytest.raises(
            BusyError, match=rf"The online store redis://127.0.0.1:\d+ does not answer as it should: .*({says})"
        ):
            await here.ask([Question(view="habits", keys=(b"k",))])
        here.close()

    with speaking(answer) as url:
        asyncio.run(ask(url))


def test_more_than_was_asked_for_ends_the_connection() -> None:
    empty = b"+OK\r\n" + b"+QUEUED\r\n" * 2 + b"*2\r\n$-1\r\n*0\r\n"
    question = [Question(view="habits", keys=(b"k",))]

    async def ask(url: str) -> None:
        here = AsyncRedisStore(url)
        for _ in range(3):  # what came too much is nobody's answer
            assert [answer.head for answer in await here.ask(question)] == [None]
            assert not here._trips._link.is_open  # type: ignore[union-attr]
        here.close()

    with speaking(empty + b"+more\r\n") as url:
        asyncio.run(ask(url))


def test_nobody_there_is_said() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://:secret@127.0.0.1:{probe.getsockname()[1]}/0"

    async def ask() -> None:
        here = AsyncRedisStore(url)
        with pytest.raises(
            BusyError, match=r"The online store redis://127.0.0.1:\d+ does not answer as it should"
        ) as told:
            await here.ask([Question(view="habits", keys=(b"k",))])
        assert "secret" not in str(told.value)
        here.close()

    asyncio.run(ask())
