"""Anomaly scores and their reasons against the oracle, which looks at the values of all keys at the cut; known-wrong engines must differ from it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from features import (
    Entity,
    FeatureView,
    Field,
    Schedule,
    Source,
    anomaly,
    cohort_rate,
    col,
    count,
    difference,
    fields,
    flat,
    max_,
    mean,
    ratio,
    std,
    sum_,
    zscore,
)
from features.definitions.features import AnomalyScore
from features.values import anomalies, fits, summing, sweep
from features.values.anomalies import Moved
from features.values.sweep import Sweep
from features.values.timeline import Asks
from tests.oracle import Answer
from tests.properties.agreement import differences, expected
from tests.strategies import DAY, NO_HEALTH_CHECK, Case

HOUR = DAY // 24
KEYS = ("x", "y", "z", "u", "v", None)
"""Every case has a payment of each within its first two days."""
PAYMENTS = Source(
    name="p", table="raw.p", event_id="id", void="v", known_at="known",
    columns=(*fields("string", "id k"), *fields("int64", "n"), Field(name="f", type="float64"), Field(name="v", type="bool"),
             *fields("timestamp", "event_time known")),
)  # fmt: skip
FRAUDS = Source(
    name="f", table="raw.f", event_id="fid", known_at="known", columns=(*fields("string", "fid id k"), *fields("timestamp", "event_time known")),
)  # fmt: skip
AMOUNTS = [1, 2, 2, 3, 5, 40, -7, 33, 1000, 0, None, 2**62 + 12345]
FLOATS = [3.7, 1.0, 1.0, -0.5, 0.25, 0.0, 1e-12, 1e300, -1e308, float("nan"), None]
PARTS = ["count_1d", "count_3d", "sum_n_3d", "max_f_3d", "mean_n_3d", "count_1d_per_count_3d", "count_3d_minus_count_1d", "zscore_max_n_1d",
         "f_rate_2d_offset_1d"]  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> FeatureView:
    options: dict[str, Any] = {
        "least_keys": draw(st.sampled_from([1, 1, 1, 2, 3, 5])), "cap": draw(st.sampled_from([0.75, 3.0, 10.0])),
        "active": draw(st.sampled_from([None, None, None, "count_1d", "max_f_3d"])),
    }  # fmt: skip
    chosen = tuple(draw(st.lists(st.sampled_from(PARTS), unique=True, min_size=3, max_size=6)))
    least = draw(st.sampled_from([1, 1, 1, None, len(chosen)]))
    return FeatureView(
        name="v", entity=Entity(name="e", keys=("k",)), source=PAYMENTS, outcomes=(FRAUDS,), remember=draw(st.sampled_from(["4d", "20d"])),
        freshness=draw(st.sampled_from([Schedule(), Schedule(period="12h", phase="6h", publish_lag="0")])),
        features=flat((
            count("1d 3d"), sum_("n", "3d"), max_("n", "1d"), mean("n", "3d"), std("n", "3d"), max_("f", "3d", where=~(col("n") == 0)),
            ratio("count_1d", "count_3d"), difference("count_3d", "count_1d"), zscore("max_n_1d", of="n_3d"),
            cohort_rate(FRAUDS, of="id", over="2d", delay="1d"), anomaly(of=chosen, least_parts=least, **options),
        )),
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Payments of a few keys, some of them known late, voided, or of a key that is null."""
    payments: list[dict[str, Any]] = []
    for n in range(len(KEYS) + draw(st.integers(2, 12))):
        early = n < len(KEYS)
        when = (4 + draw(st.integers(0, 4 if early else 12))) * 6 * HOUR + draw(st.sampled_from([0, 0, -1, 1]))
        row: dict[str, Any] = {
            "id": f"p{n}", "k": KEYS[n] if early else draw(st.sampled_from(KEYS)), "n": draw(st.sampled_from(AMOUNTS)),
            "f": draw(st.sampled_from(FLOATS)), "v": False, "event_time": when, "known": when + draw(st.sampled_from([0, 0, 0, HOUR, DAY])),
        }  # fmt: skip
        payments.append(row)
        if draw(st.integers(0, 7)) == 0:
            payments.append({**row, "v": True, "known": row["known"] + DAY})
    told = [row for row in payments if draw(st.integers(0, 3)) == 0]
    frauds = [
        {"fid": f"f{n}", "id": row["id"], "k": row["k"], "event_time": row["event_time"] + HOUR, "known": row["event_time"] + HOUR}
        for n, row in enumerate(told)
    ]  # fmt: skip
    instants = st.integers(9, 17).map(lambda quarter: quarter * 6 * HOUR)
    keys = st.tuples(st.sampled_from([*KEYS[:-1] * 3, "never"]))
    asks = draw(st.lists(st.tuples(keys, instants), min_size=2, max_size=4))
    return Case(view=draw(views()), raw={"p": payments, "f": frauds}, asks=asks, batches=draw(st.integers(1, 2)))


