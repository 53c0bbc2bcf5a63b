"""What each day of a graph's sources was derived from, and whether that is still what is there. No Spark.

ROOT/asof/graphs/<graph>.json
"""

from collections.abc import Mapping
from datetime import date, timedelta

from features.definitions.compiled import hash_of
from features.definitions.graphs import Graph
from features.definitions.names import utc
from features.definitions.sources import Source
from features.errors import MissingError
from features.settings import Settings
from jobs import ledger
from jobs.attempts import root
from jobs.files import read_record, write_record

__all__ = ["first_changed", "record", "refuse_changed"]

_DAY = timedelta(days=1)


def first_changed(settings: Settings, graph: Graph, before: int) -> tuple[str | None, dict[str, str]]:
    """The first day up to an instant that is not derived from what is there now, None where all are; and of each day what it is derived from.

    The day of the instant counts once a partition of it is there. Days that were derived already count, also later ones: they are built on those before.
    """
    found = read_record(_path(settings, graph)) or {}
    told: Mapping[str, str] = found.get("days", {}) if found.get("definition") == _definition(graph) else {}
    there = {source.ingested_by: ledger.partitions(settings, source.ingested_by) for source in graph.reads}
    newest = str((utc(before) - timedelta(microseconds=1)).date())
    present = [item.ds for items in there.values() for item in items if item.ds <= newest]
    last = max([str(utc(before).date() - _DAY), *told, *present])
    begun = min(present, default=last)
    day, days = date.fromisoformat(begun), dict[str, str]()
    while str(day) <= last:
        days[str(day)] = _state(str(day), there)
        day += _DAY
    return next((ds for ds in days if told.get(ds) != days[ds]), None), days


def _state(day: str, there: Mapping[str, tuple[ledger.Partition, ...]]) -> str:
    parts = [
        f"{name} {item.rows} {item.content} {item.held_at} {item.released_at}"
        for name, items in sorted(there.items())
        for item in items
        if item.ds == day
    ]
    return "; ".join(parts)


def record(settings: Settings, graph: Graph, days: Mapping[str, str]) -> None:
    """Says what the days of a graph's sources are derived from."""
    write_record(_path(settings, graph), {"definition": _definition(graph), "days": dict(days)})


def _definition(graph: Graph) -> str:
    """Of the graph and of the columns of what is derived from it."""
    return hash_of(graph.sources)


def refuse_changed(settings: Settings, source: Source, before: int) -> None:
    """Nobody reads what was derived from rows that are held since, or ingested anew.

    Raises:
        MissingError: with the command that derives them again.
    """
    if source.graph is None:
        return
    day, _ = first_changed(settings, source.graph, before)
    if day is not None:
        msg = (
            f"Source {source.name!r} is derived from {', '.join(item.name for item in source.graph.reads)}, which for {day} are not what they were "
            f"(ingested, held or released since). Derive it again: `asof graph --cut {utc(before - 1).date() + _DAY}`."
        )
        raise MissingError(msg)


def _path(settings: Settings, graph: Graph) -> str:
    return f"{root(settings)}/asof/graphs/{graph.name}.json"
