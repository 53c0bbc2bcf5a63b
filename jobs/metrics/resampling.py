"""How sure a metric is: its interval by resampling entities. One draw of entities is used for all metrics. No Spark.

Rows of one entity hang together, so whole entities are drawn, with all their rows (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods and
their Application, 1997, section 3.8). Each entity is drawn a Poisson(1) number of times, found by hashing its key, the seed and the sample's number
(Hanley and MacGibbon 2006; Chamandy, Muralidharan, Najmi and Naidu, Estimating Uncertainty for Massive Data Streams, 2012): the same entity is
drawn as often in every frame, in any order, on any machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from features.errors import InputError
from jobs.metrics.rows import Rows

__all__ = ["Measured", "Metric", "Prepared", "drawn", "interval", "measured"]

Array = np.ndarray
_CUMULATED = np.cumsum([math.exp(-1) / math.factorial(n) for n in range(18)])
"""Of Poisson(1); what is left beyond is below 2**-53."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A metric on its rows."""

    value: Callable[[Array], float]
    """Of how often each entity counts; NaN where it is not defined."""

    part: Array
    """bool: which rows take part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is measured. Made by the functions of this room, each of which gives its formula."""

    name: str
    unit: str
    """share, bps (one in 10,000), ratio, or amount."""

    prepare: Callable[[Rows], Prepared]
    """Raises InputError where the rows lack what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One metric of some rows."""

    metric: str
    unit: str
    value: float | None
    """None where it is not defined: a share of nothing."""

    low: float | None
    high: float | None
    """None without a value, or where it is undefined in more than half of the samples."""

    rows: int
    """That took part."""

    entities: int
    """Of those rows."""


def measured(
    rows: Rows, metrics: Sequence[Metric], *, samples: int = 200, seed: int = 0, level: float = 0.95
) -> tuple[Measured, ...]:
    """Each metric's value and its percentile interval, in the order given.

    The same under the same seed, whatever other metrics or rows of other entities are there. Cost: time grows with rows x samples (docs/metrics.md has
    a measurement); memory with rows alone.

    Args:
        rows: of a frame.
        metrics: what to measure.
        samples: how often entities are drawn; 0 gives values without intervals.
        seed: another one draws others.
        level: how much of the samples the interval holds, in (0, 1).

    Raises:
        InputError: a metric lacks what it needs, or an argument is wrong.
    """
    if not 0 < level < 1 or samples < 0:
        msg = f"level={level} and samples={samples}: a level is in (0, 1), and samples are 0 or more."
        raise InputError(msg)
    prepared = [metric.prepare(rows) for metric in metrics]
    once = np.ones(len(rows.entities))
    values = [item.value(once) for item in prepared]
    found = np.full((len(prepared), samples), np.nan)
    for sample in range(samples):
        times = drawn(rows.entities, seed, sample)
        for n, item in enumerate(prepared):
            found[n, sample] = item.value(times)
    return tuple(
        _measured(metric, rows, item.part, value, interval(value, found[n], level))
        for n, (metric, item, value) in enumerate(zip(metrics, prepared, values, strict=True))
    )


def drawn(entities: Array, seed: int, sample: int) -> Array:
    """How often each entity is in a sample: float64, whole numbers, 1 on average."""
    return np.asarray(_drawn(entities, np.uint64(seed), np.uint64(sample), _CUMULATED))


def interval(value: float, found: Array, level: float) -> tuple[float | None, float | None]:
    """Between these the samples lie that are neither the lowest nor the highest (1 - level) / 2."""
    sound = found[np.isfinite(found)]
    if not math.isfinite(value) or 2 * len(sound) <= len(found):
        return None, None
    low, high = np.quantile(sound, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _measured(metric: Metric, rows: Rows, part: Array, value: float, bounds: tuple[float | None, float | None]) -> Measured:  # fmt: skip
    return Measured(
        metric=metric.name, unit=metric.unit, value=value if math.isfinite(value) else None, low=bounds[0], high=bounds[1],
        rows=int(part.sum()), entities=int(np.count_nonzero(np.bincount(rows.entity[part], minlength=1))),
    )  # fmt: skip


@njit(cache=True)
def _mixed(word: np.uint64) -> np.uint64:
    """The finish of SplitMix64 (Steele, Lea and Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True)
def _drawn(entities: Array, seed: np.uint64, sample: np.uint64, cumulated: Array) -> Array:
    salt = _mixed(_mixed(seed + np.uint64(0x9E3779B97F4A7C15)) + sample * np.uint64(0x9E3779B97F4A7C15))
    times = np.empty(len(entities))
    for n in range(len(entities)):
        place = float(_mixed(entities[n] ^ salt) >> np.uint64(11)) / 9007199254740992.0
        count = 0
        while count < len(cumulated) and place >= cumulated[count]:
            count += 1
        times[n] = count
    return times
