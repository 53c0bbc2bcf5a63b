"""Redis holds Feast's own bytes; a load ends in one generation, whatever was killed before it."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from features import Catalog, FeatureView
from features.errors import BusyError
from features.feast.registry import apply
from features.settings import load
from features.store import redis_store
from features.store.cluster_store import ClusterStore
from features.store.heads import Layout
from features.store.keys import entity_keys, redis_rows
from features.store.reads import Question
from features.store.redis_client import records_of
from features.store.redis_rows import Load, write_rows
from features.store.redis_store import RedisStore
from tests.feast_client import own_client
from tests.features.store.hostile_rows import CUT, HOUR, feast_view, hostile, make_view, rows_for_feast, unpacked
from tests.features.store.loads import NOW, SIMPLE, put, simple

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore:The spark data source API"),
]
DAY = 24 * HOUR
BARE = replace(SIMPLE, feast_layout=False)


def online_of(store: RedisStore) -> dict[str, str]:
    kind = "redis-cluster" if isinstance(store, ClusterStore) else "redis"
    return {"kind": kind, "url": store.url.replace("+cluster", "")}


def lease_of(store: RedisStore) -> bytes:
    return records_of(store.client, "simple").lease


def contents(store: RedisStore) -> dict[bytes, dict[bytes, bytes]]:
    return {key: store.client.hgetall(key) for key in store.client.scan_iter() if not key.startswith(b"asof:")}


def test_the_hashes_are_what_feasts_own_writer_makes_and_a_stock_client_reads_them(
    view: FeatureView, store: RedisStore, tmp_path: Path
) -> None:
    settings, batch, layout = (
        load(home=tmp_path, online=online_of(store)),
        hostile(view),
        Layout.of(view, CUT),
    )
    apply(Catalog(views=(view,)), settings)
    theirs = own_client(settings.feast)
    theirs._get_provider().online_write_batch(
        theirs.config, theirs.get_feature_view(view.name), rows_for_feast(view, batch, layout.valid_from), None
    )
    wanted = contents(store)
    store.client.flushdb()
    assert put(store, layout, batch).written == 8
    assert contents(store) == wanted
    assert len(wanted) == 8
    found = feast_view(settings.feast, view, batch)
    for name, kind in view.types.items():
        column = batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)
        assert found[f"{view.name}__{name}"] == column.to_pylist(), name


def test_values_come_back_in_one_round_trip(view: FeatureView, store: RedisStore) -> None:
    batch = hostile(view)
    put(store, Layout.of(view, CUT), batch)
    keys = entity_keys({name: batch.column(name) for name in view.keys}, view.entity.type)
    (answer,) = store.ask([Question(view=view.name, keys=(*keys, b"nobody"))])
    assert {key for key, row in answer.rows.items() if row is not None} == set(keys)
    found = unpacked(view, answer, *keys)
    for name, kind in view.types.items():
        column = batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)
        assert list(found.columns[name]) == column.to_pylist(), name


def test_two_views_of_one_entity_share_a_hash_and_never_touch_each_other(store: RedisStore) -> None:
    other = make_view("other", keys=("key",), features="i")
    put(store, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    put(store, Layout.of(other, CUT), simple(range(5, 15), 2))
    assert len(contents(store)) == 15
    loaded = put(store, Layout.of(SIMPLE, CUT + DAY), simple(range(2), 3)) if NOW >= CUT + DAY + HOUR else None
    assert loaded is not None
    assert (loaded.written, loaded.removed) == (2, 8)
    (answer,) = store.ask(
        [Question(view="other", keys=tuple(entity_keys({"key": pa.array(["k0005", "k0014"])}, "string")))]
    )
    assert list(unpacked(other, answer).columns["i"]) == [2, 2]


@pytest.mark.parametrize("by_scan", [True, False])
def test_dropped_keys_go_and_are_counted(store: RedisStore, by_scan: bool) -> None:  # noqa: FBT001
    first, second = simple(range(1000), 1), simple(range(700, 1200), 2)
    put(store, Layout.of(SIMPLE, CUT - DAY), first)
    loaded = put(store, Layout.of(SIMPLE, CUT), second, None if by_scan else first)
    assert (loaded.written, loaded.removed, loaded.head.generation) == (500, 700, 2)
    assert store.head("simple") == loaded.head
    again = contents(store)
    assert len(again) == 500
    assert (
        put(store, Layout.of(SIMPLE, CUT), simple(range(3), 9)).sentence
        == "simple: cut 2026-01-01T00-00Z is already in the online store (500 keys)."
    )
    assert "already holds the newer cut" in str(put(store, Layout.of(SIMPLE, CUT - DAY), first).sentence)
    assert contents(store) == again


def test_a_killed_load_is_cleaned_by_the_next(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_LEASE_SECONDS", 1)
    put(store, Layout.of(SIMPLE, CUT - DAY), simple(range(100), 1))
    killed = Layout.of(SIMPLE, CUT)
    # What a kill -9 leaves: a begun cut, some of its rows, no head, a lease that nobody renews.
    store.client.set(lease_of(store), "gone", ex=1)
    load_ = Load(store.client, killed, NOW, "gone")
    load_.begin()
    sum(write_rows(store.url, load_.task, [simple(range(90, 150), 2)]))
    head = store.head("simple")
    assert head is not None
    assert head.cut == CUT - DAY
    with store.loading(Layout.of(SIMPLE, CUT + DAY), NOW) as following:
        assert following.cuts_before == (CUT - DAY, CUT)
    loaded = put(store, Layout.of(SIMPLE, CUT + DAY), simple(range(95, 120), 3))
    assert (loaded.written, loaded.removed) == (25, 125)
    found = contents(store)
    store.client.flushdb()
    put(store, Layout.of(SIMPLE, CUT + DAY), simple(range(95, 120), 3))
    assert found == contents(store)


def test_another_definition_leaves_no_field_behind(store: RedisStore) -> None:
    wide = make_view("simple", keys=("key",), features="i s")
    put(store, Layout.of(wide, CUT), simple(range(10), 1).append_column("s", pa.array(["x"] * 10)))
    with store.loading(Layout.of(SIMPLE, CUT), NOW) as load_:
        assert (load_.cuts_before, load_.task.gone) == (None, ("s",))
    put(store, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    found = contents(store)
    store.client.flushdb()
    put(store, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    assert found == contents(store)


def packed(store: RedisStore) -> dict[bytes, bytes]:
    return {key: store.client.get(key) for key in store.client.scan_iter() if key.startswith(b"asof:{")}


@pytest.mark.parametrize("by_scan", [True, False])
def test_without_feasts_layout_a_lookup_reads_the_same_and_only_packed_rows_are_there(
    store: RedisStore,
    by_scan: bool,  # noqa: FBT001
) -> None:
    first, second = simple(range(100), 1), simple(range(70, 120), 2)
    put(store, Layout.of(SIMPLE, CUT - DAY), first)
    put(store, Layout.of(SIMPLE, CUT), second)
    meant = packed(store)
    store.client.flushdb()
    assert put(store, Layout.of(BARE, CUT - DAY), first).written == 100
    loaded = put(store, Layout.of(BARE, CUT), second, None if by_scan else first)
    assert (loaded.written, loaded.removed) == (50, 70)
    assert contents(store) == {}
    assert packed(store) == meant


@pytest.mark.parametrize("by_scan", [True, False])
def test_feasts_layout_goes_and_comes_back_with_the_next_load(store: RedisStore, by_scan: bool) -> None:  # noqa: FBT001
    first, second, third = simple(range(30), 1), simple(range(10, 40), 2), simple(range(20, 50), 3)
    put(store, Layout.of(SIMPLE, CUT - DAY), first)
    with store.loading(Layout.of(BARE, CUT), NOW) as load_:
        assert load_.task.gone == ("asof_status", "i")
    assert put(store, Layout.of(BARE, CUT), second, None if by_scan else first).removed == 10
    assert contents(store) == {}
    assert put(store, Layout.of(SIMPLE, CUT + DAY), third, None if by_scan else second).removed == 10
    found = contents(store)
    store.client.flushdb()
    put(store, Layout.of(SIMPLE, CUT + DAY), third)
    assert found == contents(store)


def test_two_loads_of_a_view_do_not_run_at_once(one: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_LEASE_SECONDS", 1)
    layout = Layout.of(SIMPLE, CUT)
    with one.loading(layout, NOW) as load_:
        load_.begin()
        time.sleep(2)  # longer than a lease lasts: it is renewed
        with (
            pytest.raises(BusyError, match="Another load of view 'simple' into the online store is running"),
            RedisStore(one.url).loading(layout, NOW),
        ):
            pass
        load_.end(written=0, removed=0)


def test_a_load_that_lost_its_lease_writes_nothing_more(store: RedisStore) -> None:
    layout = Layout.of(SIMPLE, CUT)
    with store.loading(layout, NOW) as load_:
        load_.begin()
        store.client.set(lease_of(store), "another")
        with pytest.raises(BusyError, match="Another load of view 'simple' took over while this one stood still"):
            list(write_rows(store.url, load_.task, [simple(range(3), 1)]))
        with pytest.raises(BusyError, match="took over"):
            load_.end(written=3, removed=0)
    assert store.head("simple") is None
    assert contents(store) == {}


def test_a_cut_before_its_valid_from_is_refused(store: RedisStore) -> None:
    with pytest.raises(BusyError, match="Run the same command again then"), store.loading(Layout.of(SIMPLE, CUT), CUT):
        pass


def test_a_server_that_does_not_answer_is_told() -> None:
    store = RedisStore("redis://127.0.0.1:1/0")
    with pytest.raises(
        BusyError,
        match=r"The online store redis://127\.0\.0\.1:1 does not answer as it should: .*Mend it \(online\.url\)",
    ):
        store.head("simple")


def test_readers_during_a_load_never_see_a_mixture_within_a_key(store: RedisStore) -> None:
    view = make_view("pair", keys=("key",), features="i t")
    names = [f"k{number:04}" for number in range(2000)]

    def rows(value: int) -> pa.RecordBatch:
        column = pa.array([value] * 2000, pa.int64())
        return pa.RecordBatch.from_pydict(
            {"key": names, "i": column, "t": column.cast(pa.timestamp("us", tz="UTC")), "asof_status": ["ok"] * 2000}
        )

    put(store, Layout.of(view, CUT), rows(0))
    keys, stop, wrong, seen = (
        tuple(entity_keys({"key": pa.array(names[::50])}, "string")),
        threading.Event(),
        list[object](),
        set[object](),
    )

    def read() -> None:
        reader = type(store)(store.url)
        while not stop.is_set():
            (answer,) = reader.ask([Question(view="pair", keys=keys)])
            rows = unpacked(view, answer)
            for values in zip(
                rows.columns["i"], rows.columns["t"], [(at - CUT) // HOUR - 1 for at in rows.valid_from], strict=True
            ):
                seen.add(values)
                wrong.extend([values] if len(set(values)) > 1 else [])
            wrong.extend(["missing"] if len(answer.rows) != len(keys) else [])
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    for hour in range(1, 6):
        put(store, Layout.of(view, CUT + hour * HOUR), rows(hour))
    stop.set()
    thread.join()
    assert not wrong
    assert len(seen) > 2


@pytest.mark.parametrize("line", ["features.store.redis_rows.each", "features.store.redis_places.Place.clear"])
@pytest.mark.parametrize("by_scan", [True, False])
def test_of_a_removal_that_is_killed_between_rows_and_feasts_hashes_the_next_load_leaves_nothing(
    store: RedisStore,
    by_scan: bool,  # noqa: FBT001
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    before, after = simple(range(6), 1), simple(range(2), 2)
    put(store, Layout.of(SIMPLE, CUT), before)
    later = Layout.of(SIMPLE, CUT + HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(line, killed)
        with pytest.raises(Killed):
            put(store, later, after, None if by_scan else before)
    put(store, later, after, None if by_scan else before)
    every = entity_keys({"key": before.column("key")}, "string")
    assert [store.client.exists(key + b"asof") for key in every] == [1, 1, 0, 0, 0, 0]
    assert [store.client.exists(redis_rows(key)) for key in every] == [1, 1, 0, 0, 0, 0]


def test_a_connection_that_the_server_closed_is_replaced(one: RedisStore) -> None:
    put(one, Layout.of(SIMPLE, CUT), simple(range(3), 1))
    question = Question(view=SIMPLE.name, keys=tuple(entity_keys({"key": pa.array(["k0001", "k0002"])}, "string")))
    before = one.ask([question])
    assert len(before[0].rows) == 2
    own = one.client.client_id()
    for client in one.client.client_list():
        if int(client["id"]) != own:
            one.client.client_kill_filter(_id=client["id"])
    assert one.ask([question]) == before


def test_an_answer_that_is_an_error_is_told_and_the_connection_goes(store: RedisStore) -> None:
    put(store, Layout.of(SIMPLE, CUT), simple(range(3), 1))
    store.client.delete(records_of(store.client, SIMPLE.name).head)
    store.client.set(records_of(store.client, SIMPLE.name).head, "no hash")
    with pytest.raises(BusyError, match="does not answer as it should: WRONGTYPE"):
        store.ask([Question(view=SIMPLE.name, keys=())])
    store.client.delete(records_of(store.client, SIMPLE.name).head)
    (answer,) = store.ask([Question(view=SIMPLE.name, keys=())])
    assert answer.head is None
