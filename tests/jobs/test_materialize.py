"""From a published Hive partition to a stock Feast client and a lookup, on SQLite and on Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from features import FeatureView, load_catalog
from features.definitions.names import cut_text, micros, utc, view_table
from features.errors import BusyError, InputError, MissingError
from features.feast.registry import apply
from features.serving.reader import Reader
from features.settings import OnlineSettings, Settings
from features.store.keys import redis_records
from features.store.redis_store import RedisStore
from features.store.stores import open_store
from jobs import materialize, tables
from jobs.commands import Materialize
from tests.feast_client import own_client
from tests.jobs.killed_loads import door

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")
DAY = 86_400_000_000
FIRST, SECOND, THIRD = (micros(datetime(2026, 3, day, tzinfo=UTC)) for day in (2, 3, 4))
CATALOG = load_catalog("tests.jobs.catalogue_of_loads")
VIEWS = {view.name: view for view in CATALOG.views}
HABITS, PROFILE = VIEWS["load_habits"], VIEWS["load_profile"]


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def home(
    request: pytest.FixtureRequest, spark: "SparkSession", spark_settings: Settings, tmp_path: Path
) -> Iterator[Settings]:
    """Its own store and registry, on the run's one Spark; tables start empty."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    nodes = request.getfixturevalue("redis_cluster") if request.param == "redis-cluster" else None
    online = OnlineSettings(kind=request.param, url=nodes.url if nodes else url)
    made = spark_settings.model_copy(
        update={
            "catalog": "tests.jobs.catalogue_of_loads",
            "clock": datetime(2026, 3, 10, tzinfo=UTC),
            "online": online,
            "home": tmp_path,
        }
    )
    apply(CATALOG, made)
    yield made
    for view in CATALOG.views:
        spark.sql(f"DROP TABLE IF EXISTS {view_table(view)}")
    if url is not None:
        store = RedisStore(url)
        store.client.flushdb()
        store.close()


