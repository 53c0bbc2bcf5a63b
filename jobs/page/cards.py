"""All that the page says of one feature: from its definition, and from what the runs left."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expectations.derived import view_rules
from expectations.report import Failure
from expectations.rules import Rule
from expectations.views import facts_of, written_rules
from features.definitions.durations import DAY, HOUR, MINUTE, SECOND
from features.definitions.expressions import Scalar
from features.definitions.features import Aggregate, Feature, Rate
from features.definitions.lineage import Read, bases, lineage
from features.definitions.meanings import freshness_text, meaning, null_rule
from features.definitions.names import utc
from features.definitions.phrases import length_text
from features.definitions.services import FeatureService
from features.definitions.units import reason_code, unit
from features.definitions.views import FeatureView
from features.values.defaults import never_seen
from jobs.page.pictures import Point, Share, histogram, shares, sparkline
from jobs.page.runs import Cut, Proven, ViewRuns
from jobs.page.values import Bar

__all__ = ["Expectation", "FeatureCard", "Numbers", "Origin", "feature_cards", "view_expectations"]

_LENGTHS = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND))
_THOUSAND = 1_000
_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One rule, and what the last audit said of it."""

    says: str
    blocks: bool
    state: str
    """held, failed, or not audited."""

    observed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A source table and the columns of it that are read, each with its roles and what stands between."""

    source: str
    table: str
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A row of the table below the pictures, all as text."""

    cut: str
    verdict: str
    null: str
    default: str
    low: str
    mid: str
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCard:
    """One feature on the page; texts are plain, pictures are HTML."""

    name: str
    view: FeatureView
    meaning: str
    unit: str
    type: str
    default: str
    null_rule: str
    reason_code: str
    freshness: str
    windows: tuple[str, ...]
    derived_from: tuple[str, ...]
    services: tuple[str, ...]
    origins: tuple[Origin, ...]
    expectations: tuple[Expectation, ...]
    parity: str
    differs: bool
    numbers: tuple[Numbers, ...]
    different: int | None
    """Of texts: how many different values the last cut's sample has."""

    sampled: int
    """Rows of the last cut that the pictures are of."""

    spark: Markup
    over_time: Markup
    share_picture: Markup
    bars: Markup
    bars_told: str
    """From where to where they go, or the shares of the most frequent."""

    scale: tuple[str, str]
    """The least and the most of the picture over time."""

    @property
    def id(self) -> str:
        """The part of a link after #."""
        return f"{self.view.name}.{self.name}"

    @property
    def failed(self) -> int:
        """Expectations that do not hold."""
        return sum(each.state == "failed" for each in self.expectations)

    @property
    def search(self) -> str:
        """What the search looks in, lower case."""
        view, sources = self.view, [name for origin in self.origins for name in (origin.source, origin.table)]
        words = (
            self.name, view.name, self.meaning, view.description, view.entity.name, *view.keys, view.owner, *sources, *self.services, self.reason_code
        )  # fmt: skip
        return " ".join(dict.fromkeys(words)).lower()


def feature_cards(
    view: FeatureView, services: Sequence[FeatureService], taken: Mapping[str, Sequence[str]], runs: ViewRuns, proven: Proven | None
) -> Iterator[FeatureCard]:  # fmt: skip
    """A card a feature. `taken` has, by service, the features of this view that it takes."""
    defaults, freshness, rules, drifts = never_seen(view), freshness_text(view), _rules(view), _drifts(runs)
    for feature in view.features:
        name = feature.name
        told, points = _teller(view, feature), _points(name, runs.cuts)
        spread = runs.last.spreads.get(name) if runs.last is not None else None
        parity, differs = _parity(f"{view.name}.{name}", proven)
        yield FeatureCard(
            name=name, view=view, meaning=meaning(view, feature), unit=unit(view, feature), type=view.types.get(name, "not known"),
            default=_default(defaults.get(name)), null_rule=null_rule(view, feature), reason_code=reason_code(view, feature), freshness=freshness,
            windows=tuple(_windows(view, name)), derived_from=tuple(each.name for each in bases(view, name) if each.name != name),
            services=tuple(service.name for service in services if name in taken.get(service.name, ())), origins=_origins(lineage(view, name)),
            expectations=_expectations([rule for rule in rules if name in rule.columns], runs, [each for each in drifts if _of(each, name)]),
            parity=parity, differs=differs, numbers=tuple(_numbers(name, cut, told) for cut in reversed(runs.cuts) if name in cut.spreads),
            different=None if spread is None else spread.different, sampled=0 if spread is None else spread.rows, spark=sparkline(points, told),
            over_time=sparkline(points, told, wide=True), bars=histogram(spread.bars if spread else (), told),
            bars_told=_bars_told(spread.bars if spread else (), told),
            share_picture=shares([
                Share(cut=cut.at, null=cut.spreads[name].null, default=cut.spreads[name].default) for cut in runs.cuts if name in cut.spreads
            ]),
            scale=(told(min(point.low for point in points)), told(max(point.high for point in points))) if points else ("", ""),
        )  # fmt: skip


def view_expectations(view: FeatureView, runs: ViewRuns) -> tuple[Expectation, ...]:
    """Those that are of no single feature: keys, status, counts of rows, ages of sources."""
    names = {feature.name for feature in view.features}
    own = [rule for rule in _rules(view) if not names & set(rule.columns)]
    return _expectations(own, runs, [each for each in _drifts(runs) if not any(_of(each, name) for name in names)])


