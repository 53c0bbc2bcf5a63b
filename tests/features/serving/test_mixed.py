"""A service as they are: views of several entities, of plain values with nulls and texts, of states and of streams. What a key is told alone it is told among others."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from features import Catalog, FeatureService, FeatureView, Field, Source, attribute
from features.definitions.names import utc
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import Settings
from features.store.keys import entity_key, redis_states
from features.store.redis_store import RedisStore
from features.store.stores import open_store
from features.store.values import Cell
from tests.features.serving import habits, test_states
from tests.features.serving.habits import CARD, CUT, DAY, HABITS, HOUR, PAIRS, PAYMENTS, TILLS, rows
from tests.features.serving.test_states import BEFORE, LIVE, SINCE, SLIDING

CARDS = Source(
    name="cards", table="raw.cards", kind="changes",
    columns=(Field(name="card_id", type="string"), Field(name="owner", type="string"), Field(name="bank", type="string"), Field(name="score", type="float64"),
             Field(name="event_time", type="timestamp")),
)  # fmt: skip
OWNERS = FeatureView(
    name="owners", entity=CARD, source=CARDS, features=(attribute("owner"), attribute("bank")), horizon="3d"
)
SCORES = FeatureView(name="scores", entity=CARD, source=CARDS, features=(attribute("score"),), horizon="3d")
CATALOG = Catalog(
    sources=(PAYMENTS, CARDS), views=(HABITS, LIVE, OWNERS, PAIRS, SCORES, SLIDING, TILLS),
    services=(FeatureService(name="all", views=(HABITS, LIVE, OWNERS, PAIRS, SCORES, SLIDING, TILLS)),),
)  # fmt: skip
ROWS: dict[FeatureView, Any] = {
    HABITS: rows(
        HABITS, {"card_id": ["c1", "c2", "c3"]}, ["ok", "overflow", "ok"], count_7d=[2, 3, 0], count_30d=[5, 3, 4], sum_amount_7d=[700, None, 0],
        mean_amount_7d=[350.0, 3.0e18, None], count_30d_minus_count_7d=[3, 0, 4],
    ),
    OWNERS: rows(OWNERS, {"card_id": ["c1", "c2", "c4"]}, ["ok"] * 3, owner=["Åsa, née [null]", None, ""], bank=["x", None, "null"]),
    PAIRS: rows(PAIRS, {"card_id": ["c1", "c2"], "shop": ["s", "t"]}, ["ok", "ok"], count_7d=[1, 2]),
    SCORES: rows(SCORES, {"card_id": ["c1", "c2", "c3"]}, ["ok"] * 3, score=[float("nan"), None, 0.5]),
    TILLS: habits.TILL_ROWS,
}  # fmt: skip
KEYS: list[dict[str, object]] = [
    {"card_id": card, "shop": shop, "till_id": till}
    for card, shop, till in (
        ("c1", "s", -7), ("c1", "t", 8), ("c2", "t", 9), ("c2", None, None), ("c3", "s", 8), ("c4", "s", -7), ("nobody", "s", 1), (None, "s", 8), (None, None, None),
    )
]  # fmt: skip


@pytest.fixture
def reader(either_store: Settings) -> Iterator[Reader]:
    for view, batch in ROWS.items():
        habits.put(either_store, view, batch)
    for view in (LIVE, SLIDING):
        test_states.put(either_store, view, BEFORE)
    since = [{**row, "event_time": utc(row["event_time"]).isoformat()} for row in SINCE]
    assert push(either_store, CATALOG, "payments", since).new == len(SINCE)
    with Reader(either_store, CATALOG) as made:
        yield made


def test_a_key_alone_is_told_what_it_is_told_among_others(reader: Reader) -> None:
    horizon = CUT + 2 * DAY + HOUR
    for at in (CUT + HOUR, CUT + 2 * HOUR, horizon - 1, horizon, CUT + 3 * DAY):
        together = reader.lookup("all", KEYS, at)
        for key, row in zip(KEYS, together.rows, strict=True):
            alone = reader.lookup("all", [key], at)
            assert repr(alone.rows) == repr((row,))  # NaN is not equal to itself
            assert repr(reader.table(alone).to_pylist()) == repr([_shown(row)])


def _shown(row: Any) -> dict[str, object]:
    made: dict[str, object] = dict(row.key)
    for view in row.views:
        kinds = CATALOG.view(view.view).types
        made |= {f"{view.view}__{name}": _in_arrow(value, kinds[name]) for name, value in view.values.items()}
        made[f"{view.view}__asof_status"] = view.status
    return made


def _in_arrow(value: Cell, kind: str) -> object:
    return utc(value).astimezone(ZoneInfo("UTC")) if kind == "timestamp" and isinstance(value, int) else value


def test_each_view_says_its_own(reader: Reader) -> None:
    (row,) = reader.lookup("all", [{"card_id": "c2", "shop": "t", "till_id": 9}], CUT + 2 * HOUR).rows
    assert {view.view: view.status for view in row.views} == {
        "habits": "overflow", "live": "ok", "owners": "ok", "pairs": "ok", "scores": "ok", "sliding": "ok", "tills": "never_seen",
    }  # fmt: skip
    assert {name: value for name, value in row.values.items() if not name.startswith(("live", "sliding"))} == {
        "habits__count_7d": 3, "habits__count_30d": 3, "habits__sum_amount_7d": None, "habits__mean_amount_7d": 3.0e18, "habits__count_30d_minus_count_7d": 0,
        "owners__owner": None, "owners__bank": None, "pairs__count_7d": 2, "scores__score": None, "tills__opened": None,
    }  # fmt: skip
    (row,) = reader.lookup("all", [{"card_id": "c3", "shop": None, "till_id": -7}], CUT + 2 * HOUR).rows
    assert (row.values["habits__mean_amount_7d"], row.values["habits__count_30d"], row.values["tills__opened"]) == (
        None,
        4,
        -1,
    )
    assert row.values["scores__score"] == 0.5


def test_a_text_that_is_none_any_more_is_damaged_and_all_else_is_as_it_was(
    either_store: Settings, reader: Reader
) -> None:
    key, at = {"card_id": "c1", "shop": "s", "till_id": 8}, CUT + 2 * HOUR
    (before,) = reader.lookup("all", [key], at).rows
    _write_over(either_store, "c1", lambda row: row[:-1] + b"\xff")
    for keys in ([key], [key, KEYS[1]]):
        row = reader.lookup("all", keys, at).rows[0]
        for was, view in zip(before.views, row.views, strict=True):
            if view.view == "owners":
                assert (view.status, view.values) == ("damaged", {"owner": None, "bank": None})
            else:
                assert repr(view) == repr(was)


def _write_over(settings: Settings, card: str, change: Callable[[bytes], bytes]) -> None:
    """The row of owners."""
    key = entity_key({"card_id": card}, "string")
    if settings.online.kind == "sqlite":
        with closing(sqlite3.connect(settings.online_db)) as db, db:
            where = "WHERE view = 'owners' AND entity_key = ?"
            (row,) = db.execute(f"SELECT row FROM asof_rows {where}", (key,)).fetchone()  # noqa: S608 - ours
            db.execute(f"UPDATE asof_rows SET row = ? {where}", (change(row), key))  # noqa: S608 - ours
        return
    store = cast("RedisStore", open_store(settings, writable=True))
    row = store.client.hget(redis_states(key), b"owners")
    store.client.hset(redis_states(key), b"owners", change(row))
    store.close()
