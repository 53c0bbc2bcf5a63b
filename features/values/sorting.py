"""Rows in the order of (key, instant): one radix sort of a packed 64-bit key where both fit, else numpy's lexsort."""

import numpy as np
from numba import njit

__all__ = ["order_by"]

Array = np.ndarray
_DIGIT = 11
_BUCKETS = 1 << _DIGIT
_BITS = 63


def order_by(key: Array, instant: Array) -> Array:
    """Row numbers by (key, instant); rows of one key and instant stay in the order given.

    Args:
        key: int64 codes, 0 or more.
        instant: int64 microseconds.
    """
    if not len(key):
        return np.empty(0, np.int64)
    first, last, top = int(instant.min()), int(instant.max()), int(key.max())
    low = (last - first).bit_length()
    if low + top.bit_length() > _BITS:
        return np.lexsort((instant, key))
    packed = (key.astype(np.uint64) << np.uint64(low)) | (instant - first).astype(np.uint64)
    made: Array = _radix(packed, -(-(low + top.bit_length()) // _DIGIT))
    return made


@njit(cache=True)
def _radix(keys: Array, passes: int) -> Array:
    """Least significant digit first, so that equal keys stay in order; a digit that all rows share is passed over."""
    n = len(keys)
    order, other = np.arange(n), np.empty(n, np.int64)
    spare = np.empty(n, np.uint64)
    mask = np.uint64(_BUCKETS - 1)
    for step in range(passes):
        shift = np.uint64(step * _DIGIT)
        starts = np.zeros(_BUCKETS + 1, np.int64)
        for i in range(n):
            starts[np.int64((keys[i] >> shift) & mask) + 1] += 1
        if starts.max() == n:
            continue
        for b in range(_BUCKETS):
            starts[b + 1] += starts[b]
        for i in range(n):
            digit = np.int64((keys[i] >> shift) & mask)
            at = starts[digit]
            starts[digit] = at + 1
            spare[at], other[at] = keys[i], order[i]
        keys, spare = spare, keys
        order, other = other, order
    return order
