"""`asof <command>`: what a person types, read into jobs/commands.py; one exit code per kind of failure.

Imports no job, no pyspark: each command brings its own module when it runs.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import (
    AsofError,
    BusyError,
    HeldError,
    InputError,
    InvalidCatalogError,
    InvalidDefinitionError,
    ParityError,
    SettingsError,
)
from jobs import commands
from jobs.arguments import day_of, instant_of
from jobs.commands import Command, Exit
from jobs.frame_options import chosen_frame, refuse_span
from jobs.store_cli import store

if TYPE_CHECKING:
    from features.settings import Settings

__all__ = ["exit_code", "main", "parse", "run"]

app = typer.Typer(
    name="asof",
    help="The feature platform of risk teams: one meaning per feature, the same value in training, tables and lookups.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

View = Annotated[list[str] | None, typer.Option("--view", help="A view; again for more. Default: all of this cut.")]
Cut = Annotated[str, typer.Option(help="The cut, UTC: 2026-03-02 or 2026-03-02T06:00Z.")]
Day = Annotated[str, typer.Option(help="A day, UTC: 2026-03-01.")]


def main(argv: list[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        command = parse(arguments)
        # Help needs no settings, and waits for none.
        code = Exit.OK if command is None else run(command, import_module("features.settings").load())
    except AsofError as error:
        _say(str(error))
        code = exit_code(error)
    sys.exit(code)


def parse(argv: list[str]) -> Command | None:
    """The command of these arguments; None where they asked for help, which is then printed.

    Raises:
        InputError: an argument is missing, unknown or wrong.
    """
    try:
        # Not standalone: typer then neither prints nor exits, and gives back what the command's function gave.
        command: Command | int | None = typer.main.get_command(app).main(
            argv or ["--help"], prog_name="asof", standalone_mode=False
        )
    except typer.Exit:
        return None
    except typer.Abort:
        raise InputError("Stopped.") from None
    except Exception as error:
        # click's usage errors; typer may bring a click of its own, so they are known by what they can do.
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        raise InputError(f"{said()} `asof --help` and `asof COMMAND --help` show what there is.") from error
    return None if isinstance(command, int) else command


def run(command: Command, settings: "Settings") -> int:
    """Bring the command's module, run it, and translate what it raises.

    Raises:
        AsofError: whatever went wrong, in a sentence; the log it names has the original.
    """
    try:
        # The demo starts Airflow, so it lives with the DAGs; jobs import nothing from there.
        job = import_module("dags.demo" if isinstance(command, commands.Demo) else f"jobs.{command.name}")
        return int(job.run(command, settings))
    except AsofError:
        raise
    except Exception as error:
        # Imported late: it is of no use to the commands that succeed.
        from jobs.spark_errors import translate  # noqa: PLC0415

        told = translate(error, settings.logs)
        raise told from error


def exit_code(error: AsofError) -> Exit:
    """By the kind of error."""
    match error:
        case InputError() | InvalidDefinitionError() | InvalidCatalogError() | SettingsError():
            return Exit.REFUSED
        case HeldError():
            return Exit.HELD
        case ParityError():
            return Exit.PARITY
        case BusyError():
            return Exit.BUSY
        case _:
            return Exit.FAILED


@app.command()
def simulate(
    out: Annotated[str, typer.Option(help="The folder for the files.")],
    start: Annotated[str, typer.Option(help="The first day, UTC.")],
    days: Annotated[int, typer.Option(min=1)],
    scale: Annotated[float, typer.Option(min=0.0, help="1 is the demo's size.")] = 1.0,
    seed: int = 0,
) -> Command:
    """Write simulated source tables with labelled attacks, and the truth about those apart (docs/simulator.md)."""
    return commands.Simulate(out=out, start=day_of("--start", start), days=days, scale=scale, seed=seed)


@app.command()
def ingest(
    source: Annotated[str, typer.Option(help="A source of the catalogue, or several with commas.")],
    input_: Annotated[
        str, typer.Option("--input", help="A Parquet or CSV file, a folder, or a glob; {source} stands for the source.")
    ],
    ds: Annotated[str | None, typer.Option(help="Only what became known on this day, UTC.")] = None,
) -> Command:
    """Read source files into Hive with declared types; rows that do not fit go to quarantine."""
    return commands.Ingest(source=source, input=input_, ds=None if ds is None else day_of("--ds", ds))


def _stage(kind: type[commands.Stage], help_: str) -> Callable[..., Any]:
    def stage(cut: Cut, view: View = None) -> commands.Stage:
        return kind(cut=instant_of("--cut", cut, plain_date=True), views=tuple(view or ()))

    return app.command(kind.name, help=help_)(stage)


_stage(commands.Ready, "Say whether the cut's source partitions are there (exit 75: not yet).")
_stage(commands.Graphs, "Derive links, components and exposures of graphs up to the cut, where views read of them.")
_stage(commands.Compute, "Compute the values as of the cut, each attempt into its own location.")
_stage(commands.Validate, "Meet the attempt with its expectations: pass, warn or hold (exit 3).")
_stage(commands.Held, "Fail (exit 3) if views of the cut are held, and say why.")
_stage(commands.Publish, "Point the tables' partition at the attempt that passed.")
_stage(commands.Materialize, "Load the published values into the online store.")


@app.command()
def prove(
    cut: Cut,
    view: View = None,
    through: Annotated[
        list[commands.Through] | None, typer.Option(help="What is asked; may be given again. Default: all three.")
    ] = None,
    keys: Annotated[int, typer.Option(min=1, help="Keys drawn for each entity and schedule.")] = commands.PROVE_KEYS,
) -> Command:
    """Look sampled keys up and recompute them; any difference fails (exit 4)."""
    at, views = instant_of("--cut", cut, plain_date=True), tuple(view or ())
    return commands.Prove(cut=at, views=views, through=tuple(dict.fromkeys(through or commands.Through)), keys=keys)


@app.command()
def backfill(
    start: Annotated[str, typer.Option(help="The first cut, UTC: 2026-03-02 or 2026-03-02T06:00Z.")],
    end: Annotated[str, typer.Option(help="Up to here, not included.")],
    views: Annotated[
        list[str] | None, typer.Argument(metavar="[VIEW]...", help="Default: all views with a table.")
    ] = None,
    at_once: Annotated[
        int, typer.Option(min=1, help="Cuts in one pass over the sources; fewer take less memory.")
    ] = 16,
) -> Command:
    """Compute, validate and publish many cuts; what is there already stands, so it can be run again."""
    first, last = (instant_of(name, text, plain_date=True) for name, text in (("--start", start), ("--end", end)))
    if first >= last:
        raise InputError(
            f"--start {start!r} is not before --end {end!r}. Cuts from --start on, and before --end, are computed."
        )
    return commands.Backfill(start=first, end=last, views=tuple(views or ()), at_once=at_once)


@app.command()
def release(source: Annotated[str, typer.Option()], ds: Day) -> Command:
    """Let a held partition of a source through; its rows count as known from now on."""
    return commands.Release(source=source, ds=day_of("--ds", ds))


@app.command()
def frame(  # noqa: PLR0913, PLR0917 - an option each
    out: Annotated[str, typer.Option(help="The Parquet file to write; its manifest goes beside it.")],
    service: Annotated[str | None, typer.Option(help="A feature service of the catalogue.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="A Parquet or CSV file: keys, and an instant for each row.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="A label of the catalogue, whose events are the rows.")] = None,
    start: Annotated[str | None, typer.Option(help="With --label: the first event_time, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="With --label: up to here, not included.")] = None,
    as_of: Annotated[str | None, typer.Option(help="With --label: what became known before counts.")] = None,
    sample: Annotated[
        list[str] | None, typer.Option(help="With --label: negatives=0.1, cap:card_id/day=5 …; again for more.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="With --label: train_end=2026-03-01, entity=card_id …; again for more.")
    ] = None,
    from_manifest: Annotated[str | None, typer.Option(help="The manifest of a frame to make again.")] = None,
) -> Command:
    """Give rows their features as they were known then: of a label file, of a label's events, or of a frame's manifest."""
    spans = (("--start", start), ("--end", end), ("--as-of", as_of))
    first, last, known = (None if text is None else instant_of(name, text, plain_date=True) for name, text in spans)
    return chosen_frame(
        out=out, service=service, labels=labels, manifest=from_manifest, label=label, span=(first, last, known),
        sample=tuple(sample or ()), split=tuple(split or ()),
    )  # fmt: skip


@app.command()
def censoring(
    label: Annotated[str, typer.Argument(help="A label of the catalogue.")],
    start: Annotated[str, typer.Option(help="The first event_time, UTC: 2026-03-02 or 2026-03-02T06:00Z.")],
    end: Annotated[str, typer.Option(help="Up to here, not included.")],
    as_of: Annotated[str, typer.Option(help="What became known before counts.")],
    out: Annotated[str | None, typer.Option(help="A file .html or .json. Default: print a table.")] = None,
) -> Command:
    """Show how many labels of each day are still open, and how long outcomes take."""
    spans = (("--start", start), ("--end", end), ("--as-of", as_of))
    first, last, known = (instant_of(name, text, plain_date=True) for name, text in spans)
    refuse_span(first, last, known)
    if out is not None and not out.endswith((".html", ".json")):
        raise InputError(f"--out {out!r} ends with neither .html nor .json. Give a file name that does.")
    return commands.Censoring(label=label, start=first, end=last, as_of=known, out=out)


@app.command()
def audit(  # noqa: PLR0913, PLR0917 - an option each
    frame: Annotated[str, typer.Argument(help="A frame's Parquet file, its manifest beside it.")],
    out: Annotated[str | None, typer.Option(help="A file .html or .json to write besides.")] = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
    rows: Annotated[int, typer.Option(min=1, help="How many rows are computed again.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and the shuffles.")] = 0,
    threshold: Annotated[float, typer.Option(help="The area under the ROC curve that no feature may reach.")] = 0.95,
    target: Annotated[str | None, typer.Option(help="The column of labels. Default: label.")] = None,
    split: Annotated[
        str | None, typer.Option(help="The column that says train and test. Default: asof_split, else by time.")
    ] = None,
) -> Command:
    """Look for leaks: what a frame holds and nobody could have known (exit 5)."""
    if not 0.5 < threshold <= 1:  # noqa: PLR2004 - what tells nothing
        raise InputError(
            f"--threshold {threshold:g} is not an area above 0.5, which tells nothing, and at most 1. Give one such as 0.95."
        )
    if out is not None and not out.endswith((".html", ".json")):
        raise InputError(f"--out {out!r} ends with neither .html nor .json. Give a file name that does.")
    return commands.Audit(
        frame=frame, out=out, output=output, rows=rows, seed=seed, threshold=threshold, target=target, split=split
    )


@app.command()
def report(  # noqa: PLR0913, PLR0917 - an option each
    truth: Annotated[
        str, typer.Option(help="The folder of `asof simulate --out`, whose files this home has ingested.")
    ],
    start: Annotated[str, typer.Option(help="The first payment to learn from, UTC: 2026-03-02 or 2026-03-02T06:00Z.")],
    held_back: Annotated[str, typer.Option(help="From here on payments judge; training ends --gap before.")],
    end: Annotated[str, typer.Option(help="Up to here, not included.")],
    out: Annotated[str, typer.Option(help="The page to write, .html; its numbers go beside it as .json.")],
    gap: Annotated[str, typer.Option(help="Between training and the held-back weeks.")] = "14d",
    budget: Annotated[float, typer.Option(help="The share of payments that is reviewed each day.")] = 0.01,
    review_cost: Annotated[float, typer.Option(help="Of one review, in euros.")] = 3.0,
    honest: Annotated[float, typer.Option(help="The share of honest payments to learn from.")] = 0.1,
    judged: Annotated[float, typer.Option(help="The share of honest held-back payments that judges.")] = 1.0,
    samples: Annotated[int, typer.Option(min=0, help="Of the bootstrap that gives intervals.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of samples, models and shuffles.")] = 0,
) -> Command:
    """Say which attacks of the simulator plain models find with these features, and which they do not (docs/report.md)."""
    edges = (("--start", start), ("--held-back", held_back), ("--end", end))
    first, later, last = (instant_of(name, text, plain_date=True) for name, text in edges)
    if not out.endswith(".html"):
        raise InputError(
            f"--out {out!r} does not end with .html. Give a file name that does; its numbers go beside it as .json."
        )
    return commands.Report(
        truth=truth, start=first, held_back=later, end=last, out=out, gap=gap, budget=budget, review_cost=review_cost, honest=honest,
        judged=judged, samples=samples, seed=seed,
    )  # fmt: skip


@app.command()
def explain(
    view: Annotated[str, typer.Argument(help="A view of the catalogue.")],
    at: Annotated[
        str | None, typer.Option(help="Of the newest cut served then: 2026-03-02T06:00Z. Default: now.")
    ] = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> Command:
    """Say what computing a view reads, shuffles and holds in memory, and each window's edges."""
    return commands.Explain(view=view, at=None if at is None else instant_of("--at", at), output=output)


