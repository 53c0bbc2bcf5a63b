"""Which days of `risk.metrics_daily` were computed, as known when. No Spark.

ROOT/asof/metrics/<day>.json, written once readers see the day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from pyarrow import fs

from features.definitions.compiled import hash_of
from features.definitions.durations import DAY
from features.definitions.metrics import RiskMetrics
from features.definitions.names import micros, utc
from features.settings import Settings
from jobs.attempts import root
from jobs.files import open_system, read_record, write_record

__all__ = ["Computed", "computed_days", "definition_of", "due_days", "mature_at", "record_day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """One day."""

    day: str
    as_of: int
    """What became known before counts; microseconds UTC."""

    mature: bool
    """All of its events were older than the horizon of each label: it is done."""

    rows: int
    definition: str
    """Hash of the definitions it was computed by."""


def definition_of(metrics: Sequence[RiskMetrics]) -> str:
    """Equal where the same is asked."""
    return hash_of(tuple(sorted(metrics, key=lambda item: item.name)))


def mature_at(metrics: Sequence[RiskMetrics], day: date) -> int:
    """From this instant on all events of a day are older than the horizons; microseconds UTC."""
    return _end(day) + max(item.label.horizon_us for item in metrics)


def due_days(metrics: Sequence[RiskMetrics], done: Mapping[str, Computed], first: date, cut: int) -> tuple[date, ...]:
    """Days that a run at a cut computes, oldest first: those never computed, and those that have matured since they were.

    A day that was computed once it had matured stays as it is. `first` is the first day with a partition; a day is over before it is computed.
    """
    days = [first + timedelta(days=n) for n in range(max((utc(cut).date() - first).days, 0))]
    return tuple(
        day
        for day in days
        if (found := done.get(str(day))) is None or (not found.mature and mature_at(metrics, day) <= cut)
    )


def computed_days(settings: Settings) -> dict[str, Computed]:
    """By day, oldest first."""
    files, place = open_system(root(settings))
    found = files.get_file_info(fs.FileSelector(f"{place}/asof/metrics", allow_not_found=True))
    names = sorted(item.base_name for item in found if item.base_name.endswith(".json") and item.base_name[0] != ".")
    records = (read_record(f"{root(settings)}/asof/metrics/{name}") for name in names)
    return {record["day"]: Computed(**record) for record in records if record is not None}


def record_day(settings: Settings, found: Computed) -> None:
    """Says that readers see the day."""
    write_record(f"{root(settings)}/asof/metrics/{found.day}.json", asdict(found))


def _end(day: date) -> int:
    return micros(utc(0).replace(year=day.year, month=day.month, day=day.day)) + DAY