def publish(
    spark: "SparkSession",
    settings: Settings,
    view: FeatureView,
    cut: int,
    rows: dict[str, list[object]],
    in_a_group: int | None = None,
) -> None:
    folder = settings.home / "attempts" / f"{view.name}-{cut_text(cut)}-{len(rows['load_card'])}"
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "string": pa.string(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    columns = tables.view_columns(view)
    valid_from = utc(cut + view.schedule.lag_us)
    size = len(rows["load_card"])
    rows = {**rows, "asof_status": ["ok"] * size, "event_timestamp": [valid_from] * size}
    table = pa.table({name: pa.array(rows[name], kinds[kind]) for name, kind in columns.items()})
    pq.write_table(table, folder / "part-0.parquet", row_group_size=in_a_group)
    tables.ensure_table(spark, settings, view_table(view), columns, "cut")
    tables.point_at(spark, view_table(view), "cut", {cut_text(cut): str(folder)})


def habits(numbers: range, value: int) -> dict[str, list[object]]:
    return {
        "load_card": [f"c{number}" for number in numbers], "load_shop": [f"s{number % 7}" for number in numbers],
        "count_7d": [value] * len(numbers), "mean_amount_7d": [None if number % 2 else value / 3 for number in numbers],
    }  # fmt: skip


def run(settings: Settings, cut: int, *views: str) -> int:
    return materialize.run(Materialize(cut=utc(cut), views=views), settings)


def test_published_values_reach_the_reader_and_a_stock_client(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(spark, home, HABITS, FIRST, habits(range(500), 4))
    opened = datetime(2020, 2, 29, 1, 2, 3, 4, UTC)
    publish(
        spark, home, PROFILE, FIRST, {"load_card": ["c1"], "load_shop": ["s1"], "opened": [opened], "risky": [True]}
    )
    assert run(home, FIRST) == 0
    said = capsys.readouterr().out
    assert "load_habits: cut 2026-03-02T00-00Z: 500 keys written, 0 removed, " in said
    assert "load_profile: cut 2026-03-02T00-00Z: 1 keys written, 0 removed, " in said
    at = FIRST + 2 * 3_600_000_000
    with Reader(home, CATALOG) as reader:
        rows = reader.lookup(
            "loaded",
            [
                {"load_card": "c1", "load_shop": "s1"},
                {"load_card": "c2", "load_shop": "s2"},
                {"load_card": "c1", "load_shop": "s2"},
            ],
            at,
        ).rows
    assert [row.values["load_habits__count_7d"] for row in rows] == [4, 4, 0]
    assert [row.values["load_habits__mean_amount_7d"] for row in rows] == [None, 4 / 3, None]
    assert rows[0].values["load_profile__opened"] == micros(opened)
    assert [view.status for view in rows[0].views] == ["ok", "ok"]
    assert [view.status for view in rows[2].views] == ["never_seen", "never_seen"]
    client = own_client(home.feast)
    found = client.get_online_features(
        client.get_feature_service("loaded"),
        [{"load_card": "c1", "load_shop": "s1"}, {"load_card": "c2", "load_shop": "s2"}],
        full_feature_names=True,
    ).to_dict()
    assert found["load_habits__count_7d"] == [4, 4]
    assert found["load_habits__mean_amount_7d"] == [None, 4 / 3]
    assert found["load_profile__opened"] == [micros(opened), None]
    assert found["load_profile__risky"] == [True, None]
    view = client.get_feature_view("load_habits")
    assert view.materialization_intervals == [(utc(FIRST), utc(FIRST + 3_600_000_000))]


def test_later_cuts_remove_dropped_keys_and_a_rerun_changes_nothing(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for cut, numbers in ((FIRST, range(300)), (SECOND, range(200, 450)), (THIRD, range(440, 460))):
        publish(spark, home, HABITS, cut, habits(numbers, cut // DAY))
    run(home, FIRST, "load_habits")
    run(home, SECOND, "load_habits")
    assert "load_habits: cut 2026-03-03T00-00Z: 250 keys written, 200 removed, " in capsys.readouterr().out
    assert run(home, SECOND, "load_habits") == 0
    assert "load_habits: cut 2026-03-03T00-00Z is already in the online store (250 keys)." in capsys.readouterr().out
    assert run(home, FIRST, "load_habits") == 0
    assert "already holds the newer cut 2026-03-03T00-00Z; cut 2026-03-02T00-00Z stays out." in capsys.readouterr().out
    run(home, THIRD, "load_habits")
    assert "20 keys written, 240 removed" in capsys.readouterr().out
    store = open_store(home, writable=True)
    head = store.head("load_habits")
    store.close()
    assert head is not None
    assert (head.generation, head.cut, head.rows) == (3, THIRD, 20)
    spans = own_client(home.feast).get_feature_view("load_habits").materialization_intervals
    assert [start for start, _ in spans] == [utc(FIRST), utc(SECOND), utc(THIRD)]


def test_a_view_that_is_not_published_is_skipped_with_a_sentence(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(spark, home, HABITS, FIRST, habits(range(3), 1))
    assert run(home, FIRST) == 0
    assert (
        "load_profile: cut 2026-03-02T00-00Z is not published (held, or not computed yet); the store keeps what it has."
        in capsys.readouterr().out
    )


def test_a_cut_that_is_not_valid_yet_is_refused(home: Settings) -> None:
    early = home.model_copy(update={"clock": utc(FIRST + 1)})
    with pytest.raises(
        BusyError, match=r"is valid from 2026-03-02T01:00:00\+00:00 on; now is 2026-03-02T00:00:00\.000001\+00:00"
    ):
        run(early, FIRST)


def test_an_instant_off_the_schedule_is_refused(home: Settings) -> None:
    with pytest.raises(InputError, match=r"2026-03-02T00:00:00\.000001\+00:00 is no cut of view 'load_habits'"):
        run(home, FIRST + 1, "load_habits")


def test_a_table_of_another_definition_is_refused(spark: "SparkSession", home: Settings) -> None:
    frame = spark.createDataFrame(
        [("c", "s", "4", "ok")], "load_card string, load_shop string, count_7d string, asof_status string"
    )
    wanted = (
        r"The published cut 2026-03-02T00-00Z of features\.load_habits does not have the columns of its definition: "
        r"count_7d \(string, needed bigint\), mean_amount_7d \(missing, needed double\)\."
    )
    with pytest.raises(MissingError, match=wanted):
        materialize.load_view(home, HABITS, FIRST, lambda _: frame, lambda: (FIRST,))


def test_a_null_key_is_refused_and_the_old_values_stay(spark: "SparkSession", home: Settings) -> None:
    publish(spark, home, HABITS, FIRST, habits(range(3), 1))
    run(home, FIRST, "load_habits")
    rows = habits(range(4), 2)
    rows["load_card"][3] = None
    publish(spark, home, HABITS, SECOND, rows)
    with pytest.raises(
        InputError, match=r"The key column 'load_card' is null in row {'load_card': None, 'load_shop': 's3'}"
    ):
        run(home, SECOND, "load_habits")
    store = open_store(home, writable=True)
    head = store.head("load_habits")
    store.close()
    assert head is not None
    assert head.cut == FIRST


def test_a_view_that_feast_does_not_know_is_refused_before_spark_runs(home: Settings, tmp_path: Path) -> None:
    bare = home.model_copy(update={"home": tmp_path / "bare"})
    with pytest.raises(MissingError, match=r"Feast's registry has no view 'load_habits'\. Run `asof apply` first"):
        run(bare, FIRST)


@pytest.mark.services
@pytest.mark.parametrize("home", ["redis"], indirect=True)  # a load into SQLite is one transaction
def test_a_load_by_sparks_tasks_that_stopped_goes_on_where_it_was(
    spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(spark, home, HABITS, FIRST, habits(range(3000), 4), in_a_group=100)
    url = open_url(home)
    many = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": 0})})
    with door(url) as way:
        through = many.model_copy(update={"online": OnlineSettings(kind="redis", url=SecretStr(way.url))})
        way.limit = 400_000
        with pytest.raises(BusyError):
            run(through, FIRST, "load_habits")
        way.limit = 1 << 60
        store = RedisStore(url)
        store.client.delete(redis_records("load_habits").lease)
        there = sum(
            int(rows)
            for name, rows in store.client.hgetall(redis_records("load_habits").parts).items()
            if name != b"load"
        )
        store.close()
        assert 0 < there < 3000
        capsys.readouterr()
        assert run(through, FIRST, "load_habits") == 0
    said = capsys.readouterr().out
    assert f"load_habits: cut 2026-03-02T00-00Z: {3000 - there} keys written, 0 removed, " in said
    assert f" s. {there} keys were there already, from a load that was killed.\n" in said
    keys = [{"load_card": f"c{number}", "load_shop": f"s{number % 7}"} for number in range(3000)]
    with Reader(home, CATALOG) as reader:
        found = reader.lookup_features({"load_habits": ["count_7d"]}, keys, FIRST + 2 * 3_600_000_000)
    assert found.views[0].values["count_7d"] == [4] * 3000


@pytest.mark.services
@pytest.mark.parametrize("home", ["redis-cluster"], indirect=True)
def test_sparks_tasks_load_a_cluster(spark: "SparkSession", home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    many = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": 0})})
    for cut, numbers in ((FIRST, range(1000)), (SECOND, range(300, 1100))):
        publish(spark, home, HABITS, cut, habits(numbers, cut // DAY), in_a_group=100)
        assert run(many, cut, "load_habits") == 0
    assert "load_habits: cut 2026-03-03T00-00Z: 800 keys written, 300 removed, " in capsys.readouterr().out
    keys = [{"load_card": f"c{number}", "load_shop": f"s{number % 7}"} for number in range(1100)]
    with Reader(home, CATALOG) as reader:
        found = reader.lookup_features({"load_habits": ["count_7d"]}, keys, SECOND + 2 * 3_600_000_000)
    assert found.views[0].values["count_7d"] == [0] * 300 + [SECOND // DAY] * 800
    client = own_client(home.feast)
    told = client.get_online_features(["load_habits:count_7d"], keys[299:302]).to_dict()
    assert told["count_7d"] == [None] + [SECOND // DAY] * 2


def open_url(settings: Settings) -> str:
    assert settings.online.url is not None
    return settings.online.url.get_secret_value()
