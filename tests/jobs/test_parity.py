"""The whole way through Spark and Hive — ingest in parts, frame, snapshot — against the oracle, on hostile days."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.freshness import Schedule
from features.definitions.names import utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.partition import entity_views
from features.values.sweep import ARROW_TYPES
from jobs.compute import compute
from jobs.frame import frame
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.shop import CARDS, DAILY_VIEW, DISPUTES, PAYMENTS
from tests.oracle import answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog("tests.jobs.shop")


@pytest.fixture(scope="module")
def raw(
    spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """Hostile days, ingested: payments two days and then three, the others at once, payments once more."""
    made, landing = days.days(seed=11), tmp_path_factory.mktemp("landing")
    days.write_days(made, landing)
    for n in range(days.DAYS):
        if n < 2:
            ingest(
                spark,
                spark_settings,
                PAYMENTS,
                str(landing / PAYMENTS.name),
                only=utc(days.START + n * days.DAY).date(),
            )
    ingest(spark, spark_settings, PAYMENTS, str(landing / PAYMENTS.name))
    ingest(spark, spark_settings, DISPUTES, str(landing / DISPUTES.name))
    ingest(spark, spark_settings, CARDS, str(landing / CARDS.name))
    return days.with_parents(made)


def expected(view: FeatureView, raw: dict[str, list[dict[str, Any]]], key: tuple[Any, ...], at: int) -> dict[str, Any]:
    if None in key:
        return {
            **dict.fromkeys((f"{view.name}__{name}" for name in view.types), None),
            f"{view.name}__asof_status": "no_key",
        }
    found = answer(view, raw, key, at)
    return {
        **{f"{view.name}__{name}": value for name, value in found.values.items()},
        f"{view.name}__asof_status": found.status,
    }


def asks(seed: int, rows: int) -> list[tuple[Any, Any, int]]:
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    edges = [
        days.START + n * days.DAY + h * 3_600_000_000 + d
        for n in range(1, days.DAYS)
        for h in (0, 1, 2, 12)
        for d in (-1, 0, 1, 60_000_000)
    ]
    return [(rng.choice([*days.KEYS, "c3"]), rng.choice(days.SHOPS), rng.choice(edges)) for _ in range(rows)]


@pytest.mark.parametrize(
    "how",
    [{"frame._FEW": 20_000}, {"frame._FEW": 0}, {"frame._FEW": 0, "shares._HEAVY": 0, "shares._TIMES": 0}],
    ids=["by Spark's shuffle", "by Arrow files", "in slices of time"],
)
def test_a_frame_gives_what_the_oracle_gives(
    how: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    spark: SparkSession,
    spark_settings: Settings,
    catalog: Catalog,
    raw: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    for name, value in how.items():
        monkeypatch.setattr(f"jobs.{name}", value)
    drawn = asks(seed=5, rows=400)
    labels = pa.table(
        {
            "card": pa.array([card for card, _, _ in drawn], pa.string()),
            "shop": pa.array([shop for _, shop, _ in drawn], pa.string()),
            "event_timestamp": pa.array([at for _, _, at in drawn], pa.int64()).cast(ARROW_TYPES["timestamp"]),
            "note": [f"row {n}" for n in range(len(drawn))],
        }
    )
    pq.write_table(labels, tmp_path / "labels.parquet")
    rows = frame(
        spark,
        spark_settings,
        catalog,
        labels=str(tmp_path / "labels.parquet"),
        service="shop_training_v1",
        out=str(tmp_path / "frame.parquet"),
    )
    got = pq.read_table(tmp_path / "frame.parquet").to_pylist()
    assert rows == len(got) == len(drawn)
    assert [row["note"] for row in got] == labels["note"].to_pylist()
    for row, (card, shop, at) in zip(got, drawn, strict=True):
        for view, _ in catalog.views_of(catalog.service("shop_training_v1")):
            key = (card, shop) if view.entity.name == "pair" else (card,)
            wanted = expected(view, raw, key, at)
            assert {name: row[name] for name in wanted} == wanted, (view.name, key, utc(at))


def test_a_snapshot_gives_what_the_oracle_gives(
    spark: SparkSession, spark_settings: Settings, catalog: Catalog, raw: dict[str, list[dict[str, Any]]]
) -> None:
    views = tuple(view for view in catalog.views if view.served)
    for cut in (days.START + days.DAY, days.START + 4 * days.DAY):
        attempts = compute(spark, spark_settings, views, [cut])
        for view, attempt in zip(
            [view for group in entity_views(views) for view in group.views], attempts, strict=True
        ):
            assert attempt.view == view.name
            rows = {tuple(row[key] for key in view.keys): row for row in pq.read_table(attempt.location).to_pylist()}
            candidates = (
                [(c,) for c in days.KEYS]
                if view.entity.name == "card"
                else [(c, s) for c in days.KEYS for s in days.SHOPS]
            )
            for key in (key for key in candidates if None not in key):
                found = answer(view, raw, key, cut + view.schedule.lag_us)
                row = rows.get(key)
                assert (row["asof_status"] if row else "never_seen") == found.status, (view.name, key)
                if row is not None:
                    assert {name: row[name] for name in found.values} == found.values, (view.name, key)


def test_cuts_of_any_period_in_one_pass_give_what_the_oracle_gives(
    spark: SparkSession, spark_settings: Settings, raw: dict[str, list[dict[str, Any]]]
) -> None:
    halfhourly = replace(DAILY_VIEW, name="shop_30m", freshness=Schedule(period="30m", publish_lag="5m"))
    midnight = days.START + 4 * days.DAY
    morning = [midnight + n * 1_800_000_000 for n in (1, 19, 20, 47)]
    # A daily view beside it at midnight: its publish lag is longer than the other's period.
    for views, cuts in (((DAILY_VIEW, halfhourly), [midnight]), ((halfhourly,), morning)):
        made = {(attempt.view, attempt.cut): attempt for attempt in compute(spark, spark_settings, views, cuts)}
        assert set(made) == {(view.name, cut) for view in views for cut in cuts}
        for view, cut in product(views, cuts):
            rows = {row[view.keys[0]]: row for row in pq.read_table(made[view.name, cut].location).to_pylist()}
            for key in (key for key in days.KEYS if key is not None):
                found = answer(view, raw, (key,), cut + view.schedule.lag_us)
                assert (rows[key]["asof_status"] if key in rows else "never_seen") == found.status
                if key in rows:
                    assert {name: rows[key][name] for name in found.values} == found.values


def test_the_days_hold_what_makes_them_hostile(raw: dict[str, list[dict[str, Any]]]) -> None:
    payments = raw[PAYMENTS.name]
    assert any(row["voided"] for row in payments)
    assert any(row["version"] for row in payments)
    assert any(row["card"] is None for row in payments)
    assert {datetime.fromtimestamp(row["known"] / 1e6, UTC).day for row in payments} == {27, 28, 29, 1, 2}
