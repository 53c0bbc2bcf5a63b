"""Tiles of a view: the grid on which all edges of its windows lie at every cut, and the partials a tile needs (semantics 5).

A tile holds, for each group of rows that some aggregates share (a condition and a column), what merges into their values.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, count
from math import gcd
from typing import Literal, NamedTuple, cast

from features.definitions.compiled import hash_of
from features.definitions.expressions import ColumnType, Expression, columns_of
from features.definitions.features import Aggregate, Rate
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Window

__all__ = ["MERGED", "Group", "Metric", "Partial", "Tiling", "grid_of", "tiling", "untileable"]

MERGED: frozenset[str] = frozenset({"count", "sum", "mean", "std", "min", "max"})
"""Operations whose values for any group of keys follow from tiles."""

_SQUARES = 6
"""Pieces of a square, see features.values.exact."""


class Partial(NamedTuple):
    """One column of the tiles' table."""

    name: str
    type: ColumnType
    merge: Literal["sum", "min", "max"]
    removable: bool
    """Whether a retraction undoes it: true of integer counts and sums only. The others start anew in a row that replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows where a condition is true and a column is usable (not null, NaN or infinite)."""

    label: str
    where: Expression | None
    column: str | None
    """None: every row counts."""

    type: ColumnType
    """Of the column; int64 where there is none."""

    operations: frozenset[str]

    @property
    def partials(self) -> tuple[Partial, ...]:
        """`n` rows; `high` and `low` 32 bits of each integer summed, pieces of squares; `sum` of floats; `min`, `max`."""
        made = [Partial(f"{self.label}__n", "int64", "sum", removable=True)]
        if self.operations & {"sum", "mean", "std"}:
            names = ["sum"] if self.type == "float64" else ["high", "low"]
            names += [f"square_{n}" for n in range(_SQUARES)] if "std" in self.operations else []
            kind: ColumnType = "float64" if self.type == "float64" else "int64"
            made += [Partial(f"{self.label}__{name}", kind, "sum", removable=kind == "int64") for name in names]
        extremes: tuple[Literal["min", "max"], ...] = ("min", "max")
        return (
            *made,
            *(Partial(f"{self.label}__{name}", self.type, name, removable=False)
              for name in extremes if name in self.operations),
        )  # fmt: skip


