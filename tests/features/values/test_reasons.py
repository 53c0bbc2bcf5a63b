"""Why each row of a key counts, or does not: literal rows, one reason each."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from features import (
    Entity,
    FeatureView,
    Source,
    attribute,
    cohort_rate,
    col,
    count,
    difference,
    fields,
    flat,
    mean,
    ratio,
    std,
    sum_,
    zscore,
)
from features.definitions.durations import DAY
from features.values.reasons import COUNTS, reasons
from features.values.timeline import Rows, Timeline, timeline

CARD = Entity(name="card", keys=("card",))
EVENTS = Source(
    name="e", table="t.e", columns=(*fields("string", "id card kind"), *fields("int64", "amount"), *fields("timestamp", "at known")),
    event_time="at", known_at="known", event_id="id",
)  # fmt: skip
DISPUTES = Source(
    name="d", table="t.d", columns=(*fields("string", "did id card"), *fields("timestamp", "at known")), event_time="at", known_at="known",
    event_id="did",
)  # fmt: skip
VIEW = FeatureView(
    name="v", entity=CARD, source=EVENTS, outcomes=(DISPUTES,), remember="30d",
    features=flat((
        count("2d"), sum_("amount", "2d", where=col("kind") == "a", suffix="a"), mean("amount", "2d"), std("amount", "2d"),
        ratio("sum_amount_a_2d", "count_2d"), zscore("sum_amount_a_2d", of="amount_2d"),
        difference("sum_amount_a_2d_per_count_2d", "count_2d"),
        cohort_rate(DISPUTES, of="id", over="2d", delay="1d", eligible=col("kind") == "a"),
    )),
)  # fmt: skip
CUT = 20 * DAY
ASKED = CUT + VIEW.schedule.lag_us
KIND = pa.array(["a", "b", None, "a", "a", "a", "a"])
AMOUNT = pa.array([1, 2, 3, None, 5, 6, 7])
HOURS = (-72, -40, -30, -20, -10, -5, 2)
"""Of the events, from the cut on. The fifth becomes known after the cut, the sixth is taken back before it."""


def events() -> Timeline:
    time = np.array([CUT + hour * DAY // 24 for hour in (*HOURS, -5)], np.int64)
    known = time.copy()
    known[4], known[6], known[7] = CUT + 1, CUT - 1, CUT - 3
    columns = {"id": pa.array([*"abcdefg", "f"]), "kind": pa.chunked_array([KIND, ["a"]]).combine_chunks(),
               "amount": pa.chunked_array([AMOUNT, pa.array([6])]).combine_chunks()}  # fmt: skip
    rows = Rows(
        key=np.zeros(8, np.int64), time=time, known=known, retract=np.array([False] * 7 + [True]), undoes=np.array([0] * 7 + [int(time[5])]),
        first=np.ones(8, bool), columns=columns,
    )  # fmt: skip
    return timeline(rows, EVENTS, VIEW.freshness)


def of(name: str, line: Timeline | None = None) -> list[str]:
    feature = next(feature for feature in VIEW.features if feature.name == name)
    return reasons(VIEW, feature, EVENTS, events() if line is None else line, ASKED, CUT)


def test_each_row_has_the_first_reason_that_holds() -> None:
    assert of("count_2d") == [
        "is before the window", COUNTS, COUNTS, COUNTS, "became known later", "was taken back before", "is after the window",
    ]  # fmt: skip


def test_conditions_and_missing_values() -> None:
    assert of("sum_amount_a_2d") == [
        "is before the window", "does not meet the condition", "does not meet the condition", "has no value that counts", "became known later",
        "was taken back before", "is after the window",
    ]  # fmt: skip


def test_a_rates_events_are_those_of_its_cohort() -> None:
    assert of("d_rate_2d_offset_1d") == [
        COUNTS, "is not eligible", "is not eligible", "is after the window", "became known later", "was taken back before", "is after the window",
    ]  # fmt: skip


def test_outcomes_count_once_they_are_known() -> None:
    known = np.array([CUT - 5, CUT + 5], np.int64)
    rows = Rows(
        key=np.zeros(2, np.int64), time=known, known=known, retract=np.zeros(2, bool), undoes=np.zeros(2, np.int64), first=np.ones(2, bool),
        columns={"did": pa.array(["x", "y"]), "id": pa.array(["a", "a"])},
    )  # fmt: skip
    rate = next(feature for feature in VIEW.features if feature.name == "d_rate_2d_offset_1d")
    line = timeline(rows, DISPUTES, VIEW.freshness)
    assert reasons(VIEW, rate, DISPUTES, line, ASKED, CUT) == [COUNTS, "became known later"]


def test_of_changes_the_newest_that_holds_counts() -> None:
    changes = replace(EVENTS, name="c", kind="changes", event_id=None)
    view = FeatureView(name="w", entity=CARD, source=changes, features=(attribute("amount"),))
    time = np.array([CUT - 9, CUT - 5, CUT, CUT + 1], np.int64)
    known = np.array([CUT - 9, CUT - 5, CUT - 1, CUT - 1], np.int64)
    rows = Rows(
        key=np.zeros(4, np.int64), time=time, known=known, retract=np.zeros(4, bool), undoes=np.zeros(4, np.int64), first=np.ones(4, bool),
        columns={"amount": pa.array([1, 2, 3, 4])},
    )  # fmt: skip
    line = timeline(rows, changes, view.freshness)
    assert reasons(view, view.features[0], changes, line, CUT + view.schedule.lag_us, CUT) == [
        "was replaced by a newer row", "was replaced by a newer row", COUNTS, "holds later",
    ]  # fmt: skip
