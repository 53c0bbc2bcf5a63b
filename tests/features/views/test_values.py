"""Every feature of the catalogue on simulated months: equal to the oracle for some keys, and away from its default where it should be."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions.catalog import load_catalog
from features.definitions.features import taken
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.sources import PAYMENTS
from jobs.simulate.simulation import simulate
from tests import oracle
from tests.properties.agreement import agree
from tests.simulated import as_delivered, ask, known
from tests.strategies import Case

DAYS = 130
LEAST = 0.05
RARE = {
    r"\w+_checkout\.\w+_(1m|15m|1h)": "bursts within minutes are what it is there for, and most payments are in none",
    r"card_velocity\.\w+_small_1d": "tiny amounts on one day are card testing",
    r"account_(links|exposure)\.distinct_other_(device|card)_(7d|ever)": "few share a device or a card, and seldom with known fraud",
    r"account_changed\.\w+": "an account in two hundred changes something on a day",
    r"account_anomaly\.(new_(cards|devices|addresses)|\w*(remitted|foreign)_(1d|share))": "most accounts change none of these on a day",
    r"ip_\w+\.\w*(foreign|declined)\w*": "most addresses are a household's, whose cards are its own and are not declined",
    r"merchant_sales\.(sum_amount_minor_approved_30d_offset_335d|sales_growth_1y)": "it takes a year, the simulation has four months",
    r"merchant_advances\.(\w*missed\w*|\w*past_due\w*|\w*written_off\w*)": "few merchants fail to repay",
    r"merchant_tickets\.\w*prohibited_item\w*": "prohibited goods are rare",
    r"merchant_listings\.\w*suspect\w*": "prohibited goods are rare",
}  # fmt: skip
pytestmark = pytest.mark.slow
VIEWS = load_catalog().views
PLAIN = tuple(view for view in VIEWS if view.source.graph is None and not view.fitted)
"""Those of graphs have an oracle of their own: tests/features/values/test_graph_rows.py, tests/jobs/test_graph.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("simulated")
    simulate(made, start=date(2026, 1, 5), days=DAYS, scale=0.02, seed=7)
    return made


@pytest.fixture(scope="module")
def asks(folder: Path) -> pa.Table:
    """Some payments of the last two days: who pays, at which instant."""
    rows = known(folder, PAYMENTS)
    time = rows["event_time"].cast(pa.int64())
    rows = rows.filter(pc.greater(time, pc.max(time).as_py() - 2 * oracle.DAY))
    return rows.take(pa.array(range(0, len(rows), max(1, len(rows) // 500))))


@pytest.fixture(scope="module")
def values(folder: Path, asks: pa.Table) -> dict[str, pa.Table]:
    return ask(folder, VIEWS, asks)


def test_every_feature_says_something(values: dict[str, pa.Table]) -> None:
    shares = {f"{view.name}.{name}": share for view in VIEWS for name, share in away(view, values[view.name])}
    reasons = {
        name: next((why for pattern, why in RARE.items() if re.fullmatch(pattern, name)), None) for name in shares
    }
    assert {name: round(share, 3) for name, share in shares.items() if share < LEAST and reasons[name] is None} == {}
    unused = [
        pattern
        for pattern in RARE
        if not any(re.fullmatch(pattern, name) and share < LEAST for name, share in shares.items())
    ]
    assert unused == []


def away(view: FeatureView, table: pa.Table) -> Iterator[tuple[str, float]]:
    """Share of rows whose value is not that of a key that was never seen."""
    for feature in view.features:
        column = table[feature.name]
        there = pc.is_valid(column)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            there = pc.fill_null(pc.not_equal(column, pa.scalar(0, column.type)), False)
        yield feature.name, float(pc.mean(there.cast(pa.float64())).as_py())


@pytest.mark.parametrize("view", PLAIN, ids=lambda view: view.name)
def test_values_are_the_oracle_s(view: FeatureView, folder: Path, asks: pa.Table, values: dict[str, pa.Table]) -> None:
    types = view.types
    for place in (1, len(asks) // 2):
        row = {name: asks[name][place].as_py() for name in view.keys}
        t = asks["event_time"].cast(pa.int64())[place].as_py()
        key = tuple(row.values())
        raw = {source.name: rows_of(folder, source, view, row) for source in view.sources}
        request = {name: _listed(asks[name])[place] for name in view.request}
        meant = oracle.answer(view, raw, key, t, request)
        case = Case(view=view, raw=raw, asks=[(key, t)], batches=1, requests=[request])
        found = values[view.name].slice(place, 1)
        assert found["asof_status"][0].as_py() == meant.status
        for feature in view.features:
            got, want = _listed(found[feature.name])[0], meant.values[feature.name]
            same = agree(case, types[feature.name], feature.name, key, t, got, want)
            if not same and taken(feature):  # of quantiles and trends, which are near themselves
                same = got == pytest.approx(want, rel=1e-9)
            assert same, (feature.name, key, got, want)


def rows_of(folder: Path, source: Source, view: FeatureView, key: dict[str, Any]) -> list[dict[str, Any]]:
    """All versions, as they were delivered, of events that ever were of the key."""
    rows = as_delivered(folder, source)
    mine = pc.is_valid(rows["asof_known_at"])
    for name, value in zip(source.key_columns(view.entity.name, view.keys), key.values(), strict=True):
        mine = pc.and_(mine, pc.fill_null(pc.equal(rows[name], value), False))
    some = rows.filter(mine)
    if source.event_id is not None:
        some = rows.filter(pc.is_in(rows[source.event_id], some[source.event_id].combine_chunks()))
    columns = {"asof_landed" if name == "asof_known_at" else name: _listed(some[name]) for name in some.column_names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _listed(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return values
