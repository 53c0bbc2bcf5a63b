"""Answers from a view's tiles, for any grouping of its keys: few tiles are merged in this process, many by Spark."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.names import cut_text, utc
from features.definitions.tiling import Tiling, tiling
from features.definitions.views import FeatureView
from features.errors import InputError
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from features.values.tile_values import merged, metrics
from jobs import tables
from jobs.files import parquet_rows
from jobs.session import spark as session
from jobs.tile_builds import Build, folders_of
from jobs.workers import settle

__all__ = ["HERE", "Answer", "Question", "answer", "of_key"]

HERE = 10_000_000
"""So many tiles are merged in this process, which then needs no Spark: a GB or two."""

_AT_ONCE = 100_000
"""So many tiles a Spark task holds before it merges them."""

_FEW = 1_000_000
"""So many replacing rows are sent to every task instead of being shuffled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a view: events of `[lower, cut)` as known at the cut, grouped by some of its keys."""

    view: FeatureView
    by: tuple[str, ...]
    lower: int
    """Microseconds UTC."""

    cut: int
    """Microseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One row a group that has events, the one with most of them first; without grouping always one row."""

    table: pa.Table
    overflow: Mapping[str, int]
    """Metric to the number of groups whose value left int64 and is null."""


def answer(settings: Settings, question: Question, builds: Mapping[int, Build], *, here: int = HERE) -> Answer:
    """The groups' values: of few tiles merged here, of many by Spark.

    Args:
        settings: where the session is found, if it takes one.
        question: what is asked.
        builds: cut to its build; every cut that may know events of the window. With many tiles, those that Hive shows.
        here: so many tiles are merged in this process.
    """
    plan, view = tiling(question.view), question.view
    first, last = (str(utc(instant).date()) for instant in (question.lower, question.cut - 1))
    chosen = {cut: build.cuts[cut_text(cut)] for cut, build in builds.items()}
    rows = sum(count for item in chosen.values() for day, count in item["days"].items() if first <= day <= last)
    replacing = sum(item["replacing"] for item in chosen.values())
    if rows <= here:
        summed = merged(plan, view.keys, _read(question, plan, builds, replacing=replacing > 0), question.by)
    else:
        summed = _by_spark(session(settings, "stats"), question, builds, replacing)
    summed = _filled(summed, plan)
    if question.by:  # a group all of whose events were taken back has none
        summed = summed.filter(pc.greater(summed["rows__n"], 0))
    order = [("rows__n", "descending"), *((name, "ascending") for name in question.by)]
    summed = summed.sort_by(order).combine_chunks()
    values, overflow = metrics(view, summed, question.lower, question.cut)
    keys = summed.select(list(question.by))
    return Answer(
        table=pa.table([*keys.columns, *values.columns], [*keys.column_names, *values.column_names]), overflow=overflow
    )


def of_key(question: Question, builds: Mapping[int, Build], key: Mapping[str, object]) -> pa.Table:
    """The partials of one key, merged by what the question groups by, which may be `asof_tile`."""
    plan, view = tiling(question.view), question.view
    replacing = any(build.cuts[cut_text(cut)]["replacing"] for cut, build in builds.items())
    rows = _read(question, plan, builds, replacing=replacing, key=key)
    return _filled(merged(plan, view.keys, rows, question.by), plan)


def _read(
    question: Question, plan: Tiling, builds: Mapping[int, Build], *, replacing: bool, key: Mapping[str, object] | None = None
) -> pa.Table:  # fmt: skip
    """The tiles of the window, read from the builds themselves."""
    view = question.view
    first, last = (str(utc(instant).date()) for instant in (question.lower, question.cut - 1))
    places = [folder for (_, day), folder in folders_of(builds).items() if first <= day <= last]
    partitions = pa.schema([("cut", pa.string()), ("day", pa.string())])
    types = dict.fromkeys(view.keys, ARROW_TYPES[view.entity.type]) | {
        "asof_tile": ARROW_TYPES["timestamp"],
        "asof_replaces": pa.bool_(),
    }
    types |= {partial.name: ARROW_TYPES.get(partial.type, pa.binary()) for partial in plan.partials}
    columns = [*(dict.fromkeys((*view.keys, "asof_tile", "cut", "asof_replaces")) if replacing else question.by),
               *(partial.name for partial in plan.partials)]  # fmt: skip
    lower, upper = (pa.scalar(instant, types["asof_tile"]) for instant in (question.lower, question.cut))
    inside = (pc.field("asof_tile") >= lower) & (pc.field("asof_tile") < upper)
    for name, value in (key or {}).items():
        inside &= pc.field(name) == value
    return parquet_rows(places, pa.schema([*types.items(), *partitions]), partitions, columns, inside)


def _by_spark(spark: SparkSession, question: Question, builds: Mapping[int, Build], replacing: int) -> pa.Table:
    """What `merged` gives, from the tiles that Hive shows."""
    plan, view = tiling(question.view), question.view
    rows = tables.tile_rows(spark, view, builds, question.lower, question.cut)
    if replacing:
        places = [*view.keys, "asof_tile"]
        newest = rows.where("asof_replaces").groupBy(*places).agg(F.max("cut").alias("asof_newest"))
        rows = rows.join(F.broadcast(newest) if replacing <= _FEW else newest, places, "left")
        stands = F.col("asof_newest").isNull() | (F.col("cut") >= F.col("asof_newest"))
        rows = rows.withColumns({p.name: F.when(stands, F.col(p.name)) for p in plan.partials if not p.removable})
    if any(partial.held is not None for partial in plan.partials):
        return _by_workers(rows, question)
    merge = {"sum": F.sum, "min": F.min, "max": F.max}
    return rows.groupBy(*question.by).agg(*(merge[p.merge](p.name).alias(p.name) for p in plan.partials)).toArrow()


def _by_workers(rows: DataFrame, question: Question) -> pa.Table:
    """What `merged` gives, by `merged` itself: Spark has no sum of states. Tasks merge what they read, then the groups that come to them."""
    kinds = tables.tile_columns(question.view)
    columns = [*question.by, *(partial.name for partial in tiling(question.view).partials)]
    schema = ", ".join(f"`{name}` {kinds[name]}" for name in columns)
    parts = rows.select(*columns).mapInArrow(_merging(question), schema)
    parts = parts.repartition(*question.by) if question.by else parts.repartition(1)
    return parts.mapInArrow(_merging(question), schema).toArrow()


def _merging(question: Question) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """`merged` over a task's rows, some at a time: what lies in memory is what it comes to.

    Lists of rows grow with the rows: as many bytes as are merged already come together before they are merged again.
    """
    compiled, by = json.dumps(compile_definition(question.view)), question.by

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle()
        view = load_definition(json.loads(compiled), FeatureView)
        plan = tiling(view)
        held: list[pa.Table] = []
        for batch in batches:
            held.append(pa.Table.from_batches([batch]))
            later = held[1:]
            if sum(len(table) for table in later) >= _AT_ONCE and sum(t.nbytes for t in later) >= held[0].nbytes:
                held = [_sent(merged(plan, view.keys, pa.concat_tables(held), by))]
        if held:
            yield from _sent(merged(plan, view.keys, pa.concat_tables(held), by)).to_batches()

    return run


def _sent(made: pa.Table) -> pa.Table:
    """As Spark takes it from a worker.

    Raises:
        InputError: 2 GB or more of rows came together.
    """
    large = [field.name for field in made.schema if pa.types.is_large_binary(field.type)]
    if large:
        msg = f"The tiles' column {large[0]} holds 2 GB or more of rows in one Spark task. Ask for a shorter window, or group by more keys."
        raise InputError(msg)
    return made.combine_chunks()


def _filled(summed: pa.Table, plan: Tiling) -> pa.Table:
    """Sums over no row are 0."""
    for partial in plan.partials:
        if partial.merge == "sum":
            at = summed.schema.get_field_index(partial.name)
            summed = summed.set_column(at, partial.name, pc.fill_null(summed[partial.name], 0))
    return summed
