"""Whether the source partitions that a cut needs are in Hive. Asks the ledger only: no Spark, no metastore."""

from collections.abc import Collection
from datetime import timedelta

from features.definitions.names import utc
from features.definitions.sources import Source
from features.errors import BusyError
from features.settings import Settings
from jobs import ledger
from jobs.commands import Ready
from jobs.stages import say, stage_views

__all__ = ["refuse_unready", "run"]


def run(command: Ready, settings: Settings) -> int:
    """Exit 75 while a partition is missing, or was ingested before the cut, so that the scheduler asks again.

    Raises:
        BusyError: naming what is missing and the command that loads it.
    """
    _, views, cut = stage_views(command, settings)
    sources: dict[str, Source] = {source.ingested_by: source for view in views for source in view.sources}
    day = refuse_unready(settings, sources, cut)
    say(f"ds={day} is there of {', '.join(sorted(sources))}.")
    return 0


def refuse_unready(settings: Settings, sources: Collection[str], cut: int) -> str:
    """The last day before the cut, whose partition is there of all sources.

    Raises:
        BusyError: naming what is missing and the command that loads it.
    """
    day = str((utc(cut) - timedelta(microseconds=1)).date())
    found = {name: ledger.partition(settings, name, day) for name in sorted(sources)}
    if missing := [name for name, item in found.items() if item is None]:
        msg = (
            f"Not ready for the cut {utc(cut).isoformat()}: {', '.join(missing)} have no partition ds={day}. "
            f"They come with `asof ingest --source {missing[0]} --input … --ds {day}`; until then the scheduler tries again."
        )
        raise BusyError(msg)
    if early := [item for item in found.values() if item is not None and item.ingested_at < cut]:
        item = early[0]
        msg = (
            f"Not ready for the cut {utc(cut).isoformat()}: ds={day} of {', '.join(each.source for each in early)} was ingested at "
            f"{utc(item.ingested_at).isoformat()}, before the cut, so events may be missing. "
            f"Ingest it again: `asof ingest --source {item.source} --input … --ds {day}`; until then the scheduler tries again."
        )
        raise BusyError(msg)
    return day
