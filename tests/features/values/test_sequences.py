"""Sequences of a frame's rows: what the last k features say, as arrays."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import DAILY, Entity, EventFreshness, FeatureView, Field, Source, count, fields, flat, last_k
from features.errors import InputError, MissingError
from features.values.sequences import sequences
from features.values.sweep import ARROW_TYPES

DAY = 86_400_000_000
HOUR = DAY // 24
PAID = Source(
    name="sequence_payments",
    table="sequence.payments",
    columns=(
        *fields("string", "id card shop"),
        Field(name="amount", type="int64"),
        *fields("timestamp", "event_time known"),
    ),
    known_at="known",
    event_id="id",
)
K = 3
DAILY_VIEW = FeatureView(
    name="card_sequence",
    entity=Entity(name="sequence_card", keys=("card",)),
    source=PAID,
    freshness=DAILY,
    features=flat((last_k("amount", "7d", k=K), last_k("shop", "7d", k=K, suffix="all"), count("7d"))),
)
EVENT_VIEW = replace(DAILY_VIEW, freshness=EventFreshness())


def frame(
    view: FeatureView, histories: list[list[tuple[int, int, str]]], asked: list[int], anchor: list[int]
) -> pa.Table:
    """What a frame holds of (event time, amount, shop), oldest first."""
    made: dict[str, Any] = {"event_timestamp": pa.array(asked, pa.int64()).cast(ARROW_TYPES["timestamp"])}
    for rank in range(1, K + 1):
        found = [history[-rank] if rank <= len(history) else None for history in histories]
        ages = pa.array([item and at - item[0] for item, at in zip(found, anchor, strict=True)], pa.int64())
        for of, place, kind in (("amount_7d", 1, pa.int64()), ("shop_all_7d", 2, pa.string())):
            made[f"{view.name}__last_{rank}_{of}"] = pa.array([item and item[place] for item in found], kind)
            made[f"{view.name}__time_since_last_{rank}_{of}"] = ages
    return pa.table(made)


def test_the_newest_stand_last_and_what_is_missing_in_front() -> None:
    noon = 10 * DAY + 12 * HOUR
    histories = [
        [(DAY, 5, "a"), (2 * DAY, 6, "b")],
        [],
        [(DAY, 1, "a"), (3 * DAY, 2, "b"), (4 * DAY, 3, "c"), (5 * DAY, 4, "d")],
    ]
    rows = frame(EVENT_VIEW, histories, [noon] * 3, [noon] * 3)
    found = sequences(rows, EVENT_VIEW, of="amount_7d")
    assert found.values.tolist() == [[0, 5, 6], [0, 0, 0], [2, 3, 4]]
    assert found.times.tolist() == [[0, DAY, 2 * DAY], [0, 0, 0], [3 * DAY, 4 * DAY, 5 * DAY]]
    assert found.mask.tolist() == [[False, True, True], [False] * 3, [True] * 3]
    assert [found.values.dtype.name, found.times.dtype.name] == ["int64", "int64"]
    shops = sequences(rows, EVENT_VIEW, of="shop_all_7d")
    assert shops.values.tolist() == [["", "a", "b"], ["", "", ""], ["b", "c", "d"]]
    assert (shops.times == found.times).all()


def test_ages_of_a_daily_view_count_from_the_cut_that_was_served() -> None:
    asked, cut = 10 * DAY + 12 * HOUR, 10 * DAY
    rows = frame(DAILY_VIEW, [[(9 * DAY, 5, "a")]] * 2, [asked, asked + 12 * HOUR], [cut, cut])
    # At midnight the cut of the day before is served still: its lag is an hour.
    assert sequences(rows, DAILY_VIEW, of="amount_7d").times[:, -1].tolist() == [9 * DAY, 9 * DAY]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9 * DAY), st.integers(-9, 9), st.sampled_from("ab")), max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_every_row_is_the_end_of_its_history(histories: list[list[tuple[int, int, str]]]) -> None:
    asked = [10 * DAY + n for n in range(len(histories))]
    found = sequences(frame(EVENT_VIEW, histories, asked, asked), EVENT_VIEW, of="amount_7d")
    for n, history in enumerate(histories):
        assert [*zip(found.times[n][found.mask[n]], found.values[n][found.mask[n]], strict=True)] == [
            (at, amount) for at, amount, _ in history[-K:]
        ]
        assert not found.mask[n][: max(0, K - len(history))].any()
        assert not found.values[n][~found.mask[n]].any()


def test_no_rows_are_arrays_without_lines() -> None:
    found = sequences(frame(EVENT_VIEW, [], [], []), EVENT_VIEW, of="shop_all_7d")
    assert (found.values.shape, found.times.shape, found.mask.shape) == ((0, K), (0, K), (0, K))


def test_what_is_no_sequence_is_refused() -> None:
    rows = frame(EVENT_VIEW, [[]], [DAY], [DAY])
    with pytest.raises(MissingError) as unknown:
        sequences(rows, EVENT_VIEW, of="amount_30d")
    assert str(unknown.value) == (
        "There is no sequence of view 'card_sequence' 'amount_30d'. Known: amount_7d, shop_all_7d. last_k(…) in the view makes one."
    )
    with pytest.raises(MissingError) as column:
        sequences(rows.drop_columns(["card_sequence__last_2_amount_7d"]), EVENT_VIEW, of="amount_7d")
    assert "There is no column of the rows 'card_sequence__last_2_amount_7d'." in str(column.value)
    holed = replace(EVENT_VIEW, features=tuple(item for item in EVENT_VIEW.features if item.name != "last_2_amount_7d"))
    with pytest.raises(InputError) as gap:
        sequences(rows, holed, of="amount_7d")
    assert str(gap.value) == (
        "View 'card_sequence' has ranks 1, 3 of last_…_amount_7d, which are no sequence. Define it by last_k(…), which makes all."
    )
