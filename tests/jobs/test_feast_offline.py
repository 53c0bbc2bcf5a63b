"""The offline store through Feast's own FeatureStore: rows in, rows out, in every form of entity frame, whatever the session's zone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pytest
from feast import (
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    RequestSource,
)
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage, SparkSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from pyspark.sql import SparkSession

from features.errors import ColumnsError, InputError, MissingError
from jobs.feast_offline import SparkLoggingDestination
from tests.jobs.feast_store import CARD, SHOP, at, source, store_in, view

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
ZONES = ["UTC", "Asia/Shanghai", "America/New_York"]


@pytest.fixture(params=["UTC"])
def session(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[SparkSession]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", request.param)
    yield spark
    spark.conf.set("spark.sql.session.timeZone", str(before))


@pytest.fixture
def store(session: SparkSession, tmp_path: Path) -> FeatureStore:  # noqa: ARG001 - it must be there before
    return store_in(tmp_path)


@pytest.fixture
def balances(store: FeatureStore, session: SparkSession, tmp_path: Path) -> FeatureView:
    made = source(session, tmp_path, {
        "card_id": [1, 1, 1, 2], "event_timestamp": [at("01T00:00"), at("02T00:00"), at("02T00:00"), at("02T00:00")],
        "created": [at("01T01:00"), at("02T02:00"), at("02T01:00"), at("02T01:00")], "balance": [1.0, 2.0, 3.0, 4.0],
    }, created_timestamp_column="created")  # fmt: skip
    found = view("balances", made, CARD, ttl=timedelta(days=2), balance=Float64)
    store.apply([CARD, found])
    return found


def provider_of(store: FeatureStore) -> Any:
    return store._get_provider()


def answered(store: FeatureStore, frame: Any, *names: str, **more: Any) -> list[Any]:
    table = store.get_historical_features(frame, [*names], **more).to_arrow()
    return list(table[names[0].split(":")[1]].to_pylist())


@pytest.mark.usefixtures("balances")
@pytest.mark.parametrize("session", ZONES, indirect=True)
def test_every_form_of_frame_gives_each_row_its_newest_value(store: FeatureStore, session: SparkSession) -> None:
    """Naive times are UTC; the ttl counts to its last microsecond; of equal instants the row created last counts."""
    times = ["2026-03-02T00:00:00", "2026-03-01T23:59:59.999999", "2026-03-04T00:00:00", "2026-03-04T00:00:00.000001", "2026-03-02T12:00"]  # fmt: skip
    frame = pd.DataFrame(
        {"card_id": [1, 1, 2, 2, 3], "event_timestamp": pd.to_datetime(times, format="ISO8601"), "n": range(5)}
    )
    expected = [2.0, 1.0, 4.0, None, None]
    given = frame.copy()
    assert answered(store, frame, "balances:balance") == expected
    pd.testing.assert_frame_equal(frame, given)
    zoned = frame.assign(event_timestamp=frame["event_timestamp"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"))
    assert answered(store, zoned, "balances:balance") == expected
    rows = session.createDataFrame(pa.Table.from_pandas(zoned)).repartition(3)
    assert sorted(answered(store, rows, "balances:balance"), key=str) == sorted(expected, key=str)
    rows.createOrReplaceTempView("asked_rows")
    job: Any = store.get_historical_features("SELECT *, rand() AS r FROM asked_rows", ["balances:balance"])
    table = job.to_arrow()
    assert table["r"].to_pylist() == job.to_arrow()["r"].to_pylist()  # the query ran once
    assert dict(zip(table["n"].to_pylist(), table["balance"].to_pylist(), strict=True)) == dict(enumerate(expected))
    told = {row["n"]: row["balance"] for row in job.to_spark_df().collect()}
    assert told == dict(enumerate(expected))
    made = job.to_df()
    assert str(made["event_timestamp"].dtype) == "datetime64[us, UTC]"
    assert set(made["event_timestamp"]) == set(zoned["event_timestamp"])


@pytest.mark.usefixtures("balances")
def test_the_session_is_left_as_it_was(store: FeatureStore, session: SparkSession) -> None:
    before = dict(session.conf.getAll), {table.name for table in session.catalog.listTables()}
    store.get_historical_features(
        pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")]}), ["balances:balance"]
    ).to_df()
    assert (dict(session.conf.getAll), {table.name for table in session.catalog.listTables()}) == before
    assert SparkSession.getActiveSession() is not None


@pytest.mark.usefixtures("balances")
def test_what_was_created_later_can_be_left_out(store: FeatureStore) -> None:
    frame = pd.DataFrame({"card_id": [1, 1, 1], "event_timestamp": [at("02T00:30"), at("02T01:30"), at("02T02:00")]})
    assert answered(store, frame, "balances:balance", filter_by_created_timestamp=True) == [1.0, 3.0, 2.0]


def test_composite_and_null_keys_ties_and_repeated_rows_give_one_row_each(
    store: FeatureStore, session: SparkSession, tmp_path: Path
) -> None:
    made = source(session, tmp_path, {
        "card_id": [1, 11, 11, None], "shop_id": [12, 2, 2, 2], "event_timestamp": [at("01T00:00")] * 4, "spent": [10, 20, 20, 99],
    })  # fmt: skip
    store.apply([CARD, SHOP, view("pairs", made, CARD, SHOP, spent=Int64)])
    frame = pd.DataFrame(
        {"card_id": [1, 11, 11, None], "shop_id": [12, 2, 2, 2], "event_timestamp": [at("05T00:00")] * 4}
    )
    assert answered(store, frame, "pairs:spent") == [10, 20, 20, None]


def test_views_with_other_names_field_mapping_no_entity_and_a_service(
    store: FeatureStore, session: SparkSession, tmp_path: Path
) -> None:
    places = source(session, tmp_path, {
        "id": ["1", "2"], "event_timestamp": [at("01T00:00")] * 2, "degrees": [20, 30]}, field_mapping={"id": "shop_id", "degrees": "heat"})  # fmt: skip
    overall = source(session, tmp_path, {"event_timestamp": [at("01T00:00"), at("03T00:00")], "rides": [5, 6]})
    heat: Any = view("places", places, SHOP, heat=Int64)
    rides = view("overall", overall, rides=Int64)
    service = FeatureService(
        name="trip",
        features=[
            heat.with_name("start").with_join_key_map({"shop_id": "from_id"}),
            heat.with_name("end").with_join_key_map({"shop_id": "to_id"}),
            rides,
        ],
    )
    store.apply([SHOP, heat, rides, service])
    frame = pd.DataFrame({"from_id": [1, 2], "to_id": [2, 3], "e_ts": [at("02T00:00"), at("03T00:00")]})
    made = store.get_historical_features(frame, store.get_feature_service("trip"), full_feature_names=True).to_arrow()
    assert made.drop_columns(["e_ts"]).to_pydict() == {
        "from_id": [1, 2], "to_id": [2, 3], "start__heat": [20, 30], "end__heat": [30, None], "overall__rides": [5, 6],
    }  # fmt: skip


def test_on_demand_features_follow_from_the_rows(store: FeatureStore, balances: FeatureView) -> None:
    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[balances, RequestSource(name="asked", schema=[Field(name="add", dtype=Int64)])],
        schema=[Field(name="more", dtype=Float64)],
        mode="pandas",
    )
    def sums(rows: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({"more": rows["balance"] + rows["add"]})

    store.apply(sums)
    frame = pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")], "add": [5]})
    assert answered(store, frame, "sums:more") == [7.0]


@pytest.mark.usefixtures("balances")
@pytest.mark.parametrize("session", ZONES, indirect=True)
def test_without_a_frame_each_key_and_instant_of_the_span_is_a_row(store: FeatureStore) -> None:
    job = store.get_historical_features(
        features=["balances:balance"], start_date=at("01T00:00"), end_date=at("01T23:00")
    )
    assert job.to_arrow().to_pydict() == {"card_id": [1], "event_timestamp": [at("01T00:00")], "balance": [1.0]}
    empty = store.get_historical_features(
        features=["balances:balance"], start_date=at("10T00:00"), end_date=at("11T00:00")
    )
    assert len(empty.to_df()) == 0


UNUSABLE: list[tuple[Any, type[Exception], str]] = [
    (pd.DataFrame({"card_id": [1]}), MissingError, "has no column event_timestamp and no column of timestamps"),
    (pd.DataFrame({"card_id": [1], "event_timestamp": [pd.NaT]}), InputError, "event_timestamp is null in 1 row(s): 1"),
    (pd.DataFrame({"card_id": [1], "event_timestamp": ["soon"]}), InputError, "not all of it are timestamps"),
    (pd.DataFrame({"card_id": [1], "event_timestamp": [1772409600]}), InputError, "is int64, not timestamps"),
    (
        pd.DataFrame({"card_id": [1], "a": [at("02T00:00")], "b": [at("02T00:00")]}),
        MissingError,
        "2 columns of timestamps (a, b)",
    ),
    (
        pd.DataFrame({"event_timestamp": [at("02T00:00")]}),
        MissingError,
        "no column card_id, a join key of view 'balances'",
    ),
    (pd.DataFrame({"card_id": [], "event_timestamp": pd.to_datetime([], utc=True)}), InputError, "has no rows"),
    (
        pd.DataFrame([[1, 1, at("02T00:00")]], columns=["card_id", "card_id", "event_timestamp"]),
        InputError,
        "the columns card_id twice",
    ),
    (
        pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")], "balance": [0]}),
        InputError,
        "so are features called",
    ),
    (
        pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")], "asof_row": [0]}),
        InputError,
        "names that begin with asof_",
    ),
    (pd.DataFrame({"card_id": [True], "event_timestamp": [at("02T00:00")]}), InputError, "they never meet"),
    (
        pd.DataFrame({"card_id": [1], "event_timestamp": [at("02T00:00")], "x": [{1: "a"}]}),
        InputError,
        "The entity frame:",
    ),
    ("SELECT 1 AS card_id, current_timestamp() AS event_timestamp WHERE false", InputError, "has no rows"),
    (
        "SELECT 1 AS card_id, cast(NULL AS timestamp) AS event_timestamp",
        InputError,
        "event_timestamp is null in 1 row(s)",
    ),
    ("SELECT 1 AS card_id, 'x' AS event_timestamp", InputError, "event_timestamp is string, not a timestamp"),
    ("SELECT 1 AS card_id", MissingError, "has no column event_timestamp and no column of timestamps"),
    ("SELECT current_timestamp() AS event_timestamp", MissingError, "no column card_id, a join key of view 'balances'"),
    ("SELECT 1 AS card_id, 2 AS card_id, current_timestamp() AS event_timestamp", InputError, "columns card_id twice"),
    ("SELECT 1 AS card_id, now() AS event_timestamp FROM nowhere", MissingError, "There is no table `nowhere`"),
    ("SELECT card FROM VALUES (1) AS t(card_id)", MissingError, "There is no column `card`"),
    ("SELEC 1", InputError, "The SQL cannot be read: Syntax error at or near 'SELEC'"),
    (7, InputError, "is a int. Give a pandas DataFrame"),
]


@pytest.mark.usefixtures("balances")
def test_a_frame_that_cannot_be_used_says_why(store: FeatureStore) -> None:
    for frame, kind, message in UNUSABLE:
        with pytest.raises(kind) as error:
            store.get_historical_features(frame, ["balances:balance"])
        assert message in str(error.value)
        assert "JVM" not in str(error.value)


@pytest.mark.usefixtures("balances")
def test_instants_of_several_zones_in_one_column_are_instants(store: FeatureStore) -> None:
    times = ["2026-03-02T08:00:00+08:00", "2026-03-01T18:59:59-05:00"]
    for given in (times, [datetime.fromisoformat(time) for time in times]):
        frame = pd.DataFrame({"card_id": [1, 1], "event_timestamp": pd.Series(given, dtype=object)})
        assert answered(store, frame, "balances:balance") == [2.0, 1.0]


@pytest.mark.usefixtures("balances")
def test_rows_are_saved_and_read_again(store: FeatureStore, tmp_path: Path) -> None:
    frame = pd.DataFrame({"card_id": [1, 2], "event_timestamp": [at("02T00:00")] * 2})
    job: Any
    storage = SavedDatasetSparkStorage(table=f"saved_{uuid4().hex}")
    job = store.get_historical_features(frame, ["balances:balance"])
    store.create_saved_dataset(job, "saved", storage)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        store.create_saved_dataset(job, "again", storage)
    store.create_saved_dataset(job, "again", storage, allow_overwrite=True)
    assert store.get_saved_dataset("again").to_df().sort_values("card_id")["balance"].tolist() == [2.0, 4.0]
    folder = SavedDatasetSparkStorage(path=str(tmp_path / "saved"), file_format="parquet")
    made = store.create_saved_dataset(job, "saved at a path", folder)
    assert made.to_df().sort_values("card_id")["balance"].tolist() == [2.0, 4.0]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        store.create_saved_dataset(job, "again at a path", folder)
    store.create_saved_dataset(job, "again at a path", folder, allow_overwrite=True)
    again = store.get_saved_dataset("again at a path")
    assert again.to_df().sort_values("card_id")["balance"].tolist() == [2.0, 4.0]
    with pytest.raises(InputError, match="needs a table or a path"):
        job.persist(SavedDatasetSparkStorage(query="SELECT 1"))
    assert len(store.get_historical_features(frame, ["balances:balance"]).to_remote_storage()) >= 1


@pytest.mark.parametrize("session", ZONES, indirect=True)
def test_rows_are_written_to_hive_and_paths_and_pulled_by_partition(store: FeatureStore, session: SparkSession) -> None:
    table = f"written_{uuid4().hex}"
    session.sql(
        f"CREATE TABLE {table} (card_id BIGINT, event_timestamp TIMESTAMP, spent INT, ds STRING) USING parquet PARTITIONED BY (ds)"
    )
    made = SparkSource(name=table, table=table, timestamp_field="event_timestamp", date_partition_column="ds", date_partition_column_format="%Y-%m-%d")  # fmt: skip
    found = view("written", made, CARD, spent=Int64)
    store.apply([CARD, found])
    provider = provider_of(store)
    rows = pa.table(
        {
            "spent": [1, 2, 3],
            "event_timestamp": [at("01T23:59:59"), at("02T00:00"), at("03T00:00")],
            "card_id": [1, 1, 1],
        }
    )
    provider.offline_write_batch(store.config, found, rows, None)
    assert {row["ds"] for row in session.table(table).collect()} == {"2026-03-01", "2026-03-02", "2026-03-03"}
    pulled = provider.offline_store.pull_latest_from_table_or_query(
        store.config, made, ["card_id"], ["spent"], "event_timestamp", None, at("01T00:00"), at("02T00:00")
    )
    assert pulled.to_arrow().to_pydict() == {"card_id": [1], "spent": [2], "event_timestamp": [at("02T00:00")]}
    pulled = provider.offline_store.pull_all_from_table_or_query(
        store.config, made, ["card_id"], ["spent"], "event_timestamp", None, at("02T00:00"), at("03T00:00")
    )
    assert sorted(pulled.to_arrow()["spent"].to_pylist()) == [2, 3]
    assert all("ds=2026-03-01" not in name for name in pulled.to_spark_df().inputFiles())
    with pytest.raises(ColumnsError, match="the rows lack spent and have more, which it has not"):
        provider.offline_write_batch(
            store.config, found, rows.rename_columns(["more", "event_timestamp", "card_id"]), None
        )
    session.sql(f"DROP TABLE {table}")


def test_a_query_takes_no_rows_and_a_missing_table_is_named(store: FeatureStore) -> None:
    made = SparkSource(name="asked", query="SELECT 1 AS card_id", timestamp_field="event_timestamp")
    with pytest.raises(InputError, match="is a query; rows can be appended to a table or a path"):
        provider_of(store).offline_write_batch(store.config, view("q", made, CARD), pa.table({}), None)
    gone = SparkSource(name="gone", table="nowhere.at_all", timestamp_field="event_timestamp")
    with pytest.raises(MissingError, match=r"nowhere\.at_all is not there"):
        provider_of(store).validate_data_source(store.config, gone)


@pytest.mark.parametrize("kind", ["table", "path"])
def test_logs_of_a_service_are_kept_by_day(
    store: FeatureStore, balances: FeatureView, tmp_path: Path, kind: str
) -> None:
    where = {kind: str(tmp_path / "logs") if kind == "path" else f"logs_{uuid4().hex}"}
    service = FeatureService(
        name="scored", features=[balances], logging_config=LoggingConfig(SparkLoggingDestination(**where))
    )
    store.apply([service])
    for n in range(2):
        store.write_logged_features(pa.table({
            "card_id": [n], "balances__balance": [1.5], "balances__balance__timestamp": pa.array([at("01T00:00")], pa.timestamp("s", "UTC")),
            "balances__balance__status": pa.array([1], pa.int32()), "__log_timestamp": [at("03T00:00")],
            "__log_date": [at("03T00:00").date()], "__request_id": [str(n)],
        }), store.get_feature_service("scored"))  # fmt: skip
    job = provider_of(store).retrieve_feature_service_logs(
        store.get_feature_service("scored"), at("03T00:00"), at("03T01:00"), store.config, store.registry
    )
    assert sorted(job.to_df()["card_id"]) == [0, 1]


ALONE = """
import pandas as pd
from feast import FeatureStore, RepoConfig
from feast.types import Float64
from jobs.feast_offline import AsofOfflineStoreConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from tests.jobs.feast_store import CARD, view

