"""Messages put together by hand are pyarrow's to the byte, whatever is in them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.serving.arrow_messages import JOINED, Column, Messages
from features.store.values import ARROW

CELLS: dict[ColumnType, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1), "timestamp": st.integers(-(2**62), 2**62), "float64": st.floats(), "bool": st.booleans(),
    "string": st.text(max_size=20),
}  # fmt: skip


def batch_of(columns: Sequence[Column]) -> pa.RecordBatch:
    made = [
        pa.array(cells, pa.int64()).cast(ARROW[kind]) if kind == "timestamp" else pa.array(cells, ARROW[kind])
        for kind, cells in columns
    ]
    return pa.RecordBatch.from_arrays(made, names=[f"c{n}" for n in range(len(columns))])


@st.composite
def tables(draw: st.DrawFn) -> list[list[Column]]:
    """Some batches of the same columns and as many rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=8))
    rows, nulls = draw(st.integers(1, 20)), draw(st.booleans())
    return [
        [
            (kind, draw(st.lists(CELLS[kind] | st.none() if nulls else CELLS[kind], min_size=rows, max_size=rows)))
            for kind in kinds
        ]
        for _ in range(3)
    ]


@settings(max_examples=150)
@given(tables(), st.booleans())
def test_a_shape_that_was_seen_gives_the_bytes_of_pyarrow(batches: list[list[Column]], twice: bool) -> None:  # noqa: FBT001
    messages = Messages()
    for columns in [*batches, *batches[: 2 * twice]]:
        batch = batch_of(columns)
        assert messages.message("of", len(columns[0][1]), columns) == batch.serialize().to_pybytes()


@settings(max_examples=50)
@given(tables())
def test_columns_of_a_type_that_follow_each_other_may_come_as_one_of_a_row(batches: list[list[Column]]) -> None:
    messages = Messages()
    for one in batches:
        columns: list[Column] = [(kind, cells[:1]) for kind, cells in one]
        batch, joined = batch_of(columns), list[Column]()
        for kind, cells in columns:
            if joined and joined[-1][0] == kind and kind in JOINED:
                joined[-1] = kind, [*joined[-1][1], *cells]
            else:
                joined.append((kind, cells))
        assert messages.message("of", 1, joined) == batch.serialize().to_pybytes()


_WHOLE: Column = ("int64", [1])
_REAL: Column = ("float64", [1.0])


@pytest.mark.parametrize("of", ["one", ("two", 1)])
def test_other_columns_are_another_shape(of: Any) -> None:
    messages = Messages()
    for name, column in (("none", _WHOLE), (of, _REAL)):
        columns = [column]
        assert messages.message(name, 1, columns) == batch_of(columns).serialize().to_pybytes()


@settings(max_examples=150)
@given(tables(), st.booleans())
def test_a_row_written_at_once_is_that_of_pyarrow(batches: list[list[Column]], other: bool) -> None:  # noqa: FBT001
    """Where it is made at all: once one with texts as long was made, of rows without nulls and booleans."""
    messages, seen = Messages(), set[tuple[int, ...]]()
    for one in [*batches, *batches]:
        columns: list[Column] = [(kind, cells[:1]) for kind, cells in one]
        texts = [place for place, (kind, _) in enumerate(columns) if kind == "string"]
        cells = [cell for _, (cell,) in columns]
        lengths = tuple(len(str(cells[place]).encode()) for place in texts)
        is_plain = None not in cells and all(kind != "bool" for kind, _ in columns)
        wanted = batch_of(columns).serialize().to_pybytes() if is_plain and lengths in seen else None
        assert messages.row("of", texts, cells) == wanted
        assert not other or messages.row("other", texts, cells) is None
        assert messages.message("of", 1, columns) == batch_of(columns).serialize().to_pybytes()
        seen |= {lengths} if is_plain else set()
