"""Tiles of a view: the grid on which all edges of its windows lie at every cut, and the partials a tile needs (semantics 5).

A tile holds, for each group of rows that some aggregates share (a condition and a column), what merges into their values.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, count
from math import gcd
from typing import Literal, NamedTuple

from features.definitions.aggregations import AGGREGATIONS, Aggregation
from features.definitions.compiled import hash_of
from features.definitions.expressions import Column, ColumnType, Expression, columns_of, type_of
from features.definitions.features import Aggregate, Rate
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Window

__all__ = [
    "Group",
    "Held",
    "Listed",
    "Metric",
    "Partial",
    "Tiling",
    "grid_of",
    "kept_as",
    "metric_of",
    "tiling",
    "untileable",
]

_PLAIN = frozenset({
    "count", "sum", "mean", "std", "min", "max", "first", "last", "time_since_first", "time_since_last",
})  # fmt: skip
"""What follows from columns that are added, or of which the smallest or largest is taken."""

_SQUARES = 6
"""Pieces of a square, see features.values.exact."""


class Held(NamedTuple):
    """A state of an aggregation's own functions."""

    operation: str
    arguments: tuple[float, ...]
    """Of its functions; those at which `finish` alone looks at their least."""


class Listed(NamedTuple):
    """What aggregations read of the rows themselves."""

    name: Literal["rows", "values"]
    """Each row with its instant; or each value once, with how often it came."""

    newest: int
    """So many rows are kept of a key, the newest; 0: all."""

    id: ColumnType | None
    """Of the event id, which says which row of one instant comes first; None: what is read says so."""

    types: tuple[ColumnType, ...]
    """Of what is read."""


class Partial(NamedTuple):
    """One column of the tiles' table."""

    name: str
    type: ColumnType | Literal["binary"]
    merge: Literal["sum", "min", "max", "state"]
    """How columns of several tiles become one: "state" by what is `held`."""

    removable: bool
    """Whether a retraction undoes it: true of integer counts and sums only. The others start anew in a row that replaces."""

    held: Held | Listed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows where a condition is true and a column is usable (not null, NaN or infinite)."""

    label: str
    where: Expression | None
    column: str | None
    """None: every row counts."""

    type: ColumnType
    """Of what is read first; int64 where nothing is."""

    operations: frozenset[str]

    inputs: tuple[Expression, ...] = ()
    """Expressions that are usable as well."""

    states: tuple[Held, ...] = ()
    lists: tuple[Listed, ...] = ()
    """One of rows, one of values, or both."""

    @property
    def reads(self) -> tuple[Expression, ...]:
        """What is asked of a row, the condition aside."""
        return (*(() if self.column is None else (Column(self.column),)), *self.inputs)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others."""
        return _key(self.where, self.reads)

    def partial_of(self, feature: Aggregate) -> Partial:
        """The column that holds the state of a feature over its rows, or what it reads of them."""
        if not _is_listed(feature, self.type):
            held: Held | Listed = _held(feature)
        else:  # rows do for what asks for values alone
            ordered = AGGREGATIONS[feature.operation].ordered
            held = next((item for item in self.lists if item.name == "values" and not ordered), self.lists[0])
        return next(partial for partial in self.partials if partial.held == held)

    @property
    def partials(self) -> tuple[Partial, ...]:
        """`n` rows, `high` and `low` 32 bits of each integer summed, pieces of squares, `sum` of floats, and what `_EXTREMES` and `states` name.

        `first` and `last` are values behind what orders them (features.values.ordered), of states see features.values.tile_states, of `rows` and
        `values` features.values.tile_lists.
        """
        made = [Partial(f"{self.label}__n", "int64", "sum", removable=True)]
        if self.operations & {"sum", "mean", "std"}:
            names = ["sum"] if self.type == "float64" else ["high", "low"]
            names += [f"square_{n}" for n in range(_SQUARES)] if "std" in self.operations else []
            kind: ColumnType = "float64" if self.type == "float64" else "int64"
            made += [Partial(f"{self.label}__{name}", kind, "sum", removable=kind == "int64") for name in names]
        made += [
            Partial(f"{self.label}__{name}", kind or self.type, merge, removable=False)
            for operation, name, kind, merge in _EXTREMES
            if operation in self.operations
        ]
        made += [
            Partial(f"{self.label}__{item.name}", "binary", "state", removable=False, held=item) for item in self.lists
        ]
        taken: list[str] = [item.name for item in self.lists]
        for held in self.states:
            taken.append(_free(held.operation, taken))
            made.append(Partial(f"{self.label}__{taken[-1]}", "binary", "state", removable=False, held=held))
        return tuple(made)


_EXTREMES: tuple[tuple[str, str, ColumnType | Literal["binary"] | None, Literal["min", "max"]], ...] = (
    ("min", "min", None, "min"), ("max", "max", None, "max"), ("time_since_first", "oldest", "timestamp", "min"),
    ("time_since_last", "newest", "timestamp", "max"), ("first", "first", "binary", "min"), ("last", "last", "binary", "max"),
)  # fmt: skip
"""Operation to the name, type and merge of its column; None: the type of what it reads."""


