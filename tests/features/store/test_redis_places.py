"""Views share a string an entity, and none ever reads or writes what is another's."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import FeatureView
from features.store.heads import Layout
from features.store.keys import entity_key, redis_places, redis_rows, redis_states
from features.store.packed import Packing
from features.store.reads import Answer, Question
from features.store.redis_client import records_of
from features.store.redis_rows import Load, remove_rows, write_rows
from features.store.redis_store import RedisStore
from tests.features.store.hostile_rows import CUT, HOUR, make_view, unpacked
from tests.features.store.loads import NOW, SIMPLE, put, simple

pytestmark = pytest.mark.services
OTHER = make_view("other", keys=("key",), features="i t")
WIDE = make_view("simple", keys=("key",), features="i f b")
TEXT = make_view("simple", keys=("key",), features="i s")
RECORD = redis_places(("key",))


def size(view: FeatureView) -> int:
    return Packing(dict(Layout.of(view, CUT).features), "any").size


def rows(view: FeatureView, keys: range, value: int) -> pa.RecordBatch:
    made = simple(keys, value).to_pydict()
    whole = pa.array(made["i"], pa.int64())
    more = {
        "t": whole.cast(pa.timestamp("us", tz="UTC")), "f": whole.cast(pa.float64()), "b": whole.cast(pa.bool_()), "s": whole.cast(pa.string()),
    }  # fmt: skip
    made |= {name: more[name] for name in view.types if name != "i"}
    return pa.RecordBatch.from_pydict(made | {"i": whole})


def key(number: int) -> bytes:
    return entity_key({"key": f"k{number:04}"}, "string")


def asked(store: RedisStore, view: FeatureView, keys: range) -> Answer:
    (answer,) = store.ask([Question(view=view.name, keys=tuple(map(key, keys)))])
    return answer


def values(store: RedisStore, view: FeatureView, keys: range) -> dict[int, object]:
    """What a reader of this definition finds."""
    answer = asked(store, view, keys)
    there = [number for number in keys if answer.rows.get(key(number)) is not None]
    return dict(zip(there, unpacked(view, answer, *map(key, there)).columns["i"], strict=True))


def places(store: RedisStore) -> Mapping[bytes, bytes]:
    found: Mapping[bytes, bytes] = store.client.hgetall(RECORD)
    return found


def test_the_views_of_an_entity_are_one_string_that_is_as_long_as_their_rows(store: RedisStore) -> None:
    put(store, Layout.of(SIMPLE, CUT), simple(range(50), 1))
    put(store, Layout.of(OTHER, CUT), rows(OTHER, range(25, 75), 2))
    put(store, Layout.of(SIMPLE, CUT + HOUR), simple(range(60), 3))
    assert values(store, SIMPLE, range(80)) == dict.fromkeys(range(60), 3)
    assert values(store, OTHER, range(80)) == dict.fromkeys(range(25, 75), 2)
    lengths = [store.client.strlen(redis_rows(key(number))) for number in range(75)]
    assert lengths == [size(SIMPLE)] * 25 + [size(SIMPLE) + size(OTHER)] * 50
    client = store.client
    taken = [client.memory_usage(redis_rows(key(number))) for number in (10, 30, 70)]
    for number, length in ((10, lengths[10]), (30, lengths[30]), (70, lengths[70])):
        client.set(redis_rows(key(number)), b"x" * length)
    assert taken == [client.memory_usage(redis_rows(key(number))) for number in (10, 30, 70)], "no room is lost"


def test_of_few_and_of_many_entities_a_reader_finds_the_same(store: RedisStore) -> None:
    put(store, Layout.of(SIMPLE, CUT), simple(range(0, 100, 2), 1))
    put(store, Layout.of(OTHER, CUT), rows(OTHER, range(40), 2))
    questions = [Question(view=view.name, keys=tuple(map(key, range(100)))) for view in (SIMPLE, OTHER)]
    many = store.ask(questions)
    for number in range(100):
        few = store.ask([Question(view=each.view, keys=(key(number),)) for each in questions])
        assert [dict(one.rows) for one in few] == [{key(number): one.rows.get(key(number))} for one in many]


def test_rows_of_many_are_given_as_they_lie_where_nobody_lacks_one(one: RedisStore) -> None:
    put(one, Layout.of(OTHER, CUT), rows(OTHER, range(100), 2))
    put(one, Layout.of(SIMPLE, CUT), simple(range(100), 1))
    block = asked(one, SIMPLE, range(100)).block
    assert block is not None
    assert (block.keys, block.first, len(block.strings)) == (100, size(OTHER), 100 * (size(OTHER) + size(SIMPLE)))
    assert asked(one, SIMPLE, range(31)).block is None, "few are read one by one"


def test_readers_of_a_definition_find_its_rows_until_another_is_live(store: RedisStore) -> None:
    put(store, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    before = places(store)
    with store.loading(Layout.of(WIDE, CUT), NOW) as load:
        load.begin()
        written = sum(write_rows(store.url, load.task, [rows(WIDE, range(5, 15), 2)]))
        assert values(store, SIMPLE, range(20)) == dict.fromkeys(range(10), 1)
        removed = load.remove_by_scan()
        assert removed == 5
        assert values(store, SIMPLE, range(20)) == dict.fromkeys(range(10), 1)
        load.end(written=written, removed=removed)
    assert values(store, WIDE, range(20)) == dict.fromkeys(range(5, 15), 2)
    assert len(places(store)) == 2, "whoever read the record before may still look there"
    put(store, Layout.of(WIDE, CUT + HOUR), rows(WIDE, range(5, 15), 3), rows(WIDE, range(5, 15), 2))
    assert len(places(store)) == 1
    assert not store.client.exists(redis_rows(key(0)))
    assert store.client.get(redis_rows(key(7)))[: size(SIMPLE)] == bytes(size(SIMPLE))
    put(store, Layout.of(OTHER, CUT), rows(OTHER, range(10), 4))
    put(store, Layout.of(SIMPLE, CUT + 2 * HOUR), simple(range(10), 5))
    assert next(iter(before.values())) in places(store).values(), "what is free is taken again"
    assert values(store, OTHER, range(20)) == dict.fromkeys(range(10), 4)
    assert values(store, SIMPLE, range(20)) == dict.fromkeys(range(10), 5)


def test_rows_with_texts_are_fields_and_become_places_and_fields_again(store: RedisStore) -> None:
    put(store, Layout.of(TEXT, CUT), rows(TEXT, range(10), 1))
    assert values(store, TEXT, range(20)) == dict.fromkeys(range(10), 1)
    assert not store.client.exists(redis_rows(key(3)))
    for turn, (view, keys) in enumerate([(SIMPLE, range(5, 15)), (TEXT, range(8, 12)), (TEXT, range(9, 13))]):
        loaded = put(store, Layout.of(view, CUT + (turn + 1) * HOUR), rows(view, keys, turn))
        assert loaded.removed == [5, 6 + 5, 1][turn], "the second load takes the fields that the first one left"
        assert values(store, view, range(20)) == dict.fromkeys(keys, turn)
    left = sorted(name for name in store.client.scan_iter() if name.startswith(b"asof:{"))
    assert left == sorted(redis_states(key(number)) for number in range(9, 13))
    assert list(places(store).values()) == [b"0 0"]


def test_a_view_that_nobody_is_left_in_leaves_no_string(store: RedisStore) -> None:
    put(store, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    put(store, Layout.of(OTHER, CUT), rows(OTHER, range(5), 1))
    put(store, Layout.of(SIMPLE, CUT + HOUR), simple(range(2), 1), simple(range(10), 1))
    there = [number for number in range(10) if store.client.exists(redis_rows(key(number)))]
    assert there == list(range(5))


def test_rows_of_before_there_were_places_are_read_and_keep_their_field(store: RedisStore) -> None:
    layout = Layout.of(SIMPLE, CUT)
    put(store, layout, simple(range(4), 1))
    for number in range(4):
        store.client.hset(redis_states(key(number)), SIMPLE.name, store.client.get(redis_rows(key(number))))
        store.client.delete(redis_rows(key(number)))
    store.client.delete(RECORD)
    head = records_of(store.client, SIMPLE.name).head
    store.client.hdel(head, "place")
    store.client.hset(head, "layout", "2")
    assert values(store, SIMPLE, range(6)) == dict.fromkeys(range(4), 1)
    loaded = put(store, Layout.of(SIMPLE, CUT + HOUR), simple(range(2, 6), 2), simple(range(4), 1))
    assert (loaded.written, loaded.removed) == (4, 2)
    assert values(store, SIMPLE, range(6)) == dict.fromkeys(range(2, 6), 2)
    assert put(store, Layout.of(WIDE, CUT + HOUR), rows(WIDE, range(3, 6), 3)).removed == 1
    put(store, Layout.of(WIDE, CUT + 2 * HOUR), rows(WIDE, range(3, 6), 3))
    assert not [name for name in store.client.scan_iter() if name.endswith(b":states")]


def test_a_reader_that_knew_another_place_asks_again(one: RedisStore) -> None:
    reader = RedisStore(one.url)
    put(one, Layout.of(SIMPLE, CUT), simple(range(10), 1))
    assert values(reader, SIMPLE, range(12)) == dict.fromkeys(range(10), 1)
    for turn, view in enumerate([WIDE, SIMPLE, TEXT, WIDE, SIMPLE]):
        put(one, Layout.of(view, CUT + (turn + 1) * HOUR), rows(view, range(turn, 10), turn))
        assert values(reader, view, range(12)) == dict.fromkeys(range(turn, 10), turn)
    one.forget(SIMPLE.name)
    assert asked(reader, SIMPLE, range(3)).head is None
    reader.close()


def test_loads_of_several_views_at_once_lose_nothing(store: RedisStore) -> None:
    views = [make_view(name, keys=("key",), features=features) for name, features in zip("abcd", ("i", "i t", "f i", "b i"), strict=True)]  # fmt: skip

    def both(view: FeatureView, start: int) -> None:
        own = type(store)(store.url)
        for turn in range(3):
            layout = Layout.of(view, CUT + turn * HOUR)
            put(own, layout, rows(view, range(start, 600), start + turn), rows(view, range(start, 600), 0))
        own.close()

    with ThreadPoolExecutor(len(views)) as pool:
        for done in [pool.submit(both, view, start) for start, view in enumerate(views)]:
            done.result()
    for start, view in enumerate(views):
        assert values(store, view, range(600)) == dict.fromkeys(range(start, 600), start + 2)
    spans = sorted(tuple(map(int, text.split())) for text in places(store).values())
    assert [at for at, _ in spans] == [0, *accumulate(size for _, size in spans[:-1])]


@pytest.mark.parametrize("count", [3, 100])
def test_of_a_broken_string_the_rows_that_are_broken_are_damaged(one: RedisStore, count: int) -> None:
    """Cut off, longer, overwritten, not there: by key, and of the views alone whose bytes they are."""
    put(one, Layout.of(SIMPLE, CUT), simple(range(count), 1))
    put(one, Layout.of(OTHER, CUT), rows(OTHER, range(count), 2))
    whole = one.client.get(redis_rows(key(0)))
    one.client.set(redis_rows(key(0)), whole[: size(SIMPLE) + 5])
    one.client.append(redis_rows(key(1)), b"more")
    one.client.setrange(redis_rows(key(2)), 8, b"else")
    packing = {view.name: Packing(view.types, Layout.of(view, CUT).definition) for view in (SIMPLE, OTHER)}
    fits = {}
    for view in (SIMPLE, OTHER):
        found = asked(one, view, range(count)).rows
        assert all(found[key(number)] for number in range(count)), "they are there"
        fits[view.name] = packing[view.name].fitting([found.get(key(number)) for number in range(count)])
    assert fits["simple"] == [True, True, False] + [True] * (count - 3)
    assert fits["other"] == [False, True, True] + [True] * (count - 3)


def test_a_record_of_places_that_is_lost_is_made_again_by_loads(store: RedisStore) -> None:
    put(store, Layout.of(OTHER, CUT), rows(OTHER, range(5), 1))
    put(store, Layout.of(SIMPLE, CUT), simple(range(5), 1))
    before = places(store)
    store.client.delete(RECORD)
    put(store, Layout.of(SIMPLE, CUT + HOUR), simple(range(5), 2))
    put(store, Layout.of(OTHER, CUT + HOUR), rows(OTHER, range(5), 3))
    assert places(store) == before
    assert values(store, SIMPLE, range(6)) == dict.fromkeys(range(5), 2)
    assert values(store, OTHER, range(6)) == dict.fromkeys(range(5), 3)


class KilledError(Exception):
    """Of a load, at a place of its own."""


DEFINITIONS = {
    name: [make_view(name, keys=("key",), features=features) for features in ("i", "i t", "i s", "b i s", "f i")]
    for name in ("one", "two")
}
STAGES = ("done", "half", "written", "removed", "live")
Steps = list[tuple[str, int, list[int], str]]


@dataclass
class Model:
    """What readers may find of a view."""

    view: FeatureView | None = None
    cuts: dict[tuple[FeatureView, int], list[int]] = field(default_factory=dict)
    """Keys by definition and cut."""
    may: dict[int, set[object]] = field(default_factory=dict)
    """Key to values, None for no row."""


def load(store: RedisStore, model: Model, view: FeatureView, hour: int, keys: list[int], stage: str) -> None:
    """One load that ends at a stage; its value is the hour."""
    layout = Layout.of(view, CUT + hour * HOUR)
    model.cuts[view, layout.cut] = keys
    batches = [rows(view, range(number, number + 1), hour) for number in keys]
    with store.loading(layout, NOW + hour * HOUR) as one:
        one.begin()
        some = batches[: len(batches) // 2] if stage == "half" else batches
        same = view == model.view or (model.view is not None and not size(view) and not size(model.view))
        written = sum(write_rows(store.url, one.task, some))
        for number in keys[: len(some)] if same else ():
            model.may[number].add(hour if view == model.view else "damaged")
        if stage in ("half", "written"):
            raise KilledError
        cuts = one.cuts_before
        if cuts is None:
            removed = one.remove_by_scan()
        else:
            before = {number for cut in cuts for number in model.cuts[view, cut]} - set(keys)
            removed = sum(remove_rows(store.url, one.task, [simple(range(n, n + 1), 0) for n in sorted(before)]))
        if same:
            for number in set(range(6)) - set(keys):
                model.may[number].add(None)
        if stage == "removed":
            raise KilledError
        model.view, model.may = view, {number: {hour if number in keys else None} for number in range(6)}
        if stage == "live":
            with patch.object(Load, "_free", side_effect=KilledError):
                one.end(written=written, removed=removed)
        one.end(written=written, removed=removed)


def check(store: RedisStore, models: Mapping[str, Model]) -> None:
    """A reader finds nothing else than it may."""
    keys = tuple(map(key, range(6)))
    answers = store.ask([Question(view=name, keys=keys) for name in models])
    for model, answer in zip(models.values(), answers, strict=True):
        if model.view is None:
            assert answer.head is None
            continue
        assert answer.head is not None
        layout = Layout.of(model.view, answer.head.cut)
        assert answer.head.definition == layout.definition
        packing = Packing(model.view.types, layout.definition)
        for number, entity in enumerate(keys):
            row = answer.rows.get(entity)
            got: object = None
            if row is not None and not packing.fitting([row])[0]:
                got = "damaged"
            elif row is not None:
                (stamp,), got = packing.unpack([row]).valid_from, packing.unpack([row]).columns["i"][0]
                got = None if stamp < answer.head.valid_from else got
            assert got in model.may[number], (model.view, number, got, model.may[number])


def left_over(store: RedisStore, models: Mapping[str, Model]) -> None:
    """Nothing in the store is nobody's, once each view was loaded twice more."""
    live = [model.view for model in models.values() if model.view is not None]
    named = {name.decode(): tuple(map(int, text.split())) for name, text in places(store).items()}
    assert set(named) == {f"{view.name} {Layout.of(view, CUT).definition}" for view in live}
    spans = sorted(span for span in named.values() if span[1])
    assert all(at + length <= other for (at, length), (other, _) in pairwise(spans))
    for number in range(6):
        held = bytearray(store.client.get(redis_rows(key(number))) or b"")
        assert not held or held.strip(b"\0"), "a string of nothing"
        for at, length in spans:
            held[at : at + length] = bytes(len(held[at : at + length]))
        assert not held.strip(b"\0")
        fields = set(store.client.hkeys(redis_states(key(number))))
        assert fields <= {view.name.encode() for view in live if not size(view)}


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(DEFINITIONS)), st.integers(0, 4), st.lists(st.integers(0, 5), unique=True),
            st.sampled_from(STAGES),
        ),
        min_size=3, max_size=10,
    )
)  # fmt: skip
def test_whatever_is_loaded_and_killed_readers_find_a_definitions_own_rows(one: RedisStore, steps: Steps) -> None:
    one.client.flushdb()
    store, models, hour = RedisStore(one.url), {name: Model() for name in DEFINITIONS}, 0
    for name, definition, keys, stage in steps:
        hour += 1
        with suppress(KilledError):
            load(store, models[name], DEFINITIONS[name][definition], hour, keys, stage)
        check(store, models)
        check(one, models)
    for name, model in models.items():
        for _ in range(2):
            hour += 1
            load(store, model, model.view or DEFINITIONS[name][0], hour, [0, 3], "done")
            check(one, models)
    left_over(store, models)
    store.close()
