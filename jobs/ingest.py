"""Raw files into Hive: declared types, versions as additions and retractions, what does not fit into quarantine. Again is harmless.

Each partition `ds` of a source is a function of the rows known on that day and of what was stored before it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from glob import glob
from itertools import pairwise
from typing import Any
from uuid import uuid4

from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import micros, quarantine_of, snapshots_of, utc, waiting_of
from features.definitions.sources import Source
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.snapshots import Snapshot
from jobs import ledger, tables
from jobs.commands import Ingest
from jobs.files import folders, make_folder
from jobs.ingest_counts import Read, Work, Written, refused, snapshots, stated
from jobs.ingest_driver import DriverWork
from jobs.ingest_spark import SparkWork, contents
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say, side_by_side

__all__ = ["generations", "ingest", "run"]

_A_YEAR = 366
_NAMED = re.compile(r"/ds=(\d{4}-\d\d-\d\d)(?=/|$)")
_FOLLOWS = {
    "events": "corrections find what they replace",
    "changes": "corrections find what they replace",
    "full": "each snapshot is compared with the one before it",
}


def run(command: Ingest, settings: Settings) -> int:
    """Ingests sources from files, two at a time, parents before their children; `{source}` in the input stands for each one's name."""
    catalog = load_catalog(settings.catalog)
    sources = [catalog.source(name) for name in dict.fromkeys(command.source.split(","))]
    if derived := [source for source in sources if source.graph is not None]:
        msg = f"Source {derived[0].name!r} is derived from a graph: `asof graph --cut …` fills it. Ingest what the graph reads."
        raise InputError(msg)
    spark = session(settings, "ingest")
    for some in generations(sources):
        side_by_side(
            lambda each: ingest(spark, settings, each, command.input.replace("{source}", each.name), only=command.ds),
            some,
        )
    return 0


def generations(sources: list[Source]) -> list[list[Source]]:
    """In the order given, but each source after its parent; those of a list need nothing of each other."""
    made: list[list[Source]] = []
    left = sources
    while left:
        names = {source.name for source in left}
        waiting = [
            each
            for each in left
            if each.enriched is not None and each.enriched.parent.ingested_by in names - {each.name}
        ]
        made.append([source for source in left if source not in waiting])
        left = waiting
    return made


def ingest(
    spark: SparkSession, settings: Settings, source: Source, path: str, *, only: date | None = None
) -> list[ledger.Partition]:
    """Writes every partition that the input has rows of, points Hive at them, and records them.

    Raises:
        InputError: the source reads another's table; later partitions exist that were built on what would change.
        MissingError: the input, a column of it, or a parent's partition is not there.
        AsofError: what Spark could not read or write; the log that it names has Spark's own words.
    """
    with translated(settings.logs):
        return _ingested(spark, settings, source, path, only)


def _ingested(
    spark: SparkSession, settings: Settings, source: Source, path: str, only: date | None
) -> list[ledger.Partition]:
    if source.reads is not None:
        msg = f"Source {source.name!r} reads the table of {source.reads!r}. Ingest that one: `asof ingest --source {source.reads}`."
        raise InputError(msg)
    path, only = _of_a_day(path, only)
    root = f"{settings.tables_root}/sources/{source.name}/{uuid4().hex[:12]}"
    began = micros(settings.now())  # what arrives while it runs may be missed
    few = DriverWork.start(spark, settings, source, root, path, only)
    work: Work = few or SparkWork(spark, settings, source, root).start(path, only)
    seen = work.read()
    said = stated(source, seen)
    days = _days(source, {item.ds for item in said if item.good}, path, only)
    _refuse_order(settings, source, days)
    taken = snapshots(source, said, days)
    written = work.write(days, taken)
    _refuse_other_rows(spark, settings, source, written, days)
    holds = _kept_holds(spark, settings, source, written, days)
    run = _Run(root=root, days=days, began=began, seen=seen, snapshots=taken, written=written, holds=holds)
    return _show(spark, settings, source, work, run)


