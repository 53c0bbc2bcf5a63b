"""The tables around payments: orders, refunds, tickets, logins, money of merchants and listings, and what they promise each other."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import load_catalog
from features.definitions.sources import Source
from jobs.simulate import Report, places
from jobs.simulate.rhythm import appeal
from jobs.simulate.schemas import SCHEMAS
from jobs.simulate.world import DAY_US, population
from tests.jobs.simulate.landed import DAYS, START, table

ARROW = {
    "string": "string",
    "int64": "int64",
    "float64": "double",
    "bool": "bool",
    "timestamp": "timestamp[us, tz=UTC]",
}


@pytest.fixture(scope="module")
def out(landed: tuple[Path, Report]) -> Path:
    return landed[0]


@pytest.mark.parametrize(
    "source", [s for s in load_catalog().sources if s.table.startswith("risk.")], ids=lambda s: s.name
)
def test_a_source_declares_the_columns_of_its_table(source: Source) -> None:
    schema = SCHEMAS[source.table.removeprefix("risk.")]
    assert {column.name: ARROW[column.type] for column in source.given} == {f.name: str(f.type) for f in schema}


def test_every_table_has_a_source() -> None:
    assert {f"risk.{name}" for name in SCHEMAS} == {
        source.table for source in load_catalog().sources if source.graph is None
    }


def test_an_order_is_placed_and_later_delivered_mostly_as_promised(out: Path, payments: pd.DataFrame) -> None:
    orders = table(out, "orders").to_pandas()
    placed, delivered = (orders[orders["version"] == version] for version in (0, 1))
    assert placed["delivered_at"].isna().all()
    assert (delivered["ingested_at"] >= delivered["delivered_at"]).all()
    assert (orders["promised_at"] > orders["event_time"]).all()
    late = (delivered["delivered_at"] > delivered["promised_at"]).mean()
    assert 0.03 < late < 0.12
    due = placed[placed["promised_at"] < pd.Timestamp(START, tz="UTC") + pd.Timedelta(days=DAYS - 8)]
    assert 0.005 < 1 - due["order_id"].isin(delivered["order_id"]).mean() < 0.04, "some never come"
    arrived = placed[placed["payment_id"].isin(payments["payment_id"])]
    assert len(arrived) > 0.95 * len(placed), "an order may be known before its payment"
    assert arrived["payment_id"].isin(payments[payments["status"] == "approved"]["payment_id"]).all()


def test_a_refund_is_of_an_approved_payment_never_above_it_and_comes_after_it(
    out: Path, payments: pd.DataFrame
) -> None:
    refunds = table(out, "refunds").to_pandas()
    paid = payments.sort_values("version").drop_duplicates("payment_id").set_index("payment_id")
    of = paid.loc[refunds["payment_id"]]
    assert (refunds["event_time"].to_numpy() > of["event_time"].to_numpy()).all()
    assert (refunds["ingested_at"].to_numpy() > of["ingested_at"].to_numpy()).all()
    assert (refunds["amount_minor"].to_numpy() <= of["amount_minor"].to_numpy() + 1).mean() > 0.98, (
        "but for corrections"
    )
    share = refunds["payment_id"].nunique() / (paid["status"] == "approved").sum()
    assert 0.02 < share < 0.06


def test_people_log_in_where_they_live_and_some_travel(out: Path) -> None:
    logins = table(out, "logins").to_pandas().drop_duplicates("login_id")
    assert logins["lat"].between(-90, 90).all()
    assert logins["lon"].between(-180, 180).all()
    assert 0.04 < 1 - logins["success"].mean() < 0.10
    centre = logins.groupby("account_id")[["lat", "lon"]].transform("median")
    away = (np.hypot(logins["lat"] - centre["lat"], logins["lon"] - centre["lon"]) > 5).mean()
    assert 0.005 < away < 0.06


def test_an_advance_is_repaid_in_instalments_or_falls_due(out: Path) -> None:
    moves = table(out, "advances").to_pandas().drop_duplicates("movement_id").sort_values("event_time")
    assert {"granted", "repaid", "missed"} <= set(moves["movement"])
    for _, advance in moves.groupby("advance_id"):
        assert advance["movement"].iloc[0] == "granted"
        assert (advance["movement"].iloc[1:] != "granted").all()
        total = advance["balance_minor"] + advance["repaid_minor"]
        assert (total - total.iloc[0]).abs().max() <= 2, "rounding to the currency"
        assert (advance["due_at"].diff().dropna() == pd.Timedelta(days=7)).all()
    assert ((moves["days_past_due"] > 0) == moves["movement"].isin(["missed", "written_off"])).all()


def test_payouts_follow_sales_and_keep_a_reserve_of_risky_merchants(out: Path, payments: pd.DataFrame) -> None:
    payouts = table(out, "payouts").to_pandas().drop_duplicates("payout_id")
    days = payouts.groupby("merchant_id")["event_time"].apply(lambda times: times.dt.date.nunique())
    assert days.max() > 20
    assert days.median() <= 5, "most are paid once a week"
    assert (payouts["amount_minor"] > 0).all()
    assert payouts["payout_account_id"].nunique() >= payouts["merchant_id"].nunique()
    sold = payments[payments["status"] == "approved"].groupby("merchant_id")["amount_minor"].sum()
    paid = payouts.groupby("merchant_id")["amount_minor"].sum()
    assert np.corrcoef(np.log(sold.loc[paid.index]), np.log(paid))[0, 1] > 0.9


def test_listings_change_prices_and_titles_of_merchants_that_exist(out: Path) -> None:
    listings, merchants = table(out, "listings").to_pandas(), table(out, "merchants")
    assert listings["merchant_id"].isin(merchants["merchant_id"].to_pylist()).all()
    changed = listings.sort_values("event_time").groupby("listing_id")
    assert (changed["price_minor"].max() > changed["price_minor"].min()).sum() > 20
    assert (changed["title"].last() != changed["title"].first()).sum() > 3
    assert listings["deleted"].any()
    assert (listings["price_minor"] > 0).all()


def test_merchants_have_seasons_and_trends() -> None:
    first = 1_767_571_200_000_000  # 2026-01-05
    world = population(3, 4.0, first)
    days = {name: date.fromisoformat(name) for name in ("2026-07-14", "2026-12-15")}
    category = world.merchants["category"]
    mean = {}
    for name, day in days.items():
        factor = appeal(world, world.merchants, day, first)
        mean[name] = {word: factor[category == n].mean() for n, word in enumerate(places.CATEGORIES)}
    assert mean["2026-07-14"]["travel"] > 1.3 * mean["2026-12-15"]["travel"]
    assert mean["2026-12-15"]["electronics"] > 1.3 * mean["2026-07-14"]["electronics"]
    same = date(2026, 3, 2)
    year = appeal(world, world.merchants, same, first + 365 * DAY_US) / appeal(world, world.merchants, same, first)
    assert year.min() < 0.1, "some fail"
    assert 0.6 < np.median(year) < 1.6
