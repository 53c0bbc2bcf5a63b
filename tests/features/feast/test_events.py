"""`FeatureStore.push` of events: lookups count them, and what does not fit is said."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast.infra.passthrough_provider import PassthroughProvider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from features import Catalog, EventFreshness, Field, Source
from features.definitions.compiled import hash_of
from features.definitions.names import utc
from features.errors import InputError, MissingError
from features.feast.event_views import event_views
from features.feast.events import take_events
from features.feast.tags import DEFINITION_TAG, EVENTS_TAG, event_tags, followed_of, served_of
from features.serving.push import push, pushable
from features.serving.reader import Reader, ViewValues
from features.settings import Settings, load
from tests.features.feast.shop import BEFORE, CATALOG, CUT, HOUR, LIVE, PAYMENTS, SINCE, stock
from tests.features.serving.test_states import meant, paid, put

pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")
DETAILED = replace(
    PAYMENTS, columns=(*PAYMENTS.columns, Field(name="received", type="timestamp"), Field(name="online", type="bool"), Field(name="rate", type="float64")),
    known_at="received",
)  # fmt: skip
DETAILED_CATALOG = Catalog(sources=(DETAILED,), views=(replace(LIVE, source=DETAILED),))


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Times as a data scientist has them."""
    return pd.DataFrame([{**row, "event_time": utc(row["event_time"])} for row in rows])


