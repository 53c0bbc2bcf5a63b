"""How well one feature alone tells positive from negative rows: area under the ROC curve with an interval, nulls apart, and values of positives alone.

Numpy and Arrow, no Spark. Labels are 0 and 1; rows without a mature label do not come here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.findings import Finding

__all__ = ["LEAST_ROWS", "Area", "area", "outcome_only", "scores", "separation"]

Array = np.ndarray
_Z = 1.959963984540054
"""Of a 95% interval, two-sided."""
LEAST_ROWS = 20
"""Positives, and negatives, below which nothing is said of a feature."""
_VALUE_ROWS = 10
"""Rows a value needs to be looked at alone."""
_CHANCE = 1e-6
_PLENTY = 0.2
"""Share of all positives from which on a value that only positives have is a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """The probability that a positive row has the larger value, ties counted half; 95% interval."""

    value: float
    low: float
    high: float

    @property
    def strength(self) -> float:
        """Whichever direction separates: 0.5 tells nothing, 1 all."""
        return max(self.value, 1 - self.value)

    @property
    def surely(self) -> float:
        """The strength that the interval leaves no doubt of; 0.5 where it holds 0.5."""
        return max(self.low, 1 - self.high, 0.5)


def area(values: Array, positive: Array) -> Area | None:
    """By DeLong's variance; at 0 and 1, where that is zero, by Newcombe's score interval. None with less than 20 positives or negatives.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; Newcombe, Statistics in Medicine 25, 2006, method 5.

    >>> area(np.arange(40.0), np.arange(40) >= 20).value
    1.0
    """
    high, low = values[positive], values[~positive]
    if min(len(high), len(low)) < LEAST_ROWS:
        return None
    both = _ranks(np.concatenate([high, low]))
    above = (both[: len(high)] - _ranks(high)) / len(low)
    below = 1 - (both[len(high) :] - _ranks(low)) / len(high)
    value = float(above.mean())
    if value in {0.0, 1.0}:
        edge = _score_edge(len(high), len(low))
        return Area(value=value, low=edge if value else 0.0, high=1.0 if value else 1 - edge)
    half = _Z * float(np.sqrt(above.var(ddof=1) / len(high) + below.var(ddof=1) / len(low)))
    return Area(value=value, low=max(value - half, 0.0), high=min(value + half, 1.0))


def _ranks(values: Array) -> Array:
    """From 1; equal values share the middle of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _score_edge(positives: int, negatives: int) -> float:
    """The least area of which a perfect separation would not surprise: (1 - a) = z sqrt(V(a))."""
    low, high = 0.5, 1.0
    more = (positives + negatives) / 2 - 1
    for _ in range(60):
        a = (low + high) / 2
        spread = a * (1 - a) * (1 + more * (1 - a) / (2 - a) + more * a / (1 + a)) / (positives * negatives)
        low, high = (a, high) if (1 - a) ** 2 > _Z**2 * spread else (low, a)
    return low


def scores(column: pa.Array, positive: Array, seed: int) -> Array | None:
    """Numbers in the order of a column's values, NaN where it is null: of lists their length, of texts the share of positives, learned on the other half.

    None of a type that has no order.
    """
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        column = pc.list_value_length(column)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return _shares(column, positive, seed)
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    made = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64).copy()
    made[np.isinf(made)] = np.nan
    return made


def _shares(column: pa.Array, positive: Array, seed: int) -> Array:
    """A value that stands alone in its half gets the whole half's share, and so tells nothing of its own row."""
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    encoded = column.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
    half = np.random.default_rng([seed, 1]).random(len(codes)) < 0.5  # noqa: PLR2004
    made = np.full(len(codes), np.nan)
    for here in (half, ~half):
        there = ~here & (codes >= 0)
        kinds = max(len(encoded.dictionary), 1)
        rows = np.bincount(codes[there], minlength=kinds)
        hits = np.bincount(codes[there], weights=positive[there], minlength=kinds)
        base = positive[there].mean() if there.any() else 0.0
        mine = here & (codes >= 0)
        made[mine] = ((hits + base) / (rows + 1))[codes[mine]]
    return made


def outcome_only(column: pa.Array, positive: Array) -> tuple[Any, int, float] | None:
    """The value with most rows, all of them positive, that chance would not give so; its rows, and their share of all positives."""
    encoded = _plain(column).dictionary_encode(null_encoding="encode")
    codes = np.asarray(encoded.indices).astype(np.int64)
    rows = np.bincount(codes, minlength=len(encoded.dictionary))
    hits = np.bincount(codes, weights=positive, minlength=len(encoded.dictionary))
    base = positive.mean() if len(positive) else 0.0
    alone = (rows >= _VALUE_ROWS) & (hits == rows) & (np.power(base, rows) < _CHANCE)
    if not alone.any():
        return None
    most = int(np.flatnonzero(alone)[np.argmax(rows[alone])])
    return encoded.dictionary[most].as_py(), int(rows[most]), float(hits[most] / positive.sum())


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return pc.list_value_length(column)
    return column


def separation(name: str, column: pa.Array, positive: Array, threshold: float, seed: int) -> dict[str, Any]:
    """Plain data of one feature: `area` of its values, `null_area` of being null, `outcome_only`, and the `findings` that follow."""
    made = scores(column, positive, seed)
    there = np.zeros(len(column), bool) if made is None else ~np.isnan(made)
    value = None if made is None else area(made[there], positive[there])
    null = np.asarray(column.is_null().to_numpy(zero_copy_only=False)).astype(np.float64)
    missing = area(null, positive) if 0 < null.sum() < len(null) else None
    alone = outcome_only(column, positive)
    findings = [
        *_too_well(name, "its values", value, threshold),
        *_too_well(name, "whether it is null", missing, threshold),
        *_alone(name, alone),
    ]
    return {
        "feature": name,
        "area": _told(value),
        "null_area": _told(missing),
        "nulls": float(null.mean()) if len(null) else 0.0,
        "outcome_only": None if alone is None else {"value": str(alone[0]), "rows": alone[1], "share": alone[2]},
        "findings": findings,
    }


def _told(found: Area | None) -> Mapping[str, float] | None:
    """As JSON."""
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}


def _too_well(name: str, what: str, found: Area | None, threshold: float) -> list[Finding]:
    if found is None or found.strength < threshold:
        return []
    sure = found.surely >= threshold
    says = (
        f"{what} alone tell{'s' if what.startswith('whether') else ''} positive from negative rows with an area of {found.value:.3f} "
        f"({found.low:.3f} to {found.high:.3f}), {'beyond' if sure else 'perhaps beyond'} {threshold:g}. "
        "Look up what it is made of: an outcome, or something that is written only after one. --threshold takes another bound."
    )
    return [Finding(check="separation", severity="leak" if sure else "warning", name=name, says=says)]


def _alone(name: str, found: tuple[Any, int, float] | None) -> list[Finding]:
    if found is None:
        return []
    value, rows, share = found
    says = (
        f"its value {'null' if value is None else repr(value)} stands in {rows} rows, all of them positive: {share:.0%} of all positives. "
        "Look up whether something writes it only once the outcome is known."
    )
    return [Finding(check="separation", severity="leak" if share >= _PLENTY else "warning", name=name, says=says)]
