"""The rows of attempts, written by the tasks that compute them, or by this process: a file a view, cut and task. Spark's rows and cache are not on the way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import DataFrame

from features.definitions.names import STATE, status_column
from features.definitions.views import FeatureView
from features.values.partition import EntityViews
from features.values.sweep import ARROW_TYPES
from jobs.attempts import Attempt
from jobs.files import write_rows

__all__ = ["Unfinished", "attempt_schema", "write_attempts"]

_TOLD = "place int, rows bigint"
_TOLD_TYPES = pa.schema([("place", pa.int32()), ("rows", pa.int64())])
Task = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Events of an entity's sources, all rows of a key in one partition; and what finishes its views over one."""

    rows: DataFrame | pa.Table
    """A table: this process finishes them."""

    finished: Task


def write_attempts(
    made: Unfinished, group: EntityViews, cuts: Sequence[int], found: Sequence[Attempt]
) -> Mapping[tuple[str, int], int]:
    """Writes the rows of each attempt; gives how many, by view and cut.

    A task that is run again writes the same files again, each in one move. An attempt without rows has an empty file, for its columns.

    Args:
        made: what is finished.
        group: the views.
        cuts: microseconds UTC, as `made` finishes them.
        found: an attempt a cut and view, in the order of `product(cuts, group.views)`.
    """
    parts = [
        _Part(place=n, view=view.name, schema=attempt_schema(view), columns=_columns(view), stateful=view.stateful, cut=cut,
              valid_from=cut + view.schedule.lag_us, location=attempt.location)
        for n, ((cut, view), attempt) in enumerate(zip(product(cuts, group.views), found, strict=True))
    ]  # fmt: skip
    rows = dict.fromkeys(range(len(parts)), 0)
    for place, count in _told(made.rows, _task(made.finished, parts)):
        rows[place] += count
    for part in parts:
        if not rows[part.place]:
            write_rows(f"{part.location}/part-none.parquet", part.schema.empty_table())
    return {(part.view, part.cut): rows[part.place] for part in parts}


def _told(rows: DataFrame | pa.Table, task: Task) -> Iterator[tuple[int, int]]:
    if isinstance(rows, DataFrame):
        yield from ((row["place"], row["rows"]) for row in rows.mapInArrow(task, _TOLD).collect())
        return
    for batch in task(rows.to_batches()):
        yield from zip(batch["place"].to_pylist(), batch["rows"].to_pylist(), strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One attempt's share of what a task does."""

    place: int
    view: str
    schema: pa.Schema
    columns: Mapping[str, str]
    """Its own column to that of what is finished."""

    stateful: bool
    cut: int
    valid_from: int
    location: str


def attempt_schema(view: FeatureView) -> pa.Schema:
    """Of the files of a view's attempts."""
    keys = [(name, ARROW_TYPES[view.entity.type]) for name in view.keys]
    values = [(name, ARROW_TYPES[kind]) for name, kind in view.types.items()]
    state = [(STATE, pa.binary())] if view.stateful else []
    return pa.schema(
        [*keys, *values, *state, ("asof_status", pa.string()), ("event_timestamp", ARROW_TYPES["timestamp"])]
    )


def _columns(view: FeatureView) -> dict[str, str]:
    names = [*view.types, *([STATE] if view.stateful else [])]
    keys = {name: f"k{n}" for n, name in enumerate(view.keys)}
    return {**keys, **{name: f"{view.name}__{name}" for name in names}, "asof_status": status_column(view)}


def _task(finished: Task, parts: Sequence[_Part]) -> Task:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        made = list(finished(batches))
        if not made:
            return
        table = pa.Table.from_batches(made)
        context = TaskContext.get()
        name = f"part-{0 if context is None else context.partitionId():05d}.parquet"
        rows = [_write(table, part, name) for part in parts]
        yield pa.RecordBatch.from_pydict({"place": [part.place for part in parts], "rows": rows}, _TOLD_TYPES)

    return run


def _write(table: pa.Table, part: _Part, name: str) -> int:
    there = pc.equal(table["asof_cut"], part.cut)
    seen = (
        pc.is_valid(table[part.columns[STATE]])
        if part.stateful
        else pc.not_equal(table[part.columns["asof_status"]], "never_seen")
    )
    rows = table.filter(pc.and_(there, seen))
    if not len(rows):
        return 0
    since = pa.array([part.valid_from], pa.int64()).cast(ARROW_TYPES["timestamp"])
    columns = {own: rows[column] for own, column in part.columns.items()}
    columns["event_timestamp"] = pa.repeat(since[0], len(rows))
    write_rows(f"{part.location}/{name}", pa.table(columns).select(part.schema.names).cast(part.schema))
    return len(rows)
