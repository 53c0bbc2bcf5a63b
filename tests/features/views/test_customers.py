"""Customers in common with merchants known to be bad, on simulated weeks: what plain counting of known payments says at each cut."""

from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions.sources import Source
from features.sources import ADVANCES, MERCHANTS, PAYMENTS
from features.views.graph import CUSTOMERS, MERCHANT_COMMON, MERCHANT_COMMON_BAD
from jobs.simulate.simulation import simulate
from tests.oracle import DAY
from tests.simulated import ask, known

pytestmark = pytest.mark.slow
DAYS = 75
HUB = CUSTOMERS.relations[0].hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("customers")
    simulate(made, start=date(2026, 1, 5), days=DAYS, scale=0.02, seed=11)
    return made


def added(folder: Path, source: Source, *names: str) -> list[dict[str, Any]]:
    """Rows as they were added, `known` in microseconds."""
    rows = known(folder, source)
    rows = rows.filter(pc.equal(rows["asof_op"], "add"))
    columns = {name: rows[name] for name in names} | {"known": rows["asof_known_at"].cast(pa.int64())}
    found: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return found


def test_the_catalogues_values_are_those_of_plain_counting(folder: Path) -> None:
    paid = added(folder, PAYMENTS, "merchant_id", "account_id", "status")
    closed = added(folder, MERCHANTS, "merchant_id", "deleted")
    movements = added(folder, ADVANCES, "merchant_id", "movement")
    merchants = sorted({row["merchant_id"] for row in paid})
    start = min(row["known"] for row in paid) // DAY * DAY
    shared, bad_ones = 0, 0
    for cut in (start + n * DAY for n in (20, 50, DAYS - 1)):
        bad = {row["merchant_id"] for row in closed if row["deleted"] and row["known"] < cut}
        bad |= {row["merchant_id"] for row in movements if row["movement"] == "written_off" and row["known"] < cut}
        bought = defaultdict[str, set[str]](set)
        for row in paid:
            if row["status"] == "approved" and row["known"] < cut:
                bought[row["account_id"]].add(row["merchant_id"])
        selective = {account: found for account, found in bought.items() if len(found) <= HUB}
        at = cut + MERCHANT_COMMON.schedule.lag_us
        asks = pa.table(
            {"merchant_id": merchants, "event_time": pa.array([at] * len(merchants), pa.timestamp("us", "UTC"))}
        )
        values = ask(folder, (MERCHANT_COMMON, MERCHANT_COMMON_BAD), asks)
        for merchant, any_, known_bad in zip(
            merchants, *(values[view.name].to_pylist() for view in (MERCHANT_COMMON, MERCHANT_COMMON_BAD)), strict=True
        ):
            own = {account: found - {merchant} for account, found in selective.items() if merchant in found}
            meant = [
                (sum(bool(found) for found in own.values()), len(set().union(*own.values()))),
                (sum(bool(found & bad) for found in own.values()), len(set().union(*own.values()) & bad)),
            ]
            got = [(row["distinct_node_ever"], row["distinct_other_ever"]) for row in (any_, known_bad)]
            assert got == meant, (cut, merchant)
            shared, bad_ones = shared + (meant[0][0] > 0), bad_ones + (meant[1][0] > 0)
    assert shared > len(merchants)
    assert bad_ones > len(merchants) / 2
