"""Each corruption changes a day, says what it did, keeps the schema, and can be repeated."""

from datetime import date
from pathlib import Path
from shutil import copytree

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError, MissingError
from jobs.simulate import CORRUPTIONS, corrupt, simulate
from jobs.simulate.schemas import SCHEMAS

DAY = "ds=2026-01-16"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last two of twelve days, enough for some disputes, and the first."""
    out, kept = tmp_path_factory.mktemp("simulated"), tmp_path_factory.mktemp("clean")
    simulate(out, start=date(2026, 1, 5), days=12, scale=0.03, seed=4)
    for name in ("payments", "disputes"):
        for day in ("ds=2026-01-05", "ds=2026-01-15", DAY):
            copytree(out / name / day, kept / name / day)
    return kept


@pytest.fixture
def out(clean: Path, tmp_path: Path) -> Path:
    return copytree(clean, tmp_path / "landed")


def read(out: Path, name: str = "payments", day: str = DAY) -> pa.Table:
    return pq.ParquetFile(out / name / day / "part-0.parquet").read()


def damaged(out: Path, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The day's payments before and after."""
    before = read(out).to_pandas()
    corrupt(out / "payments" / DAY, kind, seed=9)
    return before, read(out).to_pandas()


def test_there_are_at_least_twenty() -> None:
    assert len(CORRUPTIONS) >= 20


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_it_changes_the_day_keeps_the_schema_and_says_so(clean: Path, out: Path, kind: str) -> None:
    sentence = corrupt(out / "payments" / DAY, kind, seed=9)
    before, after = read(clean), read(out)
    assert not after.equals(before)
    assert after.schema.equals(SCHEMAS["payments"])
    assert sentence == (
        f"{kind} on 2026-01-16: {CORRUPTIONS[kind].says} ({before.num_rows:,} payments became {after.num_rows:,}"
        + (
            f"; {read(clean, 'disputes').num_rows} disputes became {read(out, 'disputes').num_rows}"
            * ("disputes" in CORRUPTIONS[kind].tables)
        )
        + ")."
    )
    touched = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert touched == {path.relative_to(clean) for path in clean.rglob("*") if path.is_file()}, (
        "no temporary file is left"
    )
    assert read(out, day="ds=2026-01-15").equals(read(clean, day="ds=2026-01-15"))
    assert read(out, "disputes").schema.equals(SCHEMAS["disputes"])


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_same_seed_does_the_same(clean: Path, tmp_path: Path, kind: str) -> None:
    twice = []
    for name in ("a", "b"):
        corrupt(copytree(clean, tmp_path / name) / "payments" / DAY, kind, seed=5)
        twice.append((tmp_path / name / "payments" / DAY / "part-0.parquet").read_bytes())
    assert twice[0] == twice[1]


def test_four_busy_hours_are_dropped(out: Path) -> None:
    before, after = damaged(out, "dropped_hours")
    hours = set(before["ingested_at"].dt.hour) - set(after["ingested_at"].dt.hour)
    assert len(hours) == 4
    assert max(hours) - min(hours) == 3
    assert len(after) < 0.8 * len(before)


@pytest.mark.parametrize("kind", ["doubled_file", "day_of_yesterday_again", "duplicate_fraction"])
def test_rows_that_come_again_have_new_payment_ids_and_keep_their_versions_together(out: Path, kind: str) -> None:
    before, after = damaged(out, kind)
    again = after.iloc[len(before) :]
    assert after.iloc[: len(before)].equals(before)
    assert not again["payment_id"].isin(before["payment_id"]).any()
    if kind == "doubled_file":
        assert again["payment_id"].nunique() == before["payment_id"].nunique()
        assert again.drop(columns="payment_id").reset_index(drop=True).equals(before.drop(columns="payment_id"))
    if kind == "day_of_yesterday_again":
        assert (again["ingested_at"].dt.date == date(2026, 1, 16)).all()
        assert len(again) == read(out, day="ds=2026-01-15").num_rows
    if kind == "duplicate_fraction":
        assert 0.2 < len(again) / len(before) < 0.4


def test_amounts_are_damaged_as_named(out: Path) -> None:
    before, after = damaged(out, "unit_x100")
    assert (after["amount_minor"] == 100 * before["amount_minor"]).all()
    before, after = damaged(out, "outlier_amounts")
    large = after["amount_minor"] == 1_000_000 * before["amount_minor"]
    assert 0 < large.mean() < 0.05
    assert (after["amount_minor"][~large] == before["amount_minor"][~large]).all()
    assert (damaged(out, "negative_amounts")[1]["amount_minor"] < 0).all()
    assert (damaged(out, "zeros")[1]["amount_minor"] == 0).all()


@pytest.mark.parametrize(
    ("kind", "column"), [("null_card", "card_id"), ("null_merchant", "merchant_id"), ("null_amount", "amount_minor")]
)
def test_six_in_ten_are_null(out: Path, kind: str, column: str) -> None:
    assert 0.5 < damaged(out, kind)[1][column].isna().mean() < 0.7


@pytest.mark.parametrize(("kind", "hours"), [("shifted_zone_forward", 8), ("shifted_zone_back", -8)])
def test_event_times_move_and_arrivals_stay(out: Path, kind: str, hours: int) -> None:
    before, after = damaged(out, kind)
    assert (after["event_time"] - before["event_time"] == pd.Timedelta(hours=hours)).all()
    assert after["ingested_at"].equals(before["ingested_at"])


def test_keys_are_swapped_cut_or_collapsed(out: Path) -> None:
    before, after = damaged(out, "truncated_ids")
    assert after["card_id"].nunique() <= 256 < before["card_id"].nunique()
    before, after = damaged(out, "swapped_keys")
    assert after["card_id"].equals(before["device_id"].rename("card_id"))
    assert after["device_id"].equals(before["card_id"].rename("device_id"))
    assert len(set(damaged(out, "merchant_collapsed")[1]["merchant_id"])) == 1


def test_an_unknown_kind_is_refused(out: Path) -> None:
    with pytest.raises(MissingError, match=r"There is no corruption 'rust'. Known: .*Use one of CORRUPTIONS"):
        corrupt(out / "payments" / DAY, "rust", seed=1)


@pytest.mark.parametrize("place", ["payments/latest", "disputes/ds=2026-01-16"])
def test_a_folder_that_is_no_day_of_payments_is_refused(out: Path, place: str) -> None:
    with pytest.raises(InputError, match=r"is not a day of landed payments. Give OUT/payments/ds=YYYY-MM-DD"):
        corrupt(out / place, "zeros", seed=1)


def test_a_day_that_was_not_simulated_is_refused(out: Path) -> None:
    with pytest.raises(MissingError, match=r"There is no landing file .*ds=2030-01-01.*Run `asof simulate`"):
        corrupt(out / "payments" / "ds=2030-01-01", "zeros", seed=1)


def test_the_first_day_has_no_yesterday_to_repeat(out: Path) -> None:
    with pytest.raises(InputError, match=r"There is no day before this one to repeat. Corrupt a later day"):
        corrupt(out / "payments" / "ds=2026-01-05", "day_of_yesterday_again", seed=1)