def test_lookups_count_what_is_pushed(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    at = CUT + 3 * HOUR + 1
    monkeypatch.setenv("ASOF_CLOCK", utc(at).isoformat())
    store = stock(shop)
    store.push("payments", frame(SINCE[:2]))
    asyncio.run(store.push_async("payments", frame(SINCE[1:])))
    refs = [f"live:{name}" for name in LIVE.types]
    found = stock(shop).get_online_features(refs, [{"card_id": card} for card in ("c1", "c2", "c3")]).to_dict()
    for place, card in enumerate(found["card_id"]):
        assert {f"live__{name}": found[name][place] for name in LIVE.types} == meant(LIVE, BEFORE + SINCE, card, at)
    with Reader(shop, CATALOG) as reader:
        (row,) = reader.lookup_features({"live": list(LIVE.types)}, [{"card_id": "c3"}], at).rows
    assert row.views[0] == ViewValues(
        view="live", values={name: found[name][2] for name in LIVE.types}, status="ok", cut=CUT, age=1
    )


def test_what_does_not_fit_is_said_and_the_rest_is_in(shop: Settings) -> None:
    store = stock(shop)
    late = {**SINCE[2], "id": None}
    with pytest.raises(InputError) as error:
        store.push("payments", frame([late, SINCE[0]]))
    assert str(error.value) == (
        "Of 2 rows pushed to source 'payments', 1 do not fit and were left out: row 0: id: it is null, and an event needs its id. "
        "The others are taken in. Mend these, and push them or all again: what is known already changes nothing."
    )
    assert store.get_online_features(["live:sum_amount_24h"], [{"card_id": "c1"}]).to_dict()["sum_amount_24h"] == [280]
    store.push("payments", frame([SINCE[2], SINCE[0]]))
    assert store.get_online_features(["live:sum_amount_24h"], [{"card_id": "c1"}]).to_dict()["sum_amount_24h"] == [280]
    many = [{**paid(n, "c1", CUT), "id": None} for n in range(7)]
    with pytest.raises(InputError, match=r"row 4: id: it is null, and an event needs its id; and 2 more\. The others"):
        store.push("payments", frame(many))


def pushed(settings: Settings, rows: pd.DataFrame) -> None:
    """Through Feast's own conversion of frames, without a registry."""
    ((_, _, view),) = event_views(DETAILED_CATALOG)
    take_events(settings, view, PassthroughProvider._prep_rows_to_write_for_ingestion(view, rows))


def test_times_and_numbers_come_whole(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T03:00:00Z")
    (view,) = DETAILED_CATALOG.views
    # 10,000,000,000,000,001 is no float; neither is a microsecond lost, in whichever way a frame holds it.
    at = CUT + 70 * HOUR // 60 + 1
    row = {**paid(1, "c1", at, amount=10_000_000_000_000_001), "received": at, "online": True, "rate": 0.1}
    times: list[Any] = [
        [pd.Timestamp(at, unit="us", tz="UTC")] * 2,
        [pd.Timestamp(at, unit="us", tz="Asia/Shanghai")] * 2,
        [np.datetime64(at, "us")] * 2,
        ["2026-01-01T02:10:00.000001+01:00"] * 2,
        ["2026-01-01 01:10:00.000001"] * 2,
    ]
    for n, time in enumerate(times):
        rows = [
            {**row, "id": f"p{n}.{m}", "card_id": f"c{n}", "event_time": each, "received": each}
            for m, each in enumerate(time)
        ]
        pushed(settings, pd.DataFrame(rows))
    put(settings, view, [])
    with Reader(settings, DETAILED_CATALOG) as reader:
        asked = [{"card_id": f"c{n}"} for n in range(len(times))]
        names = ["sum_amount_24h", "time_since_last_24h"]
        result = reader.lookup_features({"live": names}, asked, at + 7)
    found = [row.views[0] for row in result.rows]
    meant = dict(zip(names, [20_000_000_000_000_002, 7], strict=True))
    assert found == [ViewValues(view="live", values=meant, status="ok", cut=CUT, age=7)] * len(times)


def test_a_column_that_feast_has_rounded_is_refused(tmp_path: Path) -> None:
    settings = load(home=tmp_path)
    row = {**paid(1, "c1", CUT), "event_time": utc(CUT), "received": utc(CUT), "online": None, "rate": None}
    rows = pd.DataFrame([{**row, "amount": 9_007_199_254_740_993}, {**row, "id": "p2", "amount": None}])
    rows["amount"] = pd.array([9_007_199_254_740_993, None], dtype="Int64")
    with pytest.raises(
        InputError,
        match=r"Column 'amount' of what was pushed to 'payments' has nulls, so Feast made floats .* Nothing was taken in",
    ):
        pushed(settings, rows)
    rows["amount"] = pd.array([9_007_199_254_740_991, None], dtype="Int64")
    pushed(settings, rows)
    assert push(settings, DETAILED_CATALOG, "payments", []).new == 0


def test_text_that_is_no_time_is_said(tmp_path: Path) -> None:
    row = {**paid(1, "c1", CUT), "event_time": utc(CUT), "received": "yesterday", "online": None, "rate": None}
    others = ("2026-13-45T00:00:00", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z")
    rows = pd.DataFrame([row, *({**row, "id": f"p{n}", "received": text} for n, text in enumerate(others, 2))])
    said = (
        r"Of 4 rows pushed to source 'payments', 2 do not fit and were left out: row 0: received: 'yesterday' is not a timestamp in ISO 8601; "
        r"row 1: received: '2026-13-45T00:00:00' is not a timestamp in ISO 8601\. The others are taken in\."
    )
    with pytest.raises(InputError, match=said):
        pushed(load(home=tmp_path), rows)


def test_what_a_push_must_know_travels_in_the_tags() -> None:
    followed = pushable(CATALOG, "payments")
    view: Any = SimpleNamespace(name="payments__events", tags=event_tags(followed))
    assert followed_of(view).entities == followed.entities
    assert followed_of(view).lasting_us == followed.lasting_us
    assert hash_of(followed_of(view).source) == hash_of(followed.source)
    newer: Any = SimpleNamespace(
        name="v",
        tags={
            EVENTS_TAG: '{"source": {"_": "Stream"}, "entities": []}',
            DEFINITION_TAG: '{"_": "FeatureView", "of": 1}',
        },
    )
    for read, kind in ((followed_of, "KeyError"), (served_of, "TypeError")):
        with pytest.raises(
            MissingError,
            match=rf"holds view 'v' as another version of Asof wrote it \({kind}: .* run `asof apply` with this one",
        ):
            read(newer)


def test_a_source_that_is_enriched_or_not_followed_takes_no_push() -> None:
    child = Source(
        name="disputes", table="raw.disputes", event_id="id",
        columns=(Field(name="id", type="string"), Field(name="payment", type="string"), Field(name="event_time", type="timestamp")),
    ).enrich(PAYMENTS, on="payment", columns=("card_id",))  # fmt: skip
    view = replace(LIVE, name="disputed", source=child, features=LIVE.features[:1])
    assert event_views(Catalog(sources=(PAYMENTS, child), views=(view,))) == []
    assert event_views(Catalog(sources=(PAYMENTS,), views=(CATALOG.view("habits"),))) == []
    assert isinstance(view.freshness, EventFreshness)


def test_the_row_is_read_by_the_name_of_its_key(tmp_path: Path) -> None:
    ((_, _, view),) = event_views(CATALOG)
    values = {name: Value(string_val="x") for name in ("card_id", "shop")} | {
        "amount": Value(int64_val=3),
        "till_id": Value(int64_val=1),
    }
    values["event_time"] = Value(string_val=utc(CUT).isoformat())
    key = EntityKey(join_keys=["id"], entity_values=[Value(string_val="p1")])
    take_events(load(home=tmp_path), view, [(key, values, utc(CUT) + timedelta(days=1), None)] * 2)
    assert (
        push(
            load(home=tmp_path), CATALOG, "payments", [{**paid(1, "x", CUT), "event_time": utc(CUT).isoformat()}]
        ).known
        == 1
    )
