"""Anomaly scores and their reasons through Spark and Hive: frame, snapshot, lookup and `asof why` against the oracle, and their fits in `asof.fits`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import cut_text, utc, view_table
from features.feast.registry import apply
from features.serving.reader import Reader
from features.settings import Settings
from features.values.carrying import carriable
from features.values.partition import entity_views
from features.values.sweep import ARROW_TYPES
from jobs import fits, materialize, tables, why
from jobs.commands import Materialize, Why
from jobs.compute import compute
from jobs.frame import frame
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.catalogue_of_anomalies import BOUGHT, CARD_HABITS, PARTS, SHOP_HABITS
from tests.jobs.shop import PAYMENTS
from tests.oracle import answer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The spark data source API")]
CATALOG = load_catalog("tests.jobs.catalogue_of_anomalies")
CUTS = [days.START + n * days.DAY for n in (2, 4, 5)]
Raw = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    changes = {
        "home": tmp_path_factory.mktemp("odd"),
        "catalog": "tests.jobs.catalogue_of_anomalies",
        "clock": datetime(2024, 3, 10, tzinfo=UTC),
    }
    yield spark_settings.model_copy(update=changes)
    for table in (fits.FITS, *(view_table(view) for view in CATALOG.views)):
        spark.sql(f"drop table if exists {table}")


@pytest.fixture(scope="module")
def raw(spark: SparkSession, home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Raw:
    made, landing = days.days(seed=32), tmp_path_factory.mktemp("landing")
    days.write_days(made, landing)
    ingest(spark, home, BOUGHT, str(landing / PAYMENTS.name))
    return {BOUGHT.name: made[PAYMENTS.name]}


def test_a_frame_gives_what_the_oracle_gives(spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path) -> None:
    edges = [cut + beside for cut in CUTS for beside in (3_600_000_000 - 1, 3_600_000_000)]
    asked = [(key, shop, at) for at in edges for key in days.KEYS for shop in (*days.SHOPS, "new")][::2]
    cards, shops, instants = zip(*asked, strict=True)
    labels = {"card": pa.array(cards, pa.string()), "shop": pa.array(shops, pa.string())}
    labels["event_timestamp"] = pa.array(instants, pa.int64()).cast(ARROW_TYPES["timestamp"])
    pq.write_table(pa.table(labels), tmp_path / "labels.parquet")
    out = str(tmp_path / "frame.parquet")
    frame(spark, home, CATALOG, labels=str(tmp_path / "labels.parquet"), service="odd_v1", out=out)
    informative = set()
    for row, (card, shop, at) in zip(pq.read_table(out).to_pylist(), asked, strict=True):
        for view, key in ((CARD_HABITS, card), (SHOP_HABITS, shop)):
            if key is not None:
                meant = answer(view, raw, (key,), at)
                assert {name: row[f"{view.name}__{name}"] for name in meant.values} == meant.values, (key, utc(at))
                informative |= {(view.name, name) for name, value in meant.values.items() if value}
    assert len(informative) == len(CARD_HABITS.features) + len(SHOP_HABITS.features)


def test_a_lookup_is_the_published_table_is_the_oracle_to_the_bit(
    spark: SparkSession, home: Settings, raw: Raw
) -> None:
    view, cut = SHOP_HABITS, CUTS[-1]
    assert carriable(view) == "it has anomaly scores, which need all keys at each cut"
    tables.ensure_table(spark, home, view_table(view), tables.view_columns(view), "cut")
    for attempt, of in zip(compute(spark, home, (view,), CUTS), CUTS, strict=True):  # of many cuts, as a backfill's
        tables.point_at(spark, view_table(view), "cut", {cut_text(of): attempt.location})
        for row in tables.published(spark, view, of).collect():
            meant = answer(view, raw, (row["shop"],), of + view.schedule.lag_us).values
            assert {name: row[name] for name in meant} == meant
    apply(CATALOG, home)
    materialize.run(Materialize(cut=utc(cut), views=(view.name,)), home)
    at, names = cut + view.schedule.lag_us, [feature.name for feature in view.features]
    keys = [*sorted(row["shop"] for row in tables.published(spark, view, cut).collect()), "new"]
    with Reader(home, CATALOG) as reader:
        found = reader.lookup_features({view.name: names}, [{"shop": key} for key in keys], at).rows
    for key, looked_up in zip(keys, found, strict=True):
        assert dict(looked_up.views[0].values) == answer(view, raw, (key,), at).values
    assert any(row.views[0].values["anomaly_reason_3"] for row in found)
    asked = why.question(
        home, CATALOG, Why(feature="odd_v1.odd_by_shop__anomaly_reason_1", keys=(("shop", keys[0]),), at=utc(at))
    )
    told = why.explained(spark, home, asked)
    assert told["value"] == found[0].views[0].values["anomaly_reason_1"]
    assert {window["feature"] for window in told["windows"]} == {
        "count_1d",
        "count_3d",
        "count_declined_3d",
        "mean_amount_3d",
        "sum_amount_3d",
    }


@pytest.mark.usefixtures("raw")
def test_centres_and_scales_lie_in_the_table_of_fits(spark: SparkSession, home: Settings) -> None:
    fits.fits_at(spark, home, entity_views([CARD_HABITS])[0], CUTS)
    rows = spark.table(fits.FITS).where("view = 'odd_card'").collect()
    assert {row["name"] for row in rows} == {f"anomaly_score__{part}" for part in PARTS}
    assert all(
        len(row["fit"]) == 2 and row["fit"][1] > 0
        for row in rows
        if row["name"] == "anomaly_score__count_1d_per_count_3d"
    )
