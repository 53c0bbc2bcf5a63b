"""Tiles, merged as their readers merge them, give what the oracle counts, however what arrives is split into cuts and passes."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.definitions import authoring as make
from features.definitions import behaviour as course
from features.definitions.aggregations import AGGREGATIONS
from features.definitions.aggregations.aggregation import NUMBERS
from features.definitions.expressions import case as either
from features.definitions.expressions import col
from features.definitions.features import Aggregate, Feature
from features.definitions.freshness import Schedule
from features.definitions.tiling import Metric, kept_as, metric_of, tiling
from features.definitions.views import FeatureView, flat
from features.definitions.windows import Window
from features.values import tile_lists, tile_values
from features.values import tiles as builder
from features.values.tiles import tiles
from tests.engine import answers, stored
from tests.properties.agreement import same
from tests.properties.drawing import drawn
from tests.strategies import NO_HEALTH_CHECK, SECOND, Case, event_cases
from tests.tile_rows import answered, arrivals, cuts_of, expected, needed


@st.composite
def tiled_cases(draw: st.DrawFn) -> Case:
    """Those whose values stand between cuts, with extremes in the view and more that is taken back by later cuts."""
    found = event_cases(of_course=draw(st.booleans()))
    case = draw(found.filter(lambda case: isinstance(case.view.freshness, Schedule) and case.view.served))
    window, period = Window("48s", step="15s"), case.view.schedule.period_us
    lasting = [
        make.min_("n", window, suffix="t"), make.max_("n", window, suffix="t"), make.sum_("f", window, suffix="t"), make.distinct("n", window, limit=2, suffix="t"),
        make.distinct("c", window, limit=100, suffix="t"), make.first("n", window, suffix="t"), make.last("c", window, suffix="t"), make.first("b", window, suffix="t"),
        make.last("f", window, suffix="t"), make.last("w", window, suffix="t"), make.time_since_first(window, suffix="t"), make.time_since_last(window, suffix="t"),
        course.trend(window, suffix="t"), course.quantile("n", window, percent=50, accuracy=0.1, suffix="t"), course.quantile("n", window, percent=90, accuracy=0.1, suffix="t"),
        course.distinct_sketch("n", window, precision=4, suffix="t"), course.count_by("n", (window,), categories=(1,)),
        course.burst(window, suffix="t"), course.entropy("c", window, suffix="t"), course.entropy("n", window, suffix="t"), course.last_k("c", window, k=2, suffix="t"),
    ]  # fmt: skip
    late, place = col("n") > 1, (col("ver"), either((col("b"), 60), otherwise=-60))
    listed = [
        course.gap_mean(window, suffix="t"), course.gap_cv(window, suffix="t"), course.gap_cv(window, where=late, suffix="t_w"), course.pairs("n", window, take="max", suffix="t"),
        course.pairs("n", window, take="mean", suffix="t"), course.pairs("f", window, take="mean", suffix="t"), course.aggregate("speed_max", window, inputs=place, suffix="t"),
        course.aggregate("speed_mean", window, inputs=place, suffix="t"), course.runs(window, of=late, then=col("b"), at_least=1, suffix="t"), course.decayed_count("5s", over=window, suffix="t"),
        course.decayed_sum("n", "5s", over=window, suffix="t"), course.decayed_mean("f", "20s", over=window, suffix="t"), course.decayed_sum("f", "1s", over=window, where=late, suffix="t_w"),
        course.top_k("c", window, k=2, suffix="t"), course.top_k("f", window, k=2, suffix="t"), course.top_k("n", window, k=1, suffix="t"), course.top_k("b", window, k=2, suffix="t"),
        course.last_k("c", window, k=3, suffix="t"), course.last_k("n", window, k=2, suffix="t"), course.last_k("b", window, k=1, suffix="t"), course.last_k("w", window, k=2, suffix="t"),
    ]  # fmt: skip
    chosen = [draw(st.lists(st.sampled_from(of), min_size=2, max_size=6, unique_by=id)) for of in (lasting, listed)]
    extremes = flat([*chosen[0], *chosen[1]])
    rows = list(case.raw["s"])
    for row in draw(st.lists(st.sampled_from(rows), max_size=4)) if case.view.source.event_id else []:
        later = draw(st.sampled_from([0, 1, period, 2 * period, 3 * period]))
        changes: list[dict[str, Any]] = [
            {"n": -9},
            {"n": None, "f": 0.5},
            {"v": True},
            {"event_time": row["event_time"] + SECOND},
        ]
        change = draw(st.sampled_from(changes))
        rows.append({**row, **change, "known": row["known"] + later, "ver": (row["ver"] or 0) + 1})
    return replace(
        case, view=replace(case.view, features=_once((*case.view.features, *extremes))), raw={**case.raw, "s": rows}
    )


def _once(features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """Those of a name once: `last_k` of two lists has the ages of one column twice."""
    return tuple({feature.name: feature for feature in features}.values())


def passes(data: st.DataObject, view: FeatureView, rows: pa.Table) -> list[pa.Table]:
    """The tiles of every cut that knows something, in one pass over some of them or in many, each given all rows or only what it needs."""
    cuts = cuts_of(view, rows)
    marks = [data.draw(st.integers(0, 2)) for _ in cuts]
    made = []
    for mark in sorted(set(marks)):
        part = [cut for cut, other in zip(cuts, marks, strict=True) if other == mark]
        made.append(tiles(view, needed(view, rows, part) if data.draw(st.booleans()) else rows, part))
    return made


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
@given(case=tiled_cases(), data=st.data())
def test_tiles_give_what_the_oracle_counts(case: Case, data: st.DataObject) -> None:
    view, raw = case.view, case.raw["s"]
    plan = tiling(view)
    rows = arrivals(view, stored(view.source, raw, case.batches))
    assume(len(rows))
    built = passes(data, view, rows)
    cut = data.draw(st.sampled_from(cuts_of(view, rows))) + data.draw(st.integers(0, 3)) * view.schedule.period_us
    length = -(-data.draw(st.integers(1, 60)) * SECOND // plan.grid_us) * plan.grid_us
    by = data.draw(st.lists(st.sampled_from(view.keys), unique=True))
    known = [table.filter(pc.less_equal(table["cut"], cut)) for table in built]
    got, meant = answered(view, known, cut - length, cut, by), expected(view, raw, cut, length, by)
    assert set(got) == set(meant)
    for group, values in meant.items():
        for metric in plan.metrics:
            room = _room(metric, raw, values[metric.name])
            assert same(metric.type, got[group][metric.name], values[metric.name], room), (group, metric.name)


def _room(metric: Metric, raw: Any, value: float | str | None) -> float:
    """As docs/semantics.md 4 has it of frames; entropies are added in the order of hashes (docs/tiles.md)."""
    size = _magnitude(raw, metric.group.column) if metric.group.column and metric.group.type in NUMBERS else 0.0
    if not isinstance(value, float):
        return 0.0
    if metric.operation in {"gap_cv", "entropy"}:
        return 1e-12 * abs(value)
    if metric.operation in {"speed_max", "speed_mean"}:
        return 1e-9 * abs(value)
    if metric.operation in {"pairs_mean", "decayed_count", "decayed_sum", "decayed_mean"}:
        return 1e-9 * (abs(value) + 1 + size)
    return 1e-9 * size if metric.group.type == "float64" else 0.0


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
@given(case=tiled_cases(), data=st.data())
def test_what_is_held_as_rows_gives_the_bits_of_a_frame(case: Case, data: st.DataObject) -> None:
    """Of every window that ends at the cut: keys alone are grouped by, since a frame knows no other groups."""
    view = case.view
    rows = arrivals(view, stored(view.source, case.raw["s"], case.batches))
    assume(len(rows))
    built = passes(data, view, rows)
    cut = data.draw(st.sampled_from(cuts_of(view, rows)))
    known = [table.filter(pc.less_equal(table["cut"], cut)) for table in built]
    aggregates = [feature for feature in view.features if isinstance(feature, Aggregate)]
    listed = [
        (feature, metric_of(view, feature)) for feature in aggregates
        if kept_as(AGGREGATIONS[feature.operation]) in {"rows", "newest rows", "values"} and not feature.window.offset_us
    ]  # fmt: skip
    for window in {feature.window for feature, _ in listed}:
        got = answered(view, known, window.bounds(cut, view.remember_us).lower, cut, view.keys)
        asks = [(key, cut + view.schedule.lag_us) for key in got]
        for (key, _), frame in zip(asks, answers(view, case.raw, asks, case.batches), strict=True):
            for feature, metric in (pair for pair in listed if pair[0].window == window):
                assert same(metric.type, got[key][metric.name], frame.values[feature.name]), (key, feature.name)


def _magnitude(raw: Any, column: str | None) -> float:
    return float(sum(abs(row[column]) for row in raw if row[column] is not None and math.isfinite(row[column])))


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
@given(case=tiled_cases(), data=st.data())
def test_every_edge_of_every_window_is_the_edge_of_a_tile(case: Case, data: st.DataObject) -> None:
    view = case.view
    grid = tiling(view).grid_us
    cut = view.schedule.phase_us + data.draw(st.integers(-(10**6), 10**6)) * view.schedule.period_us
    for feature in view.features:
        if isinstance(feature, Aggregate):
            lower, upper = feature.window.bounds(cut, view.remember_us)
            assert (lower % grid, upper % grid) == (0, 0), feature.name


def differences(case: Case) -> list[str]:
    """A line for each value that is not the oracle's: of all cuts in one pass and in a pass each, over some lengths, in total and by key."""
    view, raw = case.view, case.raw["s"]
    plan = tiling(view)
    rows = arrivals(view, stored(view.source, raw, case.batches))
    cuts = cuts_of(view, rows) if len(rows) else []
    each = [tiles(view, needed(view, rows, [cut]), [cut]) for cut in cuts]
    found: list[str] = []
    for built in ([tiles(view, rows, cuts)], each) if cuts else ():
        for cut, steps, by in product(cuts[-3:], (1, 5, 40), ((), view.keys)):
            known, length = [table.filter(pc.less_equal(table["cut"], cut)) for table in built], steps * plan.grid_us
            got, meant = answered(view, known, cut - length, cut, by), expected(view, raw, cut, length, by)
            found += [f"groups at {cut}"] if set(got) != set(meant) else []
            for group, metric in product(set(got) & set(meant), plan.metrics):
                room = _room(metric, raw, meant[group][metric.name])
                if not same(metric.type, got[group][metric.name], meant[group][metric.name], room):
                    found.append(f"{metric.name} of {group} at {cut}")
    return found


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """What a function of the builder gives, changed."""

    def wrong(patch: pytest.MonkeyPatch) -> None:
        right = getattr(builder, name)
        patch.setattr(builder, name, lambda *given: change(right(*given)))

    return wrong


