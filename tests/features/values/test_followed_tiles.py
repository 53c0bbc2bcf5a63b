"""Literal rows as tiles of what follows what is seen: rows themselves, and values, over several keys, days and cuts."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features import Entity, FeatureView, col, count, decayed_count, flat, gap_mean, last_k, pairs, runs, top_k
from features.definitions.durations import DAY, HOUR
from features.definitions.tiling import tiling
from features.values.tile_values import merged, metrics
from features.values.tiles import tiles
from tests.features.values.test_tiles import PAYMENTS, Row, add, table, undo

FOLLOWED = FeatureView(
    name="followed", entity=Entity(name="pair", keys=("card", "shop")), source=PAYMENTS,
    features=flat((
        count("1d"), gap_mean("1d"), pairs("amount", "1d", take="max"), last_k("amount", "1d", k=2), top_k("amount", "1d", k=1),
        runs("1d", of=col("price") > 1.0, then=col("price") < 1.0, at_least=2), decayed_count("24h", over="1d"),
    )),
)  # fmt: skip


def followed(
    rows: list[Row], cut: int, by: list[str], passes: list[list[int]]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Group to mean gap in hours, largest difference, newest two amounts, the most frequent one, runs and rows weighed by their days, of all days known at the cut."""
    made = pa.concat_tables(tiles(FOLLOWED, table(rows), [day * DAY for day in days]) for days in passes)
    summed = merged(tiling(FOLLOWED), FOLLOWED.keys, made.filter(pc.field("cut") <= cut * DAY), by)
    found, _ = metrics(FOLLOWED, summed, 0, cut * DAY)
    names = (
        "gap_mean",
        "pairs_max_amount",
        "last_1_amount",
        "last_2_amount",
        "top_1_amount",
        "runs",
        "decayed_count_24h",
    )
    shown = [tuple(row[name] for name in names) for row in found.to_pylist()]
    return {
        key: (None if gap is None else gap / HOUR, *rest)
        for key, (gap, *rest) in zip(zip(*(summed[name].to_pylist() for name in by), strict=True) if by else [()], shown, strict=True)
    }  # fmt: skip


@pytest.mark.parametrize("passes", [[[1, 2, 3]], [[3], [2], [1]], [[1, 3], [2]]], ids=["one", "each", "two"])
def test_what_follows_what_is_seen_across_keys_days_and_cuts(passes: list[list[int]]) -> None:
    """Rows of two shops lie between one another; one is late, one is corrected, one is void later."""
    corrected, void = add("d", 18, amount=50, price=2.0), add("c", 12, shop="t", amount=4, price=2.0)
    rows = [
        add("a", 0, amount=1, price=2.0), add("b", 6, shop="t", amount=3, price=2.0), void, corrected, add("e", 24, shop="t", amount=4, price=0.5),
        add("late", 3, 30, amount=9, price=0.5), undo(corrected, 30), add("d", 18, 30, amount=5, price=0.5), undo(void, 50),
    ]  # fmt: skip
    weights = {day: [2.0 ** ((hour - 24 * day) / 24) for hour in range(25)] for day in (1, 2, 3)}
    # As known on the first day: 1 at 0h, 3 at 6h, 4 at 12h, 50 at 18h.
    one = weights[1]
    assert followed(rows, 1, [], passes) == {
        (): (6.0, 46.0, 50, 4, 1, 0, pytest.approx(one[0] + one[6] + one[12] + one[18]))
    }
    # On the second: 9 came late, 50 is 5 now and cheap, so that two dear ones are followed by it; 4 at 24h.
    two = weights[2]
    assert followed(rows, 2, [], passes) == {
        (): (4.8, 8.0, 4, 5, 4, 1, pytest.approx(two[0] + two[3] + two[6] + two[12] + two[18] + two[24]))
    }
    assert followed(rows, 2, ["shop"], passes) == {
        ("s",): (9.0, 8.0, 5, 9, 1, 0, pytest.approx(two[0] + two[3] + two[18])),
        ("t",): (9.0, 1.0, 4, 4, 4, 1, pytest.approx(two[6] + two[12] + two[24])),
    }
    # On the third the 4 of 12h is void: one dear row alone comes before the cheap one.
    three = weights[3]
    assert followed(rows, 3, ["card"], passes) == {
        ("c",): (6.0, 8.0, 4, 5, 1, 0, pytest.approx(three[0] + three[3] + three[6] + three[18] + three[24]))
    }
    assert followed(rows, 3, ["card", "shop"], passes)["c", "t"] == (
        18.0,
        1.0,
        4,
        3,
        3,
        0,
        pytest.approx(three[6] + three[24]),
    )


def test_of_rows_of_one_instant_in_two_tiles_the_event_id_says_which_comes_first() -> None:
    rows = [add("c", 5, amount=30), add("a", 5, 30, amount=10), add("b", 5, shop="t", amount=21)]
    for passes in ([[1, 2]], [[2], [1]]):
        gap, largest, newest, before, *_ = followed(rows, 2, [], passes)[()]
        assert (gap, largest, newest, before) == (0.0, 11.0, 30, 21)  # 10, 21, 30
        assert followed(rows, 2, ["shop"], passes)["s",][1:4] == (20.0, 30, 10)


def test_a_day_all_of_whose_rows_are_void_is_followed_by_nothing() -> None:
    only = add("a", 5)
    assert followed([only, undo(only, 30)], 2, [], [[1, 2]]) == {(): (None, None, None, None, None, 0, 0.0)}
