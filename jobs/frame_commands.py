"""Commands around training frames, as values and as arguments: see jobs/commands.py. Standard library only."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from jobs.store_commands import instant_text

__all__ = ["Audit", "Censoring", "Frame", "LabelledFrame", "Rebuild", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One row of features for each row of a label file."""

    name: ClassVar[str] = "frame"
    labels: str
    service: str
    out: str

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        return [self.name, "--labels", self.labels, "--service", self.service, "--out", self.out]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    label: str
    """A label of the catalogue."""
    start: datetime
    """With its zone: the first event_time."""
    end: datetime
    """With its zone; not included."""
    as_of: datetime
    """With its zone: what is known from here on is not."""

    def _given(self) -> list[str]:
        named = ("--start", self.start), ("--end", self.end), ("--as-of", self.as_of)
        return [argument for option, instant in named for argument in (option, instant_text(instant))]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrame(_Span):
    """One row of features and a label for each event of a span, or a sample of them."""

    name: ClassVar[str] = "labelled"
    service: str
    out: str
    sample: tuple[str, ...] = ()
    """As features.values.sampling reads it."""
    split: tuple[str, ...] = ()
    """As features.values.splits reads it."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        parts = [(f"--{name}", text) for name in ("sample", "split") for text in getattr(self, name)]
        more = [argument for pair in parts for argument in pair]
        return ["frame", "--label", self.label, *self._given(), *more, "--service", self.service, "--out", self.out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """The same frame again from its manifest, byte by byte, or what has changed."""

    name: ClassVar[str] = "rebuild"
    manifest: str
    out: str
    labels: str | None = None
    """Where the label file is now; None: where it was."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        labels = ["--labels", self.labels] if self.labels is not None else []
        return ["frame", "--from-manifest", self.manifest, *labels, "--out", self.out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring(_Span):
    """How many labels of each day are still open, and how long outcomes take."""

    name: ClassVar[str] = "censoring"
    out: str | None = None
    """A file that ends with .html or .json; None: a table is printed."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        out = ["--out", self.out] if self.out is not None else []
        return [self.name, *self._given(), *out, "--", self.label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Whether a frame holds what could not have been known."""

    name: ClassVar[str] = "audit"
    frame: str
    """The file, with its manifest beside it."""
    out: str | None = None
    """A file that ends with .html or .json, beside what is printed."""
    output: Literal["table", "json"] = "table"
    rows: int = 200
    """Rows that are computed again."""
    seed: int = 0
    threshold: float = 0.95
    """The area under the ROC curve, in (0.5, 1], that no feature alone may surely reach."""
    target: str | None = None
    """The column of labels; None: label, if it is there."""
    split: str | None = None
    """The column that says train and test; None: asof_split, or else by time."""

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        named = ("--out", self.out), ("--target", self.target), ("--split", self.split)
        more = [argument for option, given in named if given is not None for argument in (option, given)]
        numbers = ["--rows", str(self.rows), "--seed", str(self.seed), "--threshold", repr(self.threshold)]
        return [self.name, *more, *numbers, "--output", self.output, "--", self.frame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What plain models find of the simulator's attacks on held-back weeks."""

    name: ClassVar[str] = "report"
    truth: str
    """The folder of `asof simulate --out`."""
    start: datetime
    """With its zone: the first payment that is learned from."""
    held_back: datetime
    """With its zone: from here on payments judge."""
    end: datetime
    """With its zone; not included."""
    out: str
    """The page, a file that ends with .html; its numbers go beside it as .json."""
    gap: str = "14d"
    """Between what is learned from and what is held back."""
    budget: float = 0.01
    """The share of payments that is reviewed."""
    review_cost: float = 3.0
    """Euros."""
    honest: float = 0.1
    """The share of honest payments that is learned from."""
    judged: float = 1.0
    """The share of honest payments held back that judges."""
    samples: int = 200
    """Of the bootstrap."""
    seed: int = 0

    def argv(self) -> list[str]:
        """The arguments after `asof`."""
        instants = ("--start", self.start), ("--held-back", self.held_back), ("--end", self.end)
        shares = (
            ("--budget", self.budget),
            ("--review-cost", self.review_cost),
            ("--honest", self.honest),
            ("--judged", self.judged),
        )
        return [
            *(self.name, "--truth", self.truth, "--out", self.out, "--gap", self.gap),
            *(argument for option, instant in instants for argument in (option, instant_text(instant))),
            *(argument for option, share in shares for argument in (option, repr(share))),
            *("--samples", str(self.samples), "--seed", str(self.seed)),
        ]
