"""Integer sums wider than 64 bits, and what is finished from them: exact to the last bit (semantics 4)."""

import numpy as np

__all__ = ["finished", "mean", "square_limbs", "std", "sum_limbs", "total"]

Array = np.ndarray
_LOW = np.int64(0xFFFFFFFF)
_FITS = float(2**62)
_SQUARE_WEIGHTS = (0, 32, 33, 65, 64, 96)


def sum_limbs(values: Array) -> Array:
    """int64[2, n]: the upper 32 bits (signed) and the lower."""
    return np.stack((values >> 32, values & _LOW))


def square_limbs(values: Array) -> Array:
    """int64[2 or 6, n]: 32-bit pieces of the squares, of the weights 0, 32, 33, 65, 64, 96; two suffice below 2^32."""
    size = np.abs(values).view(np.uint64)  # |-2^63| wraps onto itself, which is right unsigned
    low, high = size & np.uint64(0xFFFFFFFF), size >> np.uint64(32)
    products = (low * low, low * high, high * high) if high.any() else (low * low,)
    pieces = [piece for product in products for piece in (product & np.uint64(0xFFFFFFFF), product >> np.uint64(32))]
    return np.stack(pieces).view(np.int64)


def total(sums: Array) -> tuple[Array, Array]:
    """Of `sum_limbs` summed: the int64 totals, and where they fit."""
    upper = sums[0] + (sums[1] >> 32)
    fits = (upper >= -(2**31)) & (upper < 2**31)
    return (np.where(fits, upper, 0) << 32) | (sums[1] & _LOW), fits


def _whole(sums: Array, at: int) -> int:
    return (int(sums[0, at]) << 32) + int(sums[1, at])


def mean(sums: Array, count: Array) -> Array:
    """float64(sum) / float64(n), each correctly rounded; count must be positive where it matters."""
    value, fits = total(sums)
    made = value.astype(np.float64)
    for at in np.flatnonzero(~fits):
        made[at] = float(_whole(sums, int(at)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return made / count.astype(np.float64)


def std(sums: Array, squares: Array, count: Array) -> Array:
    """sqrt(float64(n*Sxx - Sx^2) / float64(n*(n-1))), the integers exact; count must be 2 or more where it matters."""
    value, fits = total(sums)
    square = squares[0] + (squares[1] << 32)
    rough = squares[0].astype(np.float64) + squares[1].astype(np.float64) * 2.0**32
    small = fits & (rough * np.maximum(count, 1) < _FITS)
    if len(squares) > 2:  # noqa: PLR2004
        small &= (squares[2:] == 0).all(axis=0)
    with np.errstate(over="ignore"):
        numerator = (np.where(small, count * square - value * value, 0)).astype(np.float64)
    for at in np.flatnonzero(~small & (count > 1)):
        wide = sum(int(piece) << weight for piece, weight in zip(squares[:, at], _SQUARE_WEIGHTS, strict=False))
        numerator[at] = float(int(count[at]) * wide - _whole(sums, int(at)) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(numerator / (count * (count - 1)).astype(np.float64)))


def finished(operation: str, count: Array, sums: Array, squares: Array) -> tuple[Array, Array, Array]:
    """A sum, mean or std: its values, where it is null, and where it is so because it left int64.

    Args:
        operation: which.
        count: rows.
        sums: `sum_limbs`, summed.
        squares: of a std: `square_limbs`, summed.
    """
    never = np.zeros(len(count), dtype=bool)
    match operation:
        case "sum":
            value, fits = total(sums)
            return value, ~fits, ~fits
        case "mean":
            return mean(sums, count), count == 0, never
        case _:
            return std(sums, squares, count), count < 2, never  # noqa: PLR2004
