"""Row expressions against the oracle's plain three-valued logic, over columns with every awkward value."""

import operator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import case, col, lit
from features.definitions.expressions import ColumnType, Expression, type_of
from features.values.expressions import evaluate, mask
from features.values.sweep import ARROW_TYPES
from tests import oracle_expressions as oracle
from tests.properties.agreement import same

TYPES: dict[str, ColumnType] = {
    "a": "bool",
    "b": "bool",
    "n": "int64",
    "m": "int64",
    "x": "float64",
    "y": "float64",
    "s": "string",
    "t": "timestamp",
}
POOLS: dict[ColumnType, list[Any]] = {
    "bool": [True, False, None], "string": ["", "p", "pq", "ä", None], "float64": [0.0, -0.0, 1.5, -2.0, float("nan"), float("inf"), None],
    "int64": [0, 1, -1, 5, 2**53 + 1, 2**63 - 1, -(2**63), None],
    "timestamp": [0, -1, 1, 3_600_000_000, -3_600_000_001, 1_709_164_800_000_000, -31_536_000_000_001, None],
}  # fmt: skip

numbers = st.sampled_from(
    [
        col("n"),
        col("m"),
        col("x"),
        col("y"),
        lit(0),
        lit(1),
        lit(2**62),
        lit(-2.5),
        lit(None),
        col("t").hour(),
        col("t").weekday(),
    ]
)
arithmetic = st.recursive(
    numbers,
    lambda of: st.builds(
        lambda op, left, right: {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[op],
        st.sampled_from("+-*/"),
        of,
        of,
    ),
    max_leaves=4,
)
compared = st.builds(
    lambda op, left, right: {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op],
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), arithmetic, arithmetic,
)  # fmt: skip
texts = st.sampled_from(
    [
        col("s") == "p",
        col("s") < "pq",
        col("s").isin("", "ä"),
        col("s").startswith("p"),
        col("s").is_null(),
        col("s") == lit(None),
    ]
)
sets = st.sampled_from(
    [col("n").isin(0, 5, 2**63 - 1), col("x").isin(0, 1.5), col("n").isin(1.5, 1), col("s").isin(), lit(None).isin("p")]
)
conditions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(compared, texts, sets, st.sampled_from([col("a"), col("b"), lit(True), lit(False), lit(None)])),
    lambda of: st.one_of(st.builds(lambda left, right: left & right, of, of), st.builds(lambda left, right: left | right, of, of), st.builds(lambda c: ~c, of),
                         st.builds(lambda c, left, right: case((c, left), otherwise=right), of, of, of), st.builds(lambda c: c.is_null(), of)),
    max_leaves=5,
)  # fmt: skip
rows = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(POOLS[kind]) for name, kind in TYPES.items()}), min_size=1, max_size=6
)


def columns(values: list[dict[str, Any]]) -> dict[str, pa.Array]:
    return {name: pa.array([row[name] for row in values], ARROW_TYPES[kind]) for name, kind in TYPES.items()}


def check(node: Expression, values: list[dict[str, Any]]) -> None:
    found = evaluate(node, columns(values))
    got = [found.as_py()] * len(values) if isinstance(found, pa.Scalar) else found.to_pylist()
    kind = type_of(node, TYPES)
    for row, value in zip(values, got, strict=True):
        meant = oracle.evaluate(node, row)
        if kind == "float64" and isinstance(meant, int):
            meant = float(meant)  # a branch of a case, or 1 + null: the type is of the whole
        assert (value is meant is None) if kind is None else same(kind, value, meant), (node, row, value, meant)


@settings(max_examples=300)
@given(conditions, rows)
def test_conditions(node: Expression, values: list[dict[str, Any]]) -> None:
    check(node, values)
    assert mask(node, columns(values), len(values)).tolist() == [oracle.evaluate(node, row) is True for row in values]


@settings(max_examples=300)
@given(arithmetic, rows)
def test_arithmetic(node: Expression, values: list[dict[str, Any]]) -> None:
    check(node, values)


def test_the_truth_tables_of_sql() -> None:
    values = [{"a": a, "b": b} for a in (True, False, None) for b in (True, False, None)]
    table = {name: pa.array([row[name] for row in values], pa.bool_()) for name in "ab"}
    assert evaluate(col("a") & col("b"), table).to_pylist() == [
        True,
        False,
        None,
        False,
        False,
        False,
        None,
        False,
        None,
    ]
    assert evaluate(col("a") | col("b"), table).to_pylist() == [True, True, True, True, False, None, True, None, None]
    assert evaluate(~col("a"), table).to_pylist() == [False] * 3 + [True] * 3 + [None] * 3


@pytest.mark.parametrize(("node", "meant"), [
    (col("n") + 1, [None, 3]), (col("n") * col("n"), [None, 4]), (col("n") / 0, [None, None]), (col("n") / 2, [2.0**62, 1.0]),
    (col("n") > 1.5, [True, True]), (lit(2**62) * 4, [None, None]),
])  # fmt: skip
def test_the_edges_of_numbers(node: Expression, meant: list[Any]) -> None:
    found = evaluate(node, {"n": pa.array([2**63 - 1, 2])})
    assert (found.to_pylist() if isinstance(found, pa.Array) else [found.as_py()] * 2) == meant


@pytest.mark.parametrize(
    ("instant", "hour", "weekday"), [(0, 0, 3), (-1, 23, 2), (1_709_164_800_000_000, 0, 3), (-31_536_000_000_000, 0, 2)]
)
def test_the_clock_before_and_after_1970(instant: int, hour: int, weekday: int) -> None:
    """1970-01-01 and 2024-02-29 were Thursdays, 1969-12-31 and 1969-01-01 Wednesdays."""
    table = {"t": pa.array([instant], ARROW_TYPES["timestamp"])}
    assert (evaluate(col("t").hour(), table).to_pylist(), evaluate(col("t").weekday(), table).to_pylist()) == (
        [hour],
        [weekday],
    )


def test_what_no_node_is() -> None:
    with pytest.raises(TypeError, match="3 cannot be evaluated"):
        evaluate(3, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
@given(st.lists(st.sampled_from(POOLS["int64"]), max_size=6), st.sampled_from([0, 1, 5, 2**63 - 1, -(2**63), 1.5]))
def test_a_column_compared_with_a_number_is_what_python_says(
    op: str, values: list[int | None], number: int | float  # noqa: PYI041 - a float is another case
) -> None:  # fmt: skip
    """With a null or without, which go different ways."""
    left, right = col("n"), lit(number)
    where = {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]  # fmt: skip
    means = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[op]  # fmt: skip
    found = mask(where, {"n": pa.array(values, pa.int64())}, len(values))
    assert found.tolist() == [value is not None and means(type(number)(value), number) for value in values]
