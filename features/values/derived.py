"""Features made of features: ratio, difference, z-score (semantics 4)."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from features.definitions.features import Aggregate, Attribute, Difference, Feature, Rate, Ratio, Zscore

__all__ = ["derive", "taken"]

Array = np.ndarray


def taken(feature: Feature) -> tuple[str, ...]:
    """The features that a feature is made of."""
    match feature:
        case Ratio():
            return feature.numerator, feature.denominator
        case Difference():
            return feature.minuend, feature.subtrahend
        case Zscore():
            return feature.x, feature.mean, feature.std
        case Aggregate() | Attribute() | Rate():
            return ()


def derive(feature: Feature, made: Mapping[str, pa.Array]) -> tuple[pa.Array, Array]:
    """The values, and where an integer left int64 and is null for it."""
    match feature:
        case Ratio():
            (top, a), (bottom, b) = _floats(made[feature.numerator]), _floats(made[feature.denominator])
            return _divided(top, bottom, a & b)
        case Zscore():
            (x, a), (mean, b), (std, c) = (
                _floats(made[feature.x]),
                _floats(made[feature.mean]),
                _floats(made[feature.std]),
            )
            return _divided(x - mean, std, a & b & c)
        case Difference():
            return _difference(made[feature.minuend], made[feature.subtrahend])
        case Aggregate() | Attribute() | Rate():
            msg = f"{feature.name} is not derived from other features."
            raise TypeError(msg)


def _floats(values: pa.Array) -> tuple[Array, Array]:
    valid = np.asarray(values.is_valid().to_numpy(zero_copy_only=False))
    return np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False)).astype(np.float64), valid


def _divided(top: Array, bottom: Array, valid: Array) -> tuple[pa.Array, Array]:
    usable = valid & (bottom != 0)
    return pa.array(top / np.where(usable, bottom, 1.0), mask=~usable), np.zeros(len(top), dtype=bool)


def _difference(minuend: pa.Array, subtrahend: pa.Array) -> tuple[pa.Array, Array]:
    if not (pa.types.is_int64(minuend.type) and pa.types.is_int64(subtrahend.type)):
        (a, known), (b, also) = _floats(minuend), _floats(subtrahend)
        return pa.array(a - b, mask=~(known & also)), np.zeros(len(a), dtype=bool)
    valid = np.asarray(minuend.is_valid().to_numpy(zero_copy_only=False)) & np.asarray(
        subtrahend.is_valid().to_numpy(zero_copy_only=False)
    )
    a, b = (np.asarray(side.fill_null(0).to_numpy(zero_copy_only=False)) for side in (minuend, subtrahend))
    with np.errstate(over="ignore"):
        made = a - b
    left = valid & (((a ^ b) & (a ^ made)) < 0)
    return pa.array(made, mask=~valid | left), left
