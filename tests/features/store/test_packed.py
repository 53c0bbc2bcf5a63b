"""Packed rows: every value comes back as it was, and bytes that are no row of the definition are told."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.columns import Columns
from features.store.packed import MANY, Packing
from features.store.values import ARROW, Cell

TYPES: dict[str, ColumnType] = {"t": "timestamp", "s": "string", "i": "int64", "u": "string", "f": "float64", "b": "bool", "j": "int64", "k": "int64", "l": "int64"}  # fmt: skip
WHOLE = st.integers(-(2**63), 2**63 - 1)
OF: dict[ColumnType, st.SearchStrategy[Cell]] = {
    "string": st.text(st.characters(codec="utf-8"), max_size=300), "int64": WHOLE, "timestamp": WHOLE, "bool": st.booleans(),
    "float64": st.floats(allow_nan=False),
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | OF[kind] for name, kind in TYPES.items()}), min_size=1, max_size=5
)


def batch_of(types: dict[str, ColumnType], rows: list[dict[str, Cell]], statuses: list[str]) -> pa.RecordBatch:
    made = {
        name: pa.array([row[name] for row in rows], pa.int64() if kind == "timestamp" else ARROW[kind]).cast(
            ARROW[kind]
        )
        for name, kind in types.items()
    }
    return pa.record_batch({**made, "asof_status": pa.array(statuses)})


@given(ROWS, WHOLE)
def test_every_value_comes_back(rows: list[dict[str, Cell]], stamp: int) -> None:
    packing = Packing(TYPES, "one")
    statuses = ["overflow" if n % 2 else "ok" for n in range(len(rows))]
    packed = packing.pack(batch_of(TYPES, rows, statuses), stamp)
    assert packing.fitting(packed) == [True] * len(rows)
    for times in (1, 8):  # few rows are read one by one, many column by column
        found = packing.unpack(packed * times)
        assert list(found.valid_from) == [stamp] * len(rows) * times
        assert list(found.overflow) == [n % 2 for n in range(len(rows))] * times
        for name in TYPES:
            assert [repr(value) for value in found.columns[name]] == [repr(row[name]) for row in rows] * times


@given(st.fixed_dictionaries({"i": st.none() | WHOLE, "f": st.none() | OF["float64"]}))
def test_rows_without_texts_come_back(row: dict[str, Cell]) -> None:
    types: dict[str, ColumnType] = {"i": "int64", "f": "float64"}
    packing = Packing(types, "one")
    for count in (2, 8):
        found = packing.unpack(packing.pack(batch_of(types, [row] * count, ["ok"] * count), 7))
        assert {name: list(held) for name, held in found.columns.items()} == {
            name: [row[name]] * count for name in types
        }


ALIKE: dict[str, ColumnType] = {"t": "timestamp", "i": "int64", "f": "float64", "b": "bool"}
BEYOND = st.sampled_from([*[(name, None) for name in ALIKE], ("asof_status", "overflow")]) | st.none()


@given(
    st.lists(st.fixed_dictionaries({name: OF[kind] for name, kind in ALIKE.items()}), min_size=1, max_size=20),
    WHOLE,
    WHOLE,
    BEYOND,
    st.data(),
)
def test_usual_rows_are_read_at_once_and_no_others(
    rows: list[dict[str, Cell]], stamp: int, other: int, beyond: tuple[str, Cell] | None, data: st.DataObject
) -> None:
    packing, odd = Packing(ALIKE, "one"), data.draw(st.integers(0, len(rows) - 1))
    statuses = ["ok"] * len(rows)
    packed: list[bytes | None] = [*packing.pack(batch_of(ALIKE, rows, statuses), stamp)]
    names = tuple(data.draw(st.permutations(list(ALIKE)))[: data.draw(st.integers(0, len(ALIKE)))])
    usual = packing.usual(packed, stamp, names)
    assert usual is not None
    assert [(name, [repr(value) for value in held]) for name, held in usual.items()] == [
        (name, [repr(row[name]) for row in rows]) for name in names
    ]
    assert isinstance(usual, Columns) == (len(rows) >= MANY)
    if isinstance(usual, Columns):
        wanted = batch_of(ALIKE, rows, statuses)
        assert usual.arrays() == [wanted.column(name) for name in names]
    assert (packing.usual(packed, other, names) is None) == (stamp != other)
    if beyond is not None:
        name, value = beyond
        changed = {**rows[odd], name: value}
        packed[odd] = packing.pack(batch_of(ALIKE, [changed], ["overflow" if name == "asof_status" else "ok"]), stamp)[
            0
        ]
    else:
        (foreign,) = Packing(ALIKE, "another").pack(batch_of(ALIKE, [rows[odd]], ["ok"]), stamp)
        packed[odd] = data.draw(
            st.sampled_from([None, b"", foreign, (packed[odd] or b"")[:-1], (packed[odd] or b"") + b"x"])
        )
    assert packing.usual(packed, stamp, names) is None


@given(
    st.dictionaries(st.sampled_from(list(TYPES)), st.none()).flatmap(
        lambda some: st.fixed_dictionaries({name: st.none() | OF[TYPES[name]] for name in some})
    ),
    st.sampled_from(["ok", "overflow"]),
    WHOLE,
    WHOLE,
    st.data(),
)
def test_a_single_row_is_what_it_is_among_many(
    row: dict[str, Cell], status: str, stamp: int, other: int, data: st.DataObject
) -> None:
    types = {name: TYPES[name] for name in row}
    packing = Packing(types, "one")
    names = tuple(data.draw(st.permutations(list(types)))[: data.draw(st.integers(0, len(types)))])
    (packed,) = packing.pack(batch_of(types, [row], [status]), stamp)
    wanted = {name: (row[name],) for name in names} if status == "ok" else None
    assert repr(packing.one(packed, stamp, names)) == repr(wanted)
    assert (packing.one(packed, other, names) is None) == (stamp != other or status != "ok")
    # Bytes that were changed or lost are a row of the definition, or none, for one and for many alike.
    at = data.draw(st.integers(0, len(packed) - 1))
    changed = packed[:at] + bytes([packed[at] ^ data.draw(st.integers(1, 255))]) + packed[at + 1 :]
    for damaged in (changed, packed[:at], packed + b"x", b""):
        found = packing.one(damaged, stamp, names)
        if found is None:
            continue
        assert packing.fitting([damaged]) == [True]
        among = packing.unpack([damaged])
        assert [among.valid_from[0], among.overflow[0]] == [stamp, 0]
        assert repr(found) == repr({name: (among.columns[name][0],) for name in names})
    assert packing.one(None, stamp, names) is None


def test_a_text_that_is_none_is_damage() -> None:
    types: dict[str, ColumnType] = {"s": "string", "u": "string"}
    packing = Packing(types, "one")
    (row,) = packing.pack(batch_of(types, [{"s": "é", "u": "é"}], ["ok"]), 5)
    assert packing.fitting([row, row[:-1] + b"\xff"]) == [True, False]
    assert packing.one(row[:-1] + b"\xff", 5, ("s",)) is None
    # As long as before, but the first text ends within a letter.
    size = packing.begin_size
    shifted = row[:size] + b"\1\0\0\0\3\0\0\0" + row[size + 8 :]
    assert packing.fitting([shifted]) == [False]


def test_the_bytes_are_as_they_are_documented() -> None:
    types: dict[str, ColumnType] = {"i": "int64", "a": "string", "f": "float64"}
    (row,) = Packing(types, "one").pack(batch_of(types, [{"i": -2, "a": "é", "f": None}], ["overflow"]), 5)
    assert row.hex(" ", -4) == "05000000 00000000 f1866c7a 01020200 00000000 00000000 0000feff ffffffff ffffc3a9"


def test_what_is_no_row_of_the_definition_is_told() -> None:
    row = Packing(TYPES, "one").pack(batch_of(TYPES, [dict.fromkeys(TYPES)], ["ok"]), 7)[0]
    assert Packing(TYPES, "one").fitting([row, None]) == [True, False]
    assert Packing(TYPES, "another").fitting([row]) == [False]
    bad = (b"", row[:-1], row + b"x", b"\0" * len(row), row[:12])
    assert not any(Packing(TYPES, "one").fitting(bad))
    assert Packing({"i": "int64"}, "one").fitting([row]) == [False]