@app.command()
def stats(
    view: Annotated[str, typer.Argument(help="A view of events with a schedule.")],
    window: Annotated[str, typer.Option(help="How long before the cut: 90d.")],
    by: Annotated[
        list[str] | None, typer.Option(help="A key column, or several with commas; again for more. Default: one total.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="A cut, or an instant, UTC: 2026-03-02 or 2026-03-02T06:00Z. Default: now.")
    ] = None,
    output: Annotated[Literal["table", "json", "parquet"], typer.Option()] = "table",
    out: Annotated[str | None, typer.Option(help="The file to write, with --output parquet.")] = None,
) -> Command:
    """Count, sum and average a view's events by any of its keys, as known at a cut."""
    if (output == "parquet") != (out is not None):
        raise InputError("--output parquet and --out FILE go together. Give both, or neither.")
    instant = None if at is None else instant_of("--at", at, plain_date=True)
    columns = tuple(name for names in by or () for name in names.split(",") if name)
    return commands.Stats(view=view, window=window, by=columns, at=instant, output=output, out=out)


@app.command()
def metrics(
    cut: Cut,
    ds: Annotated[
        list[str] | None, typer.Option(help="A day to compute again, UTC; again for more. Default: those that are due.")
    ] = None,
) -> Command:
    """Measure the days of events that are new, and those whose labels have matured, into risk.metrics_daily."""
    days = tuple(day_of("--ds", day) for day in ds or ())
    return commands.Metrics(cut=instant_of("--cut", cut, plain_date=True), days=days)


@app.command()
def status(output: Annotated[Literal["table", "json"], typer.Option()] = "table") -> Command:
    """Show what is ingested, held, published, online and proven."""
    return commands.Status(output=output)


@app.command()
def page(
    out: Annotated[str | None, typer.Option(help="The file. Default: docs/catalogue.html under home.")] = None,
    cuts: Annotated[int, typer.Option(min=1, help="How many of each view's last cuts are read.")] = 7,
) -> Command:
    """Write the catalogue as one HTML file: each feature's meaning, lineage, values over time, expectations, parity, users."""
    return commands.Page(out=out, cuts=cuts)


@app.command()
def sql() -> Command:
    """Start a server for beeline, PyHive and BI tools on this machine, and say how to connect; `asof stop` ends it."""
    return commands.Sql()


@app.command()
def stop() -> Command:
    """End the bundled metastore, the embedded Spark Connect server and the SQL server, where they run."""
    return commands.Stop()


@app.command()
def apply() -> Command:
    """Check every definition and write Feast's registry."""
    return commands.Apply()


@app.command()
def demo() -> Command:
    """Run a few days of everything on this machine, by Airflow itself."""
    return commands.Demo()


# Without a name of its own: `asof lookup`, not `asof store lookup`.
app.add_typer(store)


def _say(message: str) -> None:
    # No markup: a message shows values as they are, brackets included.
    from rich.console import Console  # noqa: PLC0415 - only where something went wrong

    Console(stderr=True, soft_wrap=True).print(message, style="red", markup=False, highlight=False)
