"""Lookups of views that change between cuts: finished from states and tails, at any instant, as the oracle counts."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples

from features import (
    Catalog,
    EventFreshness,
    FeatureService,
    FeatureView,
    Schedule,
    count,
    distinct,
    flat,
    last,
    max_,
    sum_,
    time_since_last,
)
from features.definitions.names import STATE, utc
from features.errors import InputError, NotLoadedError
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import Settings, load
from features.store.heads import Layout, Loaded
from features.store.redis_states import write_states
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store, redis_url
from jobs.tails import trim_tail
from tests import oracle
from tests.engine import encoded, stored
from tests.features.serving.habits import CARD, CUT, DAY, HOUR, PAYMENTS
from tests.properties.agreement import agree
from tests.states import kept_cases, states_of
from tests.strategies import NO_HEALTH_CHECK, Case

MINUTE = HOUR // 60
LIVE = FeatureView(
    name="live", entity=CARD, source=PAYMENTS, freshness=EventFreshness(lateness="2h"), remember="30d",
    features=flat((count("1h 24h"), sum_("amount", "1h 24h"), max_("amount", "24h"), distinct("shop", "24h", limit=5), last("shop", "24h"),
                   time_since_last("24h"))),
)  # fmt: skip
SLIDING = FeatureView(
    name="sliding", entity=CARD, source=PAYMENTS, freshness=Schedule(anchor="ask"), remember="30d", features=flat((count("7d"), sum_("amount", "7d"))),
)  # fmt: skip
CATALOG = Catalog(
    sources=(PAYMENTS,), views=(LIVE, SLIDING), services=(FeatureService(name="now", views=(LIVE, SLIDING)),)
)
Rows = list[dict[str, Any]]


def paid(number: int, card: str, at: int, amount: int = 100, shop: str = "s") -> dict[str, Any]:
    return {"id": f"p{number}", "card_id": card, "shop": shop, "till_id": 1, "amount": amount, "event_time": at}


BEFORE: Rows = [
    paid(1, "c1", CUT - 3 * DAY),
    paid(2, "c1", CUT - 30 * MINUTE, 250, "t"),
    paid(3, "c2", CUT - 40 * DAY),
    paid(4, "c2", CUT - HOUR, -7),
]
SINCE: Rows = [
    paid(5, "c1", CUT + 50 * MINUTE, 30),
    paid(6, "c1", CUT + 2 * HOUR, 5, "u"),
    paid(7, "c3", CUT + 3 * HOUR, 9),
]


@pytest.fixture
def settings(either_store: Settings) -> Settings:
    return either_store


def put(settings: Settings, view: FeatureView, rows: Rows, cut: int = CUT, now: int = CUT + HOUR) -> Loaded:
    """Loads the states of a cut, from rows."""
    source = view.source
    names = source.key_columns(view.entity.name, view.keys)
    keys = sorted({tuple(row[name] for name in names) for row in rows if None not in [row[name] for name in names]})
    codes = {encoded(key): n for n, key in enumerate(keys)}
    states = states_of(view, {source.name: stored(source, rows)}, codes, cut)
    kept = [(key, state) for key, state in zip(keys, states, strict=True) if state is not None]
    kind = pa.int64() if view.entity.type == "int64" else pa.string()
    columns = {name: pa.array([key[n] for key, _ in kept], kind) for n, name in enumerate(view.keys)}
    batch = pa.record_batch({**columns, STATE: pa.array([state for _, state in kept], pa.binary())})
    layout = Layout.of(view, cut)
    if settings.online.kind == "sqlite":
        store = SqliteStore(settings.online_db)
        loaded = store.load(layout, [batch], now)
        store.close()
        return loaded
    redis, url = cast("RedisStore", open_store(settings, writable=True)), redis_url(settings)
    with redis.loading_states(layout, now) as load_:
        if load_.settled is not None:
            return load_.settled
        load_.begin()
        load_.show(sum(write_states(url, layout, load_.generation, load_.token, [batch])))
        ended = load_.end(lambda head: load_.remove_by_scan(head.generation))
    redis.close()
    return ended


def looked_up(settings: Settings, at: int, *cards: str) -> list[dict[str, Any]]:
    with Reader(settings, CATALOG) as reader:
        result = reader.lookup("now", [{"card_id": card} for card in cards], at)
    return [{**row.values, "statuses": [view.status for view in row.views]} for row in result.rows]


def meant(view: FeatureView, rows: Rows, card: str, at: int) -> dict[str, Any]:
    """What the oracle counts."""
    return {
        f"{view.name}__{name}": value
        for name, value in oracle.answer(view, {view.source.name: rows}, (card,), at).values.items()
    }


def test_values_follow_the_clock_and_the_stream(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    assert (
        push(settings, CATALOG, "payments", [{**row, "event_time": _iso(row["event_time"])} for row in SINCE]).new == 3
    )
    with Reader(settings, CATALOG) as reader:  # one card after another, and all of them at once
        for at in (
            CUT + HOUR,
            CUT + HOUR + 30 * MINUTE,
            CUT + 2 * HOUR,
            CUT + 2 * HOUR + 1,
            CUT + 3 * HOUR + 1,
            CUT + DAY - 30 * MINUTE,
        ):
            cards = ("c1", "c2", "c3", "nobody")
            for card, found in zip(cards, looked_up(settings, at, *cards), strict=True):
                del found["statuses"]
                live, sliding = meant(LIVE, BEFORE + SINCE, card, at), meant(SLIDING, BEFORE, card, at)
                assert found == {**live, **sliding}, (card, at)
                (row,) = reader.lookup("now", [{"card_id": card}], at).rows
                assert row.values == found, (card, at)
                (row,) = reader.lookup_features({"sliding": list(SLIDING.types)}, [{"card_id": card}], at).rows
                assert row.values == sliding, (card, at)


def test_a_silent_stream_is_stale_until_it_says_that_it_lives(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    at = CUT + 3 * HOUR
    settings = settings.model_copy(update={"clock": utc(at)})  # no push tells of what comes after it
    assert looked_up(settings, at, "c1")[0]["statuses"] == ["stale", "ok"]
    push(settings, CATALOG, "payments", [], watermark=at - 6 * MINUTE)
    assert looked_up(settings, at, "c1")[0]["statuses"] == ["stale", "ok"]
    push(settings, CATALOG, "payments", [], watermark=at - 5 * MINUTE)
    assert looked_up(settings, at, "c1", "nobody")[0]["statuses"] == ["ok", "ok"]
    push(settings, CATALOG, "payments", [], watermark=CUT)  # a late word takes nothing back
    assert [found["statuses"] for found in looked_up(settings, at, "c1", "nobody")] == [
        ["ok", "ok"],
        ["never_seen", "never_seen"],
    ]


def test_redelivered_and_later_versions_count_once(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    row = {**SINCE[0], "event_time": _iso(SINCE[0]["event_time"])}
    assert push(settings, CATALOG, "payments", [row, row]).new == 1
    done = push(
        settings, CATALOG, "payments", [row, {**row, "amount": 999, "event_time": _iso(SINCE[0]["event_time"] + 1)}]
    )
    assert (done.new, done.known, done.refused) == (0, 2, {})
    assert looked_up(settings, CUT + 2 * HOUR, "c1")[0]["live__sum_amount_24h"] == 250 + 30


def test_many_writers_on_one_key_lose_nothing(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    parts = [
        [{**paid(100 * n + i, "c1", CUT + HOUR), "event_time": _iso(CUT + HOUR + i)} for i in range(25)]
        for n in range(8)
    ]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda rows: push(settings, CATALOG, "payments", rows), parts))
    assert sum(each.new for each in done) == 200
    assert looked_up(settings, CUT + HOUR + 30 * MINUTE, "c1")[0]["live__count_1h"] == 200


def test_generations_wait_are_kept_and_roll_back(settings: Settings) -> None:
    loads = [
        put(settings, LIVE, BEFORE, cut=CUT + n * DAY, now=CUT + n * DAY + (0 if n == 3 else HOUR)) for n in range(4)
    ]
    put(settings, SLIDING, BEFORE, cut=CUT + 3 * DAY, now=CUT + 3 * DAY)
    assert [(load_.head.generation, load_.written, load_.removed) for load_ in loads] == [
        (1, 2, 0),
        (2, 2, 0),
        (3, 2, 2),
        (4, 2, 0),
    ]
    assert (
        put(settings, LIVE, BEFORE, cut=CUT + 3 * DAY).sentence
        == "live: cut 2026-01-04T00-00Z is already in the online store (2 keys)."
    )
    with Reader(settings, CATALOG) as reader:
        # The fourth waits for its valid_from, an hour after its cut; the third answers until then.
        for at, cut in ((CUT + 3 * DAY + HOUR - 1, 2), (CUT + 3 * DAY + HOUR, 3), (CUT + DAY + HOUR, 1)):
            assert (
                reader.lookup_features({"live": ["count_1h"]}, [{"card_id": "c1"}], at).rows[0].views[0].cut
                == CUT + cut * DAY
            )
        with pytest.raises(InputError, match="Ask for a later instant"):
            reader.lookup_features({"live": ["count_1h"]}, [{"card_id": "c1"}], CUT + HOUR)
        store = open_store(settings, writable=True)
        assert [head.generation for head in store.generations("live")] == [2, 3, 4]
        store.roll_back("live", 4)
        assert (
            reader.lookup_features({"live": ["count_1h"]}, [{"card_id": "c1"}], CUT + 3 * DAY + HOUR)
            .rows[0]
            .views[0]
            .cut
            == CUT + 2 * DAY
        )
        store.close()
    assert put(settings, LIVE, BEFORE, cut=CUT + 3 * DAY, now=CUT + 3 * DAY + HOUR).head.generation == 5


def test_a_damaged_state_is_said_of_its_key_alone(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    damage(settings, "live")
    (bad, good) = looked_up(settings, CUT + HOUR, "c1", "c2")
    assert (bad["statuses"], bad["live__count_24h"], bad["sliding__count_7d"]) == (["damaged", "ok"], None, 2)
    assert (good["statuses"][1], good["live__count_24h"]) == ("ok", 1)


def damage(settings: Settings, view: str) -> None:
    """One byte of the first card's state turns."""
    from features.store.keys import entity_key, redis_states, state_field

    key = entity_key({"card_id": "c1"}, "string")
    if settings.online.kind != "sqlite":
        store = cast("RedisStore", open_store(settings, writable=True))
        state = bytearray(store.client.hget(redis_states(key), state_field(view, 1)))
        state[-3] ^= 64
        store.client.hset(redis_states(key), state_field(view, 1), bytes(state))
        store.close()
        return
    import sqlite3

    with sqlite3.connect(settings.online_db) as db:
        (state,) = db.execute("SELECT state FROM asof_states WHERE view = ? AND entity_key = ?", (view, key)).fetchone()
        changed = bytearray(state)
        changed[-3] ^= 64
        db.execute("UPDATE asof_states SET state = ? WHERE view = ? AND entity_key = ?", (bytes(changed), view, key))
    db.close()


