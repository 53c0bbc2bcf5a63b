"""Every command as a frozen value and as the arguments of `asof`: what DAGs hand to processes. Standard library only.

jobs/cli.py parses `command.argv()` back into an equal command.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import ClassVar, Literal

from jobs.frame_commands import Audit, Censoring, Frame, LabelledFrame, Rebuild, Report
from jobs.store_commands import Grant, Lookup, Push, Rollback, Serve, Why, instant_text

__all__ = [
    "Apply",
    "Audit",
    "Backfill",
    "Censoring",
    "Command",
    "Compute",
    "Demo",
    "Exit",
    "Explain",
    "Frame",
    "Grant",
    "Graphs",
    "Held",
    "Ingest",
    "LabelledFrame",
    "Lookup",
    "Materialize",
    "Metrics",
    "Page",
    "Prove",
    "Publish",
    "Push",
    "Ready",
    "Rebuild",
    "Release",
    "Report",
    "Rollback",
    "Serve",
    "Simulate",
    "Sql",
    "Stage",
    "Stats",
    "Status",
    "Stop",
    "Validate",
    "Why",
]


class Exit(IntEnum):
    """What a process tells the one that started it."""

    OK = 0
    FAILED = 1
    """Anything that no other code says; do not try again blindly."""
    REFUSED = 2
    """An input, definition or setting is wrong; trying again changes nothing."""
    HELD = 3
    """A gate said no; the last good values stay."""
    PARITY = 4
    """Two paths gave two values."""
    LEAKS = 5
    """A frame holds what could not have been known."""
    BUSY = 75
    """Try again (EX_TEMPFAIL of sysexits.h)."""


PROVE_KEYS = 300
"""Keys that `asof prove` draws for each entity and schedule unless it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """A command that takes nothing."""

    name: ClassVar[str]

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulate:
    """Write simulated source files."""

    name: ClassVar[str] = "simulate"
    out: str
    """A folder."""
    start: date
    """The first day, UTC."""
    days: int
    scale: float = 1.0
    """1 is the demo's size; events grow in proportion."""
    seed: int = 0

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [
            *(self.name, "--out", self.out, "--start", self.start.isoformat(), "--days", str(self.days)),
            *("--scale", repr(self.scale), "--seed", str(self.seed)),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Read source files into Hive."""

    name: ClassVar[str] = "ingest"
    source: str
    """A name; or several with commas, in any order."""
    input: str
    """A file, folder or glob; `{source}` in it stands for each name."""
    ds: date | None = None
    """Take only what became known on this day, UTC; None: everything."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        day = ["--ds", self.ds.isoformat()] if self.ds else []
        return [self.name, "--source", self.source, "--input", self.input, *day]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a cut over some views."""

    name: ClassVar[str]
    cut: datetime
    """With its zone."""
    views: tuple[str, ...] = ()
    """Empty: all views that have this cut."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        views = [argument for view in self.views for argument in ("--view", view)]
        return [self.name, "--cut", instant_text(self.cut), *views]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Stage):
    """Are the source partitions of the cut there?"""

    name: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs(Stage):
    """Derive what views read of graphs up to the cut."""

    name: ClassVar[str] = "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute(Stage):
    """Compute values as of the cut into an attempt of its own."""

    name: ClassVar[str] = "compute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate(Stage):
    """Meet the attempt with its expectations: pass, warn or hold."""

    name: ClassVar[str] = "validate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Stage):
    """Point the partition at the attempt that passed."""

    name: ClassVar[str] = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialize(Stage):
    """Load published values into the online store."""

    name: ClassVar[str] = "materialize"


