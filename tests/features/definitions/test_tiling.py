"""The grid of a view, what its tiles hold, and the names of both."""

from dataclasses import replace
from typing import Any

import pytest

from features import (
    Entity,
    EventFreshness,
    FeatureView,
    Schedule,
    Source,
    Window,
    attribute,
    cohort_rate,
    col,
    count,
    decayed_count,
    distinct,
    entropy,
    fields,
    first,
    flat,
    gap_cv,
    gap_mean,
    last,
    last_k,
    max_,
    mean,
    min_,
    pairs,
    quantile,
    ratio,
    runs,
    speed,
    std,
    sum_,
    time_since_first,
    time_since_last,
    top_k,
    trend,
)
from features.definitions.compiled import hash_of
from features.definitions.durations import duration, duration_text
from features.definitions.features import Aggregate
from features.definitions.tiling import Listed, grid_of, metric_of, tiling, untileable
from features.errors import InvalidDefinitionError

COLUMNS = (
    *fields("string", "id card Shop"),
    *fields("int64", "amount"),
    *fields("float64", "price"),
    *fields("timestamp", "event_time known"),
)
PAYMENTS = Source(name="payments", table="raw.payments", columns=COLUMNS, event_id="id", known_at="known")
DISPUTES = replace(PAYMENTS, name="disputes")
RECORDS = Source(name="records", table="raw.records", columns=COLUMNS, kind="changes", known_at="known")
BIG, SMALL = col("amount") > 100, col("amount") < 5


def view(*features: Any, **changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "cards",
        "entity": Entity(name="card", keys=("card",)),
        "source": PAYMENTS,
        "features": flat(features),
    }
    return FeatureView(**given | changes)


@pytest.mark.parametrize(("features", "schedule", "grid"), [
    (count("1d 90d"), Schedule(), "1d"),
    (count("24h"), Schedule(), "1d"),  # steps of 30m, but both edges are midnights
    (count("1h 90d"), Schedule(), "1h"),
    (count("36h"), Schedule(), "12h"),
    (count(Window("50h")), Schedule(), "2h"),
    (count(Window("25h", step="6h")), Schedule(), "1h"),
    (count("1d"), Schedule(period="6h", phase="90m"), "90m"),
    (count("1d"), Schedule(period="1h", publish_lag="10m"), "1h"),
    (count("1d"), Schedule(period="10m", publish_lag="1m"), "10m"),
    (count("24h"), Schedule(period="20m", publish_lag="1m"), "10m"),  # lower edges are floored to 30m
    (count(Window("7d", "1h")), Schedule(), "1h"),
    (count(Window("1h", "1us", "exact")), Schedule(), "1us"),
    (count(Window("40s")), Schedule(), "40s"),
    (count(Window("7s", step="exact")), Schedule(), "1s"),
    (count("7d"), Schedule(period="7d"), "7d"),
])  # fmt: skip
def test_a_tile_is_as_long_as_all_edges_allow(features: Any, schedule: Schedule, grid: str) -> None:
    remember = "728d" if schedule.period == "7d" else "730d"
    assert duration_text(grid_of(view(features, freshness=schedule, remember=remember))) == grid


def test_cohorts_have_edges_too() -> None:
    cards = view(count("1d"), cohort_rate(DISPUTES, of="id", over="7d", delay="12h"), outcomes=(DISPUTES,))
    assert grid_of(cards) == duration("12h")


