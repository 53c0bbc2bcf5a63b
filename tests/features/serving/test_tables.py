"""Answers as Arrow hold what the same answers hold in Python, of however many keys; of many no Python number is made."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features import Catalog, Entity, FeatureService, FeatureView, count, flat, last, mean, sum_
from features.serving.reader import Reader, Result
from features.serving.tables import Tables
from features.serving.usual_rows import UsualViews
from features.settings import Settings, load
from features.store.columns import Columns, OneRow
from features.store.packed import MANY as PACKED_MANY
from features.store.values import ARROW
from tests.features.serving.habits import CUT, DAY, HOUR, PAYMENTS, put, rows
from tests.features.serving.test_states import CATALOG as STATES
from tests.features.serving.test_states import LIVE, SLIDING, paid
from tests.features.serving.test_states import put as put_states

TILL = Entity(name="till", keys=("till_id",), type="int64")
WIDE = FeatureView(
    name="wide", entity=TILL, source=PAYMENTS, features=flat((count("7d 30d"), mean("amount", "7d"), last("event_time", "7d"), sum_("amount", "30d"))),
)  # fmt: skip
PLAIN = Catalog(sources=(PAYMENTS,), views=(WIDE,), services=(FeatureService(name="till", views=(WIDE,)),))
MANY = 70


def wide_rows(tills: list[int], *, null: bool = False) -> pa.RecordBatch:
    first_one = None if null else 0
    values: dict[str, list[Any]] = {
        "count_7d": tills, "count_30d": [2 * till for till in tills], "mean_amount_7d": [first_one, *(till / 3 for till in tills[1:])],
        "last_event_time_7d": [CUT - till for till in tills], "sum_amount_30d": [-till for till in tills],
    }  # fmt: skip
    return rows(WIDE, {"till_id": tills}, ["ok"] * len(tills), **values)


def plainly(found: Result, catalog: Catalog) -> pa.Table:
    """The table of what is in its rows."""
    columns: dict[str, pa.Array] = {
        name: pa.array([key[name] for key in found.keys], ARROW[view.entity.type])
        for view in (catalog.view(each.view) for each in found.views)
        for name in view.keys
    }
    for place, each in enumerate(found.views):
        some = [row.views[place] for row in found.rows]
        for name in each.values:
            kind, cells = catalog.view(each.view).types[name], [one.values[name] for one in some]
            kept = pa.array(cells, pa.int64() if kind == "timestamp" else ARROW[kind])
            columns[f"{each.view}__{name}"] = kept.cast(ARROW[kind])
        columns[f"{each.view}__asof_status"] = pa.array([one.status for one in some], pa.string())
    return pa.table(columns)


def same(reader: Reader, found: Result, catalog: Catalog) -> bool:
    """Whether table, stream and rows say the same; the table is made first, from what nobody has read."""
    tables = Tables(catalog)
    table, streams = reader.table(found), [tables.stream(found) for _ in range(2)]
    wanted = plainly(found, catalog)
    assert table.schema == wanted.schema
    return bool(table == wanted and all(pa.ipc.open_stream(stream).read_all() == wanted for stream in streams))


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("count_", [1, 3, MANY])
def test_plain_values(either_store: Settings, count_: int, *, null: bool) -> None:
    tills = list(range(MANY))
    put(either_store, WIDE, wide_rows(tills, null=null))
    with Reader(either_store, PLAIN) as reader:
        found = reader.lookup("till", [{"till_id": till} for till in tills[:count_]])
        assert isinstance(found.views[0].values, Columns) == (count_ == MANY)
        assert same(reader, found, PLAIN)
        unknown = reader.lookup("till", [{"till_id": till} for till in [*tills[:count_], -1, None]])
        assert same(reader, unknown, PLAIN)
    assert found.rows[count_ - 1].views[0].values["sum_amount_30d"] == 1 - count_


@pytest.mark.services
def test_bytes_of_a_row_are_taken_as_they_lie_in_the_store(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(home=tmp_path, online={"kind": "redis", "url": redis_url}, clock="2026-01-01T02:00:00Z")
    put(settings, WIDE, wide_rows([7, 8]))
    asked = {"wide": sorted(WIDE.types)}
    with Reader(settings, PLAIN) as reader:
        reader.lookup_features(asked, [{"till_id": 7}])  # what is known from now on is said at once
        tables, found = Tables(PLAIN), [reader.lookup_features(asked, [{"till_id": till}]) for till in (7, 8)]
    first, second = (tables.stream(one) for one in found)
    assert all(isinstance(one.views, UsualViews) for one in found)
    monkeypatch.setattr(UsualViews, "cells", None)  # nobody reads a number
    assert [tables.stream(one) for one in found] == [first, second]
    monkeypatch.undo()
    assert [pa.ipc.open_stream(one).read_all() for one in (first, second)] == [plainly(one, PLAIN) for one in found]


@pytest.mark.parametrize(
    "some", [("c1",), ("c1", "c2", "nobody"), tuple(f"c{n % 9 + 1}" for n in range(MANY)), ("c1", None)]
)
def test_values_from_states(either_store: Settings, some: tuple[str | None, ...]) -> None:
    before = [paid(n, f"c{n % 7}", CUT - n * HOUR, (1 << 62) if n % 7 == 1 else n) for n in range(1, 40)]
    for view in (LIVE, SLIDING):
        put_states(either_store, view, before)
    with Reader(either_store, STATES) as reader:
        found = reader.lookup("now", [{"card_id": card} for card in some], CUT + 2 * HOUR)
        assert isinstance(found.views[0].values, Columns) == (len(some) >= PACKED_MANY)
        assert same(reader, found, STATES)
        some_features = reader.lookup_features(
            {"live": ["last_shop_24h", "count_1h"]}, [{"card_id": card} for card in some], CUT + DAY
        )
        assert same(reader, some_features, STATES)
    assert found.rows[0].values["sliding__sum_amount_7d"] is None  # it left 64 bits


def test_cells_are_made_when_they_are_read() -> None:
    made: list[str] = []

    def cells() -> dict[str, list[int]]:
        made.append("cells")
        return {"a": [1], "b": [2]}

    columns = Columns(("b", "a"), cells, lambda: {"a": pa.array([1]), "b": pa.array([2])})
    assert (list(columns), len(columns), columns.arrays()) == (["b", "a"], 2, [pa.array([2]), pa.array([1])])
    assert made == []
    assert (dict(columns), columns["a"]) == ({"b": [2], "a": [1]}, [1])
    assert made == ["cells"]
    with pytest.raises(KeyError):
        columns["c"]


def test_a_row_is_the_columns_that_it_has_a_cell_of() -> None:
    row = OneRow(("b", "a"), (2, None))
    assert row == {"b": (2,), "a": (None,)} == dict(row.items())
    assert (list(row), len(row), row["a"], list(row.values())) == (["b", "a"], 2, (None,), [(2,), (None,)])
    assert OneRow((), ()) == {}
    with pytest.raises(KeyError):
        row["c"]