class Metric(NamedTuple):
    """What `asof stats` gives of some aggregates that differ in their windows alone."""

    name: str
    group: Group
    of: Aggregate
    """One of them."""

    @property
    def operation(self) -> str:
        """Theirs."""
        return self.of.operation

    @property
    def type(self) -> ColumnType:
        """Of its value."""
        return self.of.type(self.group.type if self.group.column else None)


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
    if not any(isinstance(feature, Aggregate) for feature in view.features):
        return "it has no aggregate"
    return None


def kept_as(aggregation: Aggregation) -> str:
    """What tiles hold of an aggregation, in a word or two."""
    if aggregation.name in _PLAIN:
        return "columns"
    if aggregation.tiles is not None:
        return "a state"
    if not aggregation.ordered:
        return "values"
    return "rows" if aggregation.newest is None else "newest rows"


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


@lru_cache(maxsize=256)
def tiling(view: FeatureView) -> Tiling:
    """The grid, groups and metrics of a view for which `untileable` gives None; made once for each definition object."""
    aggregates = [feature for feature in view.features if isinstance(feature, Aggregate)]
    groups = _groups(view, aggregates)
    read = {name for group in groups.values() for node in (group.where, *group.reads) for name in columns_of(node)}
    read |= set(columns_of(view.source.filter)) | ({view.source.event_id} if view.source.event_id else set())
    grid = grid_of(view)
    parts = tuple(
        (
            g.label,
            g.where,
            g.column,
            tuple(sorted(g.operations)),
            *(part for part in (g.inputs, g.states, g.lists) if part),
        )
        for g in groups.values()
    )
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


def _key(where: Expression | None, reads: tuple[Expression, ...]) -> tuple[str, ...]:
    return (repr(where), *(repr(node) for node in reads))


def _held(feature: Aggregate) -> Held:
    aggregation = AGGREGATIONS[feature.operation]
    return Held(feature.operation, aggregation.kept(feature.arguments(aggregation)))


def _groups(view: FeatureView, aggregates: Sequence[Aggregate]) -> dict[tuple[str, ...], Group]:
    everything = Group(label="rows", where=None, column=None, type="int64", operations=frozenset({"count"}))
    made = {everything.key: everything}
    listed: dict[tuple[str, ...], list[Aggregate]] = {}
    for feature in aggregates:
        key = _key(feature.where, feature.reads)
        label = _free(_label(feature), {group.label.casefold() for group in made.values()})
        kind = (type_of(feature.reads[0], view.source.types) if feature.reads else None) or "int64"
        before = made.get(key) or Group(
            label=label, where=feature.where, column=feature.column, type=kind, operations=frozenset(), inputs=feature.inputs
        )  # fmt: skip
        if feature.operation in _PLAIN:
            made[key] = replace(before, operations=before.operations.union([feature.operation]))
        elif _is_listed(feature, kind):
            made[key] = before
            listed.setdefault(key, []).append(feature)
        else:
            made[key] = replace(before, states=tuple(dict.fromkeys([*before.states, _held(feature)])))
    return made | {key: replace(made[key], lists=_lists(view, features)) for key, features in listed.items()}


def _is_listed(feature: Aggregate, kind: ColumnType) -> bool:
    """Whether tiles hold what it reads of the rows themselves."""
    return feature.operation not in _PLAIN and AGGREGATIONS[feature.operation].tiles_of(kind) is None


def _lists(view: FeatureView, features: Sequence[Aggregate]) -> tuple[Listed, ...]:
    """What features that read the same of the same rows need of them."""
    reads, source = features[0].reads, view.source
    types: tuple[ColumnType, ...] = tuple(type_of(node, source.types) or "int64" for node in reads)
    of_rows = [feature for feature in features if AGGREGATIONS[feature.operation].ordered]
    kept = [_newest(feature) for feature in of_rows]
    newest = 0 if 0 in kept else max(kept, default=0)
    # Of rows of which nothing is read but the instant, those of one instant are all alike.
    ids = source.types[source.event_id] if source.event_id is not None and reads else None
    rows = [Listed("rows", newest, ids, types)] if of_rows else []
    values = [] if len(of_rows) == len(features) or (rows and not newest) else [Listed("values", 0, None, types)]
    return (*rows, *values)


def _newest(feature: Aggregate) -> int:
    """How many of the newest rows a feature needs; 0: all."""
    aggregation = AGGREGATIONS[feature.operation]
    return 0 if aggregation.newest is None else aggregation.newest(*feature.arguments(aggregation))


def metric_of(view: FeatureView, feature: Aggregate) -> Metric:
    """What `asof stats` gives of an aggregate of the view."""
    return next(metric for metric in tiling(view).metrics if _told(metric.of) == _told(feature))


def _told(feature: Aggregate) -> tuple[object, ...]:
    """What tells it from others, its name and window aside."""
    return feature.operation, _key(feature.where, feature.reads), feature.arguments(AGGREGATIONS[feature.operation])


def _metrics(
    view: FeatureView, aggregates: Sequence[Aggregate], groups: dict[tuple[str, ...], Group]
) -> tuple[Metric, ...]:
    made: dict[tuple[object, ...], Metric] = {}
    for feature in aggregates:
        if (told := _told(feature)) not in made:
            taken = {name.casefold() for name in (*view.keys, *(metric.name for metric in made.values()))}
            group = groups[_key(feature.where, feature.reads)]
            made[told] = Metric(_free(_stem(feature.name, feature.window), taken), group, feature)
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
