"""Lets a held source partition through: its rows are known from now on, to no earlier cut."""

from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.errors import MissingError
from features.settings import Settings
from jobs import ledger
from jobs.commands import Release
from jobs.stages import say

__all__ = ["run"]


def run(command: Release, settings: Settings) -> int:
    """Releasing twice changes nothing.

    Raises:
        MissingError: there is no such source or partition, or it is not held.
    """
    source = load_catalog(settings.catalog).source(command.source)
    found = ledger.partition(settings, source.ingested_by, command.ds)
    if found is None or found.held_at is None:
        held = [item.ds for item in ledger.partitions(settings, source.ingested_by) if item.held]
        raise MissingError.of(
            f"held partition of {source.name!r}", str(command.ds), held, "Only what a gate held can be released."
        )
    if found.released_at is None:
        ledger.release(settings, found, at=micros(settings.now()))
    say(f"{source.name} ds={command.ds} is released: its rows count from the next cut on.")
    return 0