class Through(StrEnum):
    """What lookups are asked through: the reader in this process, the HTTP service, Feast's own client."""

    READER = "reader"
    SERVICE = "service"
    FEAST = "feast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove(Stage):
    """Look sampled keys up and recompute them through the frame's path."""

    name: ClassVar[str] = "prove"
    through: tuple[Through, ...] = tuple(Through)
    """What is asked."""

    keys: int = PROVE_KEYS
    """Drawn for each entity and schedule."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        through = (part for name in self.through for part in ("--through", name))
        return [*Stage.argv(self), *through, *(("--keys", str(self.keys)) if self.keys != PROVE_KEYS else ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Stage):
    """Fail, with exit 3 and their names, if views of the cut were held; no Spark."""

    name: ClassVar[str] = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Compute, validate and publish many cuts in few passes over the sources."""

    name: ClassVar[str] = "backfill"
    start: datetime
    """With its zone; the first cut is the first at or after it."""
    end: datetime
    """With its zone; not included."""
    views: tuple[str, ...] = ()
    """Empty: all that are published as tables."""
    at_once: int = 16
    """Cuts in one pass."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        span = ["--start", instant_text(self.start), "--end", instant_text(self.end)]
        return [self.name, *span, "--at-once", str(self.at_once), "--", *self.views]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let a held source partition through."""

    name: ClassVar[str] = "release"
    source: str
    ds: date

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, "--source", self.source, "--ds", self.ds.isoformat()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """What computing a view reads, shuffles and holds, and why."""

    name: ClassVar[str] = "explain"
    view: str
    at: datetime | None = None
    """With its zone: the newest cut served then is explained; None: now."""
    output: Literal["table", "json"] = "table"

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        at = ["--at", instant_text(self.at)] if self.at else []
        return [self.name, *at, "--output", self.output, "--", self.view]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Aggregates of a view's events for any grouping of its keys, from tiles."""

    name: ClassVar[str] = "stats"
    view: str
    window: str
    """How long before the cut, as `90d`."""
    by: tuple[str, ...] = ()
    """Key columns of the view; empty: one total."""
    at: datetime | None = None
    """With its zone: a cut, or an instant, for which the cut served then answers; None: now."""
    output: Literal["table", "json", "parquet"] = "table"
    out: str | None = None
    """The file of `parquet`."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        by = [argument for column in self.by for argument in ("--by", column)]
        at = ["--at", instant_text(self.at)] if self.at else []
        out = ["--out", self.out] if self.out is not None else []
        return [self.name, *by, "--window", self.window, *at, "--output", self.output, *out, "--", self.view]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Compute the days of `risk.metrics_daily` that are due."""

    name: ClassVar[str] = "metrics"
    cut: datetime
    """With its zone: what became known before counts."""
    days: tuple[date, ...] = ()
    """UTC; computed again whatever is there. Empty: those that are new, and those that have matured."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        days = [argument for day in self.days for argument in ("--ds", day.isoformat())]
        return [self.name, "--cut", instant_text(self.cut), *days]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is ingested, held, published, online and proven."""

    name: ClassVar[str] = "status"
    output: Literal["table", "json"] = "table"

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, "--output", self.output]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The catalogue as one HTML file, from definitions and the last runs."""

    name: ClassVar[str] = "page"
    out: str | None = None
    """A file; None: `docs/catalogue.html` under home."""
    cuts: int = 7
    """How many of each view's last cuts are read."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        out = ["--out", self.out] if self.out is not None else []
        return [self.name, *out, "--cuts", str(self.cuts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sql(_Plain):
    """Start the SQL server, where it does not run, and say how to connect."""

    name: ClassVar[str] = "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(_Plain):
    """End the bundled metastore, the embedded Spark Connect server and the SQL server, where they run."""

    name: ClassVar[str] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply(_Plain):
    """Check all definitions and write Feast's registry."""

    name: ClassVar[str] = "apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo(_Plain):
    """A few days of everything on this machine, by Airflow itself."""

    name: ClassVar[str] = "demo"


Command = (
    Simulate
    | Ingest
    | Ready
    | Graphs
    | Compute
    | Validate
    | Held
    | Publish
    | Materialize
    | Prove
    | Backfill
    | Release
    | Frame
    | LabelledFrame
    | Rebuild
    | Censoring
    | Audit
    | Report
    | Lookup
    | Explain
    | Stats
    | Metrics
    | Status
    | Page
    | Sql
    | Serve
    | Grant
    | Push
    | Rollback
    | Why
    | Apply
    | Stop
    | Demo
)
