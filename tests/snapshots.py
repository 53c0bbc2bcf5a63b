"""What compute leaves of some views at some cuts, side by side."""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.views import FeatureView
from features.settings import Settings
from jobs.compute import compute

__all__ = ["snapshot"]


def snapshot(spark: SparkSession, settings: Settings, view: FeatureView, cuts: Sequence[int]) -> list[dict[str, Any]]:
    """A row a key and cut (`asof_cut`); keys that were never seen have none."""
    found = compute(spark, settings, (view,), cuts)
    return [
        {**row, "asof_cut": attempt.cut} for attempt in found for row in pq.read_table(attempt.location).to_pylist()
    ]
