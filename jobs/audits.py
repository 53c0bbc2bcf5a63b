"""What auditing leaves behind: profiles and reports of source partitions and of cuts, read and written without Spark.

ROOT/asof/<source>/<ds>.profile.json, <ds>.verdict.json; beside each attempt its _profile.json and _verdict.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from expectations.profiles import Profile
from expectations.report import Report
from expectations.suites import Judged
from features.definitions.catalog import Catalog
from features.definitions.durations import DAY
from features.definitions.names import micros
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.settings import Settings
from jobs import attempts
from jobs.files import read_record, write_record

__all__ = [
    "Judgement", "Sources", "cut_history", "day_start", "days_before", "partition_profile", "partition_report", "partitions_of", "profiled_ingest", "sources_of",
    "verdict_of", "write_partition_profile", "write_partition_report",
]  # fmt: skip

Sources = tuple[tuple[Source, tuple[str, ...], tuple[FeatureView, ...]], ...]
"""Each source that fills a table, the key columns read from it, and the views that read it."""
_CUTS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A report and what the data docs show of it."""

    report: Report
    results: Mapping[str, Judged]


def _path(settings: Settings, source: str, ds: str, kind: str) -> str:
    return f"{attempts.root(settings)}/asof/{source}/{ds}.{kind}.json"


def partition_profile(settings: Settings, source: str, ds: str) -> Profile | None:
    """None where the partition was never profiled."""
    found = read_record(_path(settings, source, ds, "profile"))
    return None if found is None else Profile.load(found)


def write_partition_profile(settings: Settings, profile: Profile, ingested_at: int) -> None:
    """With the instant of the ingest that it is of: a partition ingested anew is profiled anew."""
    write_record(
        _path(settings, profile.subject, profile.at, "profile"), {**profile.record(), "ingested_at": ingested_at}
    )


def profiled_ingest(settings: Settings, source: str, ds: str) -> int | None:
    """The instant of the ingest that the stored profile is of; None where there is none."""
    found = read_record(_path(settings, source, ds, "profile"))
    return None if found is None else int(found["ingested_at"])


def partition_report(settings: Settings, source: str, ds: str) -> Report | None:
    """None where the partition was never audited."""
    found = read_record(_path(settings, source, ds, "verdict"))
    return None if found is None else Report.load(found)


def write_partition_report(settings: Settings, made: Report) -> None:
    """In place of an earlier one."""
    write_record(_path(settings, made.subject, made.at, "verdict"), made.record())


def verdict_of(settings: Settings, view: FeatureView, cut: int) -> Report | None:
    """The report on the newest finished attempt at a cut; None where there is no such attempt or it was not validated."""
    attempt = attempts.finished(settings, view, cut)
    found = attempt.record("verdict") if attempt is not None else None
    return None if found is None else Report.load(found)


def sources_of(catalog: Catalog, views: Sequence[FeatureView]) -> Sources:
    """Each source that fills a table which the views read: with the key columns read from it, and the views. Of what is derived, what it is derived from."""
    tables: dict[str, tuple[list[str], list[FeatureView]]] = {}
    for view in views:
        for source in ingested(view):
            keys, readers = tables.setdefault(source.ingested_by, ([], []))
            keys += [key for key in source.key_columns(view.entity.name, view.keys) if key not in keys]
            readers += [view] if view not in readers else []
    return tuple(
        (catalog.source(name), tuple(keys), tuple(readers)) for name, (keys, readers) in sorted(tables.items())
    )


def ingested(view: FeatureView) -> tuple[Source, ...]:
    """The sources of a view that files bring; of one that is derived from a graph, those of the graph."""
    found = [part for source in view.sources for part in ((source,) if source.graph is None else source.graph.reads)]
    return tuple(dict.fromkeys(found))


def partitions_of(views: Sequence[FeatureView], cut: int) -> tuple[str, ...]:
    """The days (ds) that end within the last period before the cut: complete, and new to it. Oldest first."""
    period = max(view.schedule.period_us for view in views)
    last = cut // DAY * DAY
    return days_before(cut, len(range(last, cut - period, -DAY)))


def days_before(cut: int, count: int) -> tuple[str, ...]:
    """The last days (ds) that end at or before the cut, oldest first."""
    last = cut // DAY * DAY
    return tuple(
        datetime.fromtimestamp((last - back * DAY) / 1e6, UTC).date().isoformat() for back in range(count, 0, -1)
    )


def day_start(ds: str) -> int:
    """Microseconds UTC of a day's midnight."""
    return micros(datetime.combine(date.fromisoformat(ds), datetime.min.time(), UTC))


def cut_history(settings: Settings, view: FeatureView, cut: int) -> tuple[Profile, ...]:
    """Profiles of the last cuts before this one that were not held, oldest first."""
    found: list[Profile] = []
    for earlier in reversed(attempts.cuts_with_attempts(settings, view)):
        if earlier >= cut or len(found) == _CUTS:
            continue
        attempt = attempts.finished(settings, view, earlier)
        report, profile = (
            (attempt.record("verdict"), attempt.record("profile")) if attempt is not None else (None, None)
        )
        if report is not None and profile is not None and report["verdict"] != "hold":
            found.append(Profile.load(profile))
    return tuple(reversed(found))
