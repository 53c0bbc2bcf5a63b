"""The plans of several views as one: the arrays that one pass over all their states takes, and which features are finished alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate, CohortRate, Feature
from features.definitions.views import FeatureView
from features.values.state import kernels
from features.values.state.blocks import Block, empty
from features.values.state.plan import Plan, Section, plan_of

__all__ = ["Group", "Program", "program_of"]

Array = np.ndarray
_KINDS = {
    "counted": kernels.COUNTED, "matched": kernels.COUNTED, "distinct": kernels.DISTINCT, "largest": kernels.LARGEST, "smallest": kernels.SMALLEST,
    "newest": kernels.NEWEST, "oldest": kernels.OLDEST,
}  # fmt: skip
_WAYS = {
    "count": kernels.COUNT, "sum": kernels.SUM, "distinct": kernels.DIFFERENT, "value": kernels.VALUE, "since": kernels.SINCE,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Features that are finished alike."""

    how: str
    """whole, of all whole numbers, which are finished as they are counted; mean, std, float or rate."""

    features: tuple[tuple[int, str], ...]
    """View and name."""

    rows: Array
    """Where each begins in what is counted."""

    views: Array
    beside: Array
    """Of a rate: where its known outcomes are counted; of a number of different values: its limit."""

    ways: Array
    """Of whole numbers: COUNT and the like, how each is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Of some views, in order. See `kernels.answer` and `layout.read_states` for the arrays."""

    views: tuple[FeatureView, ...]
    plans: tuple[Plan, ...]
    sections: tuple[Section, ...]
    first_section: Array
    widths: Array
    limbs: Array
    kind: Array
    pieces: Array
    once: Array
    seldom: Array
    """Of a section whether its words are looked at only where rows lie beside, or may repeat one."""
    first_window: Array
    edge: Array
    spans: Array
    first_span: Array
    rows: Array
    count: int
    """Rows of what is counted."""

    after: Array
    """A view: microseconds that windows which end now reach on, for what lies beside the state; 1 where asks count, whose rows alone are of the asked instant."""

    lags: Array
    horizons: Array
    """Of each view, in microseconds from a cut on: its states may be asked from the one to the other, as `plan.span_of` has it."""

    groups: tuple[Group, ...]
    """The first is that of whole numbers, which may have no feature."""

    found: tuple[Mapping[str, tuple[int, int]], ...]
    """Of each view: feature to its group and its place there."""

    spans_of_whole: tuple[tuple[tuple[str, ...], int, int], ...]
    """Of each view the features that are whole numbers, in order, and where they begin and end among those of all views."""

    more: tuple[tuple[Feature, ...], ...]
    """Of each view the features that are in no group, in order."""

    kept: tuple[Mapping[str, ColumnType], ...]
    waiting: tuple[Mapping[str, ColumnType], ...]
    """Columns of the rows that no section of a view holds, and of those beside its states."""

    no_rows: tuple[Sequence[Block], Sequence[Block]]
    """None of them, a view."""

    seen: Array
    """The row that says of a view whether a key was ever seen."""

    def sections_of(self, view: int) -> tuple[Section, ...]:
        """Those of one view."""
        return self.sections[self.first_section[view] : self.first_section[view + 1]]


