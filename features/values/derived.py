"""Features made of features: ratio, difference, z-score (semantics 4)."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from features.definitions.features import Difference, Feature, Ratio, Zscore
from features.values.columns import present

__all__ = ["derive", "floats"]

Array = np.ndarray


def derive(feature: Feature, made: Mapping[str, pa.Array]) -> tuple[pa.Array, Array]:
    """The values, and where an integer left int64 and is null for it."""
    match feature:
        case Ratio():
            (top, a), (bottom, b) = floats(made[feature.numerator]), floats(made[feature.denominator])
            return _divided(top, bottom, a & b)
        case Zscore():
            (x, a), (mean, b), (std, c) = (
                floats(made[feature.x]),
                floats(made[feature.mean]),
                floats(made[feature.std]),
            )
            return _divided(x - mean, std, a & b & c)
        case Difference():
            return _difference(made[feature.minuend], made[feature.subtrahend])
        case _:
            msg = f"{feature.name} is not derived from other features."
            raise TypeError(msg)


def floats(values: pa.Array) -> tuple[Array, Array]:
    """The nearest float64 of numbers, 0 where null, and where they are not null."""
    return np.asarray(_zeroed(values), np.float64), present(values)


def _zeroed(values: pa.Array) -> Array:
    """As they are, 0 where null."""
    return np.asarray((values.fill_null(0) if values.null_count else values).to_numpy(zero_copy_only=False))


def _divided(top: Array, bottom: Array, valid: Array) -> tuple[pa.Array, Array]:
    usable = valid & (bottom != 0)
    return pa.array(top / np.where(usable, bottom, 1.0), mask=~usable), np.zeros(len(top), dtype=bool)


def _difference(minuend: pa.Array, subtrahend: pa.Array) -> tuple[pa.Array, Array]:
    if not (pa.types.is_int64(minuend.type) and pa.types.is_int64(subtrahend.type)):
        (a, known), (b, also) = floats(minuend), floats(subtrahend)
        return pa.array(a - b, mask=~(known & also)), np.zeros(len(a), dtype=bool)
    valid = present(minuend) & present(subtrahend)
    a, b = _zeroed(minuend), _zeroed(subtrahend)
    with np.errstate(over="ignore"):
        made = a - b
    left = valid & (((a ^ b) & (a ^ made)) < 0)
    return pa.array(made, mask=~valid | left), left
