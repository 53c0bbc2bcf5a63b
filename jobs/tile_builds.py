"""Builds of a view's tiles: each has its own location and is finished once its record lies there; which of them Hive shows. No Spark.

ROOT/tiles/<view>/<definition>-<run>/cut=<cut>/day=<day>/part-….parquet, _finished.json; ROOT/tiles/<view>/_shown.json
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from features.definitions.durations import duration
from features.definitions.names import cut_text, micros, utc
from features.definitions.tiling import tiling
from features.definitions.views import FeatureView
from features.settings import Settings
from jobs.files import folders, read_record, write_record
from jobs.ledger import Partition

__all__ = ["Build", "begun", "first_day", "folders_of", "mark_shown", "new_location", "newest", "shown", "source_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The tiles of some cuts of a view, complete and counted."""

    run: str
    location: str
    finished_at: float
    cuts: Mapping[str, Mapping[str, Any]]
    """By `cut_text`: `days` (day to rows), `replacing` (rows that replace), `read_from` (the oldest partition read), `sources` (their state)."""


def new_location(settings: Settings, view: FeatureView) -> str:
    """A folder nobody else writes to."""
    return f"{_root(settings, view)}/{tiling(view).definition}-{uuid4().hex[:12]}"


def newest(
    settings: Settings, view: FeatureView, partitions: Sequence[Partition], cuts: Iterable[int]
) -> dict[int, Build]:
    """For each cut the newest build by the current definition from the source as it is now; without those that have none."""
    found = sorted(_builds(settings, view), key=lambda build: build.finished_at)
    made: dict[int, Build] = {}
    for cut in cuts:
        for build in found:
            item = build.cuts.get(cut_text(cut))
            if item is not None and item["sources"] == source_state(view, partitions, cut, item["read_from"]):
                made[cut] = build
    return made


def _builds(settings: Settings, view: FeatureView) -> list[Build]:
    root, definition = _root(settings, view), tiling(view).definition
    named = [name for name in folders(root) if name.startswith(f"{definition}-")]
    records = {name: read_record(f"{root}/{name}/_finished.json") for name in named}
    return [
        Build(run=name, location=f"{root}/{name}", finished_at=record["finished_at"], cuts=record["cuts"])
        for name, record in records.items() if record is not None
    ]  # fmt: skip


def _root(settings: Settings, view: FeatureView) -> str:
    return f"{settings.tables_root}/tiles/{view.name}"


def begun(partitions: Sequence[Partition]) -> int:
    """The start of a source's first day, in microseconds UTC; it has one."""
    return micros(datetime.fromisoformat(f"{partitions[0].ds}T00:00:00+00:00"))


def first_day(view: FeatureView, partitions: Sequence[Partition], cut: int) -> str:
    """The oldest partition of the main source that may hold what a cut newly knows."""
    source, since = view.source, cut - view.schedule.period_us
    # A lag makes rows known later than their partition says, by so much at most; a release, those of its day and what takes them back.
    reach = source.lag_us + duration(source.max_future) if source.lag_us else 0
    released = [item.ds for item in partitions if item.released_at is not None and since <= item.released_at < cut]
    return min([str(utc(since - reach).date()), *released])


def source_state(view: FeatureView, partitions: Sequence[Partition], cut: int, read_from: str) -> str:
    """What the tiles of a cut depend on, in a sentence: the partitions read, the newest ingest among them, what is held and released."""
    last = str(utc(cut - 1).date())
    read = [item for item in partitions if read_from <= item.ds <= last]
    since = cut - view.schedule.period_us
    shut = ",".join(item.ds for item in partitions if item.ds <= last and (item.held or (item.released_at or 0) >= cut))
    free = ",".join(item.ds for item in partitions if item.released_at is not None and since <= item.released_at < cut)
    ingested = max((item.ingested_at for item in read), default=0)
    return f"{len(read)} partitions, newest ingest {ingested}, held {shut or 'none'}, released {free or 'none'}"


def shown(settings: Settings, view: FeatureView) -> dict[str, str]:
    """Cut to the run of the build that Hive shows of it; cuts that were being changed when a process was killed are missing."""
    record = read_record(f"{_root(settings, view)}/_shown.json") or {}
    return dict(record["cuts"]) if record.get("definition") == tiling(view).definition else {}


def mark_shown(settings: Settings, view: FeatureView, runs: Mapping[str, str], unsure: Collection[str] = ()) -> None:
    """Says which builds Hive shows, and which cuts are about to change."""
    cuts = {cut: run for cut, run in {**shown(settings, view), **runs}.items() if cut not in unsure}
    write_record(f"{_root(settings, view)}/_shown.json", {"definition": tiling(view).definition, "cuts": cuts})


def folders_of(builds: Mapping[int, Build]) -> dict[tuple[str, str], str]:
    """The folder of each (cut, day) that is there."""
    return {
        (cut_text(cut), day): f"{build.location}/cut={cut_text(cut)}/day={day}"
        for cut, build in builds.items()
        for day in build.cuts[cut_text(cut)]["days"]
    }
