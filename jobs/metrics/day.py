"""The metrics of one UTC day of events, as rows of `risk.metrics_daily`. Arrow and numpy, no Spark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.metrics import RiskMetrics
from jobs.metrics.ranked import auc_roc, average_precision, precision_at, recall_at, savings
from jobs.metrics.resampling import Measured, Metric, measured
from jobs.metrics.rows import Rows, rows_of
from jobs.metrics.shares import (
    approval_rate,
    false_positive_ratio,
    fraud_bps,
    insult_rate,
    known_within,
    share_pending,
)

__all__ = ["ALL", "SAMPLES", "SEED", "Row", "day_rows", "row_of"]

ALL = "all"
SAMPLES, SEED = 200, 0
_LAGS = (1, 7, 30, 60, 90, 120)
"""Days at which the lag curve is told, as far as the horizon reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric of one segment of a day."""

    definition: str
    metric: str
    segment: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    count: int
    entities: int | None
    """None of ratios of networks, whose two sides have entities of their own."""

    pending: int
    unobserved: int
    young: int


def day_rows(metrics: RiskMetrics, frame: pa.Table) -> list[Row]:
    """What is asked of a day, of all its events and of each segment.

    Metrics of outcomes are there once events of the segment are mature; approvals and the share that is pending always.

    Args:
        metrics: the definition.
        frame: labelled events of one day: label columns, `asof_weight`, `asof_approved`, `asof_flagged`, `asof_explored`, `asof_propensity`, and the columns that the
            definition names.
    """
    found = []
    for segment, rows in _segments(frame, metrics.by):
        amounts = rows.filter(pa.array(_sound(rows, metrics.amount, least=0)))
        found += _measured(metrics, segment, rows, [approval_rate(), share_pending()], _by_count(metrics))
        found += _measured(metrics, segment, amounts, [approval_rate("amount")], [fraud_bps("amount")])
        if metrics.score is not None:
            ranked = amounts.filter(pa.array(_sound(amounts, metrics.score)))
            found += _measured(metrics, segment, ranked, [], _of_score(metrics))
    return found


def row_of(metrics: RiskMetrics, segment: str, found: Measured, left: dict[str, int]) -> Row:
    """A metric with what took no part in it."""
    return Row(
        definition=metrics.name, metric=found.metric, segment=segment, unit=found.unit, value=found.value, low=found.low, high=found.high,
        count=found.rows, entities=found.entities, **left,
    )  # fmt: skip


def _by_count(metrics: RiskMetrics) -> list[Metric]:
    lags = [known_within(days) for days in _LAGS if days * 86_400_000_000 < metrics.label.horizon_us]
    policy = [] if metrics.label.blocked is None else [false_positive_ratio(), insult_rate()]
    return [fraud_bps("count"), *policy, *lags]


def _of_score(metrics: RiskMetrics) -> list[Metric]:
    budget = metrics.budget
    reviewed = [precision_at(budget), recall_at(budget), savings(budget, review_cost=metrics.review_cost)]
    return [auc_roc(), average_precision(), *reviewed]


def _measured(
    metrics: RiskMetrics, segment: str, frame: pa.Table, always: list[Metric], of_outcomes: list[Metric]
) -> list[Row]:
    rows = _rows(metrics, frame)
    asked = [*always, *(of_outcomes if rows.mature.any() else [])]
    return [row_of(metrics, segment, found, rows.left) for found in measured(rows, asked, samples=SAMPLES, seed=SEED)]


def _rows(metrics: RiskMetrics, frame: pa.Table) -> Rows:
    source = metrics.label.event_source
    sound = bool(_sound(frame, metrics.amount, least=0).all())
    ranked = metrics.score is not None and bool(_sound(frame, metrics.score).all())
    return rows_of(
        frame, entity=metrics.entity_columns, time=source.event_time, event_id=source.event_id, approved="asof_approved", flagged="asof_flagged",
        explored="asof_explored", propensity="asof_propensity", amount=metrics.amount if sound else None, score=metrics.score if ranked else None,
    )  # fmt: skip


def _sound(frame: pa.Table, name: str, least: float = -np.inf) -> np.ndarray:
    """Where a column holds a number."""
    found = np.asarray(pc.fill_null(frame[name].cast(pa.float64()), np.nan).to_numpy())
    return np.asarray(np.isfinite(found) & (found >= least))


def _segments(frame: pa.Table, by: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    yield ALL, frame
    for name in by:
        column = pc.fill_null(frame[name], "")
        for value in sorted(pc.unique(column).to_pylist()):
            yield f"{name}={value}", frame.filter(pc.equal(column, value))
