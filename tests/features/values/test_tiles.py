"""Literal rows as tiles, and merged tiles as values."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features import (
    Entity,
    FeatureView,
    Schedule,
    Source,
    Window,
    col,
    count,
    distinct,
    fields,
    first,
    flat,
    last,
    max_,
    mean,
    min_,
    quantile,
    std,
    sum_,
    time_since_last,
)
from features.definitions.durations import DAY, HOUR
from features.definitions.tiling import tiling
from features.values.sweep import ARROW_TYPES
from features.values.tile_values import merged, metrics
from features.values.tiles import build, tiles

COLUMNS = (
    *fields("string", "id card shop"),
    *fields("int64", "amount"),
    *fields("float64", "price"),
    *fields("timestamp", "event_time known"),
)
PAYMENTS = Source(name="payments", table="raw.payments", columns=COLUMNS, event_id="id", known_at="known")
PAIRS = FeatureView(
    name="pairs", entity=Entity(name="pair", keys=("card", "shop")), source=PAYMENTS,
    features=flat((count("1d"), count("1d", where=col("price") > 1.0, suffix="dear"), sum_("amount", "1d"), max_("amount", "1d"), sum_("price", "1d"))),
)  # fmt: skip
Row = dict[str, Any]


def add(
    event: str,
    time: int,
    known: int | None = None,
    *,
    card: str | None = "c",
    shop: str | None = "s",
    amount: int | None = 1,
    price: float | None = 1.0,
) -> Row:
    """An addition; hours."""
    seen = time if known is None else known
    return {"asof_k0": card, "asof_k1": shop, "asof_time": time * HOUR, "asof_known": seen * HOUR, "asof_undoes": None, "asof_retract": False,
            "s_id": event, "s_amount": amount, "s_price": price}  # fmt: skip


def undo(row: Row, known: int) -> Row:
    """What takes it back; hours."""
    return {**row, "asof_known": known * HOUR, "asof_undoes": row["asof_known"], "asof_retract": True}


def table(rows: list[Row]) -> pa.Table:
    numbers = dict.fromkeys(("asof_time", "asof_known", "asof_undoes", "s_amount"), pa.int64())
    kinds = {
        "asof_k0": pa.string(),
        "asof_k1": pa.string(),
        **numbers,
        "asof_retract": pa.bool_(),
        "s_id": pa.string(),
        "s_price": pa.float64(),
    }
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def built(view: FeatureView, rows: list[Row], days: list[int]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Card, shop, day of the tile and of the cut to n, n of the dear, sum, maximum, sum of prices, replaces."""
    made = tiles(view, table(rows), [day * DAY for day in days]).to_pylist()
    found = {
        (r["card"], r["shop"], r["asof_tile"] // DAY, r["cut"] // DAY): (
            r["rows__n"], r["rows_dear__n"], (r["amount__high"] << 32) + r["amount__low"], r["amount__max"], r["price__sum"], r["asof_replaces"])
        for r in made
    }  # fmt: skip
    assert len(found) == len(made)
    return found


def test_additions_go_to_their_tile_in_the_cut_that_first_knows_them() -> None:
    rows = [
        add("a", 1, amount=5),
        add("b", 23, 24, amount=7, price=2.5),
        add("c", 24),
        add("d", 3, shop="t", amount=None, price=float("nan")),
    ]
    assert built(PAIRS, rows, [1, 2]) == {
        ("c", "s", 0, 1): (1, 0, 5, 5, 1.0, False),
        ("c", "t", 0, 1): (1, 0, 0, None, 0.0, False),
        ("c", "s", 0, 2): (1, 1, 7, 7, 2.5, False),  # known at midnight: to the cut of midnight it is not
        ("c", "s", 1, 2): (1, 0, 1, 1, 1.0, False),
    }


def test_only_the_cuts_that_are_asked_for_are_built() -> None:
    rows = [add("a", 1), add("b", 25), add("c", 49)]
    assert {place[3] for place in built(PAIRS, rows, [2])} == {2}
    assert built(PAIRS, rows, []) == {}
    assert built(PAIRS, [], [1, 2]) == {}


def test_a_correction_subtracts_and_what_cannot_be_undone_is_said_in_full() -> None:
    first = add("a", 1, amount=9, price=1e16)
    rows = [
        first,
        add("b", 2, amount=4),
        undo(first, 25),
        add("a", 26, 25, amount=3, price=2.0),
        add("x", 2, 30, amount=6),
    ]
    assert built(PAIRS, rows, [1, 2]) == {
        ("c", "s", 0, 1): (2, 1, 13, 9, 1e16 + 1, False),
        ("c", "s", 0, 2): (0, -1, -3, 6, 2.0, True),  # 1e16 takes no small amount with it
        ("c", "s", 1, 2): (1, 1, 3, 3, 2.0, False),
    }


def test_a_void_of_all_that_was_there_leaves_a_row_that_replaces_by_nothing() -> None:
    first = add("a", 1)
    assert built(PAIRS, [first, undo(first, 30)], [2]) == {("c", "s", 0, 2): (-1, 0, -1, None, 0.0, True)}


