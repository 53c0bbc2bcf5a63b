"""The aggregations over the course of events, once more in plain Python: lists, exact fractions, no states. It shares no code with the engine."""

import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import xxhash

Item = tuple[int, tuple[Any, ...]]


class Asked(NamedTuple):
    """The window in microseconds UTC, its step, and the parameters by name."""

    anchor: int
    lower: int
    upper: int
    step: int
    given: dict[str, float]


def gap_mean(items: Sequence[Item], _: Asked) -> float | None:
    gaps = [later - earlier for (earlier, _a), (later, _b) in pairwise(items)]
    return float(Fraction(sum(gaps), len(gaps))) if gaps else None


def gap_cv(items: Sequence[Item], _: Asked) -> float | None:
    gaps = [later - earlier for (earlier, _a), (later, _b) in pairwise(items)]
    if len(gaps) < 2 or not any(gaps):
        return None
    mean = Fraction(sum(gaps), len(gaps))
    spread = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
    return math.sqrt(spread / mean**2)


def burst(items: Sequence[Item], asked: Asked) -> int:
    steps = [time // asked.step for time, _ in items]
    return max((steps.count(step) for step in steps), default=0)


def trend(items: Sequence[Item], asked: Asked) -> float | None:
    whole = range(asked.lower // asked.step, asked.upper // asked.step)
    if not items or len(whole) < 2:
        return None
    counts = dict.fromkeys(whole, 0)
    for time, _ in items:
        if time // asked.step in counts:
            counts[time // asked.step] += 1
    m = len(whole)
    x_mean, y_mean = Fraction(m - 1, 2), Fraction(sum(counts.values()), m)
    above = sum((x - x_mean) * (y - y_mean) for x, y in enumerate(counts.values()) if y or y_mean)
    return float(Fraction(above) / Fraction(m * (m * m - 1), 12))


def runs(items: Sequence[Item], asked: Asked) -> int:
    found = length = 0
    for _, (kind,) in items:
        found += kind == 2 and length >= asked.given["at_least"]
        length = length + 1 if kind == 1 else 0
    return found


def differences(items: Sequence[Item]) -> list[float]:
    return [abs(float(later) - float(earlier)) for (_, (earlier,)), (_, (later,)) in pairwise(items)]


def speeds(items: Sequence[Item]) -> list[float]:
    """By the angle between two places as vectors."""
    found = []
    for (start, (a, b)), (end, (c, d)) in pairwise(items):
        if start != end:
            one, two = vector(a, b), vector(c, d)
            apart = math.dist(one, two) / 2
            found.append(2 * 6371.0088 * math.asin(min(apart, 1.0)) / ((end - start) / 3_600_000_000))
    return found


def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def weights(items: Sequence[Item], asked: Asked) -> list[float]:
    return [2.0 ** (-(asked.anchor - time) / asked.given["half_life"]) for time, _ in items]


def decayed_count(items: Sequence[Item], asked: Asked) -> float:
    return math.fsum(weights(items, asked))


def decayed_sum(items: Sequence[Item], asked: Asked) -> float:
    return math.fsum(weight * value for weight, (_, (value,)) in zip(weights(items, asked), items, strict=True))


def decayed_mean(items: Sequence[Item], asked: Asked) -> float | None:
    return decayed_sum(items, asked) / decayed_count(items, asked) if items else None


def by_frequency(items: Sequence[Item]) -> list[tuple[int, Any]]:
    """Count and value, the most frequent first, then the smaller."""
    values = [value for _, (value,) in items]
    return sorted(((values.count(value), value) for value in set(values)), key=lambda pair: (-pair[0], pair[1]))


def entropy(items: Sequence[Item], _: Asked) -> float | None:
    shares = [count / len(items) for count, _value in by_frequency(items)]
    return math.fsum(share * math.log(1 / share) for share in shares) if items else None


def top_k(items: Sequence[Item], asked: Asked) -> Any:
    found = by_frequency(items)
    rank = int(asked.given["rank"])
    return found[rank - 1][1] if rank <= len(found) else None


def last_k(items: Sequence[Item], asked: Asked) -> Any:
    rank = int(asked.given["rank"])
    return items[-rank][1][0] if rank <= len(items) else None


def time_since_last_k(items: Sequence[Item], asked: Asked) -> int | None:
    rank = int(asked.given["rank"])
    return asked.anchor - items[-rank][0] if rank <= len(items) else None


def quantile(items: Sequence[Item], asked: Asked) -> float | None:
    """The middle of the bucket of the value at that rank, bucket by bucket as fractions of its power of two."""
    if not items:
        return None
    value = sorted(float(value) for _, (value,) in items)[math.floor(asked.given["q"] * (len(items) - 1))]
    if abs(value) < 2.0**-30:
        return 0.0
    count = math.ceil(0.5 / asked.given["accuracy"])
    power = next(power for power in range(-30, 64) if Fraction(2) ** power <= abs(value) < Fraction(2) ** (power + 1))
    part = math.floor((Fraction(abs(value)) / Fraction(2) ** power - 1) * count)
    return math.copysign(float(Fraction(2) ** power * (1 + (part + Fraction(1, 2)) / count)), value)


def hash64(value: Any) -> int:
    if isinstance(value, str):
        data = value.encode()
    elif isinstance(value, bool):
        data = bytes([value])
    else:
        data = struct.pack("<d", value + 0.0) if isinstance(value, float) else struct.pack("<q", value)
    return xxhash.xxh64_intdigest(data)


def distinct_sketch(items: Sequence[Item], asked: Asked) -> int:
    """Ertl's estimate by its definition: the sums as they stand, of registers that are counted one by one."""
    p = int(asked.given["precision"])
    m, q = 2**p, 64 - p
    registers = [0] * m
    for _, (value,) in items:
        bits = f"{hash64(value):064b}"
        rest = bits[: 64 - p]
        rank = q + 1 if "1" not in rest else len(rest) - rest.rindex("1")
        registers[int(bits[64 - p :], 2)] = max(registers[int(bits[64 - p :], 2)], rank)
    empty, full = registers.count(0) / m, 1 - registers.count(q + 1) / m
    if empty == 1:
        return 0
    sigma = empty + sum(empty ** (2**k) * 2 ** (k - 1) for k in range(1, 40))
    tau = (1 - full - sum((1 - full ** (2.0**-k)) ** 2 * 2.0**-k for k in range(1, 60))) / 3
    middle = sum((Fraction(registers.count(k), 2**k) for k in range(1, q + 1)), Fraction(0))
    estimate: float = m * m / (2 * math.log(2)) / (m * sigma + float(middle) + m * tau * 2.0**-q)
    return math.floor(estimate + 0.5)


AGGREGATIONS: dict[str, Callable[[Sequence[Item], Asked], Any]] = {
    "burst": burst, "entropy": entropy, "distinct_sketch": distinct_sketch, "last_k": last_k, "time_since_last_k": time_since_last_k, "quantile": quantile, "top_k": top_k, "gap_cv": gap_cv, "gap_mean": gap_mean, "trend": trend, "runs": runs,
    "pairs_max": lambda items, _: max(differences(items), default=None), "pairs_mean": lambda items, _: mean(differences(items)),
    "speed_max": lambda items, _: max(speeds(items), default=None), "speed_mean": lambda items, _: mean(speeds(items)),
    "decayed_count": decayed_count, "decayed_sum": decayed_sum, "decayed_mean": decayed_mean,
}  # fmt: skip
