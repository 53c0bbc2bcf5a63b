"""Rows of the live generation are read as they were packed, one, some or many; any other is told."""

from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.columns import Columns
from features.store.live_rows import LiveRows
from features.store.packed import MANY, Packing
from features.store.reads import Block
from features.store.values import Cell
from tests.features.store.test_packed import OF, TYPES, WHOLE, batch_of

NUMBERS: dict[str, ColumnType] = {name: kind for name, kind in TYPES.items() if kind != "string"}


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, ColumnType], list[dict[str, Cell]]]:
    """Types, and rows of them; many are a few that are repeated."""
    of: dict[str, ColumnType] = draw(st.sampled_from([TYPES, NUMBERS]))
    types: dict[str, ColumnType] = {name: of[name] for name in draw(st.lists(st.sampled_from(list(of)), unique=True))}
    cells = st.fixed_dictionaries({name: st.none() | OF[kind] for name, kind in types.items()})
    rows = draw(st.lists(cells if draw(st.booleans()) else full(types), min_size=1, max_size=4))
    return types, rows * draw(st.sampled_from([1, 2, MANY]))


def full(types: dict[str, ColumnType]) -> st.SearchStrategy[dict[str, Cell]]:
    return st.fixed_dictionaries({name: OF[kind] for name, kind in types.items()})


@given(tables(), WHOLE, WHOLE, st.data())
def test_rows_are_read_as_they_were_packed(
    table: tuple[dict[str, ColumnType], list[dict[str, Cell]]], stamp: int, other: int, data: st.DataObject
) -> None:
    types, rows = table
    packing, names = Packing(types, "one"), drawn_names(types, data)
    live = LiveRows(packing)
    packed = packing.pack(batch_of(types, rows, ["ok"] * len(rows)), stamp)
    found = live.some(packed, stamp, names)
    assert found is not None
    wanted = [(name, [repr(row[name]) for row in rows]) for name in names]
    assert [(name, [repr(value) for value in held]) for name, held in found.items()] == wanted
    assert isinstance(found, Columns) == (len(rows) >= MANY)
    if isinstance(found, Columns):
        batch = batch_of(types, rows, ["ok"] * len(rows))
        assert found.arrays() == [batch.column(name) for name in names]
    assert repr(live.one(packed[0], stamp, names)) == repr({name: (rows[0][name],) for name in names})
    if other != stamp:
        assert live.some(packed, other, names) is None
        assert live.one(packed[0], other, names) is None


def drawn_names(types: dict[str, ColumnType], data: st.DataObject) -> tuple[str, ...]:
    return tuple(data.draw(st.permutations(list(types)))[: data.draw(st.integers(0, len(types)))])


@given(tables(), WHOLE, st.integers(0, 9), st.integers(0, 9), st.data())
def test_rows_in_a_block_are_those_rows(
    table: tuple[dict[str, ColumnType], list[dict[str, Cell]]],
    stamp: int,
    before: int,
    behind: int,
    data: st.DataObject,
) -> None:
    types, rows = table
    packing, names = Packing(types, "one"), drawn_names(types, data)
    live = LiveRows(packing)
    packed = packing.pack(batch_of(types, rows, ["ok"] * len(rows)), stamp)
    block = Block(b"".join(b"\7" * before + row + b"\7" * behind for row in packed), len(packed), before)
    found = live.in_block(block, stamp, names)
    if not packing.size:
        assert found is None
        return
    assert found is not None
    assert [(name, [repr(value) for value in held]) for name, held in found.items()] == [
        (name, [repr(row[name]) for row in rows]) for name in names
    ]
    assert live.in_block(block, stamp ^ 1, names) is None
    assert live.in_block(block._replace(first=before + behind + 1), stamp, names) is None


@given(tables(), WHOLE, st.data())
def test_a_row_that_is_another_is_told(
    table: tuple[dict[str, ColumnType], list[dict[str, Cell]]], stamp: int, data: st.DataObject
) -> None:
    types, rows = table
    packing, names = Packing(types, "one"), drawn_names(types, data)
    live = LiveRows(packing)
    packed = packing.pack(batch_of(types, rows, ["ok"] * len(rows)), stamp)
    odd = data.draw(st.integers(0, len(rows) - 1))
    row = packed[odd]
    (overflow,) = packing.pack(batch_of(types, [rows[odd]], ["overflow"]), stamp)
    (foreign,) = Packing(types, "another").pack(batch_of(types, [rows[odd]], ["ok"]), stamp)
    for packed[odd] in (b"", row[:-1], row + b"x", overflow, foreign, bytes(len(row))):
        assert live.one(packed[odd], stamp, names) is None
        assert live.some(packed, stamp, names) is None
    # Bytes that were changed are a row of the definition, with the same values for whoever reads it, or none.
    at = data.draw(st.integers(0, len(row) - 1))
    packed[odd] = row[:at] + bytes([row[at] ^ data.draw(st.integers(1, 255))]) + row[at + 1 :]
    found = live.one(packed[odd], stamp, names)
    if found is None:
        assert live.some(packed, stamp, names) is None
        return
    assert packing.fitting([packed[odd]]) == [True]
    among, together = packing.unpack([packed[odd]]), live.some(packed, stamp, names)
    assert together is not None
    assert [among.valid_from[0], among.overflow[0]] == [stamp, 0]
    wanted = {name: (among.columns[name][0],) for name in names}
    assert repr(found) == repr(wanted) == repr({name: (held[odd],) for name, held in together.items()})


def test_of_no_rows_there_are_columns_without_cells() -> None:
    assert LiveRows(Packing(TYPES, "one")).some([], 7, ("s", "i")) == {"s": (), "i": ()}


def test_many_texts_are_each_of_their_own_row() -> None:
    types: dict[str, ColumnType] = {"a": "int64", "s": "string", "u": "string"}
    rows: list[dict[str, Cell]] = [
        {"a": n if n % 2 else None, "s": f"é{n}", "u": None if n % 3 else f"{n}"} for n in range(2 * MANY)
    ]
    packed = Packing(types, "one").pack(batch_of(types, rows, ["ok"] * len(rows)), 5)
    found = LiveRows(Packing(types, "one")).some(packed, 5, ("u", "s", "a"))
    assert isinstance(found, Columns)
    assert {name: list(cells) for name, cells in found.items()} == {name: [row[name] for row in rows] for name in types}
    assert [array.to_pylist() for array in found.arrays()] == [[row[name] for row in rows] for name in ("u", "s", "a")]
