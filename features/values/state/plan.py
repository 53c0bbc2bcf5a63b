"""What the state of a view keeps: for most features, sections of merged rows; for the rest, rows as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from features.definitions.expressions import ColumnType, Expression, columns_of
from features.definitions.features import Aggregate, CohortRate
from features.definitions.freshness import EventFreshness
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Window

__all__ = ["Kind", "Plan", "Section", "Span", "plan_of", "span_of"]

Kind = Literal["counted", "matched", "largest", "smallest", "distinct", "newest", "oldest"]
_KINDS: dict[str, Kind] = {
    "count": "counted", "sum": "counted", "mean": "counted", "std": "counted", "max": "largest", "min": "smallest", "distinct": "distinct",
    "time_since_last": "newest", "time_since_first": "oldest",
}  # fmt: skip
_SUMS, _SQUARES = 2, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The instants at which a state may be asked, where windows may end; microseconds UTC, both inclusive."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one condition and column, merged as far as no lookup can tell them apart.

    counted    rows, their integer sum (two words of 64 bits) and pieces of squares, of all rows between two edges of windows
    matched    the same count of events with a known outcome
    largest    the largest value of those rows; smallest likewise
    distinct   each different value of those rows
    newest     when the newest row was; oldest: the oldest of those rows
    """

    kind: Kind
    where: Expression | None
    condition: str
    """`where` as text: conditions that are the same have the same."""

    column: str | None
    windows: tuple[Window, ...]
    limit: int = 0
    """Of distinct: the largest limit."""

    squares: bool = False
    summed: bool = False
    outcomes: tuple[str, str] = ("", "")
    """Of matched: the source of outcomes, and its column with the event's id."""

    @property
    def width(self) -> int:
        """Words of a row, its time aside."""
        if self.kind == "counted":
            return 1 + _SUMS * self.summed + _SQUARES * self.squares
        return {"matched": 1, "newest": 0, "oldest": 0}.get(self.kind, 1)

    @property
    def ends_now(self) -> bool:
        """Whether all its windows end at the asked instant: a later row then outdoes an earlier one for good."""
        return all(window.offset_us == 0 for window in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Of one view. The first section is when the newest row of all was, which tells whether the key was ever seen."""

    view: FeatureView
    sections: tuple[Section, ...]
    places: dict[str, int]
    """Feature to the section that it is finished from."""

    matched: dict[str, int]
    """Rate to its second section."""

    others: tuple[Aggregate, ...]
    """Aggregates that are finished from rows as they are."""

    row_columns: tuple[str, ...]
    """What those rows hold, in order."""

    waiting_columns: tuple[str, ...]
    """What rows hold that do not count yet, or are of the tail."""

    types: Mapping[str, ColumnType]
    """Of the features."""

    windows: Mapping[str, int]
    """Feature to the place of its window in its section."""

    spans: tuple[np.ndarray, ...]
    """Of each section int64[3, windows, 1]: offset, length and step of its windows, in microseconds."""


@lru_cache(maxsize=1024)
def plan_of(view: FeatureView) -> Plan:
    """The plan of a stateful view, made once for each definition object."""
    wanted: dict[tuple[Kind, str, str | None, str], list[Aggregate | CohortRate]] = {}
    where: dict[tuple[Kind, str, str | None, str], Expression | None] = {}
    keys: dict[str, tuple[Kind, str, str | None, str]] = {}
    rates: dict[str, tuple[Kind, str, str | None, str]] = {}
    others: list[Aggregate] = []
    for feature in view.features:
        if isinstance(feature, Aggregate) and (kind := _kind(view, feature)):
            keys[feature.name] = kind, repr(feature.where), feature.column, ""
            where[keys[feature.name]] = feature.where
            wanted.setdefault(keys[feature.name], []).append(feature)
        elif isinstance(feature, Aggregate):
            others.append(feature)
        elif isinstance(feature, CohortRate):
            for made, of, by in ((keys, "counted", ""), (rates, "matched", f"{feature.outcomes}.{feature.of}")):
                key: tuple[Kind, str, str | None, str] = of, repr(feature.eligible), None, by  # type: ignore[assignment]
                made[feature.name], where[key] = key, feature.eligible
                wanted.setdefault(key, []).append(feature)
    order = {key: place for place, key in enumerate(wanted, 1)}
    ids = isinstance(view.freshness, EventFreshness) and view.source.event_id is not None
    sections = (
        Section(kind="newest", where=None, condition="", column=None, windows=(EVER,)),
        *(_section(key, where[key], features) for key, features in wanted.items()),
    )
    window_of = {feature.name: feature.window for features in wanted.values() for feature in features}
    return Plan(
        view=view,
        sections=sections,
        types=view.types,
        windows={name: sections[order[key]].windows.index(window_of[name]) for name, key in keys.items()},
        spans=tuple(_spans(section, view.remember_us) for section in sections),
        places={name: order[key] for name, key in keys.items()},
        matched={name: order[key] for name, key in rates.items()},
        others=tuple(others),
        row_columns=_columns(view, others, ids=ids),
        waiting_columns=view.reads(view.source) if ids or view.include_self else (),
    )


@lru_cache(maxsize=4096)
def span_of(view: FeatureView, cut: int) -> Span:
    """When the state of a cut may be asked: from its valid_from to the horizon; microseconds UTC."""
    begin = cut + view.schedule.lag_us
    return Span(begin=begin, end=max(begin, cut + view.horizon_us))


def _spans(section: Section, remember: int) -> np.ndarray:
    parts = [(window.offset_us, window.length_us or remember, window.step_us) for window in section.windows]
    return np.array(parts, np.int64).T[:, :, None].copy()


def _kind(view: FeatureView, feature: Aggregate) -> Kind | None:
    """None of what is finished from rows: floats leave no window, and all that looks at more than one number a row."""
    kind = None if feature.inputs else _KINDS.get(feature.operation)
    if kind == "counted" and feature.column and view.source.types[feature.column] != "int64":
        return None
    return kind


def _section(
    key: tuple[Kind, str, str | None, str], where: Expression | None, features: list[Aggregate | CohortRate]
) -> Section:
    kind, condition, column, by = key
    operations = {feature.operation for feature in features if isinstance(feature, Aggregate)}
    source, _, of = by.partition(".")
    return Section(
        kind=kind, where=where, condition=condition, column=column, windows=tuple(dict.fromkeys(feature.window for feature in features)),
        limit=max((feature.limit or 1 for feature in features if isinstance(feature, Aggregate)), default=0) if kind == "distinct" else 0,
        summed=bool(operations & {"sum", "mean", "std"}), squares="std" in operations, outcomes=(source, of),
    )  # fmt: skip


def _columns(view: FeatureView, others: list[Aggregate], *, ids: bool) -> tuple[str, ...]:
    if view.source.kind != "events":
        return view.reads(view.source)
    if not others:
        return ()
    found = set(_read(others)) | ({view.source.event_id} if ids and view.source.event_id else set())
    return tuple(sorted(found))


def _read(features: list[Aggregate]) -> Iterator[str]:
    for feature in features:
        yield from columns_of(feature.where)
        for node in feature.reads:
            yield from columns_of(node)
