"""Rows as bytes in tiles: of one set of rows one form, whatever order they and their lists come in; read back, and finished as frames finish rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import decayed_sum, gap_mean, last_k, pairs, top_k
from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate
from features.definitions.tiling import Listed
from features.errors import InputError
from features.values.sweep import ARROW_TYPES
from features.values.tile_lists import finished, folded, joined, read
from tests.features.values.test_tile_states import VALUES

PLACES = Listed("rows", 0, "string", ("string", "float64"))
AMOUNTS = Listed("rows", 0, "string", ("int64",))
WORDS = Listed("values", 0, None, ("string",))
HOUR = 3_600_000_000
Row = tuple[int, Any, tuple[Any, ...]]
"""An instant, the event id, what is read."""


def of(held: Listed, groups: list[list[Row]]) -> pa.Array:
    """The list of each group's rows."""
    rows = [row for part in groups for row in part]
    group = np.repeat(np.arange(len(groups)), [len(part) for part in groups])
    ids = None if held.id is None else pa.array([row[1] for row in rows], ARROW_TYPES[held.id])
    inputs = [pa.array([row[2][n] for row in rows], ARROW_TYPES[kind]) for n, kind in enumerate(held.types)]
    times = np.array([row[0] for row in rows], np.int64)
    return folded(held, group, times, ids, inputs, len(groups))


def together(held: Listed, lists: pa.Array) -> pa.Array:
    """All lists as one."""
    return joined(held, pa.chunked_array([lists]), np.zeros(len(lists), np.int64), 1)


def shown(held: Listed, lists: pa.Array) -> list[list[tuple[Any, ...]]]:
    """Of each list the instant, the columns and how often, of every row."""
    made: list[list[tuple[Any, ...]]] = [[] for _ in lists]
    for part in read(held, lists):
        rows = part.rows
        columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in rows.columns]
        for n, place in enumerate(part.places[rows.group]):
            made[place].append((int(rows.times[n]), *(c[n].as_py() for c in columns), int(rows.often[n])))
    return made


def value(feature: Aggregate, held: Listed, lists: pa.Array, kind: ColumnType) -> list[Any]:
    found: list[Any] = finished(
        feature, held, read(held, lists), (10 * HOUR, 0, 10 * HOUR), ARROW_TYPES[kind]
    ).to_pylist()
    return found


def test_these_are_the_bytes() -> None:
    """Tiles that were built are read by every release that knows their definition."""
    rows: list[Row] = [(7 * HOUR, "b", ("é", 2.0)), (5 * HOUR, "a", ("", 1.5)), (7 * HOUR, "a", ("x", 1.5))]
    (made,) = of(PLACES, [rows])
    # Three rows; hours, the first 5, then 2 and 0 more; ids of one byte each; texts of 0, 1 and 2 bytes; floats as they are.
    assert made.as_py() == bytes.fromhex(
        "03" "050a0200" "0002" "616162" "01000102" "78c3a9" "03" "000000000000f83f" "000000000000f83f" "0000000000000040"
    )  # fmt: skip
    (counted,) = of(WORDS, [[(1, None, ("q",)), (9, None, ("",)), (5, None, ("q",))]])
    assert counted.as_py() == bytes.fromhex("0201000171010102")
    assert shown(WORDS, pa.array([counted])) == [[(0, "", 1), (0, "q", 2)]]


@st.composite
def lists(draw: st.DrawFn) -> tuple[Listed, list[list[Row]]]:
    types: list[ColumnType] = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=2))
    ids: ColumnType | None = draw(st.sampled_from(["string", "int64", None])) if types else None
    times = st.sampled_from([-(10**15), -1, 0, 1, HOUR, 2 * HOUR, 10**15])
    row = st.tuples(times, VALUES[ids] if ids else st.none(), st.tuples(*(VALUES[kind] for kind in types)))
    if draw(st.booleans()):
        held = Listed("values", 0, None, tuple(types))
    else:
        held = Listed("rows", draw(st.sampled_from([0, 0, 1, 3])), ids, tuple(types))
    return held, draw(st.lists(st.lists(row, max_size=6), min_size=1, max_size=4))


def meant(held: Listed, rows: list[Row]) -> list[tuple[Any, ...]]:
    if held.name == "values":
        values = [row[2] for row in rows]
        return [(0, *value, values.count(value)) for value in sorted(set(values))]
    ordered = sorted((row[0], *(() if held.id is None else (row[1],)), *row[2]) for row in rows)
    return [(*row, 1) for row in (ordered[-held.newest :] if held.newest else ordered)]