def a_cut_knows_what_is_known_at_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(builder, "_first_cut", lambda known, schedule: schedule.cut_before(known - 1) + schedule.period_us)


def rows_that_replace_are_added(patch: pytest.MonkeyPatch) -> None:
    """A reader that sees no replacement in a row that holds a tile in full."""
    right = tile_values.merged

    def wrong(plan: Any, keys: Any, rows: pa.Table, by: Any) -> pa.Table:
        place = rows.schema.get_field_index("asof_replaces")
        return right(plan, keys, rows.set_column(place, "asof_replaces", pa.array([False] * len(rows), pa.bool_())), by)

    patch.setattr("tests.tile_rows.merged", wrong)


def rows_of_one_instant_stand_as_they_come(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tile_lists, "_order", lambda rows: np.lexsort((rows.times, rows.group)))


def lists_are_joined_without_being_put_in_order(patch: pytest.MonkeyPatch) -> None:
    """Each is in order by itself."""
    patch.setattr(tile_lists, "_order", lambda rows: np.argsort(rows.group, kind="stable"))


def the_oldest_rows_are_kept(patch: pytest.MonkeyPatch) -> None:
    def wrong(group: Any, order: Any, newest: int) -> Any:
        behind = np.arange(len(order)) - np.searchsorted(group[order], group[order])
        return order[behind < newest] if newest else order

    patch.setattr(tile_lists, "_newest", wrong)


