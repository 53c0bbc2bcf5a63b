"""The loops of the metrics of a score. Rows come sorted, by score downwards, where days matter within each day; rows of equal score count together."""

import numpy as np
from numba import njit

__all__ = ["auc_of", "compromised_of", "precision_of", "reviewed_of", "summed"]

Array = np.ndarray


@njit(cache=True)
def summed(times: Array, side: Array) -> float:
    """Of both, multiplied. Numpy's product would wake threads for it, which costs more than the sum."""
    total = 0.0
    for n in range(len(side)):
        total += times[n] * side[n]
    return total


@njit(cache=True)
def auc_of(score: Array, entity: Array, fraud: Array, weight: Array, times: Array) -> float:
    """Good weight below each fraud, ties half, over all pairs; NaN without fraud or without good."""
    good, bad, pairs = 0.0, 0.0, 0.0
    n = 0
    while n < len(score):
        tied_good, tied_bad, at = 0.0, 0.0, score[n]
        while n < len(score) and score[n] == at:
            own = weight[n] * times[entity[n]]
            if fraud[n]:
                tied_bad += own
            else:
                tied_good += own
            n += 1
        pairs += tied_good * (bad + tied_bad / 2)
        good += tied_good
        bad += tied_bad
    return pairs / (good * bad) if good > 0 and bad > 0 else np.nan


@njit(cache=True)
def precision_of(score: Array, entity: Array, fraud: Array, weight: Array, times: Array) -> float:
    """Precision at each distinct score, times the fraud that it adds, over all fraud; NaN without fraud."""
    seen, bad, steps = 0.0, 0.0, 0.0
    n = 0
    while n < len(score):
        tied, tied_bad, at = 0.0, 0.0, score[n]
        while n < len(score) and score[n] == at:
            own = weight[n] * times[entity[n]]
            tied += own
            if fraud[n]:
                tied_bad += own
            n += 1
        seen += tied
        bad += tied_bad
        if tied_bad > 0:
            steps += tied_bad * bad / seen
    return steps / bad if bad > 0 else np.nan


@njit(cache=True)
def reviewed_of(  # noqa: PLR0913, PLR0917 - numba wants flat arguments
    starts: Array, entity: Array, score: Array, fraud: Array, weight: Array, amount: Array, times: Array, budget: float
) -> tuple[float, float, float]:
    """Weight reviewed, the fraud in it, and that fraud's amount; the budget is of each day."""
    seen, bad, lost = 0.0, 0.0, 0.0
    for day in range(len(starts) - 1):
        n, end, left = starts[day], starts[day + 1], budget
        while n < end and left > 0:
            tied, tied_bad, tied_lost, at = 0.0, 0.0, 0.0, score[n]
            while n < end and score[n] == at:
                own = weight[n] * times[entity[n]]
                tied += own
                if fraud[n]:
                    tied_bad += own
                    tied_lost += own * amount[n]
                n += 1
            part = 1.0 if tied <= left else left / tied
            seen += part * tied
            bad += part * tied_bad
            lost += part * tied_lost
            left -= part * tied
    return seen, bad, lost


@njit(cache=True)
def compromised_of(
    starts: Array, entity: Array, score: Array, fraud: Array, weight: Array, times: Array, cards: float
) -> float:
    """The mean over days of compromised cards among the highest, over `cards`; what was found leaves later days."""
    hidden = np.ones(len(times))
    found = 0.0
    for day in range(len(starts) - 1):
        n, end, left = starts[day], starts[day + 1], cards
        while n < end and left > 0:
            first, tied, at = n, 0.0, score[n]
            while n < end and score[n] == at:
                tied += weight[n] * times[entity[n]] * hidden[entity[n]]
                n += 1
            part = 1.0 if tied <= left else left / tied
            for place in range(first, n):
                if fraud[place]:
                    found += part * weight[place] * times[entity[place]] * hidden[entity[place]] / cards
                    hidden[entity[place]] *= 1 - part
            left -= part * tied
    return found / (len(starts) - 1) if len(starts) > 1 else np.nan
