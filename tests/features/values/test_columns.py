"""What every path does to an Arrow column: the same as Arrow's compute does, whole or sliced, with nulls or without."""

import numpy as np
import pyarrow as pa
import pytest

from features.values.columns import as_type, at_places, numbers, present, usable

AT = pa.timestamp("us", "UTC")
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "kind", "wanted", "wanted_usable"),
    [
        ([], pa.int64(), [], []),
        ([1, 2], pa.int64(), [True, True], [True, True]),
        ([1, None], pa.int64(), [True, False], [True, False]),
        ([None, "a"], pa.string(), [False, True], [False, True]),
        ([1.5, NAN, INFINITE, -INFINITE], pa.float64(), [True] * 4, [True, False, False, False]),
        ([None, NAN, 0.0], pa.float64(), [False, True, True], [False, False, True]),
        ([None, None], pa.float64(), [False, False], [False, False]),
        ([True, None], pa.bool_(), [True, False], [True, False]),
    ],
)
def test_what_is_there_and_what_may_be_counted(
    values: list[object], kind: pa.DataType, wanted: list[bool], wanted_usable: list[bool]
) -> None:
    column = pa.array(values, kind)
    assert (present(column).tolist(), usable(column).tolist()) == (wanted, wanted_usable)
    sliced = pa.concat_arrays([pa.nulls(3, kind), column])[3:]
    assert (present(sliced).tolist(), usable(sliced).tolist()) == (wanted, wanted_usable)


def test_numbers_are_those_of_the_column() -> None:
    assert numbers(pa.array([True, False])).tolist() == [1, 0]
    assert numbers(pa.array([2**63 - 1])).tolist() == [2**63 - 1]
    assert numbers(pa.array([5, 6], AT)[1:]).tolist() == [6]
    assert str(numbers(pa.array([-0.0])).tolist()) == "[0.0]"


def test_a_type_is_changed_where_it_is_another() -> None:
    whole = pa.array([5, None, 7])[1:]
    assert as_type(whole, pa.int64()) is whole
    instants = as_type(whole, AT)
    assert instants.equals(pa.array([None, 7], AT))
    assert as_type(instants, pa.int64()).equals(whole)
    assert as_type(pa.array([1, None]), pa.float64()).equals(pa.array([1.0, None]))
    with pytest.raises(pa.ArrowInvalid):
        as_type(pa.array([2**60 + 1]), pa.float64())


def test_rows_are_taken_where_they_are_not_all_in_order() -> None:
    column = pa.array(["a", "b", None])
    assert at_places(column, np.arange(3)) is column
    assert at_places(column, np.array([0, 1])).to_pylist() == ["a", "b"]
    assert at_places(column, np.array([2, 1, 0])).to_pylist() == [None, "b", "a"]
    assert at_places(column, np.array([0, 1, 1])).to_pylist() == ["a", "b", "b"]
