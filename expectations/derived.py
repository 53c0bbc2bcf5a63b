"""Rules that follow from a definition: what its own arithmetic promises (docs/semantics.md 3 and 4)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import Required, TypedDict, Unpack

from expectations.rules import Check, Facts, Rule
from features.definitions.durations import DAY
from features.definitions.features import Aggregate, AnomalyReason, AnomalyScore, CohortRate, Rate, Ratio
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import Window

__all__ = ["reaches_further", "source_rules", "view_rules"]

_RECOMPUTE = "Compute the view again; if it fails again, the computation or the definition is wrong: ask its owner."
_SOURCE = "Ask the source's owner to deliver the day again and ingest it; `asof release` lets it through as it is."
_TOLERANCE = 1e-9
_Group = tuple[str, str | None, str]


def view_rules(view: FeatureView, facts: Facts, *, valid_from: int) -> tuple[Rule, ...]:
    """Of the rows of one cut. `valid_from` is the cut plus the publish lag, in microseconds; `facts` are of the view's main source."""
    aggregates = [feature for feature in view.features if isinstance(feature, Aggregate)]
    rules = [
        *_shape(view, valid_from), *_signs(view, aggregates, facts), *_monotone(view, aggregates, facts), *_counted(aggregates),
        *_between_extremes(aggregates), *_ages(view, aggregates), *_ratios(view, aggregates, facts),
    ]  # fmt: skip
    return tuple({rule.name: rule for rule in rules}.values())


class _Terms(TypedDict, total=False):
    """What a rule of rows asks; see Rule."""

    check: Required[Check]
    columns: tuple[str, ...]
    lower: float | None
    upper: float | None
    values: tuple[str, ...]


def _block(name: str, says: str, remedy: str = _RECOMPUTE, **terms: Unpack[_Terms]) -> Rule:
    return Rule(name=name, severity="block", says=says, remedy=remedy, **terms)


def _shape(view: FeatureView, valid_from: int) -> Iterable[Rule]:
    keys = ", ".join(view.keys)
    yield _block("grain", f"There is one row for each {keys}.", check="unique", columns=view.keys)
    for key in view.keys:
        yield _block(f"{key}_not_null", f"{key} has a value.", check="not_null", columns=(key,))
    yield _block(
        "event_time_not_null", "Every row says from when it holds.", check="not_null", columns=("event_timestamp",)
    )
    yield _block("valid_from", "Every row holds from the cut plus the publish lag.", check="between", columns=("event_timestamp",),
                 lower=valid_from, upper=valid_from)  # fmt: skip
    yield _block("status_not_null", "Every row has a status.", check="not_null", columns=("asof_status",))
    # A state may hold nothing but rows that do not count yet.
    known = ("ok", "overflow", "never_seen") if view.stateful else ("ok", "overflow")
    says = f"The status is {', '.join(known[:-1])} or {known[-1]}."
    yield _block("status_known", says, check="in_set", columns=("asof_status",), values=known)


_KEEPS_SIGN = {"sum", "mean", "min", "max", "first", "last", "decayed_sum", "decayed_mean"}
"""Of values that are not negative these are not either; of an author's own operation nothing is known."""


def _nonnegative(view: FeatureView, aggregate: Aggregate, facts: Facts) -> bool:
    if aggregate.operation in {"count", "distinct", "std", "time_since_first", "time_since_last"}:
        return True
    if aggregate.operation not in _KEEPS_SIGN:
        return False
    return aggregate.column in facts.nonnegative and view.source.types.get(aggregate.column or "") in {
        "int64",
        "float64",
    }


def _signs(view: FeatureView, aggregates: Sequence[Aggregate], facts: Facts) -> Iterable[Rule]:
    for aggregate in aggregates:
        name = aggregate.name
        if _nonnegative(view, aggregate, facts):
            upper = aggregate.limit if aggregate.operation == "distinct" else None
            says = f"{name} is not negative" + ("." if upper is None else f" and at most its limit {upper}.")
            yield _block(f"{name}_range", says, check="between", columns=(name,), lower=0, upper=upper)
        if aggregate.operation in {"count", "distinct"}:
            yield _block(
                f"{name}_not_null",
                f"{name} is 0 where there is nothing, never null.",
                check="not_null",
                columns=(name,),
            )
    for feature in view.features:
        if isinstance(feature, Rate):
            share = isinstance(feature, CohortRate)
            yield _block(
                f"{feature.name}_range",
                f"{feature.name} is {'a share' if share else 'not negative'}.",
                check="between",
                columns=(feature.name,),
                lower=0,
                upper=1 if share else None,
            )
        elif isinstance(feature, AnomalyScore):
            says = f"{feature.name} is not negative."
            yield _block(f"{feature.name}_range", says, check="between", columns=(feature.name,), lower=0)
            parts = feature.parts
            for reason in (r.name for r in view.features if isinstance(r, AnomalyReason) and r.score == feature.name):
                says = f"{reason} names a part of {feature.name}."
                yield _block(f"{reason}_known", says, check="in_set", columns=(reason,), values=parts)


