"""Views that are not Asof's, through Asof's online store: what Feast's own universal tests ask of a store."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pandas as pd
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    StreamFeatureView,
    ValueType,
)
from feast.data_source import PushMode
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import (
    Array,
    Bool,
    Bytes,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Map,
    Set,
    String,
    Struct,
    UnixTimestamp,
    Uuid,
)
from feast.types import Decimal as FeastDecimal

from features.feast.foreign import redis_url
from features.store.redis_store import RedisStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stream feature views are experimental"),
    pytest.mark.filterwarnings("ignore:.*is an experimental feature"),
]
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
PAIR = Entity(name="zone", join_keys=["zone"], value_type=ValueType.STRING)
OURS = "features.feast.online.AsofOnlineStore"


def repository(folder: Path, online: dict[str, Any]) -> FeatureStore:
    """One of a person who has never heard of `asof apply`."""
    config = RepoConfig(
        project="universal", provider="local", registry=str(folder / "registry.db"), online_store=online, offline_store={"type": "dask"},
        batch_engine={"type": "features.feast.engine.AsofEngine"}, entity_key_serialization_version=3, repo_path=folder,
    )  # fmt: skip
    return FeatureStore(config=config)


@pytest.fixture(params=["sqlite", *(pytest.param(kind, marks=pytest.mark.services) for kind in ("redis", "cluster"))])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeatureStore]:
    """Over each kind in turn; the clock stands."""
    monkeypatch.setenv("ASOF_CLOCK", NOW.isoformat())
    if request.param == "sqlite":
        yield repository(tmp_path, {"type": OURS})
        return
    if request.param == "cluster":
        nodes = request.getfixturevalue("redis_cluster")
        places = ",".join(f"127.0.0.1:{port}" for port in nodes.ports)
        yield repository(tmp_path, {"type": OURS, "redis_type": "redis_cluster", "connection_string": places})
        return
    url = request.getfixturevalue("redis_url")
    server, db = url.removeprefix("redis://").split("/")
    yield repository(tmp_path, {"type": OURS, "connection_string": f"{server},db={db}"})
    redis = RedisStore(url)
    redis.client.flushdb()
    redis.close()


def source(folder: Path, rows: pd.DataFrame, name: str = "stats") -> FileSource:
    """A Parquet file."""
    rows.to_parquet(folder / f"{name}.parquet")
    return FileSource(name=name, path=str(folder / f"{name}.parquet"), timestamp_field="at")


def stats(folder: Path, name: str = "stats", ttl: timedelta = timedelta(hours=2)) -> FeatureView:
    """Two features of a driver."""
    rows = pd.DataFrame(
        {
            "driver_id": [1, 2, 1],
            "trips": [3, 5, 4],
            "rate": [0.5, None, 0.25],
            "at": [NOW - timedelta(hours=n) for n in (3, 2, 1)],
        }
    )
    schema = [Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Int32), Field(name="rate", dtype=Float32)]
    return FeatureView(name=name, entities=[DRIVER], schema=schema, source=source(folder, rows, name), ttl=ttl)


def told(store: FeatureStore, refs: list[str], rows: list[dict[str, Any]]) -> dict[str, tuple[list[Any], list[str]]]:
    """Values and statuses."""
    response = store.get_online_features(refs, rows)
    values = response.to_dict()
    return {
        name: (values[name], [FieldStatus.Name(status) for status in vector.statuses])
        for name, vector in zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True)
        if name not in rows[0]
    }


TYPES: dict[str, tuple[Any, list[Any]]] = {
    "int32": (Int32, [-7, None]), "int64": (Int64, [1 << 40, None]), "float32": (Float32, [0.5, None]), "float64": (Float64, [1e300, None]),
    "string": (String, ["ü", ""]), "bool": (Bool, [True, None]), "bytes": (Bytes, [b"\x00\xff", None]),
    "timestamp": (UnixTimestamp, [NOW, NOW - timedelta(days=9000)]), "uuid": (Uuid, [str(UUID(int=5)), None]), "decimal": (FeastDecimal, [Decimal("1.10"), None]),
    "map": (Map, [{"a": 1, "b": "x"}, None]), "json": (Json, ['{"a": [1]}', None]), "struct": (Struct({"name": String}), [{"name": "n"}, None]),
    "int64s": (Array(Int64), [[1, 2], [3]]), "strings": (Array(String), [["a", ""], ["b"]]), "float32s": (Array(Float32), [[0.5], [1.5, 2.5]]),
    "bools": (Array(Bool), [[True, False], [True]]), "bytess": (Array(Bytes), [[b"a"], [b"b"]]), "set": (Set(Int64), [{1, 2}, {3}]),
}  # fmt: skip


def test_every_type_comes_back_as_from_feasts_own_store(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    own = repository(tmp_path / "own", {"type": "sqlite", "path": "own.db"})
    view = FeatureView(
        name="kinds", entities=[DRIVER], source=FileSource(name="kinds", path=str(tmp_path / "none.parquet"), timestamp_field="at"),
        schema=[Field(name="driver_id", dtype=Int64), *(Field(name=name, dtype=kind) for name, (kind, _) in TYPES.items())],
    )  # fmt: skip
    rows = pd.DataFrame(
        {"driver_id": [1, 2], "at": [NOW, NOW], **{name: values for name, (_, values) in TYPES.items()}}
    )
    refs, asked = [f"kinds:{name}" for name in TYPES], [{"driver_id": driver} for driver in (2, 1)]
    found = []
    for each in (own, store):
        each.apply([DRIVER, view])
        each.write_to_online_store("kinds", rows)
        found.append(each.get_online_features(refs, asked).to_dict(include_event_timestamps=True))
    assert found[0] == found[1]
    assert found[1]["struct"][1] == {"name": "n"}
    assert found[1]["int64"] == [None, 1 << 40]


def test_rows_are_written_and_read_in_the_order_asked(store: FeatureStore, tmp_path: Path) -> None:
    pairs = FeatureView(
        name="pairs", entities=[DRIVER, PAIR], source=FileSource(name="pairs", path=str(tmp_path / "none.parquet"), timestamp_field="at"),
        schema=[Field(name="driver_id", dtype=Int64), Field(name="zone", dtype=String), Field(name="seen", dtype=Int64)],
    )  # fmt: skip
    everywhere = FeatureView(
        name="everywhere", entities=[], schema=[Field(name="rides", dtype=Int64)],
        source=source(tmp_path, pd.DataFrame({"rides": [77], "at": [NOW]}), "everywhere"),
    )  # fmt: skip
    store.apply([DRIVER, PAIR, stats(tmp_path), pairs, everywhere])
    rows = pd.DataFrame({"driver_id": [1, 2], "trips": [3, 5], "rate": [0.5, None], "at": [NOW, NOW]})
    store.write_to_online_store("stats", rows, allow_registry_cache=False)
    asyncio.run(
        store.write_to_online_store_async(
            "pairs", pd.DataFrame({"driver_id": [1], "zone": ["z"], "seen": [9], "at": [NOW]})
        )
    )
    store.materialize(NOW - timedelta(days=1), NOW, ["everywhere"])
    asked = [{"driver_id": driver, "zone": "z"} for driver in (2, 1, 3, 2)]
    refs = ["everywhere:rides", "stats:rate", "pairs:seen", "stats:trips"]
    assert told(store, refs, asked) == {
        "rides": ([77] * 4, ["PRESENT"] * 4),
        "rate": ([None, 0.5, None, None], ["PRESENT", "PRESENT", "NOT_FOUND", "PRESENT"]),
        "trips": ([5, 3, None, 5], ["PRESENT", "PRESENT", "NOT_FOUND", "PRESENT"]),
        "seen": ([None, 9, None, None], ["NOT_FOUND", "PRESENT", "NOT_FOUND", "NOT_FOUND"]),
    }
    assert (
        asyncio.run(store.get_online_features_async(refs, asked)).to_dict()
        == store.get_online_features(refs, asked).to_dict()
    )
    asyncio.run(store.close())
    with pytest.raises(KeyError, match="Missing join key values"):
        store.get_online_features(["stats:trips"], [{"zone": "z"}])
    many = told(store, ["stats:trips"], [{"driver_id": driver} for driver in range(40_000)])
    assert many["trips"][0][:4] == [None, 3, 5, None]
    assert many["trips"][1].count("PRESENT") == 2


def test_past_its_ttl_a_value_says_so(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([DRIVER, stats(tmp_path), stats(tmp_path, "lasting", ttl=timedelta(0))])
    ages = [timedelta(hours=2), timedelta(hours=2, seconds=1), timedelta(days=700)]
    rows = pd.DataFrame(
        {"driver_id": [1, 2, 3], "trips": [1, 2, 3], "rate": [0.5] * 3, "at": [NOW - age for age in ages]}
    )
    for name in ("stats", "lasting"):
        store.write_to_online_store(name, rows)
    asked = [{"driver_id": driver} for driver in (1, 2, 3, 4)]
    assert told(store, ["stats:trips"], asked)["trips"] == (
        [1, 2, 3, None],
        ["PRESENT", "OUTSIDE_MAX_AGE", "OUTSIDE_MAX_AGE", "NOT_FOUND"],
    )
    assert told(store, ["lasting:trips"], asked)["trips"] == ([1, 2, 3, None], ["PRESENT"] * 3 + ["NOT_FOUND"])


def test_a_push_goes_to_both_stores(store: FeatureStore, tmp_path: Path) -> None:
    history = source(
        tmp_path, pd.DataFrame({"driver_id": [1], "trips": [1], "at": [NOW - timedelta(hours=1)]}), "history"
    )
    pushed = PushSource(name="trips_push", batch_source=history)
    view = StreamFeatureView(
        name="pushed", entities=[DRIVER], source=pushed, ttl=timedelta(days=2), schema=[Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Int64)],
    )  # fmt: skip
    store.apply([DRIVER, history, pushed, view])
    store.push(
        "trips_push",
        pd.DataFrame({"driver_id": [1], "trips": [8], "at": [NOW - timedelta(minutes=2)]}),
        to=PushMode.ONLINE,
    )
    assert told(store, ["pushed:trips"], [{"driver_id": 1}]) == {"trips": ([8], ["PRESENT"])}
    asyncio.run(
        store.push_async(
            "trips_push", pd.DataFrame({"driver_id": [2], "trips": [5], "at": [NOW]}), to=PushMode.ONLINE_AND_OFFLINE
        )
    )
    assert told(store, ["pushed:trips"], [{"driver_id": 2}]) == {"trips": ([5], ["PRESENT"])}
    assert sorted(pd.read_parquet(tmp_path / "history.parquet")["trips"]) == [1, 5]


def test_views_are_materialized_deleted_and_made_again(store: FeatureStore, tmp_path: Path) -> None:
    kept, gone = stats(tmp_path), stats(tmp_path, "gone")
    service = FeatureService(name="both", features=[cast("Any", kept)[["trips"]], cast("Any", gone)[["rate"]]])
    store.apply([DRIVER, kept, gone, service])
    store.materialize(NOW - timedelta(days=1), NOW - timedelta(hours=1.5))
    assert told(store, ["stats:trips"], [{"driver_id": 1}])["trips"] == ([3], ["OUTSIDE_MAX_AGE"])
    store.materialize_incremental(NOW)
    asked = [{"driver_id": driver} for driver in (1, 2, 3)]
    assert store.get_online_features(store.get_feature_service("both"), asked).to_dict() == {
        "driver_id": [1, 2, 3], "trips": [4, 5, None], "rate": [0.25, None, None],
    }  # fmt: skip
    store.apply([kept], objects_to_delete=[gone, service], partial=False)
    assert told(store, ["stats:trips"], asked)["trips"][0] == [4, 5, None]
    store.apply([gone])
    assert told(store, ["gone:rate"], asked)["rate"] == ([None] * 3, ["NOT_FOUND"] * 3)
    with pytest.raises(NotImplementedError):
        store.retrieve_online_documents_v2(features=["stats:rate"], query=[1.0], top_k=1)
    cast("Any", store).teardown()
    store.apply([DRIVER, kept])
    assert told(store, ["stats:trips"], asked)["trips"][1] == ["NOT_FOUND"] * 3


@pytest.mark.services
def test_redis_forgets_after_feasts_own_ttl_of_keys(redis_url: str, tmp_path: Path) -> None:
    server, db = redis_url.removeprefix("redis://").split("/")
    store = repository(tmp_path, {"type": OURS, "connection_string": f"{server},db={db}"})
    store.apply([DRIVER, stats(tmp_path, ttl=timedelta(0))])
    cast("Any", store.config.online_store).key_ttl_seconds = 1
    store.write_to_online_store("stats", pd.DataFrame({"driver_id": [1], "trips": [3], "rate": [0.5], "at": [NOW]}))
    # An older row of the same driver changes nothing, as in Feast's own store.
    store.write_to_online_store(
        "stats", pd.DataFrame({"driver_id": [1], "trips": [2], "rate": [0.5], "at": [NOW - timedelta(days=1)]})
    )
    assert told(store, ["stats:trips"], [{"driver_id": 1}]) == {"trips": ([3], ["PRESENT"])}
    time.sleep(1.1)
    assert told(store, ["stats:trips"], [{"driver_id": 1}]) == {"trips": ([None], ["NOT_FOUND"])}
    cast("Any", store).teardown()


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ("localhost:6379", "redis://localhost:6379/0"),
        ("h:1,db=3,password=1234", "redis://:1234@h:1/3"),
        ("h:1,username=a b,password=p@:/,ssl=true", "rediss://a%20b:p%40%3A%2F@h:1/0"),
        ("h:1,socket_timeout=2", "redis://h:1/0?socket_timeout=2"),
        ("h:1,g:2,password=p", "redis://:p@h:1,g:2/0"),
    ],
)
def test_feasts_connection_is_a_url(connection: str, url: str) -> None:
    assert redis_url(connection) == url
