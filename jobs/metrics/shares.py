"""Metrics that are one sum over another: what a payments team reports. No Spark.

Metrics of outcomes are of mature rows: pending, unobserved and young rows have left, and `Rows.left` counts them.
"""

from typing import Literal

import numpy as np

from features.definitions.durations import DAY
from features.errors import InputError
from jobs.metrics.kernels import summed
from jobs.metrics.resampling import Metric, Prepared
from jobs.metrics.rows import Rows

__all__ = [
    "By",
    "approval_rate",
    "false_positive_ratio",
    "fraud_bps",
    "insult_rate",
    "known_within",
    "share_pending",
    "shared",
]

Array = np.ndarray
By = Literal["amount", "count"]


def fraud_bps(by: By) -> Metric:
    """Basis points of what was approved that turned out fraud: 10,000 x fraud / approved, of mature approved rows, by amount or count.

    As it happened: explored rows count once (`Rows.once`). Without `approved` every mature row went through.
    """
    name = f"fraud_bps_{by}"

    def prepare(rows: Rows) -> Prepared:
        part = rows.outcomes(name) if rows.approved is None else rows.outcomes(name) & rows.approved
        size = rows.once * _size(rows, by, name)
        return shared(rows, part, size * rows.fraud, size, scale=10_000)

    return Metric(name=name, unit="bps", prepare=prepare)


def approval_rate(by: By = "count") -> Metric:
    """Approved / all, by count or amount, of all rows whatever their outcome; explored rows count once."""
    name = f"approval_rate_{by}"

    def prepare(rows: Rows) -> Prepared:
        size = rows.once * _size(rows, by, name)
        return shared(rows, np.ones(len(size), bool), size * rows.needed("approved", name), size)

    return Metric(name=name, unit="share", prepare=prepare)


def share_pending() -> Metric:
    """Pending / observed, of all rows but the unobserved, by count: how much of the outcome is still open."""

    def prepare(rows: Rows) -> Prepared:
        return shared(rows, ~rows.unobserved, rows.once * rows.pending, rows.once)

    return Metric(name="share_pending", unit="share", prepare=prepare)


def false_positive_ratio() -> Metric:
    """Good events flagged for each fraud flagged: 4 says that four good customers are stopped for one fraud. Of mature flagged rows, by `Rows.weight`.

    Where what is flagged is blocked, only explored rows have an outcome: their weights stand for the others.
    """
    name = "false_positive_ratio"

    def prepare(rows: Rows) -> Prepared:
        part = rows.outcomes(name) & rows.needed("flagged", name)
        return shared(rows, part, rows.weight * ~rows.fraud, rows.weight * rows.fraud)

    return Metric(name=name, unit="ratio", prepare=prepare)


def insult_rate(by: By = "count") -> Metric:
    """The share of good events that are flagged, of mature rows without fraud, by `Rows.weight`: good customers who are insulted."""
    name = f"insult_rate_{by}"

    def prepare(rows: Rows) -> Prepared:
        part = rows.outcomes(name) & ~rows.fraud
        size = rows.weight * _size(rows, by, name)
        return shared(rows, part, size * rows.needed("flagged", name), size)

    return Metric(name=name, unit="share", prepare=prepare)


def known_within(days: int) -> Metric:
    """The label-lag curve at `days`: of mature frauds, the share that was known less than so many whole days after the event; by count, as it happened.

    All of them are older than the horizon, so this is the plain share. Of younger events `features.values.censoring.lag_curve` corrects.
    """
    name = f"known_within_{days}d"

    def prepare(rows: Rows) -> Prepared:
        if rows.delay is None:
            msg = f"{name} needs to know since when labels are known. Give a frame with label_known_at."
            raise InputError(msg)
        part = rows.outcomes(name) & rows.fraud
        return shared(rows, part, rows.once * (rows.delay < days * DAY), rows.once)

    return Metric(name=name, unit="share", prepare=prepare)


def shared(rows: Rows, part: Array, top: Array, bottom: Array, *, scale: float = 1) -> Prepared:
    """Scale x sum of `top` / sum of `bottom` over the rows of `part`: entities are summed once, each sample is a product."""
    sums = [np.bincount(rows.entity[part], weights=side[part], minlength=len(rows.entities)) for side in (top, bottom)]

    def value(times: Array) -> float:
        below = summed(times, sums[1])
        return scale * summed(times, sums[0]) / below if below else float("nan")

    return Prepared(value=value, part=part)


def _size(rows: Rows, by: By, metric: str) -> Array:
    return rows.needed("amount", metric) if by == "amount" else np.ones(len(rows.entity))
