"""One feature alone against labels: areas with intervals, nulls, and values that only positives have."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from jobs.separation import area, outcome_only, scores, separation

RNG = np.random.default_rng(7)
POSITIVE = np.arange(400) % 8 == 0  # 50 of 400
NOISE = RNG.random(400)


def severities(column: pa.Array, threshold: float = 0.95) -> list[tuple[str, str]]:
    found = separation("v__f", column, POSITIVE, threshold, 0)["findings"]
    return [(each.severity, each.says.partition(" alone ")[0].partition(" stands ")[0]) for each in found]


@given(st.lists(st.integers(0, 6), min_size=40, max_size=80))
def test_the_area_is_the_one_everybody_computes(values: list[int]) -> None:
    positive = np.arange(len(values)) % 2 == 0
    found = area(np.array(values, np.float64), positive)
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(positive, values))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_interval_is_delong_s() -> None:
    # By hand: 20 positives 10, 12 … 48 and 20 negatives 0 … 19, all apart, so each placement is a count of twentieths.
    high, low = np.arange(10, 50, 2) + 0.5, np.arange(20.0)
    placements = [(low < each).mean() for each in high], [(high > each).mean() for each in low]
    spread = sum(np.var(each, ddof=1) / 20 for each in placements)
    found = area(np.concatenate([high, low]), np.arange(40) < 20)
    assert found is not None
    assert found.value == pytest.approx(np.mean(placements[0]))
    assert found.value - found.low == pytest.approx(1.959964 * np.sqrt(spread))


def test_a_perfect_separation_of_few_rows_leaves_doubt() -> None:
    few, many = (area(np.arange(n) >= n // 2, np.arange(n) >= n // 2) for n in (40, 4000))
    assert few is not None
    assert many is not None
    assert 0.8 < few.low < 0.95 < many.low < 1
    downward = area(-(np.arange(4000) >= 2000).astype(float), np.arange(4000) >= 2000)
    assert downward is not None
    assert (downward.value, downward.low) == (0, 0)
    assert downward.high == pytest.approx(1 - many.low)
    assert downward.surely == pytest.approx(many.low)


def test_with_few_positives_nothing_is_said() -> None:
    assert area(np.arange(100.0), np.arange(100) >= 81) is None


def test_a_feature_that_is_the_label_is_a_leak_by_name() -> None:
    column = pa.array(np.where(POSITIVE, 5 + NOISE, NOISE))
    (finding,) = separation("v__f", column, POSITIVE, 0.95, 0)["findings"]
    assert (finding.check, finding.severity, finding.name) == ("separation", "leak", "v__f")
    assert finding.says == (
        "its values alone tell positive from negative rows with an area of 1.000 (0.978 to 1.000), beyond 0.95. "
        "Look up what it is made of: an outcome, or something that is written only after one. --threshold takes another bound."
    )
    assert severities(pa.array(NOISE)) == []


@pytest.mark.parametrize("column", [
    pa.array([bool(each) for each in POSITIVE]),
    pa.array([1 if each else 0 for each in POSITIVE]),
    pa.array(["yes" if each else "no" for each in POSITIVE]),
    pa.array(["yes" if each else "no" for each in POSITIVE]).dictionary_encode(),
    pa.array([datetime(2026, 1, 2 if each else 1, tzinfo=UTC) for each in POSITIVE], pa.timestamp("us", tz="UTC")),
    pa.array([[1, 2] if each else [1] for each in POSITIVE]),
])  # fmt: skip
def test_every_type_is_looked_at(column: pa.Array) -> None:
    assert [severity for severity, _ in severities(column)] == [
        "leak",
        "leak",
    ]  # its values, and the value of positives alone


def test_what_is_null_for_positives_alone_is_a_leak() -> None:
    column = pa.array(NOISE, mask=POSITIVE)
    assert severities(column) == [("leak", "whether it is null"), ("leak", "its value null")]
    finding = separation("v__f", column, POSITIVE, 0.95, 0)["findings"][1]
    assert finding.says == (
        "its value null stands in 50 rows, all of them positive: 100% of all positives. Look up whether something writes it only once the outcome is known."
    )


def test_a_value_of_positives_alone_that_is_rare_is_a_warning() -> None:
    odd = np.where(POSITIVE & (np.cumsum(POSITIVE) <= 9), 1, 0)
    assert outcome_only(pa.array(odd), POSITIVE) is None  # nine rows are few
    # Ten of a hundred positives.
    positive = np.arange(800) % 8 == 0
    column = pa.array(np.where(positive & (np.cumsum(positive) <= 10), "x", "y"))
    (finding,) = separation("v__f", column, positive, 0.95, 0)["findings"]
    assert finding.severity == "warning"
    assert finding.says.startswith("its value 'x' stands in 10 rows, all of them positive: 10% of all positives.")


def test_the_threshold_is_a_person_s() -> None:
    column = pa.array(np.where(POSITIVE, 1 + NOISE, NOISE * 1.6))
    found = area(column.to_numpy(), POSITIVE)
    assert found is not None
    assert found.surely < 0.95
    assert severities(column, 0.7) == [("leak", "its values")]
    between = (found.surely + found.strength) / 2
    (finding,) = separation("v__f", column, POSITIVE, between, 0)["findings"]
    assert finding.severity == "warning"
    assert "perhaps beyond" in finding.says


def test_a_text_of_its_own_in_each_row_tells_nothing() -> None:
    column = pa.array([f"t{n}" for n in range(400)])
    assert severities(column) == []
    made = scores(column, POSITIVE, 0)
    assert made is not None
    assert len(np.unique(made)) == 2  # the share of all positives in the other half


def test_infinities_and_types_without_order() -> None:
    made = scores(pa.array([1.0, float("inf"), None, float("nan")]), np.zeros(4, bool), 0)
    assert made is not None
    assert np.isnan(made).tolist() == [False, True, True, True]
    assert scores(pa.array([b"x"]), np.zeros(1, bool), 0) is None