def test_groups_are_named_after_columns_and_suffixes_and_hold_what_their_operations_need() -> None:
    odd = Aggregate(name="odd", operation="sum", column="amount", window=Window("1d"), where=SMALL)
    plan = tiling(view(
        count("1d 7d"), count("1d", where=BIG, suffix="big"), sum_("amount", "1d"), mean("amount", "7d"), std("amount", "7d", where=BIG, suffix="big"),
        max_("amount", "7d"), min_("known", "1d"), mean("price", "1d"), odd, distinct("Shop", "1d 7d"), ratio("count_1d", "count_7d", name="share"),
    ))  # fmt: skip
    assert {group.label: (group.column, group.where is None) for group in plan.groups} == {
        "rows": (None, True), "rows_big": (None, False), "amount": ("amount", True), "amount_big": ("amount", False), "known": ("known", True),
        "price": ("price", True), "amount_where": ("amount", False), "Shop": ("Shop", True),
    }  # fmt: skip
    assert [(p.name, p.type, p.merge, p.removable) for p in plan.partials] == [
        ("rows__n", "int64", "sum", True), ("rows_big__n", "int64", "sum", True), ("amount__n", "int64", "sum", True),
        ("amount__high", "int64", "sum", True), ("amount__low", "int64", "sum", True), ("amount__max", "int64", "max", False),
        ("amount_big__n", "int64", "sum", True), ("amount_big__high", "int64", "sum", True), ("amount_big__low", "int64", "sum", True),
        *((f"amount_big__square_{n}", "int64", "sum", True) for n in range(6)),
        ("known__n", "int64", "sum", True), ("known__min", "timestamp", "min", False),
        ("price__n", "int64", "sum", True), ("price__sum", "float64", "sum", False),
        ("amount_where__n", "int64", "sum", True), ("amount_where__high", "int64", "sum", True), ("amount_where__low", "int64", "sum", True),
        ("Shop__n", "int64", "sum", True), ("Shop__distinct", "binary", "state", False),
    ]  # fmt: skip
    assert [(metric.name, metric.type) for metric in plan.metrics] == [
        ("count", "int64"), ("count_big", "int64"), ("sum_amount", "int64"), ("mean_amount", "float64"), ("std_amount_big", "float64"),
        ("max_amount", "int64"), ("min_known", "timestamp"), ("mean_price", "float64"), ("odd", "int64"),
        ("distinct_Shop", "int64"),
    ]  # fmt: skip
    assert plan.left_out == ("share",)
    assert plan.columns == ("Shop", "amount", "id", "known", "price")
    assert not plan.removable
    assert tiling(view(count("1d"), std("amount", "1d"))).removable


def test_states_are_held_once_for_features_that_differ_in_what_finish_alone_looks_at() -> None:
    plan = tiling(view(
        quantile("amount", "1d 7d", percent=50), quantile("amount", "1d", percent=90), quantile("amount", "1d", percent=50, accuracy=0.1, suffix="rough"),
        distinct("Shop", "1d", limit=5), distinct("Shop", "7d", limit=9), last("Shop", "1d"), first("Shop", "7d"), time_since_first("1d"),
        time_since_last("1d", where=BIG, suffix="big"), trend("1d 7d"), entropy("Shop", "1d"),
    ))  # fmt: skip
    assert [(p.name, p.type, p.merge) for p in plan.partials if not p.name.endswith("__n")] == [
        ("rows__oldest", "timestamp", "min"), ("rows__trend", "binary", "state"), ("rows__trend_2", "binary", "state"),
        ("amount__quantile", "binary", "state"), ("amount__quantile_2", "binary", "state"), ("Shop__first", "binary", "min"), ("Shop__last", "binary", "max"),
        ("Shop__distinct", "binary", "state"), ("Shop__distinct_2", "binary", "state"), ("Shop__entropy", "binary", "state"), ("rows_big__newest", "timestamp", "max"),
    ]  # fmt: skip
    assert [metric.name for metric in plan.metrics] == [
        "p50_amount", "p90_amount", "p50_amount_rough", "distinct_Shop", "distinct_Shop_2", "last_Shop", "first_Shop", "time_since_first",
        "time_since_last_big", "trend", "trend_2", "entropy_Shop",
    ]  # fmt: skip
    assert plan.left_out == ()


def test_rows_are_held_once_for_all_that_reads_the_same_of_them() -> None:
    plan = tiling(view(
        gap_mean("1d"), gap_cv("7d"), decayed_count("1d"), pairs("amount", "1d", take="max"), last_k("amount", "1d", k=3), top_k("amount", "1d", k=2), last_k("Shop", "7d", k=2),
        last_k("Shop", "1d", k=5), top_k("Shop", "1d", k=2), top_k("known", "1d", k=1, where=BIG), gap_mean("1d", where=BIG, suffix="big"), speed("price", "amount", "1d", take="max"),
        runs("1d", of=BIG, then=SMALL, at_least=2), runs("1d", of=BIG, then=SMALL, at_least=3, suffix="more"),
    ))  # fmt: skip
    held = {partial.name: tuple(partial.held) for partial in plan.partials if isinstance(partial.held, Listed)}
    assert held == {
        "rows__rows": ("rows", 0, None, ()), "amount__rows": ("rows", 0, "string", ("int64",)), "Shop__rows": ("rows", 5, "string", ("string",)),
        "Shop__values": ("values", 0, None, ("string",)), "known_where__values": ("values", 0, None, ("timestamp",)), "rows_big__rows": ("rows", 0, None, ()),
        "rows_2__rows": ("rows", 0, "string", ("float64", "int64")), "rows_3__rows": ("rows", 0, "string", ("int64",)),
    }  # fmt: skip
    places = {
        metric.name: metric.group.partial_of(metric.of).name for metric in plan.metrics if metric.operation == "top_k"
    }
    assert places == {"top_1_amount": "amount__rows", "top_2_amount": "amount__rows", "top_1_Shop": "Shop__values", "top_2_Shop": "Shop__values", "top_1_known": "known_where__values"}  # fmt: skip
    assert plan.left_out == ()
    assert not plan.removable