def each_value_came_once(patch: pytest.MonkeyPatch) -> None:
    right = tile_lists._counted

    def wrong(rows: Any) -> Any:
        made = right(rows)
        return replace(made, often=np.ones_like(made.often))

    patch.setattr(tile_lists, "_counted", wrong)


nothing_is_taken_back = changed("_contributions", lambda parts: replace(parts, sign=np.abs(parts.sign)))
extremes_stay_when_their_rows_are_gone = changed(
    "_contributions",
    lambda parts: replace(parts, stands=parts.stands & ~parts.replaces, replaces=np.zeros_like(parts.replaces)),
)
tiles_are_too_long = changed("tiling", lambda plan: replace(plan, grid_us=2 * plan.grid_us))
the_filter_is_forgotten = changed("mask", np.ones_like)
what_stands_at_a_cut_is_what_ever_did = changed(
    "_arrivals", lambda made: replace(made, until=np.full_like(made.until, 2**62))
)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "mutant",
    [
        a_cut_knows_what_is_known_at_it, rows_that_replace_are_added, nothing_is_taken_back, extremes_stay_when_their_rows_are_gone, tiles_are_too_long,
        the_filter_is_forgotten, what_stands_at_a_cut_is_what_ever_did, rows_of_one_instant_stand_as_they_come, lists_are_joined_without_being_put_in_order,
        the_oldest_rows_are_kept, each_value_came_once, None,
    ],
)  # fmt: skip
def test_a_wrong_tile_is_told_from_the_right_one(
    mutant: Callable[[pytest.MonkeyPatch], None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [case for number in range(4) for case in drawn(tiled_cases, number, 30)]
    if mutant is not None:
        mutant(monkeypatch)
    assert any(differences(case) for case in cases) == (mutant is not None)
