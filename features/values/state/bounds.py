"""How large the state of one key can get, however many events it has: from the definition alone, for the catalogue."""

from collections.abc import Iterator
from dataclasses import dataclass

from features.definitions.durations import duration
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.values.state.plan import Plan, Section, Span, plan_of, span_of

__all__ = ["HEADER", "Bound", "bound_of", "bound_text", "room"]

HEADER = 5
"""Bytes of a state before its sections: the version, and a CRC32 of all that follows."""

_GROUPS = 10
"""Bytes that a number of 64 bits can take, seven bits in each."""

_BLOCKS = 2
"""Bytes of two lists without rows: what is kept as it is, and what waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """No state of the view has more; what `grows` adds is left out."""

    rows: int
    """Merged rows of all sections."""

    bytes: int
    """As if every number took all the bytes that it can; real states take a fraction."""

    grows: tuple[str, ...]
    """Features that keep rows as they are, or single ones at exact edges: for those a busy key's state grows with its events."""


def bound_of(view: FeatureView) -> Bound:
    """Of a stateful view; without rows that wait, which are those known in the last `lag` before the cut, or dated ahead."""
    plan, rows, size = plan_of(view), 0, HEADER + _BLOCKS
    grows = [feature.name for feature in plan.others]
    if view.source.kind != "events":
        return Bound(rows=0, bytes=size, grows=tuple(view.types))
    for place, section in enumerate(plan.sections):
        most = _most(view, section)
        if most is None:
            grows += [name for name, where in plan.places.items() if where == place]
            continue
        rows += most
        size += room(most * (1 + section.width), 2 + section.width)
    return Bound(rows=rows, bytes=size, grows=_in_order(plan, grows))


def bound_text(view: FeatureView) -> str:
    """In words, for people."""
    bound = bound_of(view)
    made = f"at most {bound.rows:,} merged rows and {-(-bound.bytes // 1000):,} kB a key, however many events it has"
    return f"{made}; grows with a key's events for {', '.join(bound.grows)}" if bound.grows else made


def room(count: int, lists: int) -> int:
    """No `count` numbers in so many lists take more bytes (features.values.state.varints)."""
    return _GROUPS * (count + 3 * lists) + lists


def _in_order(plan: Plan, names: list[str]) -> tuple[str, ...]:
    return tuple(name for name in plan.view.types if name in set(names))


def _most(view: FeatureView, section: Section) -> int | None:
    """Rows that a section can have; None where that depends on the events."""
    if section.kind == "distinct":
        return section.limit if section.ends_now else None
    if section.kind == "newest" and section.ends_now:
        return 1
    # Edges begin where they do: another cut may have one more.
    span = span_of(view, view.schedule.phase_us)
    latest = view.schedule.phase_us + duration(view.source.max_future)
    bands = dict.fromkeys(band for window in section.windows for band in _bands(window, span, view.remember_us))
    most = 0
    for first, last, step in bands:
        if first >= latest:
            continue  # no event is known of so late an instant
        if step == 1:
            return None
        most += (min(last, latest) - first) // step + 2
    return most


def _bands(window: Window, span: Span, remember: int) -> Iterator[tuple[int, int, int]]:
    """First and last edge that a window can have in the span, and the step between. Where windows end now, only rows dated ahead are near."""
    first, last = window.bounds(span.begin, remember), window.bounds(span.end, remember)
    yield first.lower, last.lower, window.step_us
    if window.offset_us:
        yield first.upper, last.upper, window.step_us
