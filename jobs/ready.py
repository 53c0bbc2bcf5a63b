"""Whether the source partitions that a cut needs are in Hive. Asks the ledger only: no Spark, no metastore."""

from datetime import timedelta

from features.definitions.names import utc
from features.definitions.sources import Source
from features.errors import BusyError
from features.settings import Settings
from jobs import ledger
from jobs.commands import Ready
from jobs.stages import say, stage_views

__all__ = ["run"]


def run(command: Ready, settings: Settings) -> int:
    """Exit 75 while a partition is missing, so that the scheduler asks again.

    Raises:
        BusyError: naming what is missing and the command that loads it.
    """
    _, views, cut = stage_views(command, settings)
    sources: dict[str, Source] = {source.ingested_by: source for view in views for source in view.sources}
    day = str((utc(cut) - timedelta(microseconds=1)).date())
    missing = [name for name in sorted(sources) if ledger.partition(settings, name, day) is None]
    if missing:
        msg = (
            f"Not ready for the cut {utc(cut).isoformat()}: {', '.join(missing)} have no partition ds={day}. "
            f"They come with `asof ingest --source {missing[0]} --input … --ds {day}`; until then the scheduler tries again."
        )
        raise BusyError(msg)
    say(f"ds={day} is there of {', '.join(sorted(sources))}.")
    return 0
