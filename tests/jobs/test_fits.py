"""Rates whose outcome comes late through Spark and Hive: frame, snapshot and lookup against the oracle, and what is fitted for them in `asof.fits`."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.compiled import hash_of
from features.definitions.names import cut_text, utc, view_table
from features.feast.registry import apply
from features.serving.reader import Reader
from features.settings import Settings
from features.values.partition import entity_views
from features.values.sweep import ARROW_TYPES
from jobs import fits, ledger, materialize, tables
from jobs.commands import Materialize
from jobs.compute import compute
from jobs.frame import answers, frame
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.late_shop import BOUGHT, CARD_RATES, DISPUTED, SHOP_RATES
from tests.jobs.shop import DISPUTES, PAYMENTS
from tests.oracle import answer
from tests.snapshots import snapshot

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The spark data source API")]
CATALOG = load_catalog("tests.jobs.late_shop")
CUTS = [days.START + n * days.DAY for n in (2, 4, 5)]
Raw = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    changes = {
        "home": tmp_path_factory.mktemp("late"),
        "catalog": "tests.jobs.late_shop",
        "clock": datetime(2024, 3, 10, tzinfo=UTC),
    }
    yield spark_settings.model_copy(update=changes)
    for table in (fits.FITS, *(view_table(view) for view in CATALOG.views)):
        spark.sql(f"drop table if exists {table}")


@pytest.fixture(scope="module")
def raw(spark: SparkSession, home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Raw:
    made, landing = days.days(seed=32), tmp_path_factory.mktemp("landing")
    days.write_days(made, landing)
    for source, there in ((BOUGHT, PAYMENTS), (DISPUTED, DISPUTES)):
        ingest(spark, home, source, str(landing / there.name))
    made = days.with_parents(made)
    return {BOUGHT.name: made[PAYMENTS.name], DISPUTED.name: made[DISPUTES.name]}


@pytest.mark.parametrize("few", [20_000, 0], ids=["by Spark's shuffle", "by Arrow files"])
def test_a_frame_gives_what_the_oracle_gives(
    few: int, monkeypatch: pytest.MonkeyPatch, spark: SparkSession, home: Settings, raw: Raw, tmp_path: Path
) -> None:
    monkeypatch.setattr("jobs.frame._FEW", few)
    rng = random.Random(few)  # noqa: S311 - not for secrets
    edges = [days.START + n * days.DAY + d for n in range(2, 6) for d in (0, 3_600_000_000 - 1, 3_600_000_000)]
    asked = [(rng.choice(days.KEYS), rng.choice([*days.SHOPS, "new"]), rng.choice(edges)) for _ in range(240)]
    cards, shops, instants = zip(*asked, strict=True)
    labels = {"card": pa.array(cards, pa.string()), "shop": pa.array(shops, pa.string())}
    labels["event_timestamp"] = pa.array(instants, pa.int64()).cast(ARROW_TYPES["timestamp"])
    pq.write_table(pa.table(labels), tmp_path / "labels.parquet")
    out = str(tmp_path / "frame.parquet")
    frame(spark, home, CATALOG, labels=str(tmp_path / "labels.parquet"), service="late_v1", out=out)
    informative = set()
    for row, (card, shop, at) in zip(pq.read_table(out).to_pylist(), asked, strict=True):
        for view, key in ((CARD_RATES, card), (SHOP_RATES, shop)):
            if key is not None:
                meant = answer(view, raw, (key,), at)
                assert {name: row[f"{view.name}__{name}"] for name in meant.values} == meant.values, (key, utc(at))
                informative |= {(view.name, name) for name, value in meant.values.items() if value}
    assert len(informative) == len(CARD_RATES.features) + len(SHOP_RATES.features)


def test_snapshots_of_many_cuts_give_what_the_oracle_gives(spark: SparkSession, home: Settings, raw: Raw) -> None:
    rows = snapshot(spark, home, SHOP_RATES, CUTS)
    assert {row["asof_cut"] for row in rows} == set(CUTS)
    for row in rows:
        key = (row[SHOP_RATES.keys[0]],)
        meant = answer(SHOP_RATES, raw, key, row["asof_cut"] + SHOP_RATES.schedule.lag_us)
        assert {name: row[name] for name in meant.values} == meant.values


@pytest.mark.usefixtures("raw")
def test_a_lookup_is_the_frame_and_the_table_to_the_bit(spark: SparkSession, home: Settings) -> None:
    cut, view = CUTS[-1], SHOP_RATES
    (attempt,) = compute(spark, home, (view,), [cut])
    tables.ensure_table(spark, home, view_table(view), tables.view_columns(view), "cut")
    tables.point_at(spark, view_table(view), "cut", {cut_text(cut): attempt.location})
    apply(CATALOG, home)
    materialize.run(Materialize(cut=utc(cut), views=(view.name,)), home)
    table = {row["shop"]: row.asDict() for row in tables.published(spark, view, cut).collect()}
    at, keys = cut + view.schedule.lag_us, [*sorted(table), "new"]
    asks = spark.createDataFrame(
        [(key, n, at) for n, key in enumerate(keys)], "k0 string, asof_row bigint, asof_time bigint"
    )
    (group,) = entity_views([view])
    framed = answers(spark, home, group, asks, earliest=at, latest=at, rows=len(keys)).orderBy("asof_row").collect()
    names = [feature.name for feature in view.features]
    with Reader(home, CATALOG) as reader:
        found = reader.lookup_features({view.name: names}, [{"shop": key} for key in keys], at).rows
    for key, looked_up, row in zip(keys, found, framed, strict=True):
        values = dict(looked_up.views[0].values)
        assert values == {name: row[f"{view.name}__{name}"] for name in names}
        assert key == "new" or values == {name: table[key][name] for name in names}
    assert found[-1].views[0].status == "never_seen"
    assert any(table[key]["late_disputes_corrected_rate_smoothed_2d"] for key in table)


@pytest.mark.usefixtures("raw")
def test_a_cut_is_fitted_once_and_again_where_its_file_or_its_sources_are_others(
    spark: SparkSession, home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (group,) = entity_views([CARD_RATES])
    first = fits.fits_at(spark, home, group, CUTS)["late_card"]
    capsys.readouterr()
    again = fits.fits_at(spark, home, group, CUTS)["late_card"]
    assert capsys.readouterr().out == ""
    folder = Path(home.tables_root) / "asof.db" / "fits"
    lost = folder / f"late_card-{hash_of(CARD_RATES)}-{cut_text(CUTS[1])}.parquet"
    kept = lost.read_bytes()
    lost.unlink()  # as a pass leaves it that is killed between two cuts
    assert {
        name for name, values in first.values.items() if not np.array_equal(values, again.values[name], equal_nan=True)
    } == set()
    third = fits.fits_at(spark, home, group, CUTS)["late_card"]
    assert "late_card: fitted at 1 cut(s), kept in asof.fits." in capsys.readouterr().out
    assert lost.read_bytes() == kept
    assert all(np.array_equal(third.values[name], values, equal_nan=True) for name, values in first.values.items())
    rows = spark.table(fits.FITS).where("view = 'late_card'").collect()
    names = {
        "late_disputes_corrected_rate_3d__lag_curve",
        *(f"{f.name}__prior" for f in CARD_RATES.features if getattr(f, "smoothed", None)),
    }
    assert {row["name"] for row in rows} == names
    assert {row["definition"] for row in rows} == {hash_of(CARD_RATES)}
    day = ledger.partition(home, BOUGHT.name, str(utc(days.START).date()))
    assert day is not None
    held = ledger.hold(home, day, at=1, reason="a test holds it")
    fits.fits_at(spark, home, group, CUTS[:1])
    ledger.record_ingest(home, day)
    assert held.held
    assert "late_card: fitted at 1 cut(s)" in capsys.readouterr().out