def reaches_further(longer: Window, shorter: Window, remember: int) -> bool:
    """Whether the longer window holds every event of the shorter one at any anchor; windows with an offset are not compared.

    Lower edges are floored to steps, so a longer window reaches further back only if its step is a multiple of the other's,
    or its length makes up for the other's overshoot. `remember` is the length of "ever", in microseconds.
    """
    if longer.offset_us or shorter.offset_us:
        return False
    long, short = longer.length_us or remember, shorter.length_us or remember
    return long >= short and (longer.step_us % shorter.step_us == 0 or long >= short + shorter.overshoot_us)


def _monotone(view: FeatureView, aggregates: Sequence[Aggregate], facts: Facts) -> Iterable[Rule]:
    for group in _groups(aggregates).values():
        ordered = sorted(group, key=lambda item: (item.window.length_us or view.remember_us, item.window.step_us))
        for short, long in pairwise(ordered):
            if reaches_further(long.window, short.window, view.remember_us):
                yield from _longer(view, short, long, facts)


def _longer(view: FeatureView, short: Aggregate, long: Aggregate, facts: Facts) -> Iterable[Rule]:
    grows = short.operation in {"count", "max", "time_since_first"} or (
        short.operation == "distinct" and (short.limit or 0) <= (long.limit or 0)
    ) or (short.operation == "sum" and _nonnegative(view, short, facts))  # fmt: skip
    shrinks = short.operation == "min"
    low, high = (long.name, short.name) if shrinks else (short.name, long.name)
    if grows or shrinks:
        yield _block(
            f"{low}_le_{high}",
            f"{low} is at most {high}: the longer window holds the shorter one.",
            check="at_least",
            columns=(high, low),
        )
    if short.operation == "time_since_last":
        yield _block(f"{long.name}_le_{short.name}", f"{long.name} is at most {short.name}: both have the same newest event.",
                     check="at_least", columns=(short.name, long.name))  # fmt: skip
    if short.operation in {"min", "max", "mean", "std", "first", "last", "time_since_first", "time_since_last"}:
        yield _block(f"{short.name}_implies_{long.name}", f"Where {short.name} has a value, {long.name} has one.", check="implies",
                     columns=(short.name, long.name))  # fmt: skip


def _groups(aggregates: Iterable[Aggregate]) -> Mapping[_Group, list[Aggregate]]:
    """Those that differ in the window alone."""
    groups: dict[_Group, list[Aggregate]] = {}
    for aggregate in aggregates:
        groups.setdefault((aggregate.operation, aggregate.column, repr(aggregate.where)), []).append(aggregate)
    return groups


def _find(aggregates: Iterable[Aggregate], like: Aggregate, operation: str, column: str | None) -> Aggregate | None:
    """The other operation of the same window and condition."""
    return next((item for item in aggregates if item.operation == operation and item.column == column and item.window == like.window
                 and repr(item.where) == repr(like.where)), None)  # fmt: skip


def _counted(aggregates: Sequence[Aggregate]) -> Iterable[Rule]:
    for item in aggregates:
        count = _find(aggregates, item, "count", None)
        if item.operation == "distinct" and count is not None:
            yield _block(f"{item.name}_le_{count.name}", f"{item.name} is at most {count.name}: each value comes from a row.", check="at_least",
                         columns=(count.name, item.name))  # fmt: skip
    for part, whole in product(aggregates, aggregates):
        if _is_part(part, whole):
            yield _block(f"{part.name}_le_{whole.name}", f"{part.name} is at most {whole.name}: its rows are some of the other's.",
                         check="at_least", columns=(whole.name, part.name))  # fmt: skip


def _is_part(part: Aggregate, whole: Aggregate) -> bool:
    """Counts of the same window, one of some rows and one of all."""
    same = part.operation == whole.operation == "count" and part.window == whole.window
    return same and part.where is not None and whole.where is None


def _between_extremes(aggregates: Sequence[Aggregate]) -> Iterable[Rule]:
    for item in aggregates:
        if item.operation not in {"mean", "first", "last"}:
            continue
        slack = _TOLERANCE if item.operation == "mean" else 0.0
        low, high = (_find(aggregates, item, operation, item.column) for operation in ("min", "max"))
        if low is not None:
            yield _block(
                f"{low.name}_le_{item.name}",
                f"{low.name} is at most {item.name}.",
                check="slack",
                columns=(item.name, low.name),
                upper=slack,
            )
        if high is not None:
            yield _block(
                f"{item.name}_le_{high.name}",
                f"{item.name} is at most {high.name}.",
                check="slack",
                columns=(high.name, item.name),
                upper=slack,
            )


