"""Each attack kind leaves the traces that it is known by, in the tables and not only in the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from jobs.simulate import Report
from jobs.simulate.wares import FIRST_PROHIBITED, TITLES
from tests.jobs.simulate.landed import table

HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def out(landed: tuple[Path, Report]) -> Path:
    return landed[0]


@pytest.fixture(scope="module")
def labelled(out: Path, payments: pd.DataFrame) -> pd.DataFrame:
    """First versions of payments, once each, with attack and campaign."""
    truth = pq.read_table(out / "truth" / "attacks.parquet").to_pandas()
    first = payments[payments["version"] == 0].sort_values("event_time").drop_duplicates("payment_id")
    return first.merge(truth, on="payment_id", how="left")


@pytest.fixture(scope="module")
def actors(out: Path) -> pd.DataFrame:
    rows: pd.DataFrame = pq.read_table(out / "truth" / "actors.parquet").to_pandas()
    return rows


def test_a_takeover_is_failed_logins_then_one_from_a_new_device_then_changes_then_payments(
    out: Path, labelled: pd.DataFrame, actors: pd.DataFrame
) -> None:
    logins, changes = table(out, "logins").to_pandas(), table(out, "account_changes").to_pandas()
    taken = actors[actors["attack"] == "account_takeover"].pivot_table(
        index="campaign", columns="actor", values="id", aggfunc="first"
    )
    assert len(taken) > 5
    ever = labelled[labelled["attack"] != "account_takeover"]
    for _, one in taken.iterrows():
        tried = logins[(logins["account_id"] == one["account"]) & (logins["device_id"] == one["device"])]
        assert not ever["device_id"].eq(one["device"]).any(), "the device is the attacker's"
        assert (~tried["success"]).sum() >= 2
        won = tried[tried["success"]]["event_time"].min()
        paid = labelled[(labelled["device_id"] == one["device"]) & (labelled["account_id"] == one["account"])]
        assert (paid["event_time"] > won).all()
        assert paid["attack"].eq("account_takeover").all()
    within = changes.merge(taken.reset_index(), left_on="account_id", right_on="account")
    assert len(within) > len(taken)


def test_an_account_whose_email_changed_has_a_row_of_that_instant(out: Path) -> None:
    changes, accounts = table(out, "account_changes").to_pandas(), table(out, "accounts").to_pandas()
    mails = changes[changes["field"] == "email"]
    both = mails.merge(accounts, on=["account_id", "event_time"], how="left")
    assert len(both) > 10
    assert both["email_local"].notna().mean() > 0.95, "rows that arrive after the last day are missing"
    assert (changes["old_hash"] != changes["new_hash"]).all()


def test_values_of_an_account_follow_one_another(out: Path) -> None:
    changes = table(out, "account_changes").to_pandas().drop_duplicates("change_id")
    for _, ones in changes.groupby(["account_id", "field"]):
        assert not ones["new_hash"].duplicated().any()
        assert ones["old_hash"].nunique() == len(ones)
    assert changes.groupby("new_hash")["account_id"].nunique().max() == 1


def test_friendly_fraud_has_nothing_new_about_it(labelled: pd.DataFrame, disputes: pd.DataFrame) -> None:
    friendly = labelled[labelled["attack"] == "friendly_fraud"]
    assert len(friendly) > 10
    assert (friendly["billing_country"] == friendly["shipping_country"]).all()
    known = labelled[labelled["attack"].isna()]
    assert friendly["card_id"].isin(known["card_id"]).mean() > 0.5
    assert friendly["score"].mean() < 0.2
    said = disputes[disputes["payment_id"].isin(friendly["payment_id"]) & (disputes["version"] == 0)]
    assert set(said["stage"]) == {"chargeback"}


def test_promotions_are_abused_by_accounts_that_share_devices_cards_addresses_and_names(
    out: Path, labelled: pd.DataFrame
) -> None:
    accounts = table(out, "accounts").to_pandas().drop_duplicates("account_id").set_index("account_id")
    rings = labelled[labelled["attack"] == "promotion_abuse"].groupby("campaign")
    assert len(rings) >= 2
    for _, ring in rings:
        people = ring["account_id"].nunique()
        assert people >= 5
        assert ring["device_id"].nunique() <= 3
        assert ring["address_id"].nunique() <= 2
        assert ring["card_id"].nunique() < people
        assert len(set(ring["merchant_id"])) == 1
        assert len(set(accounts.loc[ring["account_id"], "name"])) == 1
        age = ring["event_time"] - ring["account_id"].map(accounts["created_at"])
        assert age.between(pd.Timedelta(0), 5 * HOUR).all()


def test_a_bust_out_sells_dear_what_it_never_delivers_is_paid_out_daily_and_closes(
    out: Path, labelled: pd.DataFrame, actors: pd.DataFrame
) -> None:
    orders, payouts = table(out, "orders").to_pandas(), table(out, "payouts").to_pandas()
    merchants = table(out, "merchants").to_pandas()
    busted = labelled[labelled["attack"] == "bust_out"]
    for merchant, burst in busted.groupby("merchant_id"):
        before = labelled[(labelled["merchant_id"] == merchant) & labelled["attack"].isna()]
        assert len(before) > 20, "there was honest trade"
        assert burst["amount_minor"].median() > 2 * before["amount_minor"].median()
        ordered = orders[orders["payment_id"].isin(burst["payment_id"])]
        assert ordered[ordered["version"] == 1]["order_id"].nunique() < 0.1 * ordered["order_id"].nunique()
        taken = payouts[payouts["merchant_id"] == merchant]["event_time"].dt.date
        assert taken.nunique() >= 5
        assert merchants[(merchants["merchant_id"] == merchant) & merchants["deleted"]].shape[0] == 1
    named = actors[(actors["actor"] == "merchant") & (actors["attack"] == "bust_out")]["id"]
    assert set(busted["merchant_id"]) <= set(named)


def test_a_ring_pays_its_own_merchant_in_round_amounts_from_shared_devices(
    out: Path, labelled: pd.DataFrame, actors: pd.DataFrame
) -> None:
    rings = labelled[labelled["attack"] == "collusion_ring"]
    assert len(rings) > 20
    assert (rings["amount_minor"] % 500 == 0).all()
    for merchant, ring in rings.groupby("merchant_id"):
        assert ring["account_id"].nunique() <= 9
        assert ring["device_id"].nunique() <= 3
        assert labelled[labelled["account_id"].isin(ring["account_id"])]["merchant_id"].eq(merchant).all()
    named = actors[(actors["actor"] == "account") & (actors["attack"] == "collusion_ring")]["id"]
    assert set(rings["account_id"]) <= set(named)
    accounts = table(out, "accounts")["account_id"].to_pylist()
    assert set(named) <= set(accounts)


def test_a_prohibited_shop_changes_its_wording_and_honest_shops_only_look_alike(
    out: Path, actors: pd.DataFrame
) -> None:
    listings = table(out, "listings").to_pandas()
    forbidden = set(TITLES[FIRST_PROHIBITED:])
    found = listings[listings["title"].isin(forbidden)]
    named = actors[actors["actor"] == "listing"]["id"]
    assert len(found) > 3
    assert set(found["listing_id"]) <= set(named)
    assert listings["title"].str.contains("replica|gun|hemp", regex=True).sum() > len(found), "likeness is not enough"
    topics = table(out, "tickets").to_pandas()["topic"].value_counts()
    assert topics.index[0] == "late_delivery"


def test_the_truth_names_only_actors_that_the_tables_have(out: Path, actors: pd.DataFrame) -> None:
    for kind, name in (("account", "accounts"), ("merchant", "merchants"), ("listing", "listings")):
        named = set(actors[actors["actor"] == kind]["id"])
        missing = named - set(table(out, name)[f"{kind}_id"].to_pylist())
        assert len(missing) <= 0.2 * len(named), "but for those that arrive after the last day"
    assert np.isin(actors["actor"].unique(), ["account", "device", "merchant", "listing"]).all()
