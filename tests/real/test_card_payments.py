"""Real input that nobody here shaped: every payment of July 2018 against an independent pandas computation, and the model of docs/real-payments.md."""

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from benchmarks import card_payments as weeks
from features.definitions.catalog import load_catalog
from features.settings import Settings
from jobs import ledger
from jobs.frame import frame
from jobs.ingest import ingest
from tests.real.card_payments import LENGTHS, PAYMENTS

pytestmark = [pytest.mark.slow, pytest.mark.shared]


def trailing(payments: pd.DataFrame, key: str, delay: str) -> pd.DataFrame:
    """count, amount in cents and frauds of the same key in `[t - delay - W, t - delay)`, for each payment."""
    names = [f"{name}_{length}" for length in LENGTHS for name in ("n", "cents", "is_fraud")]
    made = {name: np.empty(len(payments), np.int64) for name in names}
    all_times = payments["event_time"].dt.tz_localize(None).to_numpy()
    for rows in payments.groupby(key, sort=False).indices.values():
        times = all_times[rows]
        sums = {
            name: np.concatenate([[0], np.cumsum(payments[name].to_numpy()[rows])]) for name in ("cents", "is_fraud")
        }
        for length in LENGTHS:
            end = times - pd.Timedelta(delay).to_timedelta64()
            low = np.searchsorted(times, end - pd.Timedelta(length).to_timedelta64(), "left")
            high = np.searchsorted(times, end, "left")
            made[f"n_{length}"][rows] = high - low
            for name, total in sums.items():
                made[f"{name}_{length}"][rows] = total[high] - total[low]
    return pd.DataFrame(made, index=payments.index)


@pytest.fixture(scope="module")
def home(
    spark: SparkSession, spark_settings: Settings, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """All four months, ingested."""
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("cards"), "catalog": weeks.CATALOG})
    began = time.monotonic()
    partitions = ingest(spark, settings, PAYMENTS, str(shared_data / "card_payments"))
    print(f"\nIngested in {time.monotonic() - began:.1f} s.")  # noqa: T201 - asked for by the issue
    assert sum(item.quarantined for item in partitions) == 0
    return settings


def test_every_payment_of_july_gets_the_values_that_pandas_gives(
    spark: SparkSession, home: Settings, shared_data: Path, tmp_path: Path
) -> None:
    catalog = load_catalog(weeks.CATALOG)
    payments = (
        pd.read_parquet(shared_data / "card_payments").sort_values(["event_time", "payment_id"]).reset_index(drop=True)
    )
    assert sum(item.rows for item in ledger.partitions(home, PAYMENTS.name)) == len(payments)

    july = payments[payments["event_time"] >= "2018-07-01"]
    labels = july.rename(columns={"event_time": "event_timestamp"})
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    began = time.monotonic()
    rows = frame(
        spark,
        home,
        catalog,
        labels=str(tmp_path / "labels.parquet"),
        service="card_fraud_v1",
        out=str(tmp_path / "frame.parquet"),
    )
    framed = time.monotonic() - began
    print(  # noqa: T201 - asked for by the issue
        f"\n{len(payments)} payments; frame of {rows} rows x 12 features in {framed:.1f} s."
    )

    got = pq.read_table(tmp_path / "frame.parquet").to_pandas()
    assert got["payment_id"].tolist() == july["payment_id"].tolist()
    payments["cents"] = np.rint(payments["amount"] * 100).astype("int64")
    customer = trailing(payments, "customer_id", "0s").loc[july.index].reset_index(drop=True)
    terminal = trailing(payments, "terminal_id", "7D").loc[july.index].reset_index(drop=True)
    for length in LENGTHS:
        assert (got[f"customer__count_{length}"] == customer[f"n_{length}"]).all()
        expected = (customer[f"cents_{length}"] / customer[f"n_{length}"]).where(customer[f"n_{length}"] > 0)
        pd.testing.assert_series_equal(
            got[f"customer__mean_amount_{length}"], expected, check_names=False, check_exact=True
        )
        assert (got[f"terminal__count_{length}_offset_7d"] == terminal[f"n_{length}"]).all()
        expected = (terminal[f"is_fraud_{length}"] / terminal[f"n_{length}"]).where(terminal[f"n_{length}"] > 0)
        pd.testing.assert_series_equal(
            got[f"terminal__card_frauds_rate_{length}_offset_7d"], expected, check_names=False, check_exact=True
        )
    assert got["terminal__card_frauds_rate_30d_offset_7d"].max() > 0


@pytest.mark.long
def test_the_model_of_the_page_is_made_again(
    spark: SparkSession, home: Settings, shared_data: Path, tmp_path: Path
) -> None:
    rows = weeks.framed(spark, home, shared_data / "card_payments", tmp_path / "weeks.parquet")
    assert rows.groupby("asof_split")["label"].agg(["size", "sum"]).to_dict("index") == {
        "train": {"size": 67_517, "sum": 598}, "embargo": {"size": 66_672, "sum": 587}, "test": {"size": 67_042, "sum": 616},
    }  # fmt: skip
    # Labels are the data's own outcome.
    own = pd.read_parquet(shared_data / "card_payments", columns=["payment_id", "is_fraud"]).set_index("payment_id")
    assert (own["is_fraud"].loc[rows["payment_id"]].to_numpy() == (rows["label"] == 1).to_numpy()).all()
    scores = weeks.scored(rows, only=(weeks.BEST,))
    made = weeks.judged(rows, scores, samples=0)
    page = (Path(__file__).resolve().parents[2] / "docs" / "real-payments.md").read_text(encoding="utf-8")
    for name in (weeks.BEST, weeks.ALL):
        line = re.search(rf"^\| {re.escape(name)} \| (.+) \|$", page, re.MULTILINE)
        assert line is not None
        for cell, found in zip(line[1].split(" | "), made[name].values(), strict=True):
            value, low, high = (float(number) for number in re.findall(r"[0-9.]+", cell))
            assert found.value == pytest.approx(value, abs=0.005)
            assert low < value < high
