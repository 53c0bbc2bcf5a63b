"""Small views, their catalogue and rows, and how they get into an online store: for tests of lookups."""

import os
from dataclasses import replace
from typing import Any, cast

import pyarrow as pa

from features import (
    Catalog,
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Selection,
    Source,
    attribute,
    count,
    difference,
    flat,
    mean,
    sum_,
)
from features.settings import Settings
from features.store.heads import Layout
from features.store.redis_rows import write_rows
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store, redis_url

HOUR = 3_600_000_000
DAY = 24 * HOUR
CUT = 20_454 * DAY  # 2026-01-01
NOW = CUT + 2 * HOUR
REDIS = os.environ.get("ASOF_TEST_REDIS_URL", "")

CARD = Entity(name="card", keys=("card_id",))
SHOP = Entity(name="card_shop", keys=("card_id", "shop"))
TILL = Entity(name="till", keys=("till_id",), type="int64")
PAYMENTS = Source(
    name="payments", table="raw.payments", event_id="id",
    columns=(Field(name="id", type="string"), Field(name="card_id", type="string"), Field(name="shop", type="string"), Field(name="till_id", type="int64"),
             Field(name="amount", type="int64"), Field(name="event_time", type="timestamp")),
)  # fmt: skip
PROFILES = Source(
    name="tills", table="raw.tills", kind="changes",
    columns=(Field(name="till_id", type="int64"), Field(name="opened", type="timestamp"), Field(name="event_time", type="timestamp")),
)  # fmt: skip
HABITS = FeatureView(
    name="habits", entity=CARD, source=PAYMENTS,
    features=flat((count("7d 30d"), sum_("amount", "7d"), mean("amount", "7d"), difference("count_30d", "count_7d"))),
)  # fmt: skip
PAIRS = FeatureView(name="pairs", entity=SHOP, source=PAYMENTS, features=flat((count("7d"),)))
TILLS = FeatureView(name="tills", entity=TILL, source=PROFILES, features=(attribute("opened"),), horizon="3d")
NAMELESS = replace(PAYMENTS, name="nameless", event_id=None)
LIVE = FeatureView(name="live", entity=CARD, source=NAMELESS, features=flat((count("7d"),)), freshness=EventFreshness())
BOTH = FeatureService(name="both", views=(HABITS, PAIRS))
ONE = FeatureService(name="till", views=(TILLS,))
SOME = FeatureService(name="some", views=(Selection(view="habits", features=("mean_amount_7d",)),))
TODAY = FeatureService(name="now", views=(HABITS, LIVE))
CATALOG = Catalog(views=(HABITS, PAIRS, TILLS, LIVE), services=(BOTH, ONE, SOME, TODAY))


def rows(view: FeatureView, keys: dict[str, list[Any]], status: list[str], **features: list[Any]) -> pa.RecordBatch:
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    columns = {name: pa.array(values, types[view.types[name]]) for name, values in features.items()}
    return pa.RecordBatch.from_pydict({**keys, **columns, "asof_status": status})


HABIT_ROWS = rows(
    HABITS, {"card_id": ["c1", "c2"]}, ["ok", "overflow"], count_7d=[2, 3], count_30d=[5, 3], sum_amount_7d=[700, None],
    mean_amount_7d=[350.0, 3.0e18], count_30d_minus_count_7d=[3, 0],
)  # fmt: skip
PAIR_ROWS = rows(PAIRS, {"card_id": ["c1"], "shop": ["s"]}, ["ok"], count_7d=[1])
TILL_ROWS = rows(TILLS, {"till_id": [-7, 8]}, ["ok", "ok"], opened=[-1, None])


def put(settings: Settings, view: FeatureView, batch: pa.RecordBatch, cut: int = CUT, now: int = NOW) -> None:
    layout = Layout.of(view, cut)
    if settings.online.kind == "sqlite":
        store = SqliteStore(settings.online_db)
        store.load(layout, [batch], now)
        store.close()
        return
    redis, url = cast("RedisStore", open_store(settings, writable=True)), redis_url(settings)
    with redis.loading(layout, now) as load_:
        load_.begin()
        written = sum(write_rows(url, load_.task, [batch]))
        load_.end(written=written, removed=load_.remove_by_scan())
    redis.close()
