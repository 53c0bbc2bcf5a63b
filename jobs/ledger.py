"""What is known of each source partition without asking Spark: that it was ingested, that a gate holds it, when it was released.

ROOT/asof/<source>/<ds>.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyarrow import fs

from features.definitions.names import utc
from features.definitions.views import FeatureView
from features.settings import Settings
from jobs.attempts import root
from jobs.files import open_system, read_record, write_record

__all__ = ["Partition", "hold", "partition", "partitions", "record_ingest", "release", "source_state", "source_states"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One `ds` of one source."""

    source: str
    ds: str
    rows: int
    quarantined: int = 0
    ingested_at: int = 0
    """When its ingest began, microseconds UTC: what became known later may not be in it."""

    changed: int | None = None
    """Rows that are no first additions: corrections, what they take back, voids. None: not counted."""

    raised: int | None = None
    """Rows that are known from their folder's day on, after their known_at. None: not counted."""

    content: str | None = None
    """Equal where all stored rows are: a sum of their hashes, in any order. None: not counted."""

    snapshot_at: int | None = None
    """Of a full source: when its snapshot of that day was whole, microseconds UTC. None where it brought no row."""

    whole: bool = True
    """No row of it is in quarantine."""

    held_at: int | None = None
    reason: str | None = None
    released_at: int | None = None
    """From here on a held partition is known: its rows' least known_at."""

    @property
    def held(self) -> bool:
        """Known to no path."""
        return self.held_at is not None and self.released_at is None


def _path(settings: Settings, source: str, ds: str) -> str:
    return f"{root(settings)}/asof/{source}/{ds}.json"


def partition(settings: Settings, source: str, ds: str | date) -> Partition | None:
    """None where the partition was never ingested."""
    found = read_record(_path(settings, source, str(ds)))
    return None if found is None else Partition(**found)


def partitions(settings: Settings, source: str, *, last: int | None = None) -> tuple[Partition, ...]:
    """All ingested partitions of a source, or the last ones alone, oldest first."""
    files, place = open_system(root(settings))
    names = sorted(
        item.base_name.removesuffix(".json")
        for item in files.get_file_info(fs.FileSelector(f"{place}/asof/{source}", allow_not_found=True))
        # A day's profile and verdict lie beside its record: 2026-01-01.profile.json.
        if item.base_name.endswith(".json") and "." not in item.base_name.removesuffix(".json")
    )
    chosen = names if last is None else names[-last:]
    return tuple(found for name in chosen if (found := partition(settings, source, name)) is not None)


def _write(settings: Settings, made: Partition) -> Partition:
    write_record(_path(settings, made.source, made.ds), _fields(made))
    return made


def _fields(made: Partition) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Partition.__slots__}


def record_ingest(settings: Settings, made: Partition) -> Partition:
    """Says that a partition is complete in Hive. A hold of the same partition ends: its content is new."""
    return _write(settings, made)


def hold(settings: Settings, found: Partition, *, at: int, reason: str) -> Partition:
    """From now on no path knows the partition, until it is released or ingested anew. Holding twice changes nothing."""
    return (
        found
        if found.held
        else _write(settings, Partition(**{**_fields(found), "held_at": at, "reason": reason, "released_at": None}))
    )


def release(settings: Settings, found: Partition, *, at: int) -> Partition:
    """Its rows become known at `at`, at the earliest."""
    return _write(settings, Partition(**{**_fields(found), "released_at": at}))


def source_state(settings: Settings, view: FeatureView, cut: int) -> dict[str, str]:
    """What a cut is computed from, a sentence a source: its partitions before the cut, the newest ingest, and what is held from it."""
    return source_states(settings, view, [cut])[cut]


def source_states(settings: Settings, view: FeatureView, cuts: Sequence[int]) -> dict[int, dict[str, str]]:
    """The state of each of several cuts; the records are read once."""
    found = {source.name: partitions(settings, source.ingested_by) for source in view.sources}
    return {cut: {name: _state(items, cut) for name, items in found.items()} for cut in cuts}


def _state(found: Sequence[Partition], cut: int) -> str:
    last = str((utc(cut) - timedelta(microseconds=1)).date())
    seen = [item for item in found if item.ds <= last]
    shut = ",".join(item.ds for item in seen if item.held or (item.released_at or 0) >= cut)
    newest = max((item.ingested_at for item in seen), default=0)
    return f"{len(seen)} partitions, newest ingest {newest}, held {shut or 'none'}"
