"""`asof stats`: counts, sums, extremes, distincts and all else that tiles hold of a view's events for any grouping of its keys, from tiles instead of a scan."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from features.definitions.catalog import load_catalog
from features.definitions.durations import duration, duration_text
from features.definitions.names import cut_text, micros, utc
from features.definitions.tiling import tiling, untileable
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import ledger, tiles
from jobs.commands import Exit, Stats
from jobs.session import spark as session
from jobs.stages import say
from jobs.tile_answers import Answer, Question, answer
from jobs.tile_builds import Build, begun

__all__ = ["ask", "builds_of", "cuts_of", "run"]

_SHOWN = 20


def run(command: Stats, settings: Settings) -> int:
    """Prints the groups, or writes them to a file; builds the tiles that are missing.

    Raises:
        MissingError: there is no such view or key column, or the source does not cover the cut.
        InputError: the view has no tiles, or the window does not lie on their grid.
    """
    question = ask(settings, command)
    plan, found = tiling(question.view), answer(settings, question, builds_of(settings, question))
    _note(
        f"Events from {utc(question.lower).isoformat()} to before {utc(question.cut).isoformat()}, as known at that cut."
    )
    if plan.left_out:
        _note(f"Left out, since they do not follow from tiles: {', '.join(plan.left_out)}.")
    for name, groups in found.overflow.items():
        _note(f"{name} leaves int64 in {groups} group(s) and is null there.")
    _give(command, question, found)
    return Exit.OK


def ask(settings: Settings, command: Stats) -> Question:
    """The question of a command, checked. Needs no Spark.

    Raises:
        MissingError: there is no such view or key column, or the source does not cover the cut.
        InputError: the view has no tiles, or the window does not lie on their grid.
    """
    view = load_catalog(settings.catalog).view(command.view)
    if reason := untileable(view):
        msg = f"View {view.name!r} has no tiles: {reason}. `asof stats` answers for views of events with a cut-anchored schedule and an aggregate."
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
    if last not in days:
        has = f"has partitions from {min(days)} to {max(days)}" if days else "has no partition"
        has += " and not that one" if days and min(days) < last < max(days) else ""
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


def builds_of(settings: Settings, question: Question) -> Mapping[int, Build]:
    """Of every cut that may know events of the window, made where they are missing. Needs no Spark where all are in place."""
    view, cuts = question.view, cuts_of(settings, question)
    if found := tiles.in_place(settings, view, cuts):
        return found
    todo = tiles.missing(settings, view, cuts)
    if todo:
        span = f"{cut_text(min(todo))} to {cut_text(max(todo))}"
        _note(f"Building tiles of view {view.name!r} for {len(todo)} of {len(cuts)} cuts, {span}.")
    return tiles.up_to_date(session(settings, "stats"), settings, view, cuts)


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
    shown = Table()
    for name in names:
        shown.add_column(name, justify="left" if name in question.by else "right", overflow="fold")
    for row in answer.table.slice(0, _SHOWN).to_pylist():
        shown.add_row(*("null" if row[name] is None else str(_plain(row[name])) for name in names))
    console = Console(highlight=False)
    console.print(title, soft_wrap=True)
    console.print(shown)


def _note(text: str) -> None:
    """Beside the answer, which alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