def test_what_became_known_before_an_instant_is_trimmed(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    push(settings, CATALOG, "payments", [{**row, "event_time": _iso(row["event_time"])} for row in SINCE])
    store = open_store(settings, writable=True)
    assert store.trim("payments", CUT + 2 * HOUR) == 1
    store.close()
    assert looked_up(settings, CUT + 2 * HOUR + 1, "c1")[0]["live__sum_amount_24h"] == 250 + 5


def test_a_view_that_was_forgotten_and_comes_back_has_none_of_its_old_states(settings: Settings) -> None:
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE)
    store = open_store(settings, writable=True)
    store.forget("sliding")
    assert store.generations("sliding") == ()
    store.close()
    put(settings, SLIDING, [row for row in BEFORE if row["card_id"] != "c1"])
    one, two = looked_up(settings, CUT + HOUR, "c1", "c2")
    assert (one["statuses"][1], one["sliding__count_7d"]) == ("never_seen", 0)
    assert (two["statuses"][1], two["sliding__count_7d"]) == ("ok", 1)


def test_a_trim_leaves_what_a_lag_raises(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T04:00:00Z")
    late = replace(LIVE, source=replace(PAYMENTS, known_at="event_time", lag="30m"))
    catalog = Catalog(sources=(late.source,), views=(late,))
    put(settings, late, BEFORE)
    row = paid(5, "c9", CUT - 10 * MINUTE)  # its entry says before the cut, its lag says after
    push(settings, catalog, "payments", [{**row, "event_time": _iso(row["event_time"])}])
    trim_tail(settings, catalog, late)
    with Reader(settings, catalog) as reader:
        (found,) = reader.lookup_features({"live": ["count_24h"]}, [{"card_id": "c9"}], CUT + HOUR).rows
    assert found.values["live__count_24h"] == 1


def test_a_view_that_was_never_loaded_says_so(settings: Settings) -> None:
    put(settings, LIVE, BEFORE)
    with Reader(settings, CATALOG) as reader:
        with pytest.raises(NotLoadedError, match="The online store holds no values of view 'sliding'"):
            reader.lookup("now", [{"card_id": "c1"}], CUT + HOUR)
        assert reader.unready(["now"]) == [
            "The online store holds no values of view 'sliding'. Run `asof materialize --cut CUT --view sliding` with a published cut."
        ]


@pytest.mark.parametrize(
    ("source", "rows", "message"),
    [
        ("shops", [], "There is no source 'shops'"),
        ("payments", [{"id": "a"}], "What was pushed does not fit source 'payments': it lacks card_id, shop, till_id, amount, event_time."),
        ("payments", [{**paid(1, "c", 0), "more": 1}], "it has more besides. Its columns are id, card_id, shop, till_id, amount, event_time."),
        ("payments", [paid(1, "c", 0), {**paid(2, "c", 0), "amount": "x"}], "Column 'amount' of what was pushed to 'payments' mixes types"),
    ],
)  # fmt: skip
def test_what_cannot_be_pushed_is_said(tmp_path: Path, source: str, rows: Rows, message: str) -> None:
    with pytest.raises(InputError) as error:
        push(load(home=tmp_path), CATALOG, source, rows)
    assert message in str(error.value)


def test_a_source_that_nobody_follows_takes_no_push(tmp_path: Path) -> None:
    alone = Catalog(sources=(PAYMENTS,), views=(SLIDING,))
    with pytest.raises(
        InputError,
        match=r"No view follows source 'payments' event by event, so a push would change no lookup. Push to none",
    ):
        push(load(home=tmp_path), alone, "payments", [])


def test_a_row_that_does_not_fit_is_refused_alone(tmp_path: Path) -> None:
    settings = load(home=tmp_path)
    good, bad = (
        {**row, "event_time": when}
        for row, when in zip(SINCE, (_iso(SINCE[0]["event_time"]), "yesterday"), strict=False)
    )
    done = push(settings, CATALOG, "payments", [bad, good])
    assert (done.new, done.known) == (1, 0)
    assert list(done.refused) == [0]
    assert "event_time" in done.refused[0]


def _iso(at: int) -> str:
    return utc(at).isoformat()


@pytest.mark.slow
@examples(max_examples=40, suppress_health_check=NO_HEALTH_CHECK)
@given(kept_cases().filter(lambda case: isinstance(case.view.freshness, EventFreshness)))
def test_what_is_pushed_in_any_order_counts_as_the_oracle_says(case: Case) -> None:
    view = case.view
    rows = [_as_ingested(row) for row in _one_a_version(case.raw["s"], view)]
    catalog = Catalog(sources=view.sources, views=(view,))
    with TemporaryDirectory() as folder:
        settings = load(home=folder)
        for cut in sorted({view.schedule.cut_served(at) for _, at in case.asks}):
            settings.online_db.unlink(missing_ok=True)
            put(settings, view, rows, cut, now=cut + view.schedule.lag_us)
            for part in (rows[1::2], rows[::-1]):
                push(settings, catalog, "s", pa.Table.from_pylist(part, _schema(view)))
            with Reader(settings, catalog) as reader:
                for key, at in case.asks:
                    if view.schedule.cut_served(at) != cut:
                        continue
                    names = [feature.name for feature in view.features]
                    (row,) = reader.lookup_features({"v": names}, [dict(zip(view.keys, key, strict=True))], at).rows
                    want = oracle.answer(view, {**case.raw, "s": rows}, key, at)
                    for name, value in want.values.items():
                        if None not in key:
                            got = row.values[f"v__{name}"]
                            assert agree(case, view.types[name], name, key, at, got, value), (
                                f"{name} is {got}, meant {value}"
                            )


def _as_ingested(row: dict[str, Any]) -> dict[str, Any]:
    """NaN is null from there on (semantics 2)."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _schema(view: FeatureView) -> pa.Schema:
    from features.values.sweep import ARROW_TYPES

    return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in view.source.types.items()])


def _one_a_version(rows: Rows, view: FeatureView) -> Rows:
    """Without rows that differ from another of the same event, version and known_at in their content alone."""
    source = view.source
    seen: dict[Any, dict[str, Any]] = {}
    for row in rows:
        seen[
            row["id"],
            oracle.landed(source, row),
            row["ver"] if source.version else 0,
            bool(row["v"]) if source.void else False,
        ] = row
    return list(seen.values())
