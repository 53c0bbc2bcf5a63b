"""Days of sales as ingest would have stored them, for tests of what comes after ingest."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from features.settings import Settings
from jobs import ledger

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["CATALOG", "sales", "store"]

CATALOG = "tests.jobs.catalogue_of_audits"
_COLUMNS = (
    "sale_id string, shop_id string, amount bigint, event_time timestamp, known timestamp, ds string, "
    "asof_op string, asof_known_at timestamp, asof_undoes timestamp, asof_first boolean"
)


def sales(day: date, *, amount: int = 100, rows: int = 120) -> list[tuple[Any, ...]]:
    """One row every twelve minutes, of forty shops."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    made = []
    for number in range(rows):
        at = start + timedelta(minutes=12 * (number % 120), seconds=number)
        event = (f"{day}-{number}", f"shop{number % 40}", amount + number % 7, at, at + timedelta(seconds=5), str(day))
        made.append((*event, "add", at + timedelta(seconds=5), None, True))
    return made


def store(
    spark: "SparkSession", settings: Settings, source: str, days: Mapping[date, Sequence[tuple[Any, ...]]]
) -> None:
    """The table `audits.<source>` and its ledger: these days and no other."""
    rows = [row for of_day in days.values() for row in of_day]
    frame = spark.createDataFrame(rows, _COLUMNS)
    frame.write.mode("overwrite").partitionBy("ds").saveAsTable(f"audits.{source}")
    for n, (day, of_day) in enumerate(days.items(), 1):
        made = ledger.Partition(source=source, ds=str(day), rows=len(of_day), ingested_at=n)
        ledger.record_ingest(settings, made)
