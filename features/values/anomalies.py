"""Anomaly scores: how far values lie from those of all keys, and which parts say so most (semantics 4, "Fitted things").

Centres and scales come from histograms, integers that any workers may add up. A bucket is that of the quantile sketch with 32 of them to a power of
two, and stands for its end nearest to zero, so that small whole numbers, halves and quarters stand for themselves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.definitions.aggregations.quantile import LEAST, OCTAVES
from features.definitions.features import AnomalyScore
from features.values.derived import floats

__all__ = ["BUCKETS", "Moved", "centre_and_scale", "fit_name", "histogram", "moved", "part_values", "places"]

Array = np.ndarray
_TO_A_POWER = 32
_MIDDLE = OCTAVES * _TO_A_POWER
BUCKETS = 2 * _MIDDLE + 1
"""Of negative values, of zero, of positive ones."""

_SIZES = np.array(
    [math.ldexp(1.0 + (n % _TO_A_POWER) / _TO_A_POWER, n // _TO_A_POWER + LEAST - 1) for n in range(_MIDDLE)]
)
_ENDS = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
"""What each bucket stands for."""

_OF_MEDIAN, _OF_MEAN = 1.4826, 1.2533
"""Median and mean distance to the centre, as standard deviations of a normal distribution."""


def fit_name(score: AnomalyScore, part: str) -> str:
    """Of a part's centre and scale."""
    return f"{score.name}__{part}"


def places(values: Array) -> Array:
    """The bucket of each finite float64: `quantile.bucket` with 32 to a power of two."""
    share, power = np.frexp(np.abs(values))
    within = ((2.0 * share - 1.0) * _TO_A_POWER).astype(np.int64)
    away = np.minimum((power.astype(np.int64) - LEAST) * _TO_A_POWER + within + 1, _MIDDLE)
    away = np.where((values == 0.0) | (power < LEAST), 0, away)
    return np.where(values > 0.0, _MIDDLE + away, _MIDDLE - away)


def histogram(values: Array) -> Array:
    """int64[BUCKETS]: how many of the values, some of them NaN, lie in each bucket."""
    return np.bincount(places(values[~np.isnan(values)]), minlength=BUCKETS).astype(np.int64)


def part_values(score: AnomalyScore, made: Mapping[str, pa.Array], seen: Array) -> Array:
    """float64[parts, asks]: NaN where a part is null or not finite, and everywhere of a key that is not active or was never seen."""
    taking = seen
    if score.active is not None:
        level, known = floats(made[score.active])
        taking = taking & known & (level > 0.0)
    values = np.empty((len(score.parts), len(seen)))
    for n, part in enumerate(score.parts):
        value, known = floats(made[part])
        values[n] = np.where(taking & known & np.isfinite(value), value, np.nan)
    return values


def centre_and_scale(counts: Array, least_keys: int) -> tuple[float, float]:
    """Of a part, from its histogram over all keys; both NaN below `least_keys` keys, and where all of them have 0.

    The centre is the value of rank floor((n - 1) / 2), the scale 1.4826 times the distance to it of that rank. Where that is 0, as more than half of the
    keys have one value, it is 1.2533 times the mean distance; and at least 1/32 of the centre, which is known no better.
    """
    there = np.flatnonzero(counts)
    ends, count = _ENDS[there], counts[there]
    keys = int(count.sum())
    if keys < max(least_keys, 1):
        return math.nan, math.nan
    centre = _of_rank(ends, count, (keys - 1) // 2)
    away = np.abs(ends - centre)
    order = np.argsort(away, kind="stable")
    scale = _OF_MEDIAN * _of_rank(away[order], count[order], (keys - 1) // 2)
    if scale == 0.0:  # fsum rounds once, in whatever order
        scale = _OF_MEAN * (math.fsum((away * count).tolist()) / keys)
    scale = max(scale, abs(centre) / _TO_A_POWER)
    return (centre, scale) if scale > 0.0 else (math.nan, math.nan)


def _of_rank(values: Array, count: Array, rank: int) -> float:
    return float(values[np.searchsorted(np.cumsum(count), rank, side="right")])


class Moved(NamedTuple):
    """What an anomaly score and its reasons are told from."""

    score: AnomalyScore
    distances: Array
    """float64[parts, asks], in robust standard deviations; NaN where a part has none."""

    def value(self) -> pa.Array:
        """The score at every ask."""
        there = ~np.isnan(self.distances)
        count = there.sum(axis=0)
        total = np.zeros(len(count))
        for some, distance in zip(there, self.distances, strict=True):  # in the parts' order
            capped = np.minimum(np.where(some, distance, 0.0), self.score.cap)
            total += capped * capped
        return pa.array(np.sqrt(total / np.maximum(count, 1)), mask=self._missing(count))

    def reason(self, rank: int) -> pa.Array:
        """The name of the part whose distance has this rank, from 1, at every ask; null where none that is above 0 has."""
        if rank > len(self.score.parts):
            return pa.nulls(self.distances.shape[1], pa.string())
        moving = np.where(self.distances > 0.0, self.distances, 0.0)
        part = np.argsort(-moving, axis=0, kind="stable")[rank - 1]
        still = np.take_along_axis(moving, part[np.newaxis], axis=0)[0] == 0.0
        missing = still | self._missing((~np.isnan(self.distances)).sum(axis=0))
        return pa.array(list(self.score.parts)).take(pa.array(part, mask=missing))

    def _missing(self, count: Array) -> Array:
        return np.asarray(count < self.score.least_parts)


def moved(score: AnomalyScore, values: Array, fitted: Sequence[tuple[Array, Array]]) -> Moved:
    """Distances of parts' values from the centre and scale fitted for each part at each ask."""
    distances = np.full_like(values, np.nan)
    for n, (centre, scale) in enumerate(fitted):
        with np.errstate(over="ignore"):  # farther away than a float64 tells
            distances[n] = np.abs(values[n] - centre) / scale
    return Moved(score, distances)
