"""How complete labels are: of each day how many are open, and how long after their events outcomes become known. Numpy, no Spark.

Instants and delays are int64 microseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.definitions.durations import DAY
from features.values.labels import PENDING, STATUSES, UNOBSERVED

__all__ = ["LagCurve", "day_rows", "lag_curve"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class LagCurve:
    """The share of positive events whose outcome is known less than n whole days after the event."""

    shares: tuple[float, ...]
    """Of n = 0, 1 … `reach`; the last is 1. Empty without positive events."""

    reach: int
    """Whole days: the horizon, or less where no event is older. Shares are of the outcomes that become known within it."""

    positives: int
    """How many events it was learned from."""


def lag_curve(happened: Array, known: Array, *, horizon: int, as_of: int, earliest: int) -> LagCurve:
    """Learns the lag curve from positive events of any age, young ones too.

    An outcome is seen only if it became known before as_of: delays are truncated from the right, the more the younger the event. A plain share
    of those seen would be too quick. This is the product-limit estimator in reverse time (Lynden-Bell 1971; Lagakos, Barraj and De Gruttola,
    Biometrika 75, 1988; the chain ladder of actuaries, by single events): F(t), the probability of a delay below t, is the product over the
    delays x >= t that were seen of 1 - (those of exactly x) / (those of at most x, of events old enough to show x). Of events that are all older
    than the horizon it is the plain share. Where all that could show a delay have it, nothing tells how many came sooner: the curve ends below it.

    Args:
        happened: event_time of each positive event.
        known: when it became positive; later than happened, and within the horizon.
        horizon: of the label.
        as_of: what was known before it.
        earliest: event_time of the oldest event, whether positive or not.
    """
    delays, bounds = known - happened, np.minimum(as_of - happened, horizon)
    values, exactly = np.unique(delays, return_counts=True)
    at_risk = np.searchsorted(np.sort(delays), values, "right") - np.searchsorted(np.sort(bounds), values, "right")
    reach = min(horizon, as_of - earliest)
    if len(blind := np.flatnonzero(at_risk[1:] == exactly[1:])):
        reach = int(values[1:][blind[0]])
        values, exactly, at_risk = (part[: blind[0] + 1] for part in (values, exactly, at_risk))
    days = -(-reach // DAY)
    if not len(values):
        return LagCurve(shares=(), reach=days, positives=0)
    # Of a delay below each value, and at last below the reach; at the smallest, all at risk have it.
    below = np.append(np.cumprod((1 - exactly / at_risk)[::-1])[::-1], 1.0)
    places = np.searchsorted(values, np.arange(days + 1) * DAY, "left")
    return LagCurve(shares=tuple(below[places].tolist()), reach=days, positives=len(delays))


def day_rows(days: Sequence[tuple[str, str, int]]) -> list[dict[str, object]]:
    """A row a day, in order: its events by status, and the share that is pending of those that are observed (null where there are none).

    Args:
        days: day, status and how many events; a pair may come several times.
    """
    counts: dict[str, dict[str, int]] = {}
    for day, status, count in days:
        of_day = counts.setdefault(day, dict.fromkeys(STATUSES, 0))
        of_day[status] += count
    return [_day_row(day, counts[day]) for day in sorted(counts)]


def _day_row(day: str, counts: dict[str, int]) -> dict[str, object]:
    events = sum(counts.values())
    observed = events - counts[UNOBSERVED]
    return {"day": day, "events": events, **counts, "share_pending": counts[PENDING] / observed if observed else None}
