"""The bytes of a value are the ones that protobuf itself would write, and a timestamp keeps its microseconds."""

from typing import Any

import pyarrow as pa
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.values import ARROW, encode, texts

INT64 = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from([0, -1, 127, 128, 16383, 16384, (1 << 63) - 1, -(1 << 63)])
)
CASES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=300),
    "int64": INT64,
    "float64": st.floats(),
    "bool": st.booleans(),
}
FIELDS: dict[str, Any] = {"string": "string_val", "int64": "int64_val", "float64": "double_val", "bool": "bool_val"}


@pytest.mark.parametrize("kind", CASES)
@given(data=st.data())
def test_encode_writes_what_protobuf_writes(kind: ColumnType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | CASES[kind], max_size=20))
    made = encode(pa.array(values, ARROW[kind]), kind)
    assert made == [b"" if value is None else Value(**{FIELDS[kind]: value}).SerializeToString() for value in values]


@given(st.lists(st.none() | INT64, max_size=20))
def test_a_timestamp_is_its_exact_microseconds(values: list[int | None]) -> None:
    column = pa.array(values, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    stored = encode(column, "timestamp")
    assert [Value.FromString(cell).int64_val if cell else None for cell in stored] == values
    assert texts(column, "timestamp") == [None if value is None else str(value) for value in values]
