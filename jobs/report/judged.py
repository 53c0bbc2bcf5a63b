"""How good scores are at a fixed review budget, and by how much one set of columns is better than another. No Spark.

Intervals draw whole campaigns of attacks and whole accounts of honest payments, as jobs/metrics does; all scores of a comparison meet the same draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jobs.metrics import Metric, Rows, auc_roc, precision_at, recall_at, savings
from jobs.metrics.resampling import drawn, interval

__all__ = ["Ranged", "at_rate", "budget_of", "judged", "metrics_of", "most_recall"]

Array = np.ndarray
_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """A number and its 95% interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    def record(self) -> list[float | None]:
        """For JSON: value, low, high."""
        return [self.value, self.low, self.high]


def metrics_of(budget: int, review_cost: float) -> dict[str, Metric]:
    """Recall and precision count payments; money saved is in euros, what is caught less what reviews cost, over all days."""
    return {
        "recall": recall_at(budget, by="count"), "precision": precision_at(budget), "saved": savings(budget, review_cost=review_cost), "auc": auc_roc(),
    }  # fmt: skip


def budget_of(rows: Rows, share: float) -> int:
    """So many payments are reviewed on each day: a share of those of an average day, at least one."""
    return max(1, round(share * float(rows.weight.sum()) / len(np.unique(rows.day))))


def judged(
    rows: Rows, scores: Mapping[str, Array], metrics: Mapping[str, Metric], *, base: str, samples: int, seed: int
) -> dict[str, dict[str, dict[str, Ranged]]]:
    """By name of a score: its metrics in `of`, and in `gain` by how much they are above those of `base`, draw by draw.

    Args:
        rows: what is judged, all its outcomes known.
        scores: a number for each row.
        metrics: by name.
        base: one of the scores.
        samples: of the bootstrap.
        seed: of its draws.
    """
    prepared = {
        name: {metric: made.prepare(replace(rows, score=score)).value for metric, made in metrics.items()} for name, score in scores.items()
    }  # fmt: skip
    draws = [np.ones(len(rows.entities)), *(drawn(rows.entities, seed, sample) for sample in range(samples))]
    found = {
        name: {metric: np.array([value(times) for times in draws]) for metric, value in each.items()} for name, each in prepared.items()
    }  # fmt: skip
    return {
        name: {
            "of": {metric: _ranged(values) for metric, values in each.items()},
            "gain": {metric: _ranged(values - found[base][metric]) for metric, values in each.items()},
        }
        for name, each in found.items()
    }


def _ranged(values: Array) -> Ranged:
    low, high = interval(float(values[0]), values[1:], _LEVEL)
    return Ranged(value=float(values[0]) if np.isfinite(values[0]) else None, low=low, high=high)


def most_recall(day: Array, positive: Array, budget: int) -> float:
    """The recall of a perfect order: a day with more attacks than reviews can't have them all."""
    of_day = np.bincount(day - day.min(), weights=positive)
    return float(np.minimum(of_day, budget).sum() / of_day.sum())


def at_rate(share: float, reviewed: Sequence[float], rate: float) -> dict[str, float]:
    """What the same threshold would give if attacks were `rate` of all payments, and everything else were alike.

    Args:
        share: of attacks among all payments as they are.
        reviewed: of what is reviewed: the number, the share that is the attack in question, and the share that is any attack.
        rate: another share of attacks, in (0, 1).

    Returns:
        `precision`, and `reviews`: by how much reviews shrink, as a factor.
    """
    _, own, attacks = reviewed
    thinner = rate / (1 - rate) / (share / (1 - share))
    left = thinner * attacks + (1 - attacks)
    return {"precision": thinner * own / left if left else float("nan"), "reviews": left, "attacks": thinner}