def _of_a_day(path: str, only: date | None) -> tuple[str, date | None]:
    """A path that ends with a day's folder means that day of the folder above, whose day before may hold rows of it."""
    found = re.fullmatch(r"(.+)/ds=(\d{4}-\d\d-\d\d)/?", path)
    if found is None or "*" in found[1] or (only is not None and str(only) != found[2]):
        return path, only
    return found[1], date.fromisoformat(found[2])


def _days(source: Source, found: set[str], path: str, only: date | None) -> list[str]:
    """Partitions that this input fills: those its folders name, and the days of its rows; a file is complete between its first and last day."""
    if only is not None:
        return [str(only)]
    named = {name.removeprefix("ds=") for name in folders(path) if name.startswith("ds=")} if "*" not in path else set()
    if "*" in path:
        named |= {ds for place in glob(path) for ds in _NAMED.findall(place)}  # noqa: PTH207 - Path.glob takes no absolute pattern
    named |= set(_NAMED.findall(path))
    if named:  # what its last folder holds of the day after comes with that day
        found = {ds for ds in found if ds <= max(named)}
    if not found | named:
        msg = f"The input {path} of source {source.name!r} has no rows that fit. Nothing was changed; look at the path, and at the declared columns."
        raise InputError(msg)
    if not named:
        _refuse_years(source, path, sorted(found))
    first, last = (date.fromisoformat(edge(found | named)) for edge in (min, max))
    return [
        str(first + timedelta(days=n))
        for n in range((last - first).days + 1)
        if not named or str(first + timedelta(days=n)) in found | named
    ]


def _refuse_years(source: Source, path: str, found: list[str]) -> None:
    """A wrong known_at must not fill years with partitions of nothing."""
    for before, after in pairwise(found):
        if date.fromisoformat(after) - date.fromisoformat(before) > timedelta(days=_A_YEAR):
            msg = (
                f"The input {path} of source {source.name!r} has no row that became known between {before} and {after}: more than a year, and a partition "
                f"would be made for each day of it. Look at {source.known_at or source.event_time}; if both are right, ingest the earlier days with --ds, one by one."
            )
            raise InputError(msg)


def _refuse_order(settings: Settings, source: Source, days: list[str]) -> None:
    later = [item.ds for item in ledger.partitions(settings, source.name) if item.ds > days[-1]]
    if later and source.event_id is not None:
        known = ledger.partition(settings, source.name, days[-1]) is not None
        if source.kind == "full" or not known:
            msg = (
                f"Source {source.name!r} has the later partition {later[0]}, which was built on what stood before {days[0]} … {days[-1]}. "
                f"Ingest from {days[0]} on to the end in one input, so that {_FOLLOWS[source.kind]}."
            )
            raise InputError(msg)
    if source.enriched is not None:
        parent = source.enriched.parent
        newest = max((item.ds for item in ledger.partitions(settings, parent.ingested_by)), default=None)
        if newest is None or newest < days[-1]:
            msg = (
                f"Source {source.name!r} takes columns of {parent.name!r}, whose newest partition is {newest or 'none'}; {days[-1]} is needed. "
                f"Run `asof ingest --source {parent.ingested_by}` first."
            )
            raise MissingError(msg)


def _refuse_other_rows(
    spark: SparkSession, settings: Settings, source: Source, written: Mapping[str, Written], days: list[str]
) -> None:
    """A day that later ones were built on may be ingested again, but not with other rows: theirs would stay as they are."""
    later = [item.ds for item in ledger.partitions(settings, source.name) if item.ds > days[-1]]
    if not later or source.event_id is None:
        return
    new, old = _contents(written), contents(spark, source, days)
    differ = sorted({*new, *old} - {ds for ds in new if new[ds] == old.get(ds)})
    if differ:
        msg = (
            f"The input has other rows for {differ[0]} of source {source.name!r} than its table, and the later partition {later[0]} was built on those. "
            f"Nothing was changed. Ingest from {differ[0]} on to the end in one input, so that {_FOLLOWS[source.kind]}."
        )
        raise InputError(msg)


