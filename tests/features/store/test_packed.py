"""Packed rows: every value comes back as it was, and bytes that are no row of the definition are told."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.packed import Packing
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
    found = packing.unpack(packed)
    assert list(found.valid_from) == [stamp] * len(rows)
    assert list(found.overflow) == [n % 2 for n in range(len(rows))]
    for name in TYPES:
        assert [repr(value) for value in found.columns[name]] == [repr(row[name]) for row in rows]
    # A row of cells is that of a batch.
    for row, status, wanted in zip(rows, statuses, packed, strict=True):
        assert packing.row(row, stamp) == wanted or status == "overflow"


def test_a_text_that_is_none_is_damage() -> None:
    types: dict[str, ColumnType] = {"s": "string", "u": "string"}
    packing = Packing(types, "one")
    (row,) = packing.pack(batch_of(types, [{"s": "é", "u": "é"}], ["ok"]), 5)
    assert packing.fitting([row, row[:-1] + b"\xff"]) == [True, False]
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
