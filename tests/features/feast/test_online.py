"""Feast's SDK gives what `POST /get-online-features` gives: values, statuses, times; and what it may not do, it says."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.feature_view import FeatureViewState
from feast.on_demand_feature_view import on_demand_feature_view
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, Int64, String

from features import load_catalog
from features.definitions.compiled import hash_of
from features.definitions.names import utc
from features.errors import InputError, NotLoadedError
from features.feast.online import AsofOnlineStore
from features.feast.registry import Watermarks, apply
from features.serving import feast_http, openapi
from features.serving.feast_answers import Answers, Described
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import Settings, load
from features.store.heads import Layout
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store
from tests.features.feast.shop import CATALOG, CUT, HABITS, HOUR, stock
from tests.features.serving.test_states import damage

pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API", "ignore:On demand feature view is an exp")
KEYS: dict[str, list[Any]] = {"card_id": ["c1", "c9", "c2", None, "c1"], "shop": ["s", "s", "t", "s", "s"]}
ROWS = [dict(zip(KEYS, values, strict=True)) for values in zip(*KEYS.values(), strict=True)]
Columns = dict[str, tuple[list[Any], list[str], list[str]]]


def of_feast(response: OnlineResponse) -> Columns:
    """Feature name to values, statuses and times."""
    found = zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True)
    values = response.to_dict()
    return {
        name: (
            values[name],
            [FieldStatus.Name(status) for status in vector.statuses],
            [stamp.ToJsonString() for stamp in vector.event_timestamps],
        )
        for name, vector in found
    }


def of_the_service(settings: Settings, service: str, keys: Mapping[str, Sequence[Any]]) -> Columns:
    """The same of the HTTP service's answer."""
    asked = feast_http.Asked(entities={name: list(values) for name, values in keys.items()}, full_feature_names=True)
    answers = Answers({view.name: Described(hash_of(view), view.schedule.lag_us) for view in CATALOG.views})
    with Reader(settings, CATALOG) as reader:
        result = reader.lookup(service, feast_http.keys_of(asked.entities))
    answer = json.loads(answers.write(result, asked))
    return {
        name: (column["values"], column["statuses"], column["event_timestamps"])
        for name, column in zip(answer["metadata"]["feature_names"], answer["results"], strict=True)
    }


