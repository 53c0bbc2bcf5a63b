"""Commands around the online store, as values and as arguments: see jobs/commands.py. Standard library only."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

__all__ = ["Grant", "Lookup", "Push", "Rollback", "Serve", "Why", "instant_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfAKey:
    keys: tuple[tuple[str, str], ...]
    """Column and value, in the order given."""
    at: datetime | None = None
    """With its zone; None: now."""
    output: Literal["table", "json"] = "table"

    def _given(self, *before: str) -> list[str]:
        at = ["--at", instant_text(self.at)] if self.at else []
        # After `--` a key may begin with a dash.
        return [*at, "--output", self.output, "--", *before, *(f"{column}={value}" for column, value in self.keys)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(_OfAKey):
    """The values of one key, as the online service gives them."""

    name: ClassVar[str] = "lookup"
    service: str

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, "--service", self.service, *self._given()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why(_OfAKey):
    """The rows behind one value."""

    name: ClassVar[str] = "why"
    feature: str
    """`service.view__feature`."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, *self._given(self.feature)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Answer lookups over HTTP until it is ended."""

    name: ClassVar[str] = "serve"
    port: int | None = None
    workers: int | None = None
    """Processes. None, as of the port: what the settings say."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        given = (("--port", self.port), ("--workers", self.workers))
        return [self.name, *(part for option, value in given if value is not None for part in (option, str(value)))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Give a token of the HTTP service, or take it back."""

    name: ClassVar[str] = "grant"
    holder: str
    services: tuple[str, ...] = ()
    """What it may read."""
    sources: tuple[str, ...] = ()
    """What it may push to."""
    revoke: bool = False

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        services = [argument for service in self.services for argument in ("--service", service)]
        sources = [argument for source in self.sources for argument in ("--push", source)]
        return [self.name, *services, *sources, *(["--revoke"] if self.revoke else []), "--", self.holder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Take events into the online store as they happen."""

    name: ClassVar[str] = "push"
    source: str
    input: str | None = None
    """A Parquet, CSV or JSON-lines file; None: the stream only says that it lives."""
    watermark: datetime | None = None
    """With its zone: everything known before it has been pushed."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        given = ["--input", self.input] if self.input is not None else []
        told = ["--watermark", instant_text(self.watermark)] if self.watermark is not None else []
        return [self.name, "--source", self.source, *given, *told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Let a view's lookups return to the generation before."""

    name: ClassVar[str] = "rollback"
    view: str

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, "--", self.view]


def instant_text(value: datetime) -> str:
    """An instant as an argument.

    Raises:
        ValueError: it has no zone.
    """
    if value.tzinfo is None:
        message = f"An instant needs a zone, got {value.isoformat()}. Write {value.isoformat()}+00:00 if it is UTC."
        raise ValueError(message)
    return value.astimezone(UTC).isoformat()