def test_what_comes_and_goes_before_one_cut_leaves_nothing() -> None:
    first = add("a", 1)
    assert built(PAIRS, [first, undo(first, 5)], [1, 2]) == {}
    other = add("b", 2, amount=3)
    assert built(PAIRS, [first, undo(first, 5), other], [1]) == {("c", "s", 0, 1): (1, 0, 3, 3, 1.0, False)}


def test_of_two_corrections_in_two_cuts_each_replaces() -> None:
    first, second = add("a", 1, amount=9), add("a", 1, 30, amount=7)
    rows = [first, add("b", 2, amount=4), undo(first, 30), second, undo(second, 50)]
    assert [built(PAIRS, rows, [1, 2, 3])["c", "s", 0, cut][3:] for cut in (1, 2, 3)] == [
        (9, 2.0, False),
        (7, 2.0, True),
        (4, 1.0, True),
    ]


def test_what_takes_back_a_version_that_is_not_there_takes_back_no_other() -> None:
    first = add("a", 1, amount=9)
    assert built(PAIRS, [first, undo(add("a", 1, 3, amount=4), 30)], [1, 2])["c", "s", 0, 2][3:] == (9, 1.0, True)


def test_a_key_with_a_null_belongs_to_no_tile() -> None:
    assert built(PAIRS, [add("a", 1, card=None), add("b", 1, shop=None), add("c", 1, card="")], [1]) == {
        ("", "s", 0, 1): (1, 0, 1, 1, 1.0, False)
    }


def test_before_1970_tiles_and_cuts_are_floored_too() -> None:
    assert set(built(PAIRS, [add("a", -1), add("b", -24), add("c", -25, -1)], [0])) == {
        ("c", "s", -1, 0),
        ("c", "s", -2, 0),
    }


def test_a_lag_delays_what_counts_and_what_takes_it_back() -> None:
    slow = replace(PAIRS, source=PAYMENTS.derive("slow", lag="24h"))
    first = add("a", 1)
    assert set(built(slow, [first], [1, 2])) == {("c", "s", 0, 2)}
    assert built(slow, [first, undo(first, 5)], [1, 2]) == {}
    assert built(slow, [first, undo(first, 50)], [1, 2, 3])["c", "s", 0, 3] == (-1, 0, -1, None, 0.0, True)


def test_what_a_release_made_known_late_is_taken_back_no_earlier() -> None:
    late = add("a", 1, 50)
    assert built(PAIRS, [late, {**undo(late, 30)}], [1, 2, 3]) == {}


