"""What the last runs left under home, read record by record: what is missing is missing, what is damaged becomes a sentence for the page."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from expectations.report import Report
from features.definitions.catalog import Catalog
from features.definitions.names import cut_text, micros, parse_cut
from features.definitions.phrases import length_text
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import AsofError
from features.settings import Settings
from features.values.defaults import never_seen
from jobs import attempts, ledger
from jobs.audits import partition_report
from jobs.page.values import Spread, spreads
from jobs.proofs import history

__all__ = [
    "Cut",
    "Day",
    "Problems",
    "Proven",
    "SourceRuns",
    "ViewRuns",
    "last_proofs",
    "source_runs",
    "view_runs",
    "without_rows",
]

T = TypeVar("T")
_DAYS = 7
_DAMAGES = (AsofError, OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError)
"""What a broken record or file raises when it is read: pyarrow's own errors are of these kinds too."""
_USER = re.compile(r"://[^/@\s]*@")


@dataclass(slots=True)
class Problems:
    """What could not be read, each once, in a sentence."""

    found: list[str] = field(default_factory=list)

    def or_none(self, what: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; None where it is damaged, and a sentence more here."""
        try:
            return read()
        except _DAMAGES as error:
            said = _USER.sub("://…@", str(error).splitlines()[0] if str(error) else type(error).__name__)
            text = f"{what} cannot be read: {said}"
            self.found += [] if text in self.found else [text]
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One cut of a view, by its newest finished attempt of the current definition."""

    at: str
    """As partition value."""

    rows: int | None
    seconds: float | None
    published: bool
    report: Report | None
    spreads: Mapping[str, Spread]

    @property
    def verdict(self) -> str:
        """pass, warn, hold, or not validated."""
        return "not validated" if self.report is None else self.report.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRuns:
    """What is there of a view."""

    cuts: tuple[Cut, ...]
    """The last ones, oldest first."""

    earlier: int
    """Cuts that only another definition computed, among the last ones."""

    total: int
    level: str
    """good, warn, bad or none."""

    state: str
    """In a word or two."""

    health: str
    """In a sentence."""

    @property
    def last(self) -> Cut | None:
        """The newest cut with a finished attempt."""
        return self.cuts[-1] if self.cuts else None

    @property
    def audited(self) -> Cut | None:
        """The newest cut with a report."""
        return next((cut for cut in reversed(self.cuts) if cut.report is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One partition of a source."""

    ds: str
    rows: int
    quarantined: int
    state: str
    """held, released, pass, warn, or not audited."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRuns:
    """The last partitions of a source, newest first."""

    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The last proof that a view took part in."""

    cut: str
    views: int
    compared: int
    different: int
    features: tuple[str, ...]
    """`view.feature` of differences that were kept as examples."""


def view_runs(settings: Settings, view: FeatureView, count: int, problems: Problems) -> ViewRuns:
    """Of the last `count` cuts of a view."""
    place = f"The attempts of view {view.name}"
    known = problems.or_none(place, lambda: attempts.cuts_with_attempts(settings, view)) or tuple[int, ...]()
    found = [_cut(settings, view, cut, problems, last=cut == known[-1]) for cut in known[-count:]]
    cuts = tuple(cut for cut in found if cut is not None)
    level, state, health = _health(settings, view, cuts, len(known))
    return ViewRuns(
        cuts=cuts, earlier=len(found) - len(cuts), total=len(known), level=level, state=state, health=health
    )


def _cut(settings: Settings, view: FeatureView, cut: int, problems: Problems, *, last: bool) -> Cut | None:
    place = f"of view {view.name} at {cut_text(cut)}"
    attempt = problems.or_none(f"The attempt {place}", lambda: attempts.finished(settings, view, cut))
    if attempt is None:
        return None
    made = problems.or_none(f"The record {place}", lambda: attempt.record("finished")) or {}
    report = problems.or_none(f"The verdict {place}", lambda: _report(attempt))
    spread = problems.or_none(f"Values {place}", lambda: spreads(attempt.location, never_seen(view), bars=last))
    published = problems.or_none(f"The record {place}", lambda: attempt.record("published"))
    return Cut(
        at=cut_text(cut), rows=_number(made.get("rows")), seconds=made.get("seconds"), published=published is not None, report=report, spreads=spread or {},
    )  # fmt: skip


def _number(value: Any) -> int | None:  # noqa: ANN401 - of a record
    return value if isinstance(value, int) else None


def _report(attempt: attempts.Attempt) -> Report | None:
    found = attempt.record("verdict")
    return None if found is None else Report.load(found)


def _health(settings: Settings, view: FeatureView, cuts: Sequence[Cut], total: int) -> tuple[str, str, str]:  # noqa: PLR0911 - one branch a state
    """Level, state and sentence."""
    if not view.tabled:
        return "none", "frames only", f"Frames only: it has no table, since {view.unkept}."
    if not cuts:
        other = f" {total} cuts are there that this definition did not compute." if total else ""
        return "none", "not computed", f"Not computed yet.{other} `asof compute --cut …` does it."
    last = cuts[-1]
    if last.verdict == "hold":
        good = next((cut.at for cut in reversed(cuts) if cut.published), None)
        served = f"{good} is served instead" if good else "nothing was published before"
        return "bad", "held", f"Held at {last.at}; {served}. {_why(last.report)}"
    if not last.published:
        return "warn", "not published", f"Computed at {last.at}, {last.verdict}, and not published."
    age = micros(settings.now()) - parse_cut(last.at)
    if age >= view.horizon_us:
        return "warn", "stale", f"Stale: the last published cut {last.at} is {length_text(_days(age))} old."
    failed = len(last.report.failures) if last.report is not None else 0
    if failed:
        return "warn", "published, warns", f"Published at {last.at}; {failed} rules warn. {_why(last.report)}"
    return "good", "published", f"Published at {last.at}: {last.verdict}."


def _days(us: int) -> int:
    """In whole days, or hours below one."""
    day, hour = (timedelta(**{unit: 1}) // timedelta(microseconds=1) for unit in ("days", "hours"))
    return us // day * day or us // hour * hour


def _why(report: Report | None) -> str:
    if report is None:
        return ""
    return without_rows(report.because or (report.failures[0].says if report.failures else ""))


def without_rows(text: str) -> str:
    """A reason without its example rows: they name keys, and the page is for everybody."""
    return text.split(" For example ", maxsplit=1)[0]


def source_runs(settings: Settings, source: Source, problems: Problems) -> SourceRuns:
    """Of a source that is ingested."""
    place = f"The partitions of source {source.name}"
    found = problems.or_none(place, lambda: ledger.partitions(settings, source.name, last=_DAYS)) or ()
    return SourceRuns(days=tuple(_day(settings, item, problems) for item in reversed(found)))


def _day(settings: Settings, item: ledger.Partition, problems: Problems) -> Day:
    place = f"The verdict on source {item.source} of {item.ds}"
    report = problems.or_none(place, lambda: partition_report(settings, item.source, item.ds))
    state: str = "not audited" if report is None else report.verdict
    if item.held_at is not None:
        state = "held" if item.held else "released"
    return Day(
        ds=item.ds, rows=item.rows, quarantined=item.quarantined, state=state, reason=without_rows(item.reason or ""),
    )  # fmt: skip


def last_proofs(settings: Settings, catalog: Catalog, problems: Problems) -> Mapping[str, Proven]:
    """By view; a view that was never proven is missing."""
    rows = problems.or_none("The table asof.proofs", lambda: history(settings)) or []
    names = {f"{view.name}.{feature.name}" for view in catalog.views for feature in view.features}
    made: dict[str, Proven] = {}
    for row in rows:
        told = tuple(sorted({example.split(" ")[0] for example in row["examples"] or ()} & names))
        proof = Proven(cut=cut_text(micros(row["cut"])), views=len(row["views"]), compared=row["compared"], different=row["different"], features=told)  # fmt: skip
        made |= dict.fromkeys(row["views"], proof)
    return made