@settings(max_examples=30, suppress_health_check=NO_HEALTH_CHECK)
@given(cases())
def test_anomalies_are_the_oracles(case: Case) -> None:
    assert differences(case) == []


@cache
def drawn() -> list[tuple[Case, list[Answer]]]:
    """The same cases in every run, with what the oracle says of them."""
    found: list[tuple[Case, list[Answer]]] = []

    @seed(11)
    @settings(max_examples=40, phases=[Phase.generate], database=None, suppress_health_check=NO_HEALTH_CHECK)
    @given(cases())
    def draw(case: Case) -> None:
        found.append((case, expected(case)))

    draw()
    return found


def test_the_cases_say_something() -> None:
    assert [line for case, want in drawn() for line in differences(case, want)] == []
    rows = [answer.values for _, want in drawn() for answer in want]
    assert sum(bool(row["anomaly_score"]) for row in rows) > len(rows) / 4
    assert {sum(bool(row[f"anomaly_reason_{n}"]) for n in (1, 2, 3)) for row in rows} == {0, 1, 2, 3}


def of_a_later_cut(patch: pytest.MonkeyPatch) -> None:
    """Fitted at the next cut, whose values are then told to be of this one."""
    right = summing.sums
    patch.setattr(
        "tests.engine.sums",
        lambda view, lines, cuts: right(view, lines, [cut + view.schedule.period_us for cut in cuts]),
    )


def of_the_future(patch: pytest.MonkeyPatch) -> None:
    """Windows that end at the cut, over all that is known today."""

    class Later(Sweep):
        def __init__(self, view: FeatureView, lines: Any, asks: Asks, anchor: Any) -> None:
            super().__init__(view, lines, Asks(key=asks.key, instant=asks.instant + 100 * DAY), anchor)

    patch.setattr(summing, "Sweep", Later)


def of_the_asked_keys_alone(patch: pytest.MonkeyPatch) -> None:
    """One worker's keys stand for all."""
    right = anomalies.centre_and_scale
    patch.setattr(fits, "centre_and_scale", lambda counts, least: right(np.minimum(counts, 1), least))


def without_a_floor(patch: pytest.MonkeyPatch) -> None:
    """A median distance of 0 leaves no scale."""
    patch.setattr(anomalies, "_OF_MEAN", 0.0)


def centre_without_resolution(patch: pytest.MonkeyPatch) -> None:
    """A scale below what the centre is known to."""
    patch.setattr(anomalies, "max", lambda *values: values[0], raising=False)


def keys_that_are_not_active(patch: pytest.MonkeyPatch) -> None:
    def wrong(score: AnomalyScore, made: Any, seen: Any) -> Any:
        return right(score, made, np.ones_like(seen))

    right = anomalies.part_values
    patch.setattr(summing, "part_values", wrong)


def no_cap(patch: pytest.MonkeyPatch) -> None:
    right = anomalies.moved
    patch.setattr(sweep, "moved", lambda *given: Moved(_uncapped(given[0]), right(*given).distances))


def _uncapped(score: AnomalyScore) -> AnomalyScore:
    return AnomalyScore(
        name=score.name, parts=score.parts, active=score.active, least_parts=score.least_parts, cap=1e300
    )


def null_parts_count_as_usual(patch: pytest.MonkeyPatch) -> None:
    right = anomalies.moved
    patch.setattr(sweep, "moved", lambda *given: Moved(given[0], np.nan_to_num(right(*given).distances, nan=0.0)))


def ties_in_any_order(patch: pytest.MonkeyPatch) -> None:
    right = Moved.reason

    def wrong(self: Moved, rank: int) -> Any:
        turned = AnomalyScore(name="s", parts=self.score.parts[::-1], least_parts=self.score.least_parts)
        return right(Moved(turned, self.distances[::-1]), rank)

    patch.setattr(Moved, "reason", wrong)


def reasons_after_the_cap(patch: pytest.MonkeyPatch) -> None:
    right = Moved.reason
    patch.setattr(
        Moved, "reason", lambda self, rank: right(Moved(self.score, np.minimum(self.distances, self.score.cap)), rank)
    )


WRONG = (
    of_a_later_cut, of_the_future, of_the_asked_keys_alone, without_a_floor, centre_without_resolution, keys_that_are_not_active, no_cap,
    null_parts_count_as_usual, ties_in_any_order, reasons_after_the_cap,
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_the_property_kills(wrong: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong(monkeypatch)
    assert any(differences(case, want) for case, want in drawn())
