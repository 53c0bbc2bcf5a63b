"""What every path does to an Arrow column, done only where there is something to do: of a few rows each call of Arrow's compute costs more than its work."""

import numpy as np
import pyarrow as pa

__all__ = ["as_type", "at_places", "numbers", "present", "usable"]

Array = np.ndarray


_MICROS = pa.int64(), pa.timestamp("us", "UTC")
"""Instants, which are the same bytes in both."""


def as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column in another type; itself where it has it.

    Raises:
        pa.ArrowInvalid: a value does not fit.
    """
    if column.type == kind:
        return column
    return column.view(kind) if column.type in _MICROS and kind in _MICROS else column.cast(kind)


def at_places(column: pa.Array, places: Array) -> pa.Array:
    """The rows at these places; the column itself where those are all, in order."""
    if len(places) == len(column) and bool((places == np.arange(len(places))).all()):
        return column
    return column.take(pa.array(places))


def present(column: pa.Array) -> Array:
    """bool[rows]: not null."""
    if not column.null_count:
        return np.ones(len(column), np.bool_)
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def usable(column: pa.Array) -> Array:
    """bool[rows]: not null, not NaN, not infinite."""
    if pa.types.is_floating(column.type):
        return np.asarray(np.isfinite(column.to_numpy(zero_copy_only=False)))  # numpy has NaN for null
    return present(column)


def numbers(column: pa.Array) -> Array:
    """int64 or float64[rows] of a column without nulls; -0.0 is 0.0."""
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
    return np.asarray(as_type(column, pa.int64()).to_numpy(zero_copy_only=False))
