"""The simulator: the same bytes for the same arguments, the declared columns, and rates near those it promises."""

import hashlib
import re
import resource
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import BusyError, InputError
from features.settings import Settings
from jobs.commands import Simulate
from jobs.simulate import Report, outcomes, run, simulate
from jobs.simulate.landing import write_parquet
from jobs.simulate.schemas import ATTACKS, SCHEMAS
from tests.jobs.simulate.landed import DAYS, START, table


def digests(out: Path) -> dict[str, str]:
    """A hash per Parquet file, by its path below `out`."""
    files = sorted(out.rglob("*.parquet"))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def small(out: Path, *, days: int = 3, seed: int = 1) -> dict[str, str]:
    simulate(out, start=START, days=days, scale=0.01, seed=seed)
    return digests(out)


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    once = small(tmp_path / "a")
    assert len(once) == 3 * len(SCHEMAS) + 2
    assert small(tmp_path / "b") == once
    assert small(tmp_path / "a") == once, "a second run into the same folder"


def test_another_seed_gives_other_payments(tmp_path: Path) -> None:
    one, other = small(tmp_path / "a", seed=1), small(tmp_path / "b", seed=2)
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one if name.startswith(("payments", "accounts/ds=2026-01-05")))


def test_a_longer_run_begins_with_the_files_of_a_shorter_one(tmp_path: Path) -> None:
    short, long = small(tmp_path / "a", days=2), small(tmp_path / "b", days=4)
    days = {name: digest for name, digest in short.items() if "/ds=" in name}
    assert days == {name: long[name] for name in days}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_file_has_the_declared_types_and_nulls(landed: tuple[Path, Report], name: str) -> None:
    files = sorted((landed[0] / name).glob("ds=*/*.parquet"))
    assert len(files) == DAYS
    assert all(pq.read_schema(path).equals(SCHEMAS[name]) for path in files)
    rows = table(landed[0], name)
    assert rows.num_rows == landed[1].rows[name] > 0
    assert [column for column in rows.column_names if rows[column].null_count] == (
        {"payments": ["decline_code"], "orders": ["delivered_at"]}.get(name, [])
    )