def test_without_event_ids_none_are_held() -> None:
    plan = tiling(view(pairs("amount", "1d", take="max"), source=replace(PAYMENTS, event_id=None)))
    assert [partial.held for partial in plan.partials if partial.held] == [Listed("rows", 0, None, ("int64",))]


def test_a_metric_is_that_of_the_same_numbers() -> None:
    made = view(trend("1d 30d"), last_k("Shop", "1d 7d", k=2))
    assert [metric_of(made, feature).name for feature in made.features if isinstance(feature, Aggregate)] == [
        "trend", "trend_2", "last_1_Shop", "last_1_Shop", "last_2_Shop", "last_2_Shop", "time_since_last_1_Shop", "time_since_last_1_Shop", "time_since_last_2_Shop",
        "time_since_last_2_Shop",
    ]  # fmt: skip


def test_names_that_meet_are_numbered_whatever_their_case() -> None:
    plan = tiling(view(
        count("1d", where=BIG, suffix="x"), Aggregate(name="count_X_1d", operation="count", window=Window("1d"), where=SMALL),
        Aggregate(name="card", operation="max", column="amount", window=Window("1d")),
    ))  # fmt: skip
    assert [metric.name for metric in plan.metrics] == ["count_x", "count_X_2", "card_2"]
    assert [group.label for group in plan.groups] == ["rows", "rows_x", "rows_X_2", "amount"]


def test_the_definition_of_tiles_is_what_their_content_depends_on() -> None:
    daily = view(count("1d 7d"), sum_("amount", "1d"))
    same = [view(count("3d"), sum_("amount", "90d"), ratio("count_3d", "count_3d"), owner="us", remember="90d"),
            view(count("1d"), sum_("amount", "1d"), freshness=Schedule(publish_lag="2h"))]  # fmt: skip
    other = [view(count("1h"), sum_("amount", "1d")), view(count("1d"), sum_("amount", "1d"), std("amount", "1d")), view(count("1d")),
             view(count("1d"), sum_("amount", "1d"), source=replace(PAYMENTS, filter=BIG)),
             view(count("1d"), sum_("amount", "1d"), freshness=Schedule(phase="1h"))]  # fmt: skip
    assert {tiling(each).definition for each in same} == {tiling(daily).definition}
    assert len({tiling(each).definition for each in (daily, *other)}) == 6
    listed = [
        gap_mean("1d"),
        pairs("amount", "1d", take="max"),
        last_k("Shop", "1d", k=2),
        last_k("Shop", "1d", k=3),
        top_k("Shop", "1d", k=2),
    ]
    assert len({tiling(view(count("1d"), *parts)).definition for parts in ((), *((part,) for part in listed))}) == 6
    assert tiling(view(top_k("Shop", "1d", k=2))).definition == tiling(view(top_k("Shop", "7d", k=3))).definition


@pytest.mark.parametrize(("made", "reason"), [
    (view(attribute("amount"), source=RECORDS), "its source 'records' is of kind changes"),
    (view(count("1d"), freshness=EventFreshness()), "it is computed when it is asked for, not at cuts"),
    (view(count("7d"), freshness=Schedule(anchor="ask")), "it is computed when it is asked for, not at cuts"),
    (view(cohort_rate(DISPUTES, of="id", over="7d", delay="1d"), outcomes=(DISPUTES,)), "it has no aggregate"),
    (view(gap_mean("7d"), gap_cv("7d")), None),
    (view(distinct("Shop", "7d")), None),
    (view(count("7d")), None),
])  # fmt: skip
def test_a_view_without_tiles_says_why(made: FeatureView, reason: str | None) -> None:
    assert untileable(made) == reason


def test_keeping_tiles_changes_no_value() -> None:
    assert hash_of(view(count("1d"), tiles=True)) == hash_of(view(count("1d")))


def test_tiles_of_what_has_no_cuts_are_refused() -> None:
    said = r"FeatureView 'cards': it has tiles=True, but is not of events with a schedule anchored at its cuts\. Leave tiles out; `asof frame` gives"
    with pytest.raises(InvalidDefinitionError, match=said):
        view(count("1d"), freshness=EventFreshness(), tiles=True)
    with pytest.raises(InvalidDefinitionError, match=said):
        view(attribute("amount"), source=RECORDS, tiles=True)
