"""Metrics of a score: how well it ranks, and what a team gets that reviews the highest scores of each day. No Spark.

All are of mature rows: pending, unobserved and young rows leave before anything is ranked. A row of weight w stands for w rows of its score. Rows of
equal score have no order among them: where a budget ends within them, the same part is taken of each.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.errors import InputError
from jobs.metrics.kernels import auc_of, compromised_of, precision_of, reviewed_of, summed
from jobs.metrics.resampling import Metric, Prepared
from jobs.metrics.rows import Rows, entities_of
from jobs.metrics.shares import By

__all__ = ["auc_roc", "average_precision", "card_precision", "precision_at", "recall_at", "savings"]

Array = np.ndarray


class _Reviewed(NamedTuple):
    """Weights, and amounts of them."""

    seen: float
    caught: float
    caught_amount: float
    fraud: float
    fraud_amount: float
    scale: float
    """Entities that there are over those drawn."""


def auc_roc() -> Metric:
    """The probability that a fraud scores higher than a good event, ties counting half. As scikit-learn's roc_auc_score with sample_weight."""
    return _ordered("auc_roc", auc_of)


def average_precision() -> Metric:
    """The mean precision over recall, a step at each distinct score. As scikit-learn's average_precision_score with sample_weight."""
    return _ordered("average_precision", precision_of)


def precision_at(budget: int) -> Metric:
    """Of the `budget` events with the highest scores of each UTC day, the share that is fraud; all days together."""
    name = f"precision_at_{_budget(budget)}"
    return _reviewed(name, "share", budget, lambda of: _over(of.caught, of.seen))


def recall_at(budget: int, by: By = "amount") -> Metric:
    """Of all fraud, by amount or count, the share among the `budget` events with the highest scores of each UTC day."""
    name = f"recall_{by}_at_{_budget(budget)}"
    if by == "count":
        return _reviewed(name, "share", budget, lambda of: _over(of.caught, of.fraud))
    return _reviewed(name, "share", budget, lambda of: _over(of.caught_amount, of.fraud_amount), amounts=True)


def savings(budget: int, *, review_cost: float) -> Metric:
    """The amount of fraud among the `budget` highest scores of each UTC day, less `review_cost` (in the amount's unit) for each event reviewed.

    A sum over all days. In a sample it is brought back to the number of entities that there are.
    """
    name = f"savings_at_{_budget(budget)}"

    def finish(of: _Reviewed) -> float:
        return (of.caught_amount - review_cost * of.seen) * of.scale

    return _reviewed(name, "amount", budget, finish, amounts=True)


def card_precision(cards: int, *, known: Iterable[object] = ()) -> Metric:
    """Card precision top-k (Fraud Detection Handbook, Le Borgne et al. 2021-2022): the mean over UTC days of the compromised among the `cards` highest, over `cards`.

    A card is the frame's entity. Its score of a day is its highest; it is compromised on a day with a fraud of it. A compromised card that was among
    the highest of a day is known, and leaves all later days. The share is of `cards` even on days with fewer. A card weighs what its highest row of the
    day weighs; where the budget ends within cards of equal score, the part taken of each becomes known.

    Args:
        cards: k, of a day.
        known: keys of cards that were known compromised before the first day; they leave all days. For an entity of one column.
    """
    name = f"card_precision_at_{_budget(cards)}"
    before = entities_of(pa.table({"key": pa.array([str(key) for key in known], pa.string())}), "key")[0]

    def prepare(rows: Rows) -> Prepared:
        part = rows.outcomes(name) & ~np.isin(rows.entities, before)[rows.entity]
        score = rows.needed("score", name)
        places = np.flatnonzero(part)
        order = places[np.lexsort((-rows.weight[places], -score[places], rows.entity[places], rows.day[places]))]
        day, entity = rows.day[order], rows.entity[order]
        first = np.flatnonzero(np.r_[True, (day[1:] != day[:-1]) | (entity[1:] != entity[:-1])][: len(order)])
        fraud = np.maximum.reduceat(rows.fraud[order], first) if len(first) else np.zeros(0, bool)
        top = order[first]
        turn = np.lexsort((-score[top], rows.day[top]))
        of_day = top[turn]
        sides = _starts(rows.day[of_day]), rows.entity[of_day], score[of_day], fraud[turn], rows.weight[of_day]

        def value(times: Array) -> float:
            return float(compromised_of(*sides, times, float(cards)))

        return Prepared(value=value, part=part)

    return Metric(name=name, unit="share", prepare=prepare)


def _ordered(name: str, kernel: Callable[[Array, Array, Array, Array, Array], float]) -> Metric:
    def prepare(rows: Rows) -> Prepared:
        part, score = rows.outcomes(name), rows.needed("score", name)
        places = np.flatnonzero(part)
        order = places[np.argsort(-score[places], kind="stable")]
        sides = score[order], rows.entity[order], rows.fraud[order], rows.weight[order]
        return Prepared(value=lambda times: float(kernel(*sides, times)), part=part)

    return Metric(name=name, unit="share", prepare=prepare)


def _reviewed(
    name: str, unit: str, budget: int, finish: Callable[[_Reviewed], float], *, amounts: bool = False
) -> Metric:
    def prepare(rows: Rows) -> Prepared:
        part, score = rows.outcomes(name), rows.needed("score", name)
        amount = rows.needed("amount", name) if amounts else np.zeros(len(score))
        places = np.flatnonzero(part)
        order = places[np.lexsort((-score[places], rows.day[places]))]
        entity, fraud, weight, size = (side[order] for side in (rows.entity, rows.fraud, rows.weight, amount))
        sides = _starts(rows.day[order]), entity, score[order], fraud, weight, size
        all_fraud, all_amount = (
            np.bincount(entity, weights=side, minlength=len(rows.entities)) for side in (fraud * weight, fraud * weight * size)
        )  # fmt: skip

        def value(times: Array) -> float:
            found = reviewed_of(*sides, times, float(budget))
            drawn = float(times.sum())
            scale = len(times) / drawn if drawn else float("nan")
            return finish(_Reviewed(*found, summed(times, all_fraud), summed(times, all_amount), scale))

        return Prepared(value=value, part=part)

    return Metric(name=name, unit=unit, prepare=prepare)


def _starts(day: Array) -> Array:
    """Where each day begins among sorted days, and their end."""
    return np.flatnonzero(np.r_[True, day[1:] != day[:-1], True]) if len(day) else np.zeros(1, np.int64)


def _over(top: float, bottom: float) -> float:
    return top / bottom if bottom else float("nan")


def _budget(budget: int) -> int:
    if budget < 1:
        msg = f"A review budget of {budget} a day finds nothing. Give 1 or more."
        raise InputError(msg)
    return budget