def _ages(view: FeatureView, aggregates: Sequence[Aggregate]) -> Iterable[Rule]:
    for item in aggregates:
        if item.operation not in {"time_since_first", "time_since_last"}:
            continue
        length = view.remember_us if item.window.length_us is None else item.window.length_us
        longest = item.window.offset_us + length + (DAY if item.window.length_us is None else item.window.step_us)
        yield _block(
            f"{item.name}_within",
            f"{item.name} is not older than its window.",
            check="between",
            columns=(item.name,),
            upper=longest,
        )
        first = _find(aggregates, item, "time_since_first", None)
        if item.operation == "time_since_last" and first is not None:
            yield _block(
                f"{item.name}_le_{first.name}",
                f"{item.name} is at most {first.name}.",
                check="at_least",
                columns=(first.name, item.name),
            )


def _ratios(view: FeatureView, aggregates: Sequence[Aggregate], facts: Facts) -> Iterable[Rule]:
    named = {item.name: item for item in aggregates}
    for feature in view.features:
        if isinstance(feature, Ratio) and feature.numerator in named and feature.denominator in named:
            over, under = named[feature.numerator], named[feature.denominator]
            if _nonnegative(view, over, facts) and _nonnegative(view, under, facts):
                upper = 1 if _at_most(over, under, view) else None
                says = f"{feature.name} is not negative" + (" and at most 1: a part of a whole." if upper else ".")
                yield _block(
                    f"{feature.name}_range", says, check="between", columns=(feature.name,), lower=0, upper=upper
                )


def _at_most(over: Aggregate, under: Aggregate, view: FeatureView) -> bool:
    alike = (over.operation, over.column, repr(over.where)) == (under.operation, under.column, repr(under.where))
    longer = (
        alike and over.operation in {"count", "sum"} and reaches_further(under.window, over.window, view.remember_us)
    )
    distinct = (
        over.operation == "distinct"
        and under.operation == "count"
        and over.window == under.window
        and repr(over.where) == repr(under.where)
    )
    return longer or distinct or _is_part(over, under)


def source_rules(source: Source, facts: Facts, *, day_from: int, known_before: int) -> tuple[Rule, ...]:
    """Of the rows of one partition; it holds what became known in `[day_from, known_before)`, in microseconds."""
    rules = [
        _block("known_at_not_null", "Every row says when it became known.", _SOURCE, check="not_null", columns=("asof_known_at",)),
        _block("known_at_day", "Every row became known on its partition's day.", _SOURCE, check="between", columns=("asof_known_at",),
               lower=day_from, upper=known_before - 1),
        _block("event_time_not_null", "Every row says when it happened.", _SOURCE, check="not_null", columns=(source.event_time,)),
        _block("operation_known", "A row adds a version, takes one back, or voids an event.", _SOURCE, check="in_set", columns=("asof_op",), values=("add", "retract", "void")),
    ]  # fmt: skip
    if source.event_id is not None:
        grain = (source.event_id, "asof_known_at", "asof_op")
        rules += [
            _block(
                "event_id_not_null",
                f"{source.event_id} has a value.",
                _SOURCE,
                check="not_null",
                columns=(source.event_id,),
            ),
            _block(
                "grain",
                "A version of an event counts once, and is taken back once.",
                _SOURCE,
                check="unique",
                columns=grain,
            ),
        ]
    types = source.types
    rules += [_block(f"{name}_not_negative", f"{name} is not negative.", _SOURCE, check="between", columns=(name,), lower=0)
              for name in facts.nonnegative if name in types]  # fmt: skip
    rules += [_block(f"{name}_known", f"{name} is one of {', '.join(values)}.", _SOURCE, check="in_set", columns=(name,), values=values)
              for name, values in facts.categories.items() if name in types]  # fmt: skip
    rules += [
        _block(f"{name}_not_null", f"{name} has a value.", _SOURCE, check="not_null", columns=(name,))
        for name in facts.not_null
        if name in types
    ]
    rules += [_block(f"{name}_within", f"{name} is between {low:g} and {high:g}.", _SOURCE, check="between", columns=(name,), lower=low, upper=high)
              for name, (low, high) in facts.within.items() if name in types]  # fmt: skip
    rules += [_block(f"{later}_not_before_{first}", f"{later} is not before {first}.", _SOURCE, check="at_least", columns=(later, first))
              for later, first in facts.not_before if {later, first} <= set(types)]  # fmt: skip
    return tuple(rules)
