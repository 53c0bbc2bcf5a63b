"""What an ingest knows of the rows that it read and wrote, by day and folder: plain values, from which the rest follows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from features.definitions.names import utc
from features.definitions.sources import Source
from features.values.snapshots import Snapshot
from jobs.fitting import NO_DAY

__all__ = ["Read", "Work", "Written", "reads", "refused", "snapshots", "stated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Fitted rows of one day and one folder of the input."""

    ds: str
    folder: str | None
    """The day that a folder ds=… is named after."""

    good: int
    bad: int
    last: int | None
    """The latest known_at of the good ones, microseconds UTC."""

    cleared: int
    """NaN and infinite values that became null."""

    raised: int
    """Rows that are known from their folder's day on, after their known_at."""


def reads(rows: Iterable[Mapping[str, Any]]) -> list[Read]:
    """Of rows that have its fields; a sum of nothing is null."""
    return [
        Read(
            ds=row["ds"],
            folder=row["folder"],
            good=row["good"],
            bad=row["bad"],
            last=row["last"],
            cleared=row["cleared"] or 0,
            raised=row["raised"] or 0,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an ingest made of one day."""

    stored: int = 0
    """All rows of the partition."""

    rows: int = 0
    """Those that change something."""

    changed: int = 0
    """Those that are no first additions, and change something or were to."""

    content: int = 0
    """A sum of the hashes of all rows."""

    late: int = 0
    """Versions that are refused: they came too late to correct anything."""


class Work(Protocol):
    """One ingest's rows, wherever they are: in Spark, or in this process where they are few."""

    def read(self) -> list[Read]:
        """Counts of the fitted rows."""
        ...

    def write(self, days: list[str], taken: tuple[Snapshot, ...]) -> dict[str, Written]:
        """Writes what is stored of the days, what waits for a parent, and what snapshots said, each day into a folder of its own."""
        ...

    def write_refused(self, days: list[str]) -> None:
        """Writes the rows of the quarantine likewise; after `write`."""
        ...

    def end(self) -> None:
        """Removes what only the work itself needed."""
        ...


def stated(source: Source, seen: Sequence[Read]) -> list[Read]:
    """Of a full source: the rows of a folder ds=… are one statement, known when the last of them was, whatever midnight lies between."""
    if source.kind != "full":
        return list(seen)
    last: dict[str, int] = {}
    for item in seen:
        if item.folder is not None and item.last is not None:
            last[item.folder] = max(item.last, last.get(item.folder, item.last))
    return [
        replace(item, ds=str(utc(last[item.folder]).date()), last=last[item.folder], bad=0)
        if item.good and item.folder in last
        else replace(item, bad=0)
        for item in seen
    ] + [replace(item, good=0, last=None) for item in seen if item.bad]


def snapshots(source: Source, said: Sequence[Read], days: Sequence[str]) -> tuple[Snapshot, ...]:
    """Of a full source, the days that have rows; none for the other kinds.

    Args:
        source: whose rows they are.
        said: what `stated` gives.
        days: the partitions that are written.
    """
    if source.kind != "full":
        return ()
    broken = {item.folder or item.ds for item in said if item.bad}
    good = [item for item in said if item.good and days[0] <= item.ds <= days[-1]]
    of: dict[str, set[str]] = {}
    known: dict[str, int] = {}
    for item in good:
        of.setdefault(item.ds, set()).add(item.folder or item.ds)
        known[item.ds] = max(item.last or 0, known.get(item.ds, item.last or 0))
    nowhere = NO_DAY in broken  # rows that may belong to any of the snapshots
    taken = {known[ds]: not (nowhere or broken & of[ds]) for ds in known}
    return tuple(Snapshot(at, taken[at], at) for at in sorted(taken))


def refused(seen: Sequence[Read], written: dict[str, Written], days: Sequence[str]) -> dict[str, int]:
    """Rows of the quarantine by day. What neither a folder nor a time places stays with the last day of its input."""
    found: dict[str, int] = {}
    bad = [(days[-1] if item.ds == NO_DAY else item.ds, item.bad) for item in seen]
    for ds, count in [*bad, *((ds, item.late) for ds, item in written.items())]:
        if count and ds >= days[0]:  # a full source reads the folder of the day before once more
            found[ds] = found.get(ds, 0) + count
    return found
