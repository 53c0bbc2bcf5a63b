"""Request fields as people bring them, in files, frames and lookups, in the types that their sources declare."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.definitions.names import micros
from features.errors import InputError
from features.values.columns import as_type
from features.values.sweep import ARROW_TYPES

__all__ = ["Field", "typed_field", "typed_values"]

Field = str | int | float | bool | None
"""One value; timestamps are int64 microseconds UTC."""
_INT64 = range(-(1 << 63), 1 << 63)
_SAYS: dict[ColumnType, str] = {
    "string": "text", "int64": "a whole number of 64 bits", "float64": "a number", "bool": "true or false",
    "timestamp": "an instant with its zone, such as 2026-01-02T10:00:00Z, or microseconds since 1970",
}  # fmt: skip


def typed_field(where: str, name: str, values: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray:
    """A request field of a file or frame in its own type.

    Args:
        where: what messages call the file or frame.
        name: the field.
        values: as they are there.
        kind: the type that the source declares.

    Raises:
        InputError: it is of another type.
    """
    found, wanted = values.type, ARROW_TYPES[kind]
    if pa.types.is_dictionary(found):  # pandas' categories
        return typed_field(where, name, values.cast(found.value_type), kind)
    fits = {
        "string": pa.types.is_string(found) or pa.types.is_large_string(found),
        "int64": pa.types.is_integer(found),
        "float64": pa.types.is_floating(found) or pa.types.is_integer(found),
        "bool": pa.types.is_boolean(found),
        "timestamp": pa.types.is_timestamp(found) and found.tz is not None,
    }
    if not (fits[kind] or pa.types.is_null(found)):
        as_is = f"{kind} with a zone" if kind == "timestamp" else kind
        msg = f"{where}: request field {name} is {found}, its source has {kind}. Write the column as {as_is}."
        raise InputError(msg)
    try:
        return values.cast(wanted, safe=kind != "timestamp")
    except pa.ArrowInvalid as error:
        msg = f"{where}: request field {name}: {error}. Give values that {kind} holds."
        raise InputError(msg) from error


def typed_values(name: str, values: Sequence[object], kind: ColumnType) -> pa.Array:
    """The values of a request field of lookups, one an ask.

    Raises:
        InputError: one is not of the type.
    """
    made = [_typed(name, value, kind) for value in values]
    return as_type(pa.array(made, pa.int64() if kind == "timestamp" else ARROW_TYPES[kind]), ARROW_TYPES[kind])


def _typed(name: str, value: object, kind: ColumnType) -> Field:  # noqa: C901, PLR0911 - one branch a type
    if value is None:
        return None
    if isinstance(value, np.generic):  # as rows of pandas have them
        value = value.item()
    match kind:
        case "string" if isinstance(value, str):
            return value
        case "bool" if isinstance(value, bool) or value in ("true", "false"):
            return value in (True, "true")
        case "int64" | "float64" if isinstance(value, str):
            return _number(name, value, kind)
        case "int64" if type(value) is int and value in _INT64:
            return value
        case "float64" if isinstance(value, int | float) and not isinstance(value, bool):
            return _float(name, value)
        case "timestamp" if type(value) is int and value in _INT64:
            return value
        case "timestamp" if isinstance(value, str | datetime):
            return _instant(name, value)
        case _:
            raise _wrong(name, value, kind)


def _number(name: str, value: str, kind: ColumnType) -> Field:
    """What a command line or a form brings as text."""
    try:
        number = int(value) if kind == "int64" else float(value)
    except ValueError as error:
        raise _wrong(name, value, kind) from error
    return _typed(name, number, kind)


def _float(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise _wrong(name, value, "float64") from error


def _instant(name: str, value: str | datetime) -> int:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise _wrong(name, value, "timestamp") from error
    if instant.tzinfo is None:
        raise _wrong(name, value, "timestamp")
    return micros(instant)


def _wrong(name: str, value: object, kind: ColumnType) -> InputError:
    return InputError(
        f"The request field {name}={value!r} is not {_SAYS[kind]}. Give {name} as {_SAYS[kind]}, or null."
    )