@pytest.mark.parametrize("clock", ["2026-01-01T02:00:00Z", "2026-01-20T00:00:00Z"], ids=["fresh", "stale"])
def test_feast_gives_what_the_service_gives(shop: Settings, clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_CLOCK", clock)
    damage(shop, "sliding")  # of c1
    store = stock(shop)
    then = shop.model_copy(update={"clock": pd.Timestamp(clock).to_pydatetime()})
    for service, keys in (("all", KEYS), ("till", {"till_id": [-7, 8, 9]})):
        meant = of_the_service(then, service, keys)
        made = store.get_feature_service(service)
        rows = [dict(zip(keys, values, strict=True)) for values in zip(*keys.values(), strict=True)]
        assert of_feast(store.get_online_features(made, rows, full_feature_names=True)) == meant
        assert of_feast(store.get_online_features(made, keys, full_feature_names=True)) == meant
        assert of_feast(asyncio.run(store.get_online_features_async(made, rows, full_feature_names=True))) == meant
        refs = [name.replace("__", ":", 1) for name in meant if "__" in name]
        assert of_feast(store.get_online_features(refs, rows, full_feature_names=True)) == meant


def test_a_value_stands_beside_its_status(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = ["habits:sum_amount_7d", "habits:mean_amount_7d", "habits:asof_status"]
    found = of_feast(stock(shop).get_online_features(refs, [{"card_id": card} for card in ("c1", "c2", "c9")]))
    assert found["sum_amount_7d"][:2] == ([700, None, 0], ["PRESENT", "NULL_VALUE", "NOT_FOUND"])
    assert found["sum_amount_7d"][2] == ["2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z", "1970-01-01T00:00:00Z"]
    assert found["mean_amount_7d"][:2] == ([350.0, 3.0e18, None], ["PRESENT", "PRESENT", "NOT_FOUND"])
    assert found["asof_status"][:2] == (["ok", "overflow", "never_seen"], ["PRESENT"] * 3)
    monkeypatch.setenv("ASOF_CLOCK", "2026-02-01T00:00:00Z")
    old = of_feast(stock(shop).get_online_features(refs[:1], [{"card_id": "c1"}]))
    assert old["sum_amount_7d"][:2] == ([700], ["OUTSIDE_MAX_AGE"])


def test_a_row_without_a_key_column_is_feasts_own_error(shop: Settings) -> None:
    with pytest.raises(KeyError, match=r"Missing join key values for keys: \['shop'\] of view 'pairs'"):
        stock(shop).get_online_features(["pairs:count_7d"], [{"card_id": "c1"}])
    with pytest.raises(ValueError, match="All entity_rows must have the same keys"):
        stock(shop).get_online_features(["pairs:count_7d"], [{"card_id": "c1"}, {"card_id": "c1", "shop": "s"}])


def test_views_of_feast_and_of_asof_are_asked_for_together(shop: Settings, tmp_path: Path) -> None:
    store = stock(shop)
    card = Entity(name="holder", join_keys=["card_id"], value_type=ValueType.STRING)
    notes = FeatureView(
        name="notes", entities=[card], ttl=timedelta(hours=1), source=FileSource(path=str(tmp_path / "notes.parquet"), timestamp_field="at"),
        schema=[Field(name="card_id", dtype=String), Field(name="note", dtype=String)],
    )  # fmt: skip
    asked = RequestSource(name="asked", schema=[Field(name="amount", dtype=Int64)])
    habits: Any = store.get_feature_view("habits")

    def compared(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"above": inputs["amount"] - inputs["mean_amount_7d"].astype("float64")})

    on_demand = cast("Any", on_demand_feature_view)(
        sources=[habits[["mean_amount_7d"]], asked], schema=[Field(name="above", dtype=Float64)]
    )(compared)
    alias = habits[["count_7d"]].with_name("payer").with_join_key_map({"card_id": "payer_id"})
    service = FeatureService(
        name="mixed", features=[notes, habits[["sum_amount_7d"]].with_name("own"), alias, on_demand]
    )
    store.apply([card, notes, on_demand, service])
    store.write_to_online_store(
        "notes", pd.DataFrame({"card_id": ["c1", "c2"], "note": ["a", "b"], "at": [utc(CUT + HOUR), utc(CUT)]})
    )
    rows = [
        {"card_id": card, "payer_id": payer, "amount": 400}
        for card, payer in (("c1", "c2"), ("c2", "c9"), ("c9", "c1"))
    ]
    for _ in range(2):
        made = store.get_feature_service("mixed")
        for response in (
            store.get_online_features(made, rows, full_feature_names=True),
            asyncio.run(store.get_online_features_async(made, rows, full_feature_names=True)),
        ):
            found = of_feast(response)
            assert set(found) == {
                "card_id",
                "payer_id",
                "notes__note",
                "own__sum_amount_7d",
                "payer__count_7d",
                "compared__above",
            }
            assert found["notes__note"][:2] == (["a", "b", None], ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"])
            assert found["own__sum_amount_7d"][:2] == ([700, None, 0], ["PRESENT", "NULL_VALUE", "NOT_FOUND"])
            assert found["payer__count_7d"][:2] == ([3, 0, 2], ["PRESENT", "NOT_FOUND", "PRESENT"])
            assert found["compared__above"][0][:2] == [50.0, 400 - 3.0e18]
        # What a team registered beside the catalogue stays.
        assert apply(CATALOG, shop).deleted == ()
        store = stock(shop)


def test_vectors_that_feast_computed_ahead_are_refused(shop: Settings) -> None:
    store = stock(shop)
    service = store.get_feature_service("till")
    service.precompute_online = True
    meant = r"Service 'till' has precompute_online, and takes 'tills' of Asof, whose values are of the asked instant\. Apply it without"
    with pytest.raises(InputError, match=meant):
        store.get_online_features(service, [{"till_id": -7}])
    with pytest.raises(InputError, match=meant):
        asyncio.run(store.get_online_features_async(service, [{"till_id": -7}]))


def test_many_threads_ask_one_store(shop: Settings) -> None:
    store = stock(shop)
    meant = store.get_online_features(["live:count_24h", "habits:count_7d"], ROWS).to_dict()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda _: store.get_online_features(["live:count_24h", "habits:count_7d"], ROWS).to_dict(), range(40)
        )
        assert all(each == meant for each in found)
    asyncio.run(store.close())
    assert store.get_online_features(["live:count_24h", "habits:count_7d"], ROWS).to_dict() == meant


def test_feasts_inner_read_gives_values_of_now(shop: Settings) -> None:
    store = stock(shop)
    keys = [EntityKey(join_keys=["card_id"], entity_values=[Value(string_val=card)]) for card in ("c2", "nobody")]
    found = AsofOnlineStore().online_read(store.config, store.get_feature_view("live"), keys, ["sum_amount_24h"])
    assert found[0] == (utc(CUT + HOUR), {"sum_amount_24h": Value(int64_val=-7)})
    # The stream says nothing since the cut, so that a key without events is stale, and no honest zero.
    assert found[1] == (utc(CUT + HOUR), {"sum_amount_24h": Value(int64_val=0)})
    habits = store.get_feature_view("habits")
    found = asyncio.run(AsofOnlineStore().online_read_async(store.config, habits, keys))
    assert found[1] == (None, None)
    some = AsofOnlineStore().online_read(store.config, habits, keys, ["asof_status", "count_7d"])
    assert some == [
        (utc(CUT + HOUR), {"asof_status": Value(string_val="overflow"), "count_7d": Value(int64_val=3)}),
        (None, None),
    ]
    assert AsofOnlineStore().online_read(store.config, habits, []) == []
    assert (found[0][1] or {})["mean_amount_7d"] == Value(double_val=3.0e18)


def test_what_asof_loads_feast_does_not(shop: Settings) -> None:
    Watermarks(shop).record("live", cut=CUT, valid_from=CUT + HOUR)
    store = stock(shop)
    first, last = utc(CUT), utc(CUT + HOUR)
    values = pd.DataFrame(
        {"card_id": ["c1"], **{name: [1.0] for name in HABITS.types}, "asof_status": ["ok"], "event_timestamp": [first]}
    )
    for attempt in (
        lambda: store.materialize(first, last, ["live"]),
        lambda: store.materialize_incremental(last, ["live"]),
        lambda: store.write_to_online_store("habits", values),
        lambda: asyncio.run(store.write_to_online_store_async("habits", values)),
    ):
        with pytest.raises(InputError) as error:
            attempt()
        assert "loaded by Asof; Feast wrote nothing. Run `asof materialize --cut CUT --view " in str(error.value)
    view = stock(shop).get_feature_view("live")
    assert (view.state, view.materialization_intervals) == (
        FeatureViewState.AVAILABLE_ONLINE,
        [(utc(CUT), utc(CUT + HOUR))],
    )
    assert store.get_online_features(["habits:count_7d"], [{"card_id": "c1"}]).to_dict()["count_7d"] == [2]
    with pytest.raises(InputError, match="View 'payments__events' takes events in, and holds no values"):
        store.get_online_features(["payments__events:amount"], [{"id": "p1"}])


def test_a_view_that_was_never_loaded_says_so(shop: Settings) -> None:
    online = open_store(shop, writable=True)
    online.forget("habits")
    online.close()
    with pytest.raises(
        NotLoadedError, match=r"The online store holds no values of view 'habits'\. Run `asof materialize"
    ):
        stock(shop).get_online_features(["habits:count_7d"], [{"card_id": "c1"}])


def test_what_feast_deletes_asof_forgets(shop: Settings) -> None:
    store = stock(shop)
    views = {view.name: view for view in store.list_feature_views()}
    online = AsofOnlineStore()
    online.update(
        store.config, [views["habits"], views["live"]], [views["pairs"], views["sliding"]], [], [], partial=False
    )
    with Reader(shop, CATALOG) as reader:
        for name in ("habits", "live"):
            with pytest.raises(NotLoadedError):
                reader.lookup_features({name: ["count_7d" if name == "habits" else "count_1h"]}, [{"card_id": "c1"}])
        assert reader.lookup_features({"sliding": ["count_7d"]}, [{"card_id": "c1"}]).rows[0].views[0].status == "ok"
    online.teardown(store.config, list(views.values()), [])
    with Reader(shop, CATALOG) as reader:
        for name in ("pairs", "sliding"):
            with pytest.raises(NotLoadedError):
                reader.lookup_features(
                    {name: ["count_7d"]}, [{"card_id": "c1", "shop": "s"} if name == "pairs" else {"card_id": "c1"}]
                )
    assert [path.name for path in shop.home.iterdir()] == ["feast"]
    if shop.online.url is not None:
        redis = cast("RedisStore", open_store(shop, writable=True))
        assert redis.client.keys("*") == []
        redis.close()


def test_only_plain_values_have_tables_of_feasts(tmp_path: Path) -> None:
    settings = load(home=tmp_path, online={"kind": "sqlite"})
    apply(CATALOG, settings)
    with sqlite3.connect(settings.online_db) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    assert tables == {"asof_habits", "asof_pairs", "asof_tills"}
    store = stock(settings)
    planned = AsofOnlineStore().plan(store.config, store.registry.proto())
    assert {item.name for item in planned} == tables


@pytest.mark.slow
def test_the_page_about_it_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, read, pushed = re.findall(
        r"```python\n(.*?)```", Path("docs/serving.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    settings, catalog = load(clock="2026-01-01T02:00:00Z"), load_catalog()
    monkeypatch.setenv("ASOF_CLOCK", "2026-01-01T02:00:00Z")
    apply(catalog, settings)
    online = SqliteStore(settings.online_db)
    for view, _ in catalog.views_of(catalog.service("identity_v1")):
        online.load(Layout.of(view, view.schedule.cut_served(CUT + HOUR)), [], CUT + 2 * HOUR)
    online.close()
    own: dict[str, Any] = {}
    exec(looked_up, own)  # noqa: S102 - our own page
    assert own["table"]["account_history__count_7d"].to_pylist() == [0]
    assert asyncio.run(own["looked_up"]()) == own["found"]
    names: dict[str, Any] = {}
    exec(read, names)  # noqa: S102 - our own page
    assert (names["values"]["account_id"], names["values"]["account_history__count_7d"]) == (["account_1"], [0])
    example = openapi.push(catalog)["openapi_extra"]["requestBody"]["content"]["application/json"]["examples"][
        "payments"
    ]
    names["events"] = pd.DataFrame(example["value"]["df"])
    exec(pushed, names)  # noqa: S102 - our own page
    assert push(settings, catalog, "payments", pa.Table.from_pandas(names["events"])).new == 0
