"""Risk metrics on matured outcomes, with intervals by entity: a library on frames, and the daily job (docs/metrics.md). Only the job knows Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.metrics.networks import MASTERCARD as MASTERCARD
from jobs.metrics.networks import VISA as VISA
from jobs.metrics.networks import Chargebacks as Chargebacks
from jobs.metrics.networks import chargeback_ratios as chargeback_ratios
from jobs.metrics.ranked import auc_roc as auc_roc
from jobs.metrics.ranked import average_precision as average_precision
from jobs.metrics.ranked import card_precision as card_precision
from jobs.metrics.ranked import precision_at as precision_at
from jobs.metrics.ranked import recall_at as recall_at
from jobs.metrics.ranked import savings as savings
from jobs.metrics.resampling import Measured as Measured
from jobs.metrics.resampling import Metric as Metric
from jobs.metrics.resampling import measured as measured
from jobs.metrics.rows import Rows as Rows
from jobs.metrics.rows import rows_of as rows_of
from jobs.metrics.shares import approval_rate as approval_rate
from jobs.metrics.shares import false_positive_ratio as false_positive_ratio
from jobs.metrics.shares import fraud_bps as fraud_bps
from jobs.metrics.shares import insult_rate as insult_rate
from jobs.metrics.shares import known_within as known_within
from jobs.metrics.shares import share_pending as share_pending

if TYPE_CHECKING:
    from features.settings import Settings
    from jobs.commands import Metrics

__all__ = [
    "MASTERCARD",
    "VISA",
    "Chargebacks",
    "Measured",
    "Metric",
    "Rows",
    "approval_rate",
    "auc_roc",
    "average_precision",
    "card_precision",
    "chargeback_ratios",
    "false_positive_ratio",
    "fraud_bps",
    "insult_rate",
    "known_within",
    "measured",
    "precision_at",
    "recall_at",
    "rows_of",
    "run",
    "savings",
    "share_pending",
]


def run(command: Metrics, settings: Settings) -> int:
    """`asof metrics`; see jobs/metrics/daily.py."""
    from jobs.metrics.daily import run as run_  # noqa: PLC0415 - Spark costs a second, and whoever measures a frame needs none

    return run_(command, settings)
