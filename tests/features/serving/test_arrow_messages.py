"""Messages put together by hand are pyarrow's to the byte, whatever is in them."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.serving.arrow_messages import JOINED, Column, Messages
from features.store.values import ARROW, Cell

CELLS: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1), "timestamp": st.integers(-(2**62), 2**62), "float64": st.floats(), "bool": st.booleans(),
    "string": st.text(max_size=20),
}  # fmt: skip


def batch_of(columns: Sequence[Column]) -> pa.RecordBatch:
    made = [
        pa.array(cells, pa.int64()).cast(ARROW[kind]) if kind == "timestamp" else pa.array(cells, ARROW[kind])  # type: ignore[index]
        for kind, cells in columns
    ]
    return pa.RecordBatch.from_arrays(made, names=[f"c{n}" for n in range(len(columns))])


def given_as(batch: pa.RecordBatch) -> Callable[[], pa.RecordBatch]:
    return lambda: batch


@st.composite
def tables(draw: st.DrawFn, *, nulls: bool = False) -> list[list[Column]]:
    """Some batches of the same columns and as many rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=8))
    rows = draw(st.integers(1, 20))
    return [
        [
            (kind, draw(st.lists(CELLS[kind] | st.none() if nulls else CELLS[kind], min_size=rows, max_size=rows)))
            for kind in kinds
        ]
        for _ in range(3)
    ]


@settings(max_examples=150, deadline=None)
@given(tables(), st.booleans())
def test_a_shape_that_was_seen_gives_the_bytes_of_pyarrow(batches: list[list[Column]], twice: bool) -> None:  # noqa: FBT001
    messages = Messages()
    for columns in [*batches, *batches[: 2 * twice]]:
        batch = batch_of(columns)
        assert messages.message("of", columns, given_as(batch)) == batch.serialize().to_pybytes()


@settings(max_examples=50, deadline=None)
@given(tables())
def test_columns_of_a_type_that_follow_each_other_may_come_as_one_of_a_row(batches: list[list[Column]]) -> None:
    messages = Messages()
    for columns in ([(kind, cells[:1]) for kind, cells in one] for one in batches):
        batch, joined = batch_of(columns), list[Column]()
        for kind, cells in columns:
            if joined and joined[-1][0] == kind and kind in JOINED:
                joined[-1] = kind, [*joined[-1][1], *cells]
            else:
                joined.append((kind, cells))
        assert messages.message("of", joined, given_as(batch)) == batch.serialize().to_pybytes()


@settings(max_examples=50, deadline=None)
@given(tables(nulls=True))
def test_a_null_is_pyarrows_matter(batches: list[list[Column]]) -> None:
    messages = Messages()
    for columns in batches:
        batch = batch_of(columns)
        assert messages.message("of", columns, given_as(batch)) == batch.serialize().to_pybytes()


def test_pyarrow_is_asked_once_a_shape() -> None:
    messages, asked = Messages(), list[int]()

    def message(cells: list[Cell]) -> None:
        columns: list[Column] = [("int64", cells), ("string", ["ok"] * len(cells))]

        def batch() -> pa.RecordBatch:
            asked.append(len(cells))
            return batch_of(columns)

        assert messages.message(("of", len(cells)), columns, batch) == batch_of(columns).serialize().to_pybytes()

    for rows in (1, 1, 2, 1, 2):
        message(list(range(rows)))
    assert asked == [1, 2]


@pytest.mark.parametrize("of", ["one", ("two", 1)])
def test_other_columns_are_another_shape(of: Any) -> None:
    messages = Messages()
    for name, kind, cell in (("none", "int64", 1), (of, "float64", 1.0)):
        columns: list[Column] = [(kind, [cell])]
        assert (
            messages.message(name, columns, given_as(batch_of(columns))) == batch_of(columns).serialize().to_pybytes()
        )
