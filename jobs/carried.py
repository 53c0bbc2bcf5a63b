"""Cuts that follow from the cut before: what is newly known is shuffled, and nothing else is read but the state of that cut and tiles that windows leave.

A finished attempt keeps in `_state` what the next cut needs: `sums` and `rows` of each bucket of keys (features.values.carrying). Where that is
missing, or the sources or the definition have changed since, a cut starts from all rows, and leaves a state for the next one.
"""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from features.definitions.durations import DAY, duration
from features.definitions.names import cut_text, utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.carrying import carriable, edges
from features.values.partition import EntityViews, entity_views
from jobs import attempts, ledger, tile_builds
from jobs import tiles as tile_jobs
from jobs.attempts import Attempt
from jobs.bucket_files import join_tiles
from jobs.carried_buckets import NONE, TOLD, Part, bucket_task
from jobs.exchange import Exchange, Shuffled, exchange, exchangeable
from jobs.rows import Shape, shape_of
from jobs.sizing import buckets
from jobs.stages import say
from jobs.workers import tasks

__all__ = ["carried", "follows", "groups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What a cut left for the next one."""

    folder: str
    buckets: int
    corrected: bool
    later: bool

    def fits(self, shape: Shape) -> bool:
        """Whether its rows have all columns that are looked at now."""
        return (self.corrected, self.later) == (shape.corrected, shape.later)


def groups(settings: Settings, views: Iterable[FeatureView], cut: int) -> tuple[EntityViews, ...]:
    """The views whose cuts may follow from one another, those together that read one source by one entity and have the same cut before."""
    found: dict[tuple[str, str, int], list[FeatureView]] = {}
    for view in views:
        (alone,) = entity_views([view])
        if carriable(view) is None and exchangeable(settings, alone, cut):
            found.setdefault((view.entity.name, view.source.name, view.schedule.period_us), []).append(view)
    return tuple(group for some in found.values() for group in entity_views(some))


def follows(settings: Settings, view: FeatureView, cut: int, shape: Shape) -> _State | None:
    """The state of the cut before, if it is of this definition and the sources as they are."""
    before = cut - view.schedule.period_us
    attempt = attempts.finished(settings, view, before)
    record = attempt.record("finished") if attempt else None
    if attempt is None or record is None or "state" not in record:
        return None
    if record["sources"] != ledger.source_state(settings, view, before):
        return None
    state = _State(folder=f"{attempt.location}/_state", **record["state"])
    return state if state.fits(shape) else None


def carried(spark: SparkSession, settings: Settings, group: EntityViews, cut: int) -> list[Attempt]:
    """A finished attempt a view, from the cut before where that is possible.

    Args:
        spark: the session.
        settings: where sources and attempts lie.
        group: one of `groups`.
        cut: microseconds UTC.
    """
    shape = shape_of(settings, group, cut)
    states = {view.name: follows(settings, view, cut, shape) for view in group.views}
    made: list[Attempt] = []
    for count in sorted({state.buckets if state else 0 for state in states.values()}):
        some = [view for view in group.views if (state := states[view.name], state.buckets if state else 0)[1] == count]
        (part,) = entity_views(some)
        made += _Cut(spark, settings, part, cut, shape, {view.name: states[view.name] for view in some}).made()
    return made


@dataclass
class _Cut:
    spark: SparkSession
    settings: Settings
    group: EntityViews
    cut: int
    shape: Shape
    states: Mapping[str, _State | None]
    partitions: dict[str, tuple[ledger.Partition, ...]] = field(init=False)
    """Of each view's source, before anything is read."""
    work: Path = field(init=False)
    buckets: int = field(init=False)
    follows: bool = field(init=False)

    def __post_init__(self) -> None:
        self.work = self.settings.home / "cuts" / uuid4().hex[:12]
        self.partitions = {
            view.name: ledger.partitions(self.settings, view.source.ingested_by) for view in self.group.views
        }
        held = next(iter(self.states.values()))
        self.follows = held is not None
        self.buckets = held.buckets if held else buckets(self.settings, self.group, self.cut)

    def made(self) -> list[Attempt]:
        started = time.monotonic()
        sources = {view.name: ledger.source_state(self.settings, view, self.cut) for view in self.group.views}
        found = [attempts.new_attempt(self.settings, view, self.cut) for view in self.group.views]
        try:
            told = self._run(found)
        finally:
            shutil.rmtree(self.work, ignore_errors=True)
        for number, (view, attempt) in enumerate(zip(self.group.views, found, strict=True)):
            mine = [row for row in told if row["view"] == number]
            record = {
                "rows": sum(row["rows"] for row in mine if row["what"] == "values"), "seconds": round(time.monotonic() - started, 1),
                "finished_at": time.time(), "sources": sources[view.name], "follows": self.follows,
                "shuffled_rows": sum(row["rows"] for row in told if row["what"] == "shuffled"),
                "read_bytes": sum(row["bytes"] for row in told if row["what"] in {"shuffled", "read"}),
                "state": {"buckets": self.buckets, "corrected": self.shape.corrected, "later": self.shape.later},
            }  # fmt: skip
            attempts.finish(attempt, record)
        return found

    def _run(self, found: Sequence[Attempt]) -> list[Any]:
        if not self.follows:
            parts = [Part(number=n, location=attempt.location, state=None) for n, attempt in enumerate(found)]
            return self._together(parts, self._shuffled(self._what()))
        started = time.monotonic()
        parts = [
            self._following(n, view, attempt)
            for n, (view, attempt) in enumerate(zip(self.group.views, found, strict=True))
        ]
        what = replace(self._what(), fresh=self.cut - self.group.views[0].schedule.period_us)
        with ThreadPoolExecutor(max_workers=1) as other:
            # The metastore is asked what it shows while Spark's tasks run: it takes as long as they do.
            seen = {
                part.number: other.submit(tile_jobs.seen, self.spark, self.settings, view, [self.cut])
                for part, view in zip(parts, self.group.views, strict=True)
                if part.build is not None
            }
            told = self._together(parts, self._shuffled(what))
        told += self._again(parts, told)
        for part, view in zip(parts, self.group.views, strict=True):
            if part.build is not None:
                self._record_tiles(view, part, told, started, seen[part.number].result())
        return told

    def _what(self) -> Exchange:
        return Exchange(
            group=self.group, shape=self.shape, before=self.cut, anchor=self.cut, folder=f"{self.work}/{uuid4().hex}", buckets=self.buckets
        )  # fmt: skip

    def _shuffled(self, what: Exchange) -> tuple[Exchange, Shuffled]:
        return what, exchange(self.spark, self.settings, what)

    def _together(self, parts: Sequence[Part], shuffled: tuple[Exchange, Shuffled]) -> list[Any]:
        what, files = shuffled
        task = bucket_task(what, files, parts, self.cut)
        count = tasks(self.settings, self.buckets, a_core=1)
        rows = self.spark.range(0, self.buckets, 1, count).mapInArrow(task, TOLD).collect()
        told = [row.asDict() for row in rows]
        return [
            *told,
            {"view": -1, "what": "shuffled", "day": "", "rows": files.rows, "bytes": files.read + files.written},
        ]

    def _following(self, number: int, view: FeatureView, attempt: Attempt) -> Part:
        """What a view's windows leave lies in tiles of the cuts before, which are built where they are missing."""
        partitions = self.partitions[view.name]
        past, spans = self._past(view, partitions), edges(view, self.cut)
        builds = tile_builds.newest(self.settings, view, partitions, (*past, self.cut))
        if any(cut not in builds for cut in past):
            say(f"{view.name}: tiles of earlier cuts are missing and built, once.")
            builds |= tile_jobs.up_to_date(self.spark, self.settings, view, past)
        own = {cut: builds.pop(cut) for cut in (self.cut,) if cut in builds}
        days = {str(utc(day).date()) for lower, upper in spans for day in range(lower // DAY * DAY, upper, DAY)}
        older = tuple(folder for (_, day), folder in tile_builds.folders_of(builds).items() if day in days)
        state = self.states[view.name]
        part = Part(number=number, location=attempt.location, state=state.folder if state else None, older=older)
        if not own and not view.source.lag_us:  # a lag brings rows of older partitions
            return replace(part, build=tile_builds.new_location(self.settings, view))
        own = own or dict(tile_jobs.up_to_date(self.spark, self.settings, view, [self.cut]))
        return replace(part, own=tuple(tile_builds.folders_of(own).values()))

    def _past(self, view: FeatureView, partitions: Sequence[ledger.Partition]) -> tuple[int, ...]:
        """The cuts before that may know events whose tiles enter or leave a window now."""
        earliest = min((lower for lower, _ in edges(view, self.cut)), default=self.cut) - duration(
            view.source.max_future
        )
        period = view.schedule.period_us
        first = view.schedule.cut_before(max(earliest, tile_builds.begun(partitions))) + period
        return tuple(range(first, self.cut, period))

    def _record_tiles(
        self, view: FeatureView, part: Part, told: Sequence[Any], started: float, there: frozenset[tuple[str, str]]
    ) -> None:
        days: dict[str, int] = {}
        mine = [row for row in told if row["view"] == part.number]
        for row in mine:
            if row["what"] == "tiles":
                days[row["day"]] = days.get(row["day"], 0) + row["rows"]
        join_tiles(part.build or "", {(cut_text(self.cut), day): rows for day, rows in days.items()})
        replaced = self._read(_files(mine, "replaced"))
        counted = {"days": days, "replacing": sum(row["rows"] for row in mine if row["what"] == "replacing")}
        reread = pc.min(replaced["asof_tile_min"]).as_py() if replaced is not None else None
        tile_jobs.finish_build(view, part.build or "", self.partitions[view.name], self.cut, counted, reread, started)
        tile_jobs.show_built(self.spark, self.settings, view, [self.cut], there)

    def _again(self, parts: Sequence[Part], told: Sequence[Any]) -> list[Any]:
        """What needs all rows of some keys: those of which a row was taken back that had outdone others start anew, and tiles that are replaced hold all."""
        found, anchor, redone = [], self.cut, []
        for part, view in zip(parts, self.group.views, strict=True):
            mine = [row for row in told if row["view"] == part.number]
            gaps, replaced = self._read(_files(mine, "gaps")), self._read(_files(mine, "replaced"))
            if replaced is not None:
                # Tiles that no window reaches any more are replaced too.
                anchor = min(anchor, pc.min(replaced["asof_tile_min"]).as_py() + view.remember_us)
                replaced = replaced.drop_columns(["asof_tile_min"])
            if gaps is not None or replaced is not None:
                again = replace(part, state=None, suffix="-again", replaced=self._kept(replaced))
                redone.append(replace(again, only=self._kept(gaps) or NONE))
                found += [keys.rename_columns(self.group.keys) for keys in (gaps, replaced) if keys is not None]
        if not redone:
            return []
        only = self._kept(pa.concat_tables(found).group_by(list(self.group.keys)).aggregate([]))
        return self._together(redone, self._shuffled(replace(self._what(), only=only, anchor=anchor)))

    def _kept(self, keys: pa.Table | None) -> str | None:
        """The file of some keys."""
        if keys is None:
            return None
        path = f"{self.work}/{uuid4().hex}.parquet"
        pq.write_table(keys, path)
        return path

    @staticmethod
    def _read(paths: Sequence[str]) -> pa.Table | None:
        return pa.concat_tables([pq.ParquetFile(path).read() for path in paths]) if paths else None


def _files(told: Sequence[Any], what: str) -> list[str]:
    return [row["day"] for row in told if row["what"] == what]