def _kept_holds(
    spark: SparkSession, settings: Settings, source: Source, written: Mapping[str, Written], days: list[str]
) -> dict[str, dict[str, Any]]:
    """Of held and released days that are ingested again with the very rows they have: they stay so."""
    before = {
        ds: item
        for ds in days
        if (item := ledger.partition(settings, source.name, ds)) is not None and item.held_at is not None
    }
    if not before:
        return {}
    new, old = _contents(written), contents(spark, source, list(before))
    same = [item for ds, item in before.items() if new.get(ds) == old.get(ds)]
    return {item.ds: {"held_at": item.held_at, "reason": item.reason, "released_at": item.released_at} for item in same}


def _contents(written: Mapping[str, Written]) -> dict[str, tuple[int, int]]:
    """Of each ds with rows how many, and a sum of their hashes."""
    return {ds: (item.stored, item.content) for ds, item in written.items() if item.stored}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one ingest wrote and knows."""

    root: str
    days: list[str]
    began: int
    seen: list[Read]
    snapshots: tuple[Snapshot, ...]
    written: dict[str, Written]
    holds: dict[str, dict[str, Any]]


def _show(spark: SparkSession, settings: Settings, source: Source, work: Work, run: _Run) -> list[ledger.Partition]:
    """Points the tables at what was written, and records the partitions, oldest first."""
    root, days = run.root, run.days
    bad = refused(run.seen, run.written, days)
    _point(spark, settings, source.table, tables.source_columns(source), root, "made/asof_shelf=rows", days)
    if bad:
        columns = {"asof_reason": "string", "asof_row": "string"}
        work.write_refused(days)
        _point(spark, settings, quarantine_of(source), columns, root, "quarantine", sorted(bad))
    given = {c.name: tables.HIVE_TYPES[c.stored] for c in source.columns} | {"asof_known_at": "timestamp"}
    if source.enriched is not None:
        _point(spark, settings, waiting_of(source), given, root, "waiting", days)
    if source.kind == "full":
        _point(spark, settings, snapshots_of(source), given, root, "snapshots", days)
    made = [_recorded(settings, source, run, ds, bad.get(ds, 0)) for ds in days]
    work.end()
    cleared, raised = (sum(getattr(item, name) for item in run.seen) for name in ("cleared", "raised"))
    left = sum(item.good for item in run.seen if item.ds > days[-1])
    more = f"; {raised} known from their folder's day on, after their known_at" if raised else ""
    more += f"; {left} known after {days[-1]}, left for their own day" if left else ""
    say(
        f"{source.name}: {sum(item.rows for item in run.written.values())} rows into {len(days)} partition(s) {days[0]} … {days[-1]} of {source.table}; "
        f"{sum(bad.values())} in quarantine{f' ({quarantine_of(source)})' if bad else ''}; {cleared} NaN or infinite values made null{more}."
    )
    return made


def _recorded(settings: Settings, source: Source, run: _Run, ds: str, quarantined: int) -> ledger.Partition:
    written = run.written.get(ds, Written())
    taken = next((item for item in run.snapshots if str(utc(item.taken_at).date()) == ds), None)
    return ledger.record_ingest(
        settings,
        ledger.Partition(
            **run.holds.get(ds, {}),
            source=source.name,
            ds=ds,
            rows=written.rows,
            quarantined=quarantined,
            ingested_at=run.began,
            changed=written.changed,
            raised=sum(item.raised for item in run.seen if item.ds == ds),
            content=str(written.content),
            snapshot_at=None if taken is None else taken.known_at,
            whole=taken is None or taken.complete,
        ),
    )


def _point(
    spark: SparkSession,
    settings: Settings,
    table: str,
    columns: dict[str, str],
    root: str,
    folder: str,
    days: list[str],
) -> None:
    tables.ensure_table(spark, settings, table, columns, "ds")
    for ds in days:
        make_folder(f"{root}/{folder}/ds={ds}")  # a day without rows is a partition all the same
    tables.point_at(spark, table, "ds", {ds: f"{root}/{folder}/ds={ds}" for ds in days})