@settings(max_examples=150)
@given(drawn=lists(), data=st.data())
def test_any_order_of_rows_and_of_lists_gives_the_same_bytes(
    drawn: tuple[Listed, list[list[Row]]], data: st.DataObject
) -> None:
    held, parts = drawn
    made = of(held, parts)
    assert shown(held, made) == [meant(held, part) for part in parts]
    whole = [row for part in parts for row in part]
    order = data.draw(st.permutations(range(len(parts))))
    at_once = together(held, made.take(pa.array(order)))
    assert shown(held, at_once) == [meant(held, whole)]
    # Two by two, as Spark's tasks do, and from rows in any order.
    halves = joined(held, pa.chunked_array([made]), np.arange(len(parts)) % 2, 2)
    assert together(held, halves).equals(at_once)
    assert of(held, [data.draw(st.permutations(whole))]).equals(at_once)


def test_lists_of_every_length_are_finished_where_they_stand() -> None:
    (newest,) = [feature for feature in last_k("amount", "1d", k=2) if feature.name == "last_2_amount_1d"]
    (most,) = top_k("word", "1d", k=1)
    (largest,) = pairs("amount", "1d", take="max")
    (gap,) = gap_mean("1d")
    sizes = [3, 0, 40, 1, 5, 2, 0]
    made = of(AMOUNTS, [[(n, f"{n:02}", (n * n,)) for n in range(size)] for size in sizes])
    assert value(newest, AMOUNTS, made, "int64") == [1, None, 38 * 38, None, 9, 0, None]
    assert value(largest, AMOUNTS, made, "float64") == [3.0, None, 77.0, None, 7.0, 1.0, None]
    times = Listed("rows", 0, None, ())
    assert value(gap, times, of(times, [[(n * n, None, ()) for n in range(size)] for size in sizes]), "float64") == [
        2.0, None, 39.0, None, 4.0, 1.0, None,
    ]  # fmt: skip
    words = of(WORDS, [[(0, None, (word,)) for word in text] for text in ("abcb", "", "zzyyx", "q")])
    assert value(most, WORDS, words, "string") == ["b", None, "y", "q"]
    assert value(most, WORDS, words.slice(4), "string") == []


def test_values_that_are_decayed_are_added_from_the_oldest_on() -> None:
    (decayed,) = decayed_sum("price", "1h")
    held = Listed("rows", 0, "string", ("float64",))
    parts: list[list[Row]] = [[(8 * HOUR, "a", (0.1,))], [(9 * HOUR, "b", (1e16,)), (7 * HOUR, "c", (0.3,))]]
    (found,) = value(decayed, held, together(held, of(held, parts)), "float64")
    assert found == (((0.3 * 0.5 + 0.1) * 0.5) + 1e16) * 0.5


def test_no_rows_are_null_and_finish_as_empty() -> None:
    (decayed,) = decayed_sum("amount", "1h")
    (last,) = last_k("amount", "1d", k=1)[:1]
    made = of(AMOUNTS, [[], []])
    assert made.to_pylist() == [None, None]
    assert together(AMOUNTS, made).to_pylist() == [None]
    assert value(decayed, AMOUNTS, made, "float64") == [0.0, 0.0]
    assert value(last, AMOUNTS, made, "int64") == [None, None]
    assert joined(AMOUNTS, pa.chunked_array([], pa.binary()), np.zeros(0, np.int64), 2).to_pylist() == [None, None]


@pytest.mark.parametrize("damage", [
    b"", b"\x80", b"\x00", b"\x02\x05\x0a", b"\x01\x05\x0a\x00\x02\x61", b"\x01\x05\x0a\x00\x02\x61\x00\x02\x00", b"\x01\x07\x0a\x00\x02\x61\x00\x02",
    b"\x01\x05\x0a\x00\x01\x61\x00\x02", b"\x01\x05\x0a\x05\x02\x61\x00\x02", b"\xff\xff\x03\x05\x0a\x00\x02\x61\x00\x02",
])  # fmt: skip
def test_bytes_that_are_no_list_are_refused(damage: bytes) -> None:
    right = b"\x01\x05\x0a\x00\x02\x61\x00\x02"
    assert shown(AMOUNTS, pa.array([right])) == [[(5 * HOUR, "a", 1, 1)]]
    with pytest.raises(InputError, match="A list of rows in a tile is none that Asof wrote"):
        read(AMOUNTS, pa.array([right, damage], pa.binary()))
    with pytest.raises(InputError, match="A list of rows in a tile is none that Asof wrote"):
        together(AMOUNTS, pa.array([right, damage], pa.binary()))


def test_without_event_ids_what_is_read_says_which_comes_first() -> None:
    held = AMOUNTS._replace(id=None)
    assert shown(held, of(held, [[(5, None, (7,)), (5, None, (-7,)), (4, None, (9,))]])) == [
        [(4, 9, 1), (5, -7, 1), (5, 7, 1)]
    ]
