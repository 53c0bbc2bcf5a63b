"""Anomaly scores once more in plain Python: the values of all keys at a cut, sorted (semantics 4)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from features.definitions.features import AnomalyReason, AnomalyScore
from features.definitions.views import FeatureView
from tests import oracle

Row = Mapping[str, Any]
Raw = Mapping[str, Sequence[Row]]
Key = tuple[Any, ...]


def score(view: FeatureView, feature: AnomalyScore, raw: Raw, key: Key, t: int) -> float | None:
    """The value at t."""
    found = distances(view, feature, raw, key, t)
    total = 0.0
    for distance in found.values():
        total += min(distance, feature.cap) * min(distance, feature.cap)
    return math.sqrt(total / len(found)) if len(found) >= feature.least_parts else None


def reason(view: FeatureView, feature: AnomalyReason, raw: Raw, key: Key, t: int) -> str | None:
    """The name of the part of this rank."""
    of = next(other for other in view.features if other.name == feature.score)
    assert isinstance(of, AnomalyScore)
    found = distances(view, of, raw, key, t)
    ranked = sorted((part for part in found if found[part] > 0), key=lambda part: (-found[part], of.parts.index(part)))
    return ranked[feature.rank - 1] if len(ranked) >= feature.rank and len(found) >= of.least_parts else None


def distances(view: FeatureView, feature: AnomalyScore, raw: Raw, key: Key, t: int) -> dict[str, float]:
    """By part, of those that have one."""
    own = vector(view, feature, raw, key, t)
    everyone = [vector(view, feature, raw, other, t) for other in keys(view, raw)]
    made = {}
    for part, value in own.items():
        fit = centre_and_scale([other[part] for other in everyone if part in other], feature.least_keys)
        if fit is not None:
            made[part] = abs(value - fit[0]) / fit[1]
    return made


def keys(view: FeatureView, raw: Raw) -> set[Key]:
    """All that any row has."""
    source = view.source
    columns = source.key_columns(view.entity.name, view.entity.keys)
    found = {tuple(row[column] for column in columns) for row in raw[source.name]}
    return {key for key in found if None not in key}


def vector(view: FeatureView, feature: AnomalyScore, raw: Raw, key: Key, t: int) -> dict[str, float]:
    """By part, the values that a key has; none of a key that takes no part."""
    above = tuple(other for other in view.features if not isinstance(other, AnomalyScore | AnomalyReason))
    answer = oracle.answer(replace(view, features=above), raw, key, t)
    active = 1 if feature.active is None else answer.values[feature.active]
    if answer.status == "never_seen" or active is None or not active > 0:
        return {}
    found = {part: float(answer.values[part]) for part in feature.parts if answer.values[part] is not None}
    return {part: value for part, value in found.items() if math.isfinite(value)}


def centre_and_scale(values: Sequence[float], least_keys: int) -> tuple[float, float] | None:
    """Median and scale of what the values' buckets stand for."""
    if len(values) < least_keys:
        return None
    ends, middle = sorted(end(value) for value in values), (len(values) - 1) // 2
    counts = Counter(ends)
    centre = ends[middle]
    away = sorted(abs(value - centre) for value in ends)
    scale = 1.4826 * away[middle]
    if scale == 0:
        scale = 1.2533 * (math.fsum(abs(value - centre) * count for value, count in counts.items()) / len(ends))
    scale = max(scale, abs(centre) / 32)
    return (centre, scale) if scale > 0 else None


def end(value: float) -> float:
    """Of its bucket, one of 32 that each power of two has, the end nearest to zero; 0 below 2^-30, the last bucket from 2^64 on."""
    size = min(abs(value), math.nextafter(2.0**64, 0))
    if size < 2.0**-30:
        return 0.0
    power = math.floor(math.log2(size))
    power += (size >= 2.0 ** (power + 1)) - (size < 2.0**power)
    low = 2.0**power * (1 + math.floor((size / 2.0**power - 1) * 32) / 32)
    return math.copysign(low, value)
