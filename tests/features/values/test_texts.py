"""Likeness, digits and networks: literal values, and the oracle on texts of few letters."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import col, likeness, lit
from features.definitions.expressions import Expression
from features.values.expressions import evaluate, evaluate_column
from tests import oracle_expressions as oracle

SOME = st.one_of(st.none(), st.text("ab 1.-Äé", max_size=8), st.sampled_from(["10.0.0.7", "300.1.1.1", "01.2.3.4"]))
NODES = [
    col("a").subnet(), col("a").digit_share(), likeness(col("a"), col("b")), likeness(col("a"), "a b", col("b")), likeness(col("a"), col("b"), words=True),
    likeness(col("a"), "ab", words=True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("node", "given", "made"),
    [
        (col("a").subnet(), ["192.0.2.77", "2001:db8:1:2::3", "192.0.2", "", None], ["192.0.2.0/24", "2001:db8:1::/48", None, None, None]),
        (col("a").digit_share(), ["ann.lee1987", "1", "Ⅷ²", "", None], [4 / 11, 1.0, 0.0, None, None]),
        (likeness(col("a"), "Ann Lee"), ["lee.ann", "ANN-LEE", "bo", "..", None], [1.0, 1.0, 0.0, None, None]),
        (likeness(col("a"), "replica watch", words=True), ["Replica  gold watch!", "watch", "chair"], [1.0, 1.0, pytest.approx(4 / 18)]),
        (likeness(col("a"), lit(None)), ["x"], [None]),
    ],
)  # fmt: skip
def test_literal_values(node: Expression, given: list[str | None], made: list[object]) -> None:
    assert evaluate_column(node, {"a": pa.array(given, pa.string())}, len(given)).to_pylist() == made


@given(st.lists(st.tuples(SOME, SOME), max_size=5))
def test_the_oracle_agrees(rows: list[tuple[str | None, str | None]]) -> None:
    columns = {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate("ab")}
    for node in NODES:
        meant = [oracle.evaluate(node, {"a": a, "b": b}) for a, b in rows]
        found = evaluate_column(node, columns, len(rows)).to_pylist()
        assert found == [
            value if isinstance(value, str | None) else pytest.approx(value, abs=1e-12) for value in meant
        ], node


def test_of_constants_there_is_one_value() -> None:
    assert evaluate(likeness(lit("a b"), "b a"), {}).to_pylist() == [1.0]
    assert evaluate(lit("10.1.2.3").subnet(), {}).as_py() == "10.1.2.0/24"