def test_a_filter_and_cuts_of_any_phase() -> None:
    view = replace(
        PAIRS, source=PAYMENTS.derive("dear", filter=col("amount") > 1), freshness=Schedule(period="12h", phase="6h")
    )
    made = tiles(
        view, table([add("a", 5, amount=2), add("b", 6, amount=3), add("c", 7)]), [6 * HOUR, 18 * HOUR]
    ).to_pylist()
    assert sorted((row["asof_tile"] // HOUR, row["cut"] // HOUR, row["rows__n"]) for row in made) == [
        (0, 6, 1),
        (6, 18, 1),
    ]


def test_in_spark_the_partitions_are_text() -> None:
    batches = table([add("a", 1), add("b", 25)]).to_batches()
    (made,) = build(PAIRS, [DAY, 2 * DAY])(batches)
    assert made.schema.names[:4] == ["card", "shop", "asof_tile", "asof_replaces"]
    assert made.schema.field("asof_tile").type == ARROW_TYPES["timestamp"]
    assert sorted((row["cut"], row["day"]) for row in made.to_pylist()) == [
        ("1970-01-02T00-00Z", "1970-01-01"),
        ("1970-01-03T00-00Z", "1970-01-02"),
    ]
    assert list(build(PAIRS, [DAY])([])) == []


AMOUNTS = FeatureView(
    name="amounts", entity=Entity(name="card", keys=("card",)), source=PAYMENTS,
    features=flat((count("1d"), sum_("amount", Window("1d")), mean("amount", "1d"), std("amount", "1d"), min_("amount", "1d"), sum_("price", "1d"), mean("price", "1d"))),
)  # fmt: skip


def summed(amounts: list[int]) -> pa.Table:
    """Tiles of these amounts, merged."""
    plan = tiling(AMOUNTS)
    rows = table([{**add(f"e{n}", n), "s_amount": amount} for n, amount in enumerate(amounts)]).drop_columns(
        ["asof_k1"]
    )
    made = tiles(AMOUNTS, rows, [DAY])
    return made.select([partial.name for partial in plan.partials])


def test_sums_beyond_int64_are_null_and_counted_and_means_stay_exact() -> None:
    found, overflow = metrics(AMOUNTS, summed([2**63 - 1, 2**63 - 1, 2**63 - 4]), 0, DAY)
    whole = 3 * 2**63 - 6
    assert found.to_pylist() == [{
        "count": 3, "sum_amount": None, "mean_amount": float(whole) / 3.0, "std_amount": float(3 * (2 * (2**63 - 1) ** 2 + (2**63 - 4) ** 2) - whole**2) ** 0.5 / 6.0**0.5,
        "min_amount": 2**63 - 4, "sum_price": 3.0, "mean_price": 1.0,
    }]  # fmt: skip
    assert overflow == {"sum_amount": 1}
    found, overflow = metrics(AMOUNTS, summed([-(2**63), -1, 1]), 0, DAY)
    assert (found["sum_amount"].to_pylist(), overflow) == ([-(2**63)], {})


@pytest.mark.parametrize(("amounts", "std_amount"), [([4], None), ([4, 4], 0.0), ([1, 3], 2.0**0.5)])
def test_a_deviation_needs_two_values(amounts: list[int], std_amount: float | None) -> None:
    assert metrics(AMOUNTS, summed(amounts), 0, DAY)[0]["std_amount"].to_pylist() == [std_amount]


def test_of_nothing_there_are_zeros_and_nulls() -> None:
    plan = tiling(AMOUNTS)
    empty = {p.name: pa.array([0 if p.merge == "sum" else None], ARROW_TYPES[p.type]) for p in plan.partials}
    (row,) = metrics(AMOUNTS, pa.table(empty), 0, DAY)[0].to_pylist()
    assert row == {
        "count": 0,
        "sum_amount": 0,
        "mean_amount": None,
        "std_amount": None,
        "min_amount": None,
        "sum_price": 0.0,
        "mean_price": None,
    }
    assert len(metrics(AMOUNTS, pa.table(empty).slice(1), 0, DAY)[0]) == 0


LASTING = FeatureView(
    name="lasting", entity=Entity(name="card", keys=("card",)), source=PAYMENTS,
    features=flat((
        last("shop", "1d"), first("amount", "1d"), time_since_last("1d"), distinct("shop", "1d", limit=2), quantile("amount", "1d", percent=0),
    )),
)  # fmt: skip


def lasting(rows: list[Row], cuts: list[int], cut: int) -> list[dict[str, Any]]:
    """Of the day before the cut, as known at it, from tiles of the cuts; days."""
    given = [{**row, "s_shop": row["asof_k1"], "s_id": row["s_id"]} for row in rows]
    told = table(given).append_column("s_shop", pa.array([row["s_shop"] for row in given])).drop_columns(["asof_k1"])
    made = tiles(LASTING, told, [day * DAY for day in cuts])
    made = made.filter((pc.field("cut") <= cut * DAY) & (pc.field("asof_tile") == 0))
    found: list[dict[str, Any]] = metrics(LASTING, merged(tiling(LASTING), ["card"], made, []), 0, cut * DAY)[
        0
    ].to_pylist()
    return found


def values(shop: str, amount: int, hours: int, shops: int, least: float) -> dict[str, Any]:
    return {
        "last_shop": shop,
        "first_amount": amount,
        "time_since_last": hours * HOUR,
        "distinct_shop": shops,
        "p0_amount": pytest.approx(least, rel=0.01),
    }


def test_what_is_last_follows_a_late_row_a_correction_and_a_void_of_the_newest() -> None:
    newest = add("c", 20, shop="r", amount=30)
    moved = add("b", 10, shop="q", amount=20)
    rows = [
        add("a", 5, shop="p", amount=10),
        moved,
        newest,
        add("late", 3, 30, shop="late", amount=5),
        undo(newest, 55),
        undo(moved, 80),
        add("b", 2, 80, shop="q", amount=20),
    ]
    found = [lasting(rows, cuts, day) for cuts in ([1, 2, 3, 4], [4, 3, 2, 1]) for day in (1, 2, 3, 4)]
    assert found == 2 * [
        [values("r", 10, 4, 2, 10.0)],
        [values("r", 5, 28, 2, 5.0)],
        [values("q", 5, 62, 2, 5.0)],
        [values("p", 20, 91, 2, 5.0)],
    ]


def test_of_rows_of_one_instant_the_last_is_that_of_the_largest_event_id() -> None:
    rows = [
        add("b", 5, shop="p"),
        add("a\x00", 5, shop="q"),
        add("bb", 5, 30, shop="r"),
        add("a", 5, 30, shop="s", amount=9),
    ]
    assert [
        (lasting(rows, [1, 2], day)[0]["last_shop"], lasting(rows, [1, 2], day)[0]["first_amount"]) for day in (1, 2)
    ] == [
        ("p", 1),
        ("r", 9),
    ]


def test_a_day_all_of_whose_rows_are_void_has_neither_first_nor_last() -> None:
    only = add("a", 5)
    assert lasting([only, undo(only, 30)], [1, 2], 2) == [
        {"last_shop": None, "first_amount": None, "time_since_last": None, "distinct_shop": 0, "p0_amount": None}
    ]


def test_what_no_order_decides_needs_no_event_ids() -> None:
    view = replace(LASTING, features=flat((distinct("shop", "1d"), time_since_last("1d"))))
    rows = table([add("a", 1), add("b", 2)]).rename_columns({"asof_k1": "s_shop"}).drop_columns(["s_id"])
    assert tiles(view, rows, [DAY])["rows__n"].to_pylist() == [2]
