"""The commands of `asof` that read or write the online store: lookups, their explanation, the service, pushes and rollbacks. Imports no job."""

from typing import Annotated, Literal

import typer

from features.errors import InputError
from jobs import commands
from jobs.arguments import instant_of, pair_of
from jobs.commands import Command

__all__ = ["store"]

store = typer.Typer()


@store.command()
def lookup(
    service: Annotated[str, typer.Option(help="A feature service of the catalogue.")],
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Each key column and request field, and its value.")
    ],
    at: Annotated[str | None, typer.Option(help="The instant, with its zone: 2026-03-02T06:00Z. Default: now.")] = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> Command:
    """Print one key's values, status and age."""
    instant = None if at is None else instant_of("--at", at)
    return commands.Lookup(service=service, keys=tuple(pair_of(key) for key in keys), at=instant, output=output)


@store.command()
def why(
    feature: Annotated[str, typer.Argument(metavar="SERVICE.FEATURE", help="radar_v1.card_velocity__count_7d.")],
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="Each key column and request field of the feature's view."),
    ],
    at: Annotated[str | None, typer.Option(help="The instant, with its zone: 2026-03-02T06:00Z. Default: now.")] = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> Command:
    """List the rows behind a value, say of each why it counts or does not, and compare with the online store."""
    instant = None if at is None else instant_of("--at", at)
    return commands.Why(feature=feature, keys=tuple(pair_of(key) for key in keys), at=instant, output=output)


@store.command()
def serve(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: serving.port of the settings.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: serving.workers of the settings.")
    ] = None,
) -> Command:
    """Answer lookups over HTTP, as Feast's own server does; Ctrl-C or SIGTERM ends it once what runs is answered."""
    return commands.Serve(port=port, workers=workers)


@store.command()
def grant(
    holder: Annotated[str, typer.Argument(metavar="NAME", help="Who holds the token: checkout.")],
    service: Annotated[list[str] | None, typer.Option(help="What it may read; again for more.")] = None,
    push: Annotated[list[str] | None, typer.Option("--push", help="A source it may push to; again for more.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the token back.")] = False,  # noqa: FBT002 - an option
) -> Command:
    """Make a token for the HTTP service and print it, once; a former one of the same name is no longer good."""
    if bool(service or push) == revoke:
        raise InputError(
            "Give --service SERVICE for what the token may read, --push SOURCE for what it may push to, or --revoke to take it back; not both."
        )
    return commands.Grant(holder=holder, services=tuple(service or ()), sources=tuple(push or ()), revoke=revoke)


@store.command()
def push(
    source: Annotated[str, typer.Option(help="A source that views with EventFreshness follow.")],
    input_: Annotated[str | None, typer.Option("--input", help="A Parquet, CSV or JSON-lines file of events.")] = None,
    watermark: Annotated[
        str | None, typer.Option(help="All known before it was pushed: 2026-03-02T06:00Z. Default: the newest event.")
    ] = None,
) -> Command:
    """Take events into the online store as they happen; pushing them again changes nothing."""
    if input_ is None and watermark is None:
        raise InputError(
            "Give --input FILE with events, or --watermark INSTANT to say that there were none until then."
        )
    told = None if watermark is None else instant_of("--watermark", watermark)
    return commands.Push(source=source, input=input_, watermark=told)


@store.command()
def rollback(view: Annotated[str, typer.Argument(help="Its lookups return to the generation before.")]) -> Command:
    """Take the current generation of a view's states back; the one before answers at once."""
    return commands.Rollback(view=view)