def _rules(view: FeatureView) -> tuple[Rule, ...]:
    return (*view_rules(view, facts_of(view.source), valid_from=0), *written_rules(view))


def _drifts(runs: ViewRuns) -> list[Failure]:
    """Failures of rules that history makes, not the definition: their names are paths."""
    report = runs.audited.report if runs.audited is not None else None
    return [each for each in report.failures if "/" in each.rule] if report is not None else []


def _of(failure: Failure, name: str) -> bool:
    """Whether a metric is of a feature: it ends in the feature's name, or says one of its values."""
    metric = failure.rule.removeprefix("drift/").partition("/")[2]
    return metric == name or metric.startswith(f"{name}=")


def _expectations(rules: Sequence[Rule], runs: ViewRuns, drifted: Sequence[Failure]) -> tuple[Expectation, ...]:
    """Those that failed first."""
    report = runs.audited.report if runs.audited is not None else None
    failures = {failure.rule: failure for failure in report.failures} if report is not None else {}
    made = [
        Expectation(
            says=rule.says, blocks=rule.severity == "block", state="not audited" if report is None else "failed" if rule.name in failures else "held",
            observed=f"observed {failures[rule.name].observed}" if rule.name in failures else "",
        )
        for rule in rules
    ]  # fmt: skip
    made += [
        Expectation(says=each.says, blocks=each.blocks, state="failed", observed=f"observed {each.observed}, expected {each.expected}")
        for each in drifted
    ]  # fmt: skip
    return tuple(sorted(made, key=lambda each: each.state != "failed"))


def _windows(view: FeatureView, name: str) -> Iterator[str]:
    found = dict.fromkeys(each.window for each in bases(view, name) if isinstance(each, Aggregate | Rate))
    for window in found:
        text = f"ever: {length_text(view.remember_us)}" if window.length_us is None else length_text(window.length_us)
        after = f", ending {length_text(window.offset_us)} before" if window.offset_us else ""
        beyond = (
            f"reaches up to {length_text(window.step_us)} further back" if window.overshoot_us else "edges are exact"
        )
        yield f"{text}{after}; {beyond}"


def _origins(reads: Sequence[Read]) -> tuple[Origin, ...]:
    tables: dict[tuple[str, str], dict[tuple[str, tuple[str, ...]], list[str]]] = {}
    for read in reads:
        tables.setdefault((read.source, read.table), {}).setdefault((read.column, read.through), []).append(read.role)
    return tuple(
        Origin(
            source=source, table=table,
            columns=tuple((column, ", ".join(roles), " ← ".join(through)) for (column, through), roles in columns.items()),
        )
        for (source, table), columns in tables.items()
    )  # fmt: skip


def _parity(place: str, proven: Proven | None) -> tuple[str, bool]:
    """A sentence, and whether this very feature differed."""
    if proven is None:
        return "Not proven yet: `asof prove --cut …` looks keys up and computes them again.", False
    compared = (
        f"{proven.compared:,} values of {proven.views} views looked up and computed again for the cut {proven.cut}"
    )
    if not proven.different:
        return f"Equal: {compared}, none different.", False
    if place in proven.features:
        return f"Different: {compared}, {proven.different:,} different, this feature among them.", True
    return f"{compared}, {proven.different:,} different; this feature is not among the examples kept.", False


def _default(value: Scalar) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float | int) else str(value)


def _points(name: str, cuts: Sequence[Cut]) -> list[Point]:
    made = []
    for cut in cuts:
        spread = cut.spreads.get(name)
        if spread is None:
            continue
        three = spread.quantiles or (None if spread.mean is None else (spread.mean,) * 3)
        if three is not None:
            made.append(Point(cut=cut.at, low=three[0], mid=three[1], high=three[2], held=cut.verdict == "hold"))
    return made


def _numbers(name: str, cut: Cut, told: Callable[[float], str]) -> Numbers:
    spread = cut.spreads[name]
    low, mid, high = (told(value) for value in spread.quantiles) if spread.quantiles else ("", "" if spread.mean is None else told(spread.mean), "")  # fmt: skip
    return Numbers(
        cut=cut.at, verdict=cut.verdict, null=f"{spread.null:.1%}", default="" if spread.default is None else f"{spread.default:.1%}",
        low=low, mid=mid, high=high,
    )  # fmt: skip


def _bars_told(bars: Sequence[Bar], told: Callable[[float], str]) -> str:
    if not bars or not bars[0].label:
        return f"{told(bars[0].low)} to {told(bars[-1].high)}" if bars else ""
    more = ", …" if len(bars) > _NAMED else ""
    return ", ".join(f"{bar.label} {bar.share:.0%}" for bar in bars[:_NAMED]) + more


def _teller(view: FeatureView, feature: Feature) -> Callable[[float], str]:
    """How a value is written: lengths and instants as such, shares of true as per cent."""
    kind = view.types.get(feature.name)
    if kind == "timestamp":
        return lambda value: f"{utc(int(value)):%Y-%m-%d}"
    if kind == "bool":
        return lambda value: f"{value:.1%}"
    return _length if unit(view, feature) == "microseconds" else _number


def _length(us: float) -> str:
    name, size = next(((name, size) for name, size in _LENGTHS if abs(us) >= size), ("s", SECOND))
    return f"{us / size:.3g} {name}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.3g}"
