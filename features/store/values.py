"""Values as the bytes of Feast's `Value` message, a whole column at a time: no protobuf object is ever made.

A timestamp is stored as int64 microseconds: Feast's own timestamp types keep only seconds, and a value must come back exactly.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.expressions import ColumnType

__all__ = ["ARROW", "DOUBLE", "Cell", "encode", "integers", "texts", "varint"]

Cell = str | int | float | bool | None
"""A decoded value. Timestamps are microseconds UTC."""

ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "timestamp": pa.timestamp("us", tz="UTC"),
}  # fmt: skip
"""Types of published columns."""

# Tags of the oneof fields: number << 3 | wire type (protobuf encoding).
_STRING, _INT64, DOUBLE, _BOOL = 2 << 3 | 2, 4 << 3 | 0, 5 << 3 | 1, 7 << 3 | 0
_WORD = (1 << 64) - 1
_BOOLS = {True: bytes((_BOOL, 1)), False: bytes((_BOOL, 0)), None: b""}
_LOW_BITS, _MORE = 0x7F, 0x80
_LONGEST = 10


def varint(value: int) -> bytes:
    """Base-128, low groups first; a negative number takes its 64-bit two's complement.

    >>> varint(300).hex(), len(varint(-1))
    ('ac02', 10)
    """
    value &= _WORD
    out = bytearray()
    while value > _LOW_BITS:
        out.append(value & _LOW_BITS | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS = tuple(bytes((_STRING,)) + varint(length) for length in range(256))


def encode(column: pa.Array, kind: ColumnType) -> list[bytes]:
    """One value a row; a null is empty bytes, as Feast writes it."""
    match kind:
        case "string":
            return [b"" if text is None else _text(text) for text in column.cast(pa.binary()).to_pylist()]
        case "bool":
            return [_BOOLS[flag] for flag in column.to_pylist()]
        case "float64":
            return _emptied(_doubles(column), column)
        case "int64" | "timestamp":
            return _emptied(_varints(integers(column)), column)


def texts(column: pa.Array, kind: ColumnType) -> list[str | None]:
    """The `value_text` that Feast keeps beside a value in SQLite."""
    found = integers(column).tolist() if kind == "timestamp" else column.to_pylist()
    if column.null_count:
        return [
            None if missing else str(value) for value, missing in zip(found, column.is_null().to_pylist(), strict=True)
        ]
    return [str(value) for value in found]


def integers(column: pa.Array) -> npt.NDArray[np.int64]:
    """An int64 or timestamp column; nulls become 0."""
    whole = (
        column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        if pa.types.is_timestamp(column.type)
        else column.cast(pa.int64())
    )
    found: npt.NDArray[np.int64] = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)
    return found


def _text(text: bytes) -> bytes:
    length = len(text)
    return (_LENGTHS[length] if length < len(_LENGTHS) else bytes((_STRING,)) + varint(length)) + text


def _emptied(made: list[bytes], column: pa.Array) -> list[bytes]:
    if column.null_count:
        for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            made[row] = b""
    return made


def _doubles(column: pa.Array) -> list[bytes]:
    packed = np.empty(len(column), dtype=[("tag", "u1"), ("value", "<f8")])
    packed["tag"] = DOUBLE
    packed["value"] = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
    whole, width = packed.tobytes(), packed.dtype.itemsize
    return [whole[at : at + width] for at in range(0, len(whole), width)]


def _varints(values: npt.NDArray[np.int64]) -> list[bytes]:
    rest = values.astype(np.uint64)
    table = np.zeros((len(rest), 1 + _LONGEST), dtype=np.uint8)
    table[:, 0] = _INT64
    ends = np.full(len(rest), 2, dtype=np.int64)
    for place in range(1, 1 + _LONGEST):
        low = (rest & np.uint64(_LOW_BITS)).astype(np.uint8)
        rest = rest >> np.uint64(7)
        more = rest != 0
        table[:, place] = np.where(more, low | np.uint8(_MORE), low)
        if not more.any():
            break
        ends[more] = place + 2
    whole, width = table.tobytes(), 1 + _LONGEST
    return [whole[at : at + end] for at, end in zip(range(0, len(whole), width), ends.tolist(), strict=True)]
