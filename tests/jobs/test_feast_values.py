"""Asof's own views through Feast: the bytes of `asof frame` at each row's instant, and those of the published table by request."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from pyspark.sql import SparkSession

from features import Catalog, load_catalog
from features.definitions.names import utc
from features.errors import InputError
from features.feast.registry import apply
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from jobs.frame import frame
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.shop import CARDS, DISPUTES, PAYMENTS

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = spark_settings.model_copy(
        update={"home": tmp_path_factory.mktemp("feast_values"), "catalog": "tests.jobs.shop"}
    )
    landing = tmp_path_factory.mktemp("landing")
    days.write_days(days.days(seed=11), landing)
    for source in (PAYMENTS, DISPUTES, CARDS):
        ingest(spark, settings, source, str(landing / source.name))
    apply(load_catalog("tests.jobs.shop"), settings)
    return settings


@pytest.fixture
def catalog() -> Catalog:
    return load_catalog("tests.jobs.shop")


def labels() -> pa.Table:
    rows = [(f"c{n % 4}" if n % 7 else None, f"s{n % 3}", days.START + n * days.DAY // 5) for n in range(15)]
    return pa.table({
        "card": pa.array([card for card, _, _ in rows], pa.string()), "shop": [shop for _, shop, _ in rows],
        "event_timestamp": pa.array([at for _, _, at in rows], pa.int64()).cast(ARROW_TYPES["timestamp"]),
    })  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_values_are_those_of_asof_frame_whatever_the_persons_session(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """Of many rows too, which meet the events in files: here all are many."""
    pq.write_table(labels(), tmp_path / "labels.parquet")
    frame(
        spark,
        home,
        catalog,
        labels=str(tmp_path / "labels.parquet"),
        service="shop_v1",
        out=str(tmp_path / "frame.parquet"),
    )
    expected = pq.read_table(tmp_path / "frame.parquet")
    store = FeatureStore(repo_path=str(home.feast))
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        spark.conf.set("spark.sql.session.timeZone", zone)
        refs: list[Any] = [
            *(f"{view.name}:{name}" for view, names in catalog.views_of(catalog.service("shop_v1")) for name in names),
            "shop_daily:asof_status",
        ]  # fmt: skip
        made = store.get_historical_features(labels().to_pandas(), refs, full_feature_names=True).to_arrow()
        rows: Any = spark.createDataFrame(labels())
        stored = store.get_historical_features(rows, refs, full_feature_names=True).to_arrow()
        monkeypatch.setattr("jobs.answering.FEW", 0)
        monkeypatch.setattr("jobs.frame._FEW", 0)
        many = store.get_historical_features(labels().to_pandas(), refs, full_feature_names=True).to_arrow()
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))
    assert many.equals(made)
    assert not list((home.home / "frames").iterdir())
    for name in made.column_names:
        column = expected[name]
        assert (
            made[name].to_pylist()
            == (
                column.cast(pa.int64()) if pa.types.is_timestamp(column.type) and name != "event_timestamp" else column
            ).to_pylist()
        ), name
    order = [("event_timestamp", "ascending")]
    assert stored.sort_by(order).to_pylist() == made.sort_by(order).to_pylist()


def test_published_snapshots_by_request_as_of_their_valid_from(spark: SparkSession, home: Settings) -> None:
    spark.sql("CREATE DATABASE IF NOT EXISTS features")
    spark.sql("DROP TABLE IF EXISTS features.shop_pair")
    spark.createDataFrame(
        [("c1", "s1", 7, utc(days.START)), ("c1", "s1", 8, utc(days.START + days.DAY))],
        "card string, shop string, count_1d bigint, event_timestamp timestamp",
    ).write.saveAsTable("features.shop_pair")
    store = FeatureStore(repo_path=str(home.feast))
    options: Any = store.config.offline_store
    options.asof_values = "published"
    asked = pd.DataFrame({"card": ["c1"], "shop": ["s1"], "event_timestamp": [utc(days.START + days.DAY - 1)]})
    assert store.get_historical_features(asked, ["shop_pair:count_1d"]).to_df()["count_1d"].tolist() == [7]
    spark.sql("DROP TABLE features.shop_pair")


def test_another_definition_than_the_applied_one_is_refused(home: Settings) -> None:
    store = FeatureStore(repo_path=str(home.feast))
    view = store.get_feature_view("shop_pair")
    view.tags["asof.hash"] = "0" * 16
    store.registry.apply_feature_view(view, store.project)
    asked = pd.DataFrame({"card": ["c1"], "shop": ["s1"], "event_timestamp": [utc(days.START)]})
    fresh = FeatureStore(repo_path=str(home.feast))
    with pytest.raises(
        InputError, match=r"View 'shop_pair': Feast's registry has the definition 0000000000000000, .* Run `asof apply`"
    ):
        fresh.get_historical_features(asked, ["shop_pair:count_1d"])
    apply(load_catalog("tests.jobs.shop"), home)
