"""`asof stats`: counts, sums, means, deviations and extremes of a view's events for any grouping of its keys, from tiles instead of a scan."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from features.definitions.catalog import load_catalog
from features.definitions.durations import duration, duration_text
from features.definitions.names import cut_text, micros, utc
from features.definitions.tiling import MERGED, Tiling, tiling, untileable
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.tile_values import metrics
from jobs import ledger, tables, tiles
from jobs.commands import Exit, Stats
from jobs.session import spark as session
from jobs.stages import say
from jobs.tile_builds import Build, begun

__all__ = ["Answer", "Question", "ask", "cuts_of", "run", "stats"]

_SHOWN = 20
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


def run(command: Stats, settings: Settings) -> int:
    """Prints the groups, or writes them to a file; builds the tiles that are missing.

    Raises:
        MissingError: there is no such view or key column, or the source does not cover the cut.
        InputError: the view has no tiles, or the window does not lie on their grid.
    """
    question = ask(settings, command)
    view, plan = question.view, tiling(question.view)
    spark = session(settings, "stats")
    cuts = cuts_of(settings, question)
    if todo := tiles.missing(settings, view, cuts):
        _note(
            f"Building tiles of view {view.name!r} for {len(todo)} of {len(cuts)} cuts, {cut_text(min(todo))} to {cut_text(max(todo))}."
        )
    answer = stats(spark, question, tiles.up_to_date(spark, settings, view, cuts))
    _note(
        f"Events from {utc(question.lower).isoformat()} to before {utc(question.cut).isoformat()}, as known at that cut."
    )
    if plan.left_out:
        _note(f"Left out, since they do not follow from tiles: {', '.join(plan.left_out)}.")
    for name, groups in answer.overflow.items():
        _note(f"{name} leaves int64 in {groups} group(s) and is null there.")
    _give(command, question, answer)
    return Exit.OK


def ask(settings: Settings, command: Stats) -> Question:
    """The question of a command, checked. Needs no Spark.

    Raises:
        MissingError: there is no such view or key column, or the source does not cover the cut.
        InputError: the view has no tiles, or the window does not lie on their grid.
    """
    view = load_catalog(settings.catalog).view(command.view)
    if reason := untileable(view):
        msg = f"View {view.name!r} has no tiles: {reason}. `asof stats` answers for views of events with a cut-anchored schedule and one of {', '.join(sorted(MERGED))}."
        raise InputError(msg)
    for column in command.by:
        if column not in view.keys:
            raise MissingError.of(
                f"key column of view {view.name!r}",
                column,
                view.keys,
                "Group by any of these, or leave --by out for one total.",
            )
    at = micros(settings.now() if command.at is None else command.at)
    cut = at if view.schedule.is_cut(at) else view.schedule.cut_served(at)
    _refuse_uncovered(settings, view, cut)
    return Question(view=view, by=tuple(dict.fromkeys(command.by)), lower=_lower(view, command.window, cut), cut=cut)


def _lower(view: FeatureView, window: str, cut: int) -> int:
    try:
        length = duration(window)
    except ValueError as error:
        msg = f"--window: {error}"
        raise InputError(msg) from error
    grid = tiling(view).grid_us
    if not length or length % grid:
        step = duration_text(grid)
        msg = f"The window {window} does not lie on the tiles of view {view.name!r}, which are {step} long, as its own windows make them. Ask for a multiple of {step}."
        raise InputError(msg)
    return cut - length


def _refuse_uncovered(settings: Settings, view: FeatureView, cut: int) -> None:
    source = view.source
    days = [item.ds for item in ledger.partitions(settings, source.ingested_by)]
    last = str(utc(cut - 1).date())
    if not days or not min(days) <= last <= max(days):
        has = f"has partitions from {min(days)} to {max(days)}" if days else "has no partition"
        msg = (
            f"The cut {utc(cut).isoformat()} of view {view.name!r} needs ds={last} of source {source.name!r}, which {has}. "
            f"Ask with --at for an earlier cut, or load the day: `asof ingest --source {source.ingested_by} --input … --ds {last}`."
        )  # fmt: skip
        raise MissingError(msg)


def cuts_of(settings: Settings, question: Question) -> tuple[int, ...]:
    """Those that may know events of the window: from the first one on that can, up to the one that answers."""
    view = question.view
    schedule, source = view.schedule, view.source
    earliest = max(question.lower - duration(source.max_future), begun(ledger.partitions(settings, source.ingested_by)))
    return tuple(range(schedule.cut_before(earliest) + schedule.period_us, question.cut + 1, schedule.period_us))


def stats(spark: SparkSession, question: Question, builds: Mapping[int, Build]) -> Answer:
    """The groups' values from tiles that Hive shows.

    Args:
        spark: the session.
        question: what is asked.
        builds: cut to the build that is shown of it; every cut that may know events of the window.
    """
    plan, view = tiling(question.view), question.view
    rows = tables.tile_rows(spark, view, builds, question.lower, question.cut)
    replacing = sum(build.cuts[cut_text(cut)]["replacing"] for cut, build in builds.items())
    if replacing:
        rows = _without_replaced(rows, view, plan, few=replacing <= _FEW)
    merge = {"sum": F.sum, "min": F.min, "max": F.max}
    merged = [merge[partial.merge](partial.name).alias(partial.name) for partial in plan.partials]
    summed = _filled(rows.groupBy(*question.by).agg(*merged).toArrow(), plan)
    if question.by:  # a group all of whose events were taken back has none
        summed = summed.filter(pc.greater(summed["rows__n"], 0))
    order = [("rows__n", "descending"), *((name, "ascending") for name in question.by)]
    summed = summed.sort_by(order).combine_chunks()
    values, overflow = metrics(plan, summed)
    keys = summed.select(list(question.by))
    return Answer(
        table=pa.table([*keys.columns, *values.columns], [*keys.column_names, *values.column_names]), overflow=overflow
    )


def _without_replaced(rows: DataFrame, view: FeatureView, plan: Tiling, *, few: bool) -> DataFrame:
    """What cannot be undone counts from the newest replacing row of its (key, tile) on."""
    places = [*view.keys, "asof_tile"]
    newest = rows.where("asof_replaces").groupBy(*places).agg(F.max("cut").alias("asof_newest"))
    both = rows.join(F.broadcast(newest) if few else newest, places, "left")
    stands = F.col("asof_newest").isNull() | (F.col("cut") >= F.col("asof_newest"))
    kept = {p.name: F.when(stands, F.col(p.name)) for p in plan.partials if not p.removable}
    return both.withColumns(kept)


def _filled(summed: pa.Table, plan: Tiling) -> pa.Table:
    """Sums over no row are 0."""
    for partial in plan.partials:
        if partial.merge == "sum":
            at = summed.schema.get_field_index(partial.name)
            summed = summed.set_column(at, partial.name, pc.fill_null(summed[partial.name], 0))
    return summed


def _give(command: Stats, question: Question, answer: Answer) -> None:
    match command.output:
        case "json":
            say(json.dumps(_record(question, answer), indent=1))
        case "parquet":
            out = Path(command.out or "")
            out.parent.mkdir(parents=True, exist_ok=True)
            temporary = out.with_name(f".{out.name}.{uuid4().hex[:8]}")
            pq.write_table(answer.table, temporary, compression="zstd")
            temporary.replace(out)
            say(f"{len(answer.table)} group(s) in {out}.")
        case _:
            _show(question, answer)


def _record(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "view": question.view.name, "cut": cut_text(question.cut), "from": utc(question.lower).isoformat(), "to": utc(question.cut).isoformat(),
        "by": list(question.by), "left_out": list(tiling(question.view).left_out), "overflow": dict(answer.overflow),
        "groups": [{name: _plain(value) for name, value in row.items()} for row in answer.table.to_pylist()],
    }  # fmt: skip


def _plain(value: Any) -> Any:  # noqa: ANN401
    return value if value is None or isinstance(value, str | int | float | bool) else value.isoformat()


def _show(question: Question, answer: Answer) -> None:
    groups, names = len(answer.table), answer.table.column_names
    counted = f"the {_SHOWN} with most events of {groups} groups" if groups > _SHOWN else f"{groups} group(s)"
    title = f"{question.view.name} at {cut_text(question.cut)}: {counted}"
    shown = Table(title=title, title_justify="left")
    for name in names:
        shown.add_column(name, justify="left" if name in question.by else "right", overflow="fold")
    for row in answer.table.slice(0, _SHOWN).to_pylist():
        shown.add_row(*("null" if row[name] is None else str(_plain(row[name])) for name in names))
    Console(highlight=False).print(shown)


def _note(text: str) -> None:
    """Beside the answer, which alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
