"""Rules taken from history: what the last partitions or cuts measured says what the next one may measure.

Robust throughout: centre and spread are medians, so a bad day in the history moves neither.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles

from expectations.profiles import Profile, Sample, overlap
from expectations.rules import Rule

__all__ = ["FEWEST", "FEWEST_TO_BLOCK", "compared", "drift_rules"]

FEWEST = 3
"""Below this many earlier profiles nothing is compared."""
FEWEST_TO_BLOCK = 7
"""Below this many a drift rule only warns."""
_RECENT = 14
_OVERLAP_DAYS = 7
_SAME_WEEKDAY = 3
_LEAST_ROWS = 50
"""Shares and means of fewer rows say nothing."""
_LEAST_KEYS = 50
_RARE = 10
"""Rows that must be expected of an hour or a value before its absence is told; three times as many block."""
_MAD = 1.4826
_REMEDY = "Compare with the days before. If the change is real, `asof release` lets the partition through and the history learns it."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tolerance:
    """How far a metric may lie from its centre, in spreads; the spread is at least the floor and twice the sampling noise."""

    says: str
    floor: float
    warn: float = 5
    block: float = 10
    sides: str = "both"
    """`both`, `upper` (only more is wrong) or `lower`."""
    share: bool = False
    """Between 0 and 1: the floor grows towards one half, as its noise does."""
    block_least: float = 0.0
    """A failure blocks only this far from the centre: a wave of fraud moves shares too, and is no bad data."""
    rows: bool = False
    """A count, compared on a log scale."""


_TOLERANCES: Mapping[str, _Tolerance] = {
    "rows": _Tolerance(says="The number of rows is as usual", floor=0.05, rows=True),
    "null_share": _Tolerance(
        says="The share of nulls of {of} is as usual", floor=0.003, block=20, block_least=0.3, share=True
    ),
    "share": _Tolerance(says="The share of {of} is as usual", floor=0.003, block=20, block_least=0.4, share=True),
    "top_share": _Tolerance(says="No single value of {of} takes over", floor=0.03, block=12, sides="upper"),
    "log_mean": _Tolerance(says="The mean of {of} (log scale) is as usual", floor=0.1),
    "log_p10": _Tolerance(says="The lower decile of {of} (log scale) is as usual", floor=0.15, block=15),
    "log_p50": _Tolerance(says="The median of {of} (log scale) is as usual", floor=0.1),
    "log_p90": _Tolerance(says="The upper decile of {of} (log scale) is as usual", floor=0.1),
    "log_max": _Tolerance(says="The largest {of} (log scale) is not out of all proportion", floor=0.5, sides="upper"),
    "log_distinct_per_row": _Tolerance(says="The number of different {of} for each row is as usual", floor=0.06),
    "length": _Tolerance(says="The length of {of} is as usual", floor=0.1, block=15),
    "late_share": _Tolerance(
        says="The share of rows known an hour after they happened is as usual", floor=0.01, share=True, sides="upper"
    ),
    "log_lateness_p50": _Tolerance(says="The usual delay between event and arrival (log scale) is as usual", floor=0.3),
    "log_lateness_p10": _Tolerance(
        says="The least delays between event and arrival (log scale) are as usual", floor=0.3
    ),
    "repeated_share": _Tolerance(says="Rows do not repeat others under a new id", floor=0.015, sides="upper"),
    "quarantined_share": _Tolerance(
        says="The share of quarantined rows is as usual", floor=0.005, share=True, sides="upper"
    ),
    "overlap": _Tolerance(says="{of} are mostly those of the days before", floor=0.04, sides="lower"),
}
_FIXED: Mapping[str, str] = {
    "absent_hours": "No hour of the day is empty that usually has rows",
    "absent_values": "No value of {of} is missing that usually occurs",
}


def compared(profile: Profile, history: Sequence[Profile]) -> Mapping[str, float]:
    """Metrics that only a comparison gives: rows expected of empty hours and absent values, overlap of keys. `history` is oldest first."""
    found: dict[str, float] = {}
    for column, sample in profile.samples.items():
        earlier = [item.samples[column] for item in history[-_OVERLAP_DAYS:] if column in item.samples]
        share = overlap(sample, earlier) if _enough(sample, earlier) else None
        if share is not None:
            found[f"overlap/{column}"] = share
    if len(history) >= FEWEST and profile.rows:
        found |= _absent(profile, history[-_RECENT:])
    return found


def _enough(sample: Sample, earlier: Sequence[Sample]) -> bool:
    return len(sample.hashes) >= _LEAST_KEYS and len(earlier) >= FEWEST


def _absent(profile: Profile, history: Sequence[Profile]) -> Mapping[str, float]:
    hours = sum(_lower_quartile([item.metrics.get(name, 0.0) for item in history])
                for name in (f"hour_rows/{hour}" for hour in range(24)) if profile.metrics.get(name, 0.0) == 0)  # fmt: skip
    found = {"absent_hours": hours} if any(name.startswith("hour_rows/") for name in profile.metrics) else {}
    for name in sorted(
        {name for item in history for name in item.metrics if name.startswith("share/")} - set(profile.metrics)
    ):
        column = name.removeprefix("share/").partition("=")[0]
        expected = profile.rows * min(item.metrics.get(name, 0.0) for item in history)
        found[f"absent_values/{column}"] = found.get(f"absent_values/{column}", 0.0) + expected
    return found


def _lower_quartile(values: Sequence[float]) -> float:
    return quantiles(values, n=4)[0]


def drift_rules(profile: Profile, history: Sequence[Profile], *, trend: bool = False) -> tuple[Rule, ...]:
    """One rule a comparable metric of the profile, `compared` ones included, with bounds from the history (oldest first, profile excluded).

    `trend=True` lets a metric go on growing or shrinking as it did: windows of a young history fill day by day.
    """
    if len(history) < FEWEST:
        return ()
    made: list[Rule] = []
    for name, value in profile.metrics.items():
        kind, _, of = name.partition("/")
        if kind in _FIXED:
            made.append(_rule(name, _FIXED[kind].format(of=of), (None, float(_RARE)), (None, 3.0 * _RARE), history))
        elif kind in _TOLERANCES:
            made += _from_history(name, of, value, _TOLERANCES[kind], profile, history, trend=trend)
    return tuple(made)


def _from_history(
    name: str,
    of: str,
    value: float,
    tolerance: _Tolerance,
    profile: Profile,
    history: Sequence[Profile],
    *,
    trend: bool,
) -> Iterable[Rule]:
    # A category that a day did not have is a share of 0; any other metric that is missing was not measurable.
    past = [
        (item.weekday, item.metrics.get(name, 0.0 if name.startswith("share/") else None), item.rows)
        for item in history
    ]
    known = [
        (weekday, _scaled(metric, tolerance))
        for weekday, metric, rows in past
        if metric is not None and (tolerance.rows or rows >= _LEAST_ROWS)
    ]
    if len(known) < FEWEST or (not tolerance.rows and profile.rows < _LEAST_ROWS):
        return
    values = [metric for _, metric in known][-_RECENT:]
    low = high = median(values)
    spread = _MAD * median(abs(each - low) for each in values)
    same = [metric for weekday, metric in known if weekday == profile.weekday]
    if tolerance.rows and len(same) >= _SAME_WEEKDAY:
        low = high = median(same)
        spread = _MAD * median(abs(metric - median([m for w, m in known if w == weekday])) for weekday, metric in known)
    if trend:
        ahead = values[-1] + median(after - before for before, after in pairwise(values))
        low, high = min(low, values[-1], ahead), max(high, values[-1], ahead)
    spread = max(
        spread,
        _floor(tolerance, (low + high) / 2, _scaled(value, tolerance)),
        2 * _noise(tolerance, (low + high) / 2, profile.rows),
    )
    yield _rule(name, tolerance.says.format(of=of), _bounds(low, high, tolerance.warn * spread, tolerance),
                _bounds(low, high, max(tolerance.block * spread, tolerance.block_least), tolerance), history)  # fmt: skip


def _scaled(value: float, tolerance: _Tolerance) -> float:
    return math.log1p(value) if tolerance.rows else value


def _floor(tolerance: _Tolerance, centre: float, value: float) -> float:
    """The least spread. Of a small share it is small, so that few rows of a new kind are seen."""
    if tolerance.share:
        share = min(max(centre, 0.0), 1.0)
        return tolerance.floor + 0.03 * math.sqrt(share * (1 - share))
    # Counts below some twenty rows a day vary by their root alone.
    return (
        max(tolerance.floor, 0.5 / math.sqrt(math.expm1(max(centre, value)) + 1)) if tolerance.rows else tolerance.floor
    )


def _noise(tolerance: _Tolerance, centre: float, rows: float) -> float:
    """One standard error of `rows` independent rows, for what a row contributes about one unit."""
    if tolerance.rows:
        return 0.5 / math.sqrt(math.expm1(centre) + 1)
    share = min(max(centre, 0.0), 1.0)
    deviation = math.sqrt(share * (1 - share)) if tolerance.share or tolerance.sides == "lower" else 1.0
    return 0.5 * deviation / math.sqrt(max(rows, 1.0))


def _bounds(low: float, high: float, reach: float, tolerance: _Tolerance) -> tuple[float | None, float | None]:
    lower = None if tolerance.sides == "upper" else low - reach
    upper = None if tolerance.sides == "lower" else high + reach
    if tolerance.rows:
        return (None if lower is None else max(math.expm1(lower), 0.0), None if upper is None else math.expm1(upper))
    return (lower, upper)


def _rule(
    name: str,
    says: str,
    warn: tuple[float | None, float | None],
    block: tuple[float | None, float | None],
    history: Sequence[Profile],
) -> Rule:
    hard = block if len(history) >= FEWEST_TO_BLOCK else None
    days = f" (judged by the last {min(len(history), _RECENT)})."
    return Rule(
        name=f"drift/{name}",
        severity="warn",
        says=says + days,
        remedy=_REMEDY,
        check="metric",
        metric=name,
        lower=warn[0],
        upper=warn[1],
        hard=hard,
    )
