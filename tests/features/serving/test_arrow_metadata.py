"""Metadata that are written over are pyarrow's to the byte; what is not laid out as known is told."""

import pyarrow as pa
import pytest

from features.definitions.expressions import ColumnType
from features.serving.arrow_metadata import Metadata

KINDS: tuple[ColumnType, ...] = ("int64", "string", "bool")


def message_of(numbers: list[int | None], texts: list[str | None], flags: list[bool | None]) -> bytes:
    columns = [pa.array(numbers, pa.int64()), pa.array(texts, pa.string()), pa.array(flags, pa.bool_())]
    made: bytes = pa.RecordBatch.from_arrays(columns, names=["a", "b", "c"]).serialize().to_pybytes()
    return made


def head_of(message: bytes) -> bytes:
    return message[: 8 + int.from_bytes(message[4:8], "little")]


def test_other_nulls_and_texts_are_written_over() -> None:
    found = Metadata.of(head_of(message_of([1, 2], ["a", "b"], [True, False])), KINDS, 2)
    assert found is not None
    wanted = head_of(message_of([None, None], ["12345", None], [None, True]))
    assert found.written([5], b"\2\1\1") == wanted
    assert found.written([0], b"") == head_of(message_of([0, 0], ["", ""], [True, True]))


@pytest.mark.parametrize(
    "kinds",
    [("int64", "string"), ("int64", "string", "string"), ("int64", "int64", "bool"), (*KINDS, "bool")],
)
def test_other_columns_are_not_taken_for_these(kinds: tuple[ColumnType, ...]) -> None:
    assert Metadata.of(head_of(message_of([1], ["a"], [True])), kinds, 1) is None


def test_a_batch_without_columns_has_nothing_to_write_over() -> None:
    empty = pa.RecordBatch.from_pylist([{}], schema=pa.schema([])).serialize().to_pybytes()
    assert Metadata.of(head_of(empty), (), 1) is None


def test_a_schema_is_no_batch() -> None:
    schema = pa.schema([("a", pa.int64())]).serialize().to_pybytes()
    assert Metadata.of(head_of(schema), ("int64",), 1) is None