@lru_cache(maxsize=256)
def program_of(views: tuple[FeatureView, ...]) -> Program:
    """The program of stateful views, made once."""
    plans = tuple(plan_of(view) for view in views)
    held = [plan.sections if plan.view.source.kind == "events" else () for plan in plans]
    sections = tuple(section for some in held for section in some)
    first_section = np.cumsum([0, *(len(some) for some in held)])
    first_window = np.cumsum([0, *(len(section.windows) for section in sections)])
    pieces = np.array([_pieces(section) for section in sections], np.int64)
    windows = np.diff(first_window)
    # What a window fills: its pieces; of values one row, and another that says whether there is one.
    fills = np.array([piece or (1 if section.kind == "distinct" else 2) for piece, section in zip(pieces, sections, strict=True)], np.int64)  # fmt: skip
    rows = np.concatenate([[0], np.cumsum(np.repeat(fills, windows))]).astype(np.int64)
    row_of = {
        (view, place): rows[first_window[first_section[view] + place] :]
        for view, some in enumerate(held)
        for place in range(len(some))
    }
    groups = _groups(plans, row_of)
    found: list[dict[str, tuple[int, int]]] = [{} for _ in views]
    for n, group in enumerate(groups):
        for place, (view, name) in enumerate(group.features):
            found[view][name] = n, place
    edge, spans, first_span = _spans(plans, held)
    kept: tuple[Mapping[str, ColumnType], ...] = tuple(
        {name: plan.view.source.types[name] for name in plan.row_columns} for plan in plans
    )
    waiting: tuple[Mapping[str, ColumnType], ...] = tuple(
        {name: plan.view.source.types[name] for name in plan.waiting_columns} for plan in plans
    )
    return Program(
        views=views, plans=plans, sections=sections,
        first_section=first_section, widths=np.array([section.width for section in sections], np.int64),
        limbs=np.array([int(section.summed) if section.kind in {"counted", "matched"} else -1 for section in sections], np.int64),
        kind=np.array([_KINDS[section.kind] for section in sections], np.int64), pieces=pieces,
        once=np.array([section.ends_now for section in sections], np.bool_),
        seldom=np.array([section.ends_now and section.kind == "distinct" for section in sections], np.bool_), first_window=first_window,
        edge=edge, spans=spans, first_span=first_span, rows=rows[:-1].copy(), count=int(rows[-1]), groups=groups,
        after=np.array([int(view.include_self) for view in views], np.int64),
        lags=np.array([view.schedule.lag_us for view in views], np.int64), horizons=np.array([view.horizon_us for view in views], np.int64),
        found=tuple(found), spans_of_whole=tuple(_spans_of_whole(len(plans), groups[0].features)), more=tuple(tuple(feature for feature in plan.view.features if feature.name not in plan.places) for plan in plans),
        kept=kept, waiting=waiting, no_rows=(tuple(map(empty, kept)), tuple(map(empty, waiting))),
        seen=np.array([row_of[view, 0][0] + 1 if some else -1 for view, some in enumerate(held)], np.int64),
    )  # fmt: skip


def _spans(plans: Sequence[Plan], held: Sequence[Sequence[Section]]) -> tuple[Array, Array, Array]:
    """Of each window its span among all, these, and where those of each view begin."""
    edge, spans, first = [np.zeros(0, np.int64)], [np.zeros((3, 0), np.int64)], [0]
    for plan, some in zip(plans, held, strict=True):
        own = np.concatenate([spans[0], *(plan.spans[place][:, :, 0] for place in range(len(some)))], axis=1)
        different, which = np.unique(own, axis=1, return_inverse=True)
        edge.append(first[-1] + which.reshape(-1))
        spans.append(different)
        first.append(first[-1] + different.shape[1])
    return np.concatenate(edge), np.concatenate(spans, axis=1), np.array(first, np.int64)


def _spans_of_whole(views: int, features: Sequence[tuple[int, str]]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    at = 0
    for view in range(views):
        names = tuple(name for of, name in features if of == view)
        yield names, at, at + len(names)
        at += len(names)


def _pieces(section: Section) -> int:
    return section.width if section.kind in {"counted", "matched"} else 0


def _groups(plans: tuple[Plan, ...], row_of: Mapping[tuple[int, int], Array]) -> tuple[Group, ...]:
    members: dict[str, list[tuple[tuple[int, str], int, int, int]]] = {"whole": []}
    for view, plan in enumerate(plans):
        for feature in plan.view.features:
            if feature.name not in plan.places:
                continue
            place = plan.places[feature.name]
            row, beside = int(row_of[view, place][plan.windows[feature.name]]), 0
            if isinstance(feature, CohortRate):
                how, known = "rate", plan.matched[feature.name]
                beside = int(row_of[view, known][plan.sections[known].windows.index(feature.window)])
            else:
                how = _how(plan, feature.name, plan.sections[place], feature)
                beside = (getattr(feature, "limit", None) or 1) if how == "distinct" else 0
            member = (view, feature.name), row, beside, _WAYS.get(how, -1)
            members.setdefault("whole" if how in _WAYS else how, []).append(member)
    return tuple(_group(how, some) for how, some in members.items())


def _group(how: str, some: list[tuple[tuple[int, str], int, int, int]]) -> Group:
    def words(numbers: Iterable[int]) -> Array:
        return np.array(list(numbers), np.int64)

    return Group(
        how=how, features=tuple(feature for feature, _, _, _ in some), rows=words(row for _, row, _, _ in some),
        views=words(view for (view, _), _, _, _ in some), beside=words(beside for _, _, beside, _ in some),
        ways=words(way for _, _, _, way in some),
    )  # fmt: skip


def _how(plan: Plan, name: str, section: Section, feature: object) -> str:
    match section.kind:
        case "counted" if isinstance(feature, Aggregate):
            return feature.operation
        case "distinct":
            return "distinct"
        case "newest" | "oldest":
            return "since"
        case _:
            return "float" if plan.types[name] == "float64" else "value"
