"""`asof stats` through Spark and Hive against plain Python over the oracle's rows, on hostile days; and everything it refuses."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import col
from features.definitions.names import micros, tiles_table, utc
from features.definitions.tiling import tiling
from features.settings import Settings
from jobs import ledger, stats, tiles
from jobs.commands import Stats
from jobs.ingest import ingest
from jobs.tile_answers import Question, answer
from tests.jobs import hostile_days as days
from tests.jobs.tiled_shop import CATALOG, EXTREMES, HOURLY, LASTING, LISTED, PAIRS, PAYMENTS
from tests.tile_rows import expected

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from features.definitions.views import FeatureView

pytestmark = pytest.mark.slow
LAST = datetime(2024, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def raw(
    spark: "SparkSession", spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[dict[str, Any]]]:
    """Five hostile days of payments, more than usual of them corrected."""
    made, landing = days.days(seed=23), tmp_path_factory.mktemp("landing")
    days.write_days(made, landing)
    ingest(spark, spark_settings, PAYMENTS, str(landing / PAYMENTS.name))
    yield made[PAYMENTS.name]
    for view in (HOURLY, PAIRS, EXTREMES, LASTING, LISTED):
        spark.sql(f"drop table if exists {tiles_table(view)}")
    spark.sql(f"drop table if exists {PAYMENTS.table}")
    for item in ledger.partitions(spark_settings, PAYMENTS.name):
        (Path(spark_settings.tables_root) / f"asof/{PAYMENTS.name}/{item.ds}.json").unlink()


def answered(
    spark: "SparkSession", settings: Settings, view: "FeatureView", cut: int, length: int, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    question = Question(view=view, by=tuple(by), lower=cut - length, cut=cut)
    builds = tiles.up_to_date(spark, settings, view, stats.cuts_of(settings, question))
    table = answer(settings, question, builds).table
    assert answer(settings, question, builds, here=0).table.equals(table)  # by Spark, from what Hive shows
    plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    rows = pa.table(plain, table.column_names).to_pylist()
    return {tuple(row.pop(name) for name in by): row for row in rows}


@pytest.mark.parametrize(("view", "by"), [
    (EXTREMES, ("card",)), (PAIRS, ("shop", "card")), (LISTED, ("shop", "card")),
    *(pytest.param(view, by, marks=pytest.mark.long) for view, by in ((HOURLY, ("card",)), (LASTING, ()), (EXTREMES, ()), (PAIRS, ("shop",)), (LASTING, ("card",)), (LISTED, ("card",)), (LISTED, ()))),
], ids=lambda item: getattr(item, "name", None) or "-".join(item) or "total")  # fmt: skip
def test_it_gives_what_plain_python_gives_over_the_rows_known_at_the_cut(
    spark: "SparkSession", spark_settings: Settings, raw: list[dict[str, Any]], view: "FeatureView", by: tuple[str, ...]
) -> None:
    grid, period = tiling(view).grid_us, view.schedule.period_us
    for instant in (days.START + days.DAY + period, days.START + 3 * days.DAY, days.END):
        cut = view.schedule.cut_before(instant)
        for length in (period, 2 * days.DAY, 2 * days.DAY + grid, 10 * days.DAY):
            got = answered(spark, spark_settings, view, cut, length, by)
            meant = expected(view, raw, cut, length, by)
            if not by and not meant:
                assert got[()]["count"] == 0
            else:
                assert got == (near(meant) if view is LISTED else meant), (view.name, utc(cut), length)


def near(meant: dict[tuple[Any, ...], dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Decay, speeds and means over pairs are compared within 1e-9 (semantics 4)."""
    return {
        group: {
            name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            for name, value in values.items()
        }
        for group, values in meant.items()
    }


def test_a_total_of_nothing_is_one_row_and_groups_of_nothing_are_none(
    spark: "SparkSession", spark_settings: Settings, raw: list[dict[str, Any]]
) -> None:
    assert raw
    before = days.START + days.DAY
    later = replace(EXTREMES, name="tiled_none", source=EXTREMES.source.derive("none", filter=col("id") == "nobody"))
    assert answered(spark, spark_settings, later, before, days.DAY, ["card"]) == {}
    assert answered(spark, spark_settings, later, before, days.DAY, []) == {
        (): {"count": 0, "sum_amount": 0, "mean_amount": None, "std_amount": None, "min_amount": None, "max_amount": None,
             "max_known": None, "count_declined": 0, "min_amount_declined": None, "gap_mean": None}
    }  # fmt: skip
    spark.sql(f"drop table {tiles_table(later)}")


def test_the_sql_of_the_page_on_tiles_gives_the_same(
    spark: "SparkSession", spark_settings: Settings, raw: list[dict[str, Any]]
) -> None:
    answered(spark, spark_settings, EXTREMES, micros(LAST), 10 * days.DAY, ["card"])
    meant = expected(EXTREMES, raw, micros(LAST), 3 * days.DAY, ["card"])
    page = (Path(__file__).resolve().parents[2] / "docs/tiles.md").read_text(encoding="utf-8")
    here = {"merchant_risk": EXTREMES.name, "card_velocity": EXTREMES.name, "merchant_id": "card", "card_id": "card", "amount_minor__": "amount__",
            "2026-02-03": "2024-03-02", "2026-01-04": "2024-02-28"}  # fmt: skip
    sums, extremes = (
        re.sub("|".join(here), lambda found: here[found[0]], block)
        for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    )
    found = {
        row["card"]: (row["payments"], int(row["amount_minor"])) for row in spark.sql(sums).collect() if row["payments"]
    }
    assert found == {card: (values["count"], values["sum_amount"]) for (card,), values in meant.items()}
    largest = {row["card"]: row["largest"] for row in spark.sql(extremes).collect() if row["card"] in found}
    assert largest == {card: values["max_amount"] for (card,), values in meant.items()}
    assert spark.table(tiles_table(EXTREMES)).where("asof_replaces").count() > 0


def test_the_command_prints_and_writes_the_same_groups(
    spark_settings: Settings,
    raw: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = spark_settings.model_copy(update={"catalog": CATALOG})
    command = Stats(view=EXTREMES.name, window="3d", by=("card",), at=LAST, output="json")
    assert stats.run(command, settings) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    meant = expected(EXTREMES, raw, micros(LAST), 3 * days.DAY, ["card"])
    assert found["cut"] == "2024-03-02T00-00Z"
    assert found["left_out"] == ["count_declined_3d_per_count_3d"]
    assert {group.pop("card"): group["count"] for group in found["groups"]} == {
        key: values["count"] for (key,), values in meant.items()
    }
    assert "Left out, since they do not follow from tiles: count_declined_3d_per_count_3d." in said.err
    assert (
        "Events from 2024-02-28T00:00:00+00:00 to before 2024-03-02T00:00:00+00:00, as known at that cut." in said.err
    )
    out = tmp_path / "new" / "cards.parquet"
    assert stats.run(replace(command, output="parquet", out=str(out)), settings) == 0
    assert pq.read_table(out)["count"].to_pylist() == [group["count"] for group in found["groups"]]
    said = capsys.readouterr()
    assert said.out == f"{len(meant)} group(s) in {out}.\n"
    assert "Building" not in said.err
    # An instant between two cuts is answered by the one served then.
    stats.run(replace(command, at=LAST + timedelta(hours=2), output="table"), settings)
    assert f"tiled_extremes at 2024-03-02T00-00Z: {len(meant)} group(s)" in capsys.readouterr().out
