"""Rows that a later cut may still need, by literal rows."""

import numpy as np
import pyarrow as pa
import pytest

from features import (
    Entity,
    FeatureView,
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
    min_,
    sum_,
    time_since_first,
)
from features.definitions.behaviour import entropy
from features.definitions.features import Aggregate
from features.values.kept import forgets, kept, kept_for, tiled
from features.values.timeline import FOREVER, Timeline

DAY = 86_400_000_000
SALES = Source(
    name="kept_sales", table="kept.sales", event_id="id", event_time="at",
    columns=(*fields("string", "id card shop"), *fields("int64", "amount"), *fields("float64", "weight"), *fields("timestamp", "at")),
)  # fmt: skip
CARD = Entity(name="kept_card", keys=("card",))
# Key, hour, amount, shop; the cut is at the end of the tenth day, and remembers five.
ROWS = [
    (0, 24 * 4, 9, "a"),
    (0, 24 * 6 + 1, 7, "a"),
    (0, 24 * 6 + 2, 5, "b"),
    (0, 24 * 8, 5, "a"),
    (0, 24 * 9, 3, "c"),
    (1, 24 * 9, 3, "c"),
    (1, 24 * 11, 1, "c"),
]


def line(since: int = 0, until: int = FOREVER) -> Timeline:
    return Timeline(
        key=np.array([row[0] for row in ROWS]), time=np.array([row[1] * DAY // 24 for row in ROWS]), since=np.full(len(ROWS), since),
        until=np.full(len(ROWS), until),
        columns={"amount": pa.array([row[2] for row in ROWS]), "shop": pa.array([row[3] for row in ROWS]),
                 "weight": pa.array([float(row[2]) for row in ROWS])},
    )  # fmt: skip


def view(*features: tuple[Aggregate, ...]) -> FeatureView:
    return FeatureView(name="kept_view", entity=CARD, source=SALES, remember="5d", tiles=True, features=flat((count("1d"), *features)))  # fmt: skip


def stay(*features: tuple[Aggregate, ...]) -> list[int]:
    return np.flatnonzero(kept(view(*features), line(), 10 * DAY)).tolist()


@pytest.mark.parametrize(
    ("features", "rows"),
    [
        ((sum_("amount", "3d"),), []),
        ((last("shop", "5d"),), [4, 5, 6]),
        ((last("shop", "5d", where=col("shop") == "a", suffix="a"),), [3]),
        # Hour 24 x 4 lies before every window; the equal 5 of an earlier hour is outdone.
        ((max_("amount", "5d"),), [1, 3, 4, 5, 6]),
        ((min_("amount", "5d"),), [4, 5, 6]),
        ((distinct("shop", "5d"),), [2, 3, 4, 5, 6]),
        ((distinct("shop", "5d", limit=2),), [3, 4, 5, 6]),
        # The second row of the sixth day begins no window.
        ((first("shop", "5d"),), [1, 3, 4, 5, 6]),
        ((time_since_first("1d 5d"),), [1, 3, 4, 5, 6]),
        ((entropy("shop", "2d"),), [3, 4, 5, 6]),
        ((sum_("weight", "2d"),), [3, 4, 5, 6]),
    ],
    ids=["counted", "last", "last-where", "max", "min", "distinct", "distinct-limit", "first", "ages", "all", "floats"],
)
def test_what_each_operation_keeps(features: tuple[tuple[Aggregate, ...], ...], rows: list[int]) -> None:
    assert stay(*features) == rows


@pytest.mark.parametrize(("step", "rows"), [("1d", [1, 3, 4, 5]), ("1h", [1, 2, 3, 4, 5]), ("exact", [1, 2, 3, 4, 5])])
def test_at_lookups_windows_begin_at_each_step(step: str, rows: list[int]) -> None:
    of = view(first("shop", Window("5d", step=step)))
    features = [feature for feature in of.features if isinstance(feature, Aggregate) and feature.operation == "first"]
    here = line().only(line().time < 10 * DAY)
    assert np.flatnonzero(kept_for(of, features, here, 10 * DAY, 10 * DAY)).tolist() == rows


def test_of_a_tile_the_largest_stays_alone() -> None:
    times = line()
    of = Timeline(
        key=times.key, time=times.time, since=times.since, until=times.until, columns={**times.columns, "amount": pa.array([9, 7, 6, 5, 3, 3, 1])}
    )  # fmt: skip
    assert np.flatnonzero(kept(view(max_("amount", "5d")), of, 10 * DAY)).tolist() == [1, 3, 4, 5, 6]


def test_whose_rows_count_by_their_tile() -> None:
    assert tiled(view(max_("amount", "5d"), distinct("shop", "5d"))) == DAY
    assert tiled(view(max_("amount", "5d"), last("shop", "5d"))) is None


def test_a_row_that_does_not_count_yet_is_kept_and_outdoes_none() -> None:
    of = view(last("shop", "5d"))
    assert kept(of, line(since=11 * DAY), 10 * DAY).all()
    assert not kept(of, line(until=10 * DAY), 10 * DAY).any()


def test_whether_anything_is_forgotten() -> None:
    assert not forgets(view(sum_("amount", "3d"), entropy("shop", "2d")))
    assert forgets(view(max_("amount", "1d")))
