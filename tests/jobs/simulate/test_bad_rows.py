"""What cannot be is refused with a sentence, through real ingest and audit; a merchant that nobody pays is borne."""

import re
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features import FeatureView, count, flat
from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.entities import MERCHANT
from features.errors import InputError, MissingError
from features.settings import Settings
from features.sources import LISTING_VERSIONS
from jobs import ledger
from jobs.audit_sources import audit_partition
from jobs.compute import compute
from jobs.ingest import ingest
from jobs.simulate import BAD_ROWS, Report, corrupt, simulate
from jobs.simulate.truth import attacks, attacks_file
from tests.jobs.simulate.landed import START, table

DAY = "2026-01-09"
SOURCES = ("payments", "disputes", "logins", "merchants", "orders", "listings")


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days, enough for the first fraud reports."""
    out = tmp_path_factory.mktemp("simulated")
    simulate(out, start=START, days=5, scale=0.05, seed=5)
    return out


@pytest.fixture
def out(days: Path, tmp_path: Path) -> Path:
    return copytree(days, tmp_path / "landed")


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_it_changes_its_table_keeps_the_schema_says_so_and_can_be_repeated(days: Path, out: Path, kind: str) -> None:
    (name,) = BAD_ROWS[kind].tables
    said = corrupt(out / "payments" / f"ds={DAY}", kind, seed=3)
    path = attacks_file(out) if name == "truth" else out / name / f"ds={DAY}" / "part-0.parquet"
    before, after = pq.ParquetFile(days / path.relative_to(out)).read(), pq.ParquetFile(path).read()
    assert not after.equals(before)
    assert after.schema.equals(before.schema)
    assert said == f"{kind} on {DAY}: {BAD_ROWS[kind].says} ({before.num_rows:,} {name} became {after.num_rows:,})."
    copytree(days, out.with_name("again"))
    corrupt(out.with_name("again") / "payments" / f"ds={DAY}", kind, seed=3)
    assert (out.with_name("again") / path.relative_to(out)).read_bytes() == path.read_bytes()


def test_the_truth_is_read_and_labels_of_unknown_payments_are_refused(out: Path, landed: tuple[Path, Report]) -> None:
    assert attacks(landed[0])["attack"].value_counts().to_pylist()
    assert attacks(out).num_rows == pq.read_metadata(attacks_file(out)).num_rows
    corrupt(out / "payments" / f"ds={DAY}", "label_of_unknown_payment", seed=3)
    with pytest.raises(
        InputError, match=r"labels of 1 payments that never arrived, for instance pay_.*simulate into a new"
    ):
        attacks(out)


def test_a_truth_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"There is no truth .*attacks.parquet.*Run `asof simulate` first"):
        attacks(tmp_path)


@pytest.fixture(scope="module")
def stored(
    spark: SparkSession, spark_settings: Settings, days: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Every bad kind at once, ingested by the catalogue's own sources."""
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("bad")})
    out = copytree(days, tmp_path_factory.mktemp("bad_landing") / "out")
    for kind in BAD_ROWS:
        corrupt(out / "payments" / f"ds={DAY}", kind, seed=3)
    for name in SOURCES:
        ingest(spark, settings, load_catalog().source(name), str(out / name))
    return settings


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("payments", r"currency_known does not hold: currency is one of EUR, USD, GBP, JPY\..*currency=XXX"),
        ("disputes", r"event_time_not_before_payment_time does not hold: event_time is not before payment_time\..*Ask the source's owner"),
        ("logins", r"lat_within does not hold: lat is between -90 and 90\..*lat=123.4"),
    ],
)  # fmt: skip
def test_a_partition_with_impossible_rows_is_held_and_says_why(
    spark: SparkSession, stored: Settings, name: str, says: str
) -> None:
    source = load_catalog().source(name)
    made = audit_partition(stored, spark, source, DAY, keys=("account_id",), now=1)
    assert made.report.verdict == "hold"
    found = ledger.partition(stored, name, DAY)
    assert found is not None
    assert found.held
    assert re.search(says, found.reason or ""), found.reason


@pytest.mark.long
@pytest.mark.parametrize("name", ["merchants", "orders", "listings"])
def test_the_other_tables_go_in_whole_and_pass(spark: SparkSession, stored: Settings, name: str) -> None:
    source = load_catalog().source(name)
    assert sum(item.quarantined for item in ledger.partitions(stored, name)) == 0
    made = audit_partition(stored, spark, source, DAY, keys=("merchant_id",), now=1)
    assert [failure.rule for failure in made.report.failures if not failure.rule.startswith("drift/")] == []
    assert made.report.verdict != "hold", "a merchant without payments is one like others"


@pytest.mark.long
def test_versions_of_listings_are_counted_for_their_merchant(spark: SparkSession, stored: Settings, days: Path) -> None:
    view = FeatureView(
        name="listing_churn",
        entity=MERCHANT,
        source=LISTING_VERSIONS,
        owner="merchants",
        description="How often a merchant changes what it offers.",
        features=flat((count("30d"),)),
    )
    (attempt,) = compute(spark, stored, (view,), [micros(datetime(2026, 1, 10, tzinfo=UTC))])
    counted = {row["merchant_id"]: row["count_30d"] for row in pq.read_table(attempt.location).to_pylist()}
    listings = table(days, "listings").to_pandas()
    new = listings[listings["event_time"] >= "2025-12-11"].groupby("merchant_id").size()
    # A merchant without a recent version may have a row, or none: 0 either way.
    assert {merchant: count for merchant, count in counted.items() if count} == new.to_dict()
    assert max(counted.values()) > 2
