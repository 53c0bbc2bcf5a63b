"""A Redis Cluster says what one server says: wherever keys lie, while slots are moved, and when a node is gone it says so. Needs redis-server."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from features import Catalog
from features.errors import BusyError
from features.feast.registry import apply
from features.feast.repository import write_repository
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import Settings, load
from features.store import redis_tails
from features.store.cluster_store import ClusterStore
from features.store.heads import Layout
from features.store.keys import entity_key, redis_overtaking, redis_records, redis_states, redis_tail
from features.store.reads import Question
from features.store.redis_client import client_of, run
from features.store.stores import open_store
from features.store.tails import Pushed
from tests.feast_client import own_client
from tests.features.serving.habits import CUT, DAY, HABITS, HOUR, NOW, rows
from tests.features.serving.habits import put as put_plain
from tests.features.serving.test_states import CATALOG as STATES
from tests.features.serving.test_states import LIVE, SLIDING, _iso, paid
from tests.features.serving.test_states import put as put_states
from tests.features.store.hostile_rows import CUT as HOSTILE_CUT
from tests.features.store.hostile_rows import feast_view, hostile, make_view
from tests.redis_cluster import Nodes, started

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore:The spark data source API")]
CARDS = [f"c{n}" for n in range(200)]
CATALOG = Catalog(sources=STATES.sources, views=(*STATES.views, HABITS), services=STATES.services)
ASKED = {"habits": ["count_7d", "sum_amount_7d"], "live": ["count_24h", "sum_amount_24h"], "sliding": ["count_7d"]}
AT = CUT + 3 * HOUR


@pytest.fixture
def settings(redis_cluster: Nodes, tmp_path: Path) -> Settings:
    return load(home=tmp_path / "cluster", online=redis_cluster.online, clock="2026-01-01T03:00:00Z")


@pytest.fixture
def store(settings: Settings) -> Iterator[ClusterStore]:
    made = opened(settings)
    yield made
    made.close()


def opened(settings: Settings) -> ClusterStore:
    return cast("ClusterStore", open_store(settings, writable=True))


def filled(settings: Settings, cut: int = CUT, value: int = 1) -> None:
    """All cards but the last, of a plain view and of two with states."""
    some = CARDS[:-1]
    whole, mean = [value] * len(some), [1.0] * len(some)
    batch = rows(
        HABITS, {"card_id": some}, ["ok"] * len(some), count_7d=whole, count_30d=whole, sum_amount_7d=whole, mean_amount_7d=mean,
        count_30d_minus_count_7d=whole,
    )  # fmt: skip
    put_plain(settings, HABITS, batch, cut, max(NOW, cut + HOUR))
    paid_ones = [paid(n, card, cut - 30 * 60_000_000, n + 1) for n, card in enumerate(some)]
    for view in (LIVE, SLIDING):
        put_states(settings, view, paid_ones, cut, max(NOW, cut + HOUR))


def pushed(settings: Settings, first: int, cards: Sequence[str], amount: int = 7) -> int:
    events = [paid(first + n, card, CUT + 90 * 60_000_000, amount) for n, card in enumerate(cards)]
    return push(settings, CATALOG, "payments", [{**row, "event_time": _iso(row["event_time"])} for row in events]).new


def looked_up(settings: Settings, cards: Sequence[str] = CARDS, at: int = AT) -> Any:
    with Reader(settings, CATALOG) as reader:
        return reader.lookup_features(ASKED, [{"card_id": card} for card in cards], at)


def test_lookups_say_what_sqlite_and_one_server_say(settings: Settings, redis_url: str, tmp_path: Path) -> None:
    others = ({"kind": "sqlite"}, {"kind": "redis", "url": redis_url})
    homes = [load(home=tmp_path / each["kind"], online=each, clock="2026-01-01T03:00:00Z") for each in others]
    for each in (settings, *homes):
        filled(each)
        assert pushed(each, 1000, CARDS[::3]) == 67
        assert pushed(each, 1000, CARDS[::3]) == 0
    meant = looked_up(homes[0])
    assert len(meant.rows) == 200
    assert looked_up(homes[1]) == meant
    assert looked_up(settings) == meant
    one = cast("Any", open_store(homes[1], writable=True))
    one.client.flushdb()
    one.close()


def test_what_belongs_together_lies_in_one_slot(redis_cluster: Nodes) -> None:
    for value in ("c1", "a}b", "{", "}", "{}", "x{y}z", "}{", "\0" * 125, "a" * 125):
        key = entity_key({"card_id": value}, "string")
        names = [redis_states(key), redis_tail(key, "payments"), redis_tail(key, "payments") + b":owner"]
        names += [redis_tail(key, "others"), redis_overtaking(key, "payments", b"{e}")]
        assert len({redis_cluster.slot(name) for name in names}) == 1, value
    for number in (0, 125, 125 << 8, -1):
        key = entity_key({"till_id": number}, "int64")
        assert redis_cluster.slot(redis_states(key)) == redis_cluster.slot(redis_tail(key, "payments"))
    assert len({redis_cluster.slot(name) for name in redis_records("habits", tagged=True)}) == 1
    assert {redis_cluster.slot(redis_states(entity_key({"card_id": card}, "string"))) for card in CARDS} > set(range(0))
    owners = {redis_cluster.owner(redis_cluster.slot(redis_states(card_key(card)))) for card in CARDS}
    assert owners == {0, 1, 2}


def card_key(card: str) -> bytes:
    return entity_key({"card_id": card}, "string")


def test_one_servers_keys_keep_their_names() -> None:
    assert redis_records("v") == (
        b"asof:head:asof:v",
        b"asof:generations:asof:v",
        b"asof:lease:asof:v",
        b"asof:parts:asof:v",
    )


def test_feasts_own_client_reads_plain_values(settings: Settings, redis_cluster: Nodes) -> None:
    view = make_view("hostile", keys=("key",))
    batch = hostile(view)
    apply(Catalog(views=(view,)), settings)
    put_plain(settings, view, batch, HOSTILE_CUT, HOSTILE_CUT + 30 * HOUR)
    found = feast_view(settings.feast, view, batch)
    for name, kind in view.types.items():
        column = batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)
        assert found[f"{view.name}__{name}"] == column.to_pylist(), name
    config: Any = own_client(settings.feast).config.online_store
    assert (config.redis_type, config.connection_string) == ("redis_cluster", f"127.0.0.1:{redis_cluster.ports[0]}")


def test_the_repository_names_all_nodes_and_no_database(tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "redis-cluster", "url": "rediss://:p%40ss@a:7001,b"})
    text = (write_repository(settings) / "feature_store.yaml").read_text()
    assert "connection_string: a:7001,b:6379,password=p@ss,ssl=true" in text
    assert "redis_type: redis_cluster" in text


def test_a_rolled_back_generation_is_read_no_more(settings: Settings, store: ClusterStore) -> None:
    filled(settings)
    filled(settings, CUT + DAY, 2)
    then = AT + DAY
    assert [view.cut for view in looked_up(settings, ["c1"], then).rows[0].views] == [CUT + DAY] * 3
    store.roll_back("live", 2)
    assert [view.cut for view in looked_up(settings, ["c1"], then).rows[0].views] == [CUT + DAY, CUT, CUT + DAY]
    store.clear()
    assert list(store.client.scan_iter(b"asof:*")) == []


def test_a_state_that_was_removed_between_the_two_steps_is_asked_for_again(
    settings: Settings, store: ClusterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(settings)
    question = Question(view="live", keys=(card_key("c1"),), states=True, at=AT, tail="payments")
    (before,) = store.ask([question])
    ask, asked = store.client.ask, list[int]()

    def between(items: Any) -> Any:
        found = ask(items)
        asked.append(len(items))
        if len(asked) == 1:  # the records are read, the states are not
            for days in (1, 2):
                filled(settings, CUT + days * DAY, days + 1)
        return found

    monkeypatch.setattr(store.client, "ask", between)
    later = Question(view="live", keys=question.keys, states=True, at=CUT + 9 * DAY, tail="payments")
    (after,) = store.ask([later])
    assert before.head is not None
    assert after.head is not None
    assert (before.head.generation, after.head.generation) == (1, 3)
    assert after.states[card_key("c1")] is not None
    (nobody,) = store.ask([Question(view="live", keys=(b"nobody",), states=True, at=CUT + 9 * DAY)])
    assert nobody.states == {b"nobody": None}


@pytest.mark.parametrize("owner", ["redis_url", "redis_cluster"])
def test_a_writer_that_stood_still_puts_nothing_over_what_overtook_it(
    owner: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = request.getfixturevalue(owner)
    client = client_of(found if owner == "redis_url" else found.url.replace("://", "+cluster://"))
    late = Pushed(event_id=b"e", order="5", known=5, entry=b"l" * 30, keys=(b"k1", b"k2"))
    soon = Pushed(event_id=b"e", order="3", known=3, entry=b"s" * 30, keys=(b"k2", b"k3"))
    stands, goes = threading.Event(), threading.Event()

    def slow(client: Any, script: str, items: Any, *common: object) -> Any:
        if script == redis_tails._PUT and threading.current_thread() is writer:
            stands.set()
            assert goes.wait(10)
        return run(client, script, items, *common)

    monkeypatch.setattr(redis_tails, "run", slow)
    writer = threading.Thread(target=redis_tails.push, args=(client, "src", [late], 9, 60_000))
    writer.start()
    assert stands.wait(10)
    assert redis_tails.push(client, "src", [soon], 9, 60_000) == 0
    goes.set()
    writer.join()
    tails = {key: client.hgetall(redis_tail(key, "src")) for key in (b"k1", b"k2", b"k3")}
    assert tails == {b"k1": {}, b"k2": {b"e": b"s" * 30}, b"k3": {b"e": b"s" * 30}}
    assert redis_tails.push(client, "src", [late], 9, 60_000) == 0  # told again
    assert tails == {key: client.hgetall(redis_tail(key, "src")) for key in tails}
    client.flushdb()
    client.close()


def test_many_writers_to_the_same_keys_end_as_one(store: ClusterStore) -> None:
    draw = random.Random(7)  # noqa: S311 - orders, no secrets
    events = [
        Pushed(event_id=b"e%d" % n, order=str(order), known=order, entry=b"%d" % order * 20, keys=tuple(draw.sample([b"k1", b"k2", b"k3"], 2)))
        for n in range(40)
        for order in (1, 2, 3)
    ]  # fmt: skip

    def write(seed: int) -> None:
        mine = events.copy()
        random.Random(seed).shuffle(mine)  # noqa: S311 - the same
        for start in range(0, len(mine), 7):
            store.push("src", mine[start : start + 7], 9, 60_000)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in (b"k1", b"k2", b"k3"):
        meant = {each.event_id: each.entry for each in events if each.order == "1" and key in each.keys}
        found = store.client.hgetall(redis_tail(key, "src"))
        assert {name: entry for name, entry in found.items() if name not in meant and len(entry) > 12} == {}
        assert {name: found.get(name) for name in meant} == meant


def test_nothing_is_wrong_while_slots_are_moved(settings: Settings, redis_cluster: Nodes) -> None:
    """Readers, pushes and loads beside it; keys go one by one, to a node that had no slots, and back."""
    filled(settings)
    pushed(settings, 1999, ["first"])  # from here on the watermark is what it will be
    meant, wrong, stop, done = looked_up(settings), list[Any](), threading.Event(), [0, 0]

    def read() -> None:
        with Reader(settings, CATALOG) as reader:
            while not stop.is_set():
                found = reader.lookup_features(ASKED, [{"card_id": card} for card in CARDS], AT)
                wrong.extend([found] if found != meant else [])
                done[0] += 1

    def write() -> None:
        while not stop.is_set():
            done[1] += pushed(settings, 2000 + 200 * done[1], ["another", "one"])

    threads = [threading.Thread(target=guarded, args=(work, wrong)) for work in (read, read, write)]
    for thread in threads:
        thread.start()
    moved_there_and_back(redis_cluster)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(done) > 5
    (found,) = looked_up(settings, ["one"]).rows
    assert found.values["live__count_24h"] == done[1] // 2


def moved_there_and_back(nodes: Nodes) -> None:
    names = [
        name for card in CARDS[:8] for name in (redis_states(card_key(card)), redis_tail(card_key(card), "payments"))
    ]
    names += [*redis_records("live", tagged=True)[:2], redis_tail(card_key("one"), "payments")]
    slots = {nodes.slot(name): [each for each in names if nodes.slot(each) == nodes.slot(name)] for name in names}
    homes = {slot: nodes.owner(slot) for slot in slots}
    for targets in (dict.fromkeys(slots, 3), homes):
        for slot, some in slots.items():
            source = nodes.begin_moving(slot, targets[slot])
            for name in some:
                time.sleep(0.02)
                nodes.move_keys(slot, source, targets[slot], [name])
            time.sleep(0.02)
            nodes.move_keys(slot, source, targets[slot])
            time.sleep(0.02)
            nodes.end_moving(slot, targets[slot])


def guarded(work: Callable[[], None], wrong: list[Any]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - none is what is tested
        wrong.append(error)


def test_a_push_waits_for_a_slot_that_is_on_its_way(settings: Settings, redis_cluster: Nodes) -> None:
    filled(settings)
    pushed(settings, 1, ["c5"])
    slot = redis_cluster.slot(redis_states(card_key("c5")))
    source = redis_cluster.begin_moving(slot, 3)

    def arrive() -> None:
        redis_cluster.move_keys(slot, source, 3)
        redis_cluster.end_moving(slot, 3)

    later = threading.Timer(1.5, arrive)
    later.start()
    before = looked_up(settings, ["c5"]).rows[0].values["live__count_24h"]
    assert pushed(settings, 2, ["c5"]) == 1
    assert looked_up(settings, ["c5"]).rows[0].values["live__count_24h"] == before + 1
    later.join()
    redis_cluster.move(slot, source)


def test_loads_go_on_while_a_slot_is_on_its_way_and_a_scan_says_that_it_could_miss_keys(
    settings: Settings, store: ClusterStore, redis_cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.store.redis_cluster._SCAN_AGAIN_SECONDS", 0.01)
    filled(settings)
    key = redis_states(card_key("c5"))
    slot = redis_cluster.slot(key)
    source = redis_cluster.begin_moving(slot, 3)
    redis_cluster.move_keys(slot, source, 3, [key])
    with pytest.raises(BusyError, match=r"Slots of the Redis Cluster are being moved.*run the same command again"):
        list(store.client.scanned(b"asof:*"))
    layout = Layout.of(HABITS, CUT + HOUR)
    batch = rows(HABITS, {"card_id": ["c5"]}, ["ok"], count_7d=[9], count_30d=[9], sum_amount_7d=[9], mean_amount_7d=[1.0], count_30d_minus_count_7d=[0])  # fmt: skip
    with pytest.raises(BusyError, match="being moved"):
        put_plain(settings, HABITS, batch, CUT + HOUR, NOW)
    assert looked_up(settings, ["c5"]).rows[0].values["habits__count_7d"] == 9
    redis_cluster.move_keys(slot, source, 3)
    redis_cluster.end_moving(slot, 3)
    put_plain(settings, HABITS, batch, CUT + HOUR, NOW)
    assert store.head("habits") == layout.head(generation=2, rows=1, loaded_at=NOW)
    assert [row.views[0].status for row in looked_up(settings, ["c5", "c6"]).rows] == ["ok", "never_seen"]
    redis_cluster.move(slot, source)


def test_a_node_that_dies_is_said_and_its_replica_takes_over(tmp_path: Path) -> None:
    with started(tmp_path / "nodes", nodes=4, owners=3) as nodes:
        nodes.clients[3].execute_command("CLUSTER REPLICATE", nodes.ids[0])
        settings = load(home=tmp_path, online={"kind": "redis-cluster", "url": f"{nodes.url},127.0.0.1:{nodes.ports[1]}"}, clock="2026-01-01T03:00:00Z")  # fmt: skip
        filled(settings)
        meant, errors = looked_up(settings), list[Exception]()
        nodes.clients[0].wait(1, 5000)
        with Reader(settings, CATALOG) as reader:
            ask = partial(reader.lookup_features, ASKED, [{"card_id": card} for card in CARDS], AT)
            assert ask() == meant
            nodes.servers[0].kill()
            assert _in_time(ask, errors) == meant
            assert {type(error) for error in errors} == {BusyError}
            assert all("does not answer as it should" in str(error) for error in errors)
            nodes.servers[1].kill()  # nobody has its slots now
            ends = time.monotonic() + 2
            while time.monotonic() < ends:
                with pytest.raises(BusyError, match=r"The online store redis-cluster://127\.0\.0\.1:\d+,127\.0\.0\.1:\d+ does not answer as it should: .*Mend it \(online\.url\)"):  # fmt: skip
                    ask()
        with pytest.raises(BusyError, match="does not answer"), opened(settings).leased("habits"):
            pass


def _in_time(ask: Callable[[], Any], errors: list[Exception]) -> Any:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - which ones is what is tested
            errors.append(error)
            time.sleep(0.1)
    return errors[-1]