conf = {"spark.master": "local[1]", "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": "2", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
store = FeatureStore(config=RepoConfig(
    project="alone", provider="local", registry="registry.db", entity_key_serialization_version=3, online_store={"type": "sqlite", "path": "online.db"},
    offline_store=AsofOfflineStoreConfig(spark_conf=conf),
))
rows = pd.DataFrame({"card_id": [1], "event_timestamp": pd.to_datetime(["2026-03-02T00:00:00Z"]), "balance": [2.5]})
rows.to_parquet("rows.parquet", coerce_timestamps="us", index=False)
made = SparkSource(name="rows", path="rows.parquet", file_format="parquet", timestamp_field="event_timestamp")
store.apply([CARD, view("balances", made, CARD, balance=Float64)])
from pyspark.sql import SparkSession
print(store.get_historical_features(rows[["card_id", "event_timestamp"]], ["balances:balance"]).to_df()["balance"].tolist(),
      SparkSession.getActiveSession().conf.get("spark.python.daemon.module"))
"""


@pytest.mark.slow
def test_a_session_of_its_own_runs_tasks_in_this_python(tmp_path: Path) -> None:
    """Another python3, which cannot run Asof, is first on the PATH."""
    other = tmp_path / "bin" / "python3"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK_")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=kept | {"PATH": f"{other.parent}:{kept['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["[2.5] jobs.worker_daemon"], done.stderr