def test_the_amount_and_time_types_are_those_of_the_issue() -> None:
    payments = SCHEMAS["payments"]
    assert payments.field("amount_minor").type == pa.int64()
    assert payments.field("event_time").type == payments.field("ingested_at").type == pa.timestamp("us", tz="UTC")
    assert payments.names[:4] == ["payment_id", "account_id", "card_id", "bin"]
    assert payments.names[-4:] == ["version", "voided", "event_time", "ingested_at"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_row_lies_in_the_day_of_its_arrival_and_arrives_after_its_event(
    landed: tuple[Path, Report], name: str
) -> None:
    for path in (landed[0] / name).glob("ds=*/*.parquet"):
        rows = pq.ParquetFile(path).read().to_pandas()
        assert (rows["ingested_at"].dt.strftime("ds=%Y-%m-%d") == path.parent.name).all()
        assert (rows["ingested_at"] > rows["event_time"]).all()
        assert rows["ingested_at"].is_monotonic_increasing


def test_late_doubled_corrected_and_voided_events_have_the_promised_shares(payments: pd.DataFrame) -> None:
    first = payments[payments["version"] == 0]
    events = first["payment_id"].nunique()
    lag = first["ingested_at"] - first["event_time"]
    late = first[~first.duplicated("payment_id") & (lag > pd.Timedelta(hours=2))]
    assert 0.015 < len(late) / events < 0.025
    assert lag.max() < pd.Timedelta(hours=72 + 6)
    assert 0.003 < (len(first) - events) / events < 0.007
    assert 0.003 < ((payments["version"] > 0) & ~payments["voided"]).sum() / events < 0.007
    assert 0.001 < payments["voided"].sum() / events < 0.003


def test_a_double_has_the_content_of_the_first_and_arrives_later(payments: pd.DataFrame) -> None:
    first = payments[payments["version"] == 0]
    doubled = first[first.duplicated("payment_id", keep=False)].sort_values(["payment_id", "ingested_at"])
    assert len(doubled) > 50
    content = doubled.drop(columns="ingested_at").drop_duplicates()
    assert len(content) * 2 == len(doubled)
    assert not doubled.duplicated(["payment_id", "ingested_at"]).any()


def test_a_correction_changes_amount_or_status_and_a_void_has_the_highest_version(payments: pd.DataFrame) -> None:
    first = payments[payments["version"] == 0].drop_duplicates("payment_id").set_index("payment_id")
    corrected = payments[(payments["version"] > 0) & ~payments["voided"]].set_index("payment_id")
    old = first.loc[corrected.index.intersection(first.index)]
    new = corrected.loc[old.index]
    assert ((old["amount_minor"] != new["amount_minor"]) ^ (old["status"] != new["status"])).all()
    assert (new["ingested_at"] - old["ingested_at"] >= pd.Timedelta(hours=1)).all()
    assert (old["status"] != new["status"]).any()
    highest = payments.groupby("payment_id")["version"].max()
    voids = payments[payments["voided"]].set_index("payment_id")["version"]
    assert (highest.loc[voids.index] == voids).all()


def test_a_dispute_refers_to_an_approved_payment_and_comes_after_it(
    payments: pd.DataFrame, disputes: pd.DataFrame
) -> None:
    paid = payments[payments["version"] == 0].sort_values("ingested_at").drop_duplicates("payment_id")
    both = disputes.merge(paid, on="payment_id", how="left", suffixes=("", "_paid"))
    assert both["event_time_paid"].notna().all()
    assert (both["status"] == "approved").all()
    assert (both["event_time"] - both["event_time_paid"] >= pd.Timedelta(days=1)).all()
    assert (both["ingested_at"] > both["ingested_at_paid"]).all()
    charged = both[both["stage"] == "chargeback"]
    assert (
        (charged["event_time"] - charged["event_time_paid"]).between(pd.Timedelta(days=5), pd.Timedelta(days=121)).all()
    )
    assert set(disputes["stage"]) == {"report", "chargeback"}


def test_chargebacks_take_about_18_days_in_the_median() -> None:
    count = 20_000
    paid = {
        "payment_id": np.arange(count),
        "status": np.full(count, outcomes.APPROVED),
        "attack": np.zeros(count, dtype=np.int64),
        "dispute_share": np.ones(count),
        "amount_minor": np.full(count, 1_000),
        "merchant_id": np.zeros(count, dtype=np.int64),
        "currency": np.zeros(count, dtype=np.int64),
        "event_time": np.zeros(count, dtype=np.int64),
    }
    days = outcomes.disputes(paid, paid["event_time"], np.random.default_rng(5))["event_time"] / 86_400e6
    assert len(days) == count
    assert 17.5 < np.median(days) < 19.5
    assert days.min() >= 5
    assert days.max() <= 120


def test_the_truth_refers_to_payments_that_arrived_once_each(
    landed: tuple[Path, Report], payments: pd.DataFrame
) -> None:
    out, report = landed
    truth = pq.read_table(out / "truth" / "attacks.parquet").to_pandas()
    assert list(truth.columns) == ["payment_id", "attack", "campaign"]
    assert truth["payment_id"].is_unique
    assert truth["payment_id"].isin(payments["payment_id"]).all()
    assert truth["attack"].value_counts().to_dict() == report.attacks
    assert set(report.attacks) == set(ATTACKS[1:])
    assert not set(truth.columns[1:]) & set(payments.columns), "the inputs do not tell"


def test_card_testing_is_many_cards_tiny_amounts_and_few_devices_mostly_declined(
    landed: tuple[Path, Report], payments: pd.DataFrame
) -> None:
    truth = pq.read_table(landed[0] / "truth" / "attacks.parquet").to_pandas()
    tested = payments[payments["version"] == 0].merge(truth[truth["attack"] == "card_testing"], on="payment_id")
    for _, burst in tested.drop_duplicates("payment_id").groupby("campaign"):
        assert burst["card_id"].nunique() > 0.9 * len(burst)
        assert burst["device_id"].nunique() <= 3
        assert burst["merchant_id"].nunique() <= 2
        assert burst["event_time"].max() - burst["event_time"].min() <= pd.Timedelta(hours=1)
        assert (burst["status"] != "approved").mean() > 0.7
    assert (tested["amount_minor"] < 500).all()


def test_a_stolen_card_has_a_new_device_and_rising_amounts(landed: tuple[Path, Report], payments: pd.DataFrame) -> None:
    truth = pq.read_table(landed[0] / "truth" / "attacks.parquet").to_pandas()
    first = payments[payments["version"] == 0].sort_values("event_time").drop_duplicates("payment_id")
    first = first.merge(truth, on="payment_id", how="left")
    stolen = first[first["attack"] == "stolen_card"]
    rises = [spent["amount_minor"].is_monotonic_increasing for _, spent in stolen.groupby("campaign")]
    assert len(rises) > 10
    assert np.mean(rises) > 0.9
    assert not stolen["device_id"].isin(first[first["attack"] != "stolen_card"]["device_id"]).any()
    assert stolen.groupby("campaign")["card_id"].nunique().max() == 1


def test_honest_customers_are_declined_in_about_8_percent_and_rarely_blocked(
    landed: tuple[Path, Report], payments: pd.DataFrame
) -> None:
    truth = pq.read_table(landed[0] / "truth" / "attacks.parquet").to_pandas()
    honest = payments[(payments["version"] == 0) & ~payments["payment_id"].isin(truth["payment_id"])]
    shares = honest["status"].value_counts(normalize=True)
    assert 0.06 < shares["declined"] < 0.10
    assert shares["blocked"] < 0.005
    assert (payments["decline_code"].notna() == (payments["status"] == "declined")).all()
    assert (payments["amount_minor"] > 0).all()
    stopped = payments["score"] >= payments["policy"].map({"block_at_80": 0.8, "block_at_60": 0.6})
    assert ((payments["status"] == "blocked") == (stopped & ~payments["explored"])).all()
    assert payments["explored"].any()


def test_honest_payments_have_a_weekly_and_a_daily_rhythm(landed: tuple[Path, Report], payments: pd.DataFrame) -> None:
    truth = pq.read_table(landed[0] / "truth" / "attacks.parquet").to_pandas()
    honest = payments[(payments["version"] == 0) & ~payments["payment_id"].isin(truth["payment_id"])]
    weekday = honest["event_time"].dt.dayofweek.value_counts()
    assert weekday[5] > 1.15 * weekday[0]
    assert weekday[6] < 0.95 * weekday[0]
    at_home = honest[honest["billing_country"] == "DE"]["event_time"].dt.hour.value_counts()
    assert at_home[18] > 5 * at_home.get(2, 0)


def test_profiles_cover_every_payer_device_and_merchant(landed: tuple[Path, Report], payments: pd.DataFrame) -> None:
    for name, key in (("accounts", "account_id"), ("devices", "device_id"), ("merchants", "merchant_id")):
        rows = table(landed[0], name).to_pandas()
        known = rows.groupby(key)["event_time"].min()
        settled = payments[payments["event_time"] < datetime(2026, 1, 28, tzinfo=UTC)]
        assert settled[key].isin(known.index).all(), key
        assert (settled[key].map(known) <= settled["event_time"]).all(), key
    accounts = table(landed[0], "accounts").to_pandas()
    assert accounts["deleted"].any()
    assert accounts["account_id"].duplicated().any()
    assert (accounts["event_time"] >= accounts["created_at"]).all()


def test_a_deleted_account_pays_no_more(landed: tuple[Path, Report], payments: pd.DataFrame) -> None:
    accounts = table(landed[0], "accounts").to_pandas()
    truth = pq.read_table(landed[0] / "truth" / "attacks.parquet").to_pandas()
    honest = payments[~payments["payment_id"].isin(truth["payment_id"])]
    gone = accounts[accounts["deleted"]].groupby("account_id")["event_time"].min()
    after = honest[honest["account_id"].isin(gone.index)]
    assert (after["event_time"] < after["account_id"].map(gone)).all()


def test_the_report_counts_what_was_written(landed: tuple[Path, Report]) -> None:
    out, report = landed
    ids = {"payments": "payment_id", "disputes": "dispute_id", "refunds": "refund_id", "orders": "order_id",
           "logins": "login_id", "account_changes": "change_id", "tickets": "ticket_id", "payouts": "payout_id",
           "advances": "movement_id"}  # fmt: skip
    events = {name: table(out, name).to_pandas() for name in ids}
    versioned = pd.concat([events[name] for name in ("payments", "disputes", "refunds")])
    assert report.voided == versioned["voided"].sum()
    assert report.corrected == ((versioned["version"] > 0) & ~versioned["voided"]).sum()
    # A first version may arrive after the last day, and its double with it; so compare within the events seen.
    first = {name: rows[rows["version"] == 0] if "version" in rows else rows for name, rows in events.items()}
    assert report.doubled == sum(rows[ids[name]].duplicated().sum() for name, rows in first.items())
    assert report.seconds > 0


def test_the_simulator_is_frozen(tmp_path: Path) -> None:
    """Whoever changes what it makes changes this line too, and says so in the changelog: features were chosen on its rows."""
    report = simulate(tmp_path, start=START, days=3, scale=0.01, seed=1)
    assert report.content == "780bc14e4d9b06a85ae49297bd356e0daa7e488d50b9aafd2b1d386985bcce45"


@pytest.mark.parametrize(
    ("days", "scale", "seed", "message"),
    [
        (0, 0.1, 1, r"at least one day, got days=0. Use `--days 45`"),
        (1, 0.0, 1, r"scale must be a positive number, got 0.0. 1 is about 20,000 payments a day"),
        (1, float("nan"), 1, r"scale must be a positive number, got nan"),
        (1, 0.1, -1, r"seed must not be negative, got -1. Use any integer from 0 on"),
    ],
)
def test_an_argument_out_of_range_is_refused(tmp_path: Path, days: int, scale: float, seed: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(tmp_path / "out", start=START, days=days, scale=scale, seed=seed)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_another_simulation_is_refused_and_left_alone(tmp_path: Path) -> None:
    before = small(tmp_path, days=2)
    with pytest.raises(InputError, match=r"another simulation: seed 1 \(asked: 2\). Choose another --out, or delete"):
        small(tmp_path, days=2, seed=2)
    with pytest.raises(InputError, match=r"days 2 \(asked: 1\)"):
        small(tmp_path, days=1)
    assert digests(tmp_path) == before


def test_a_folder_with_tables_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "payments").mkdir()
    with pytest.raises(InputError, match=r"holds tables but no simulation.json: they are not a simulation"):
        small(tmp_path)


def test_a_disk_that_refuses_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past a limit, as a full disk would."""
    path = tmp_path / "part-0.parquet"
    write_parquet(pa.table({"x": [1]}), path)
    large = pa.table({"x": np.random.default_rng(0).random(100_000)})
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    try:
        with pytest.raises(BusyError, match=r"part-0.parquet cannot be written: .*Make room or mend the disk, and run"):
            write_parquet(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert [left.name for left in tmp_path.iterdir()] == ["part-0.parquet"], "no temporary file is left"
    assert pq.read_table(path).num_rows == 1


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "payments").write_text("mine")
    with pytest.raises(BusyError, match=r"cannot be written: .*Make room or mend the disk"):
        write_parquet(pa.table({"x": [1]}), tmp_path / "payments" / "part-0.parquet")
    assert (tmp_path / "payments").read_text() == "mine"


def test_the_command_prints_what_it_wrote_and_no_progress_where_nobody_watches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Simulate(out=str(tmp_path), start=START, days=2, scale=0.01, seed=3)
    assert run(command, Settings()) == 0
    written = capsys.readouterr()
    rows = sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("payments/ds=*/*.parquet"))
    assert f"Simulated 2 days into {tmp_path}: {rows:,} payments, " in written.out
    assert re.search(r"^Content: sha256 [0-9a-f]{64}\.$", written.out, re.MULTILINE)
    assert written.err == ""
    assert (tmp_path / "payments" / f"ds={START + timedelta(days=1)}" / "part-0.parquet").exists()


def test_a_simulation_that_ends_where_time_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A simulation of 3 days from 9999-12-30 on ends after the year 9989"):
        simulate(tmp_path, start=date(9999, 12, 30), days=3, scale=0.1, seed=1)