class Metric(NamedTuple):
    """What `asof stats` gives of some aggregates that differ in their windows alone."""

    name: str
    operation: str
    group: Group

    @property
    def type(self) -> ColumnType:
        """Of its value."""
        if self.operation == "count":
            return "int64"
        return "float64" if self.operation in {"mean", "std"} else self.group.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a view is cut into tiles."""

    grid_us: int
    """Length of a tile in microseconds; tiles start at its multiples since the epoch."""

    groups: tuple[Group, ...]
    """The first one is all rows, `rows`."""

    metrics: tuple[Metric, ...]
    left_out: tuple[str, ...]
    """Features that do not follow from tiles, without their windows."""

    columns: tuple[str, ...]
    """Columns of the source that tiles are made of, keys aside; sorted."""

    definition: str
    """Hash of all that the content of a tile depends on; features with other windows on the same grid leave it."""

    @property
    def partials(self) -> tuple[Partial, ...]:
        """Of all groups, in order."""
        return tuple(chain.from_iterable(group.partials for group in self.groups))

    @property
    def removable(self) -> bool:
        """Whether retractions undo everything, so that no row ever replaces."""
        return all(partial.removable for partial in self.partials)


def untileable(view: FeatureView) -> str | None:
    """Why a view has no tiles; None where it has."""
    if view.source.kind != "events":
        return f"its source {view.source.name!r} is of kind {view.source.kind}"
    if not view.served:
        return "it is computed when it is asked for, not at cuts"
    if not any(isinstance(feature, Aggregate) and feature.operation in MERGED for feature in view.features):
        return "none of its features is a count, sum, mean, std, min or max"
    return None


def grid_of(view: FeatureView) -> int:
    """The longest tile, in microseconds, such that every edge of every window at every cut is the edge of a tile.

    Exact windows of odd lengths make it short, down to a microsecond: then a tile is hardly less than an event.
    """
    schedule = view.schedule
    of_cuts = gcd(schedule.period_us, schedule.phase_us)
    windows = {feature.window for feature in view.features if isinstance(feature, Aggregate | Rate)} | {EVER}
    return gcd(of_cuts, *(_grid(window, of_cuts, view.remember_us) for window in windows))


def _grid(window: Window, of_cuts: int, remember: int) -> int:
    edges = gcd(of_cuts, window.length_us or remember, window.offset_us)
    # Floored to the step, an edge moves unless all edges lie on the step's own grid.
    return edges if edges % window.step_us == 0 else gcd(edges, window.step_us)


def tiling(view: FeatureView) -> Tiling:
    """The grid, groups and metrics of a view for which `untileable` gives None."""
    aggregates = [
        feature for feature in view.features if isinstance(feature, Aggregate) and feature.operation in MERGED
    ]
    groups = _groups(view, aggregates)
    read = {name for group in groups.values() for name in (*columns_of(group.where), group.column) if name is not None}
    read |= set(columns_of(view.source.filter)) | ({view.source.event_id} if view.source.event_id else set())
    grid = grid_of(view)
    parts = tuple((g.label, g.where, g.column, tuple(sorted(g.operations))) for g in groups.values())
    schedule = view.schedule
    return Tiling(
        grid_us=grid,
        groups=tuple(groups.values()),
        metrics=_metrics(view, aggregates, groups),
        left_out=tuple(dict.fromkeys(_stem(feature.name, getattr(feature, "window", None))
                                     for feature in view.features if feature not in aggregates)),
        columns=tuple(sorted(read)),
        definition=hash_of((view.entity, view.source, schedule.period_us, schedule.phase_us, grid, parts)),
    )  # fmt: skip


def _groups(view: FeatureView, aggregates: list[Aggregate]) -> dict[tuple[str, str | None], Group]:
    everything = Group(label="rows", where=None, column=None, type="int64", operations=frozenset({"count"}))
    made = {("None", cast("str | None", None)): everything}
    for feature in aggregates:
        key = repr(feature.where), feature.column
        before = made.get(key)
        label = before.label if before else _free(_label(feature), {group.label.casefold() for group in made.values()})
        operations: frozenset[str] = before.operations if before else frozenset()
        kind = view.source.types[feature.column] if feature.column else "int64"
        made[key] = Group(
            label=label, where=feature.where, column=feature.column, type=kind, operations=operations.union([feature.operation]),
        )  # fmt: skip
    return made


def _metrics(
    view: FeatureView, aggregates: list[Aggregate], groups: dict[tuple[str, str | None], Group]
) -> tuple[Metric, ...]:
    made: dict[tuple[str, str, str | None], Metric] = {}
    for feature in aggregates:
        group = groups[repr(feature.where), feature.column]
        key = feature.operation, group.label, feature.column
        if key not in made:
            taken = {name.casefold() for name in (*view.keys, *(metric.name for metric in made.values()))}
            made[key] = Metric(_free(_stem(feature.name, feature.window), taken), feature.operation, group)
    return tuple(made.values())


def _stem(name: str, window: Window | None) -> str:
    """A feature's name without its window."""
    return name if window is None else name.removesuffix(f"_{window.label}")


def _label(feature: Aggregate) -> str:
    """`amount_minor`, `amount_minor_declined`, `rows_declined`: column and suffix, as the author named them."""
    base = feature.column or "rows"
    if feature.where is None:
        return base
    operation = "_".join(part for part in (feature.operation, feature.column) if part)
    stem = _stem(feature.name, feature.window)
    suffix = stem.removeprefix(f"{operation}_")
    return f"{base}_{suffix}" if suffix != stem else f"{base}_where"


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or the first of name_2, name_3, … that is not taken; Hive does not tell cases apart."""
    return next(
        free for free in chain([name], (f"{name}_{n}" for n in count(2))) if free.casefold() not in taken
    )  # fmt: skip
