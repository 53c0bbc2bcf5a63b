"""Anomaly scores by hand: buckets, centres and scales, and what moves a score."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.aggregations.quantile import bucket
from features.definitions.features import AnomalyScore
from features.values.anomalies import BUCKETS, centre_and_scale, histogram, moved, part_values, places

SCORE = AnomalyScore(name="s", parts=("a", "b", "c"), active="n", least_parts=2, cap=4.0)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-100, 100).map(float)))
def test_buckets_are_those_of_the_quantile_sketch(values: list[float]) -> None:
    assert places(np.array(values, np.float64)).tolist() == [bucket(value, 1 / 64) for value in values]


def fit(*values: float, least: int = 1) -> tuple[float, float]:
    return centre_and_scale(histogram(np.array(values, np.float64)), least)


def test_the_centre_is_the_lower_median_and_the_scale_the_median_distance() -> None:
    assert fit(1, 2, 3, 5, 40) == (3.0, 1.4826 * 2)
    assert fit(-1, 0.25, 0.5, 3) == (0.25, 1.4826 * 0.25)


def test_where_most_keys_have_one_value_the_mean_distance_is_the_scale() -> None:
    assert fit(0, 0, 0, 0, 5) == (0.0, 1.2533 * 1.0)


def test_a_scale_is_at_least_what_the_centre_is_known_to() -> None:
    assert fit(64, 64, 64) == (64.0, 2.0)
    assert fit(1000, 1000.1, 1000.2) == (992.0, 31.0)


@pytest.mark.parametrize("values", [(), (1.0, 2.0), (0.0, 0.0, 0.0)], ids=["no key", "too few keys", "all keys have 0"])
def test_nothing_is_fitted(values: tuple[float, ...]) -> None:
    assert all(math.isnan(part) for part in fit(*values, least=3))


def test_histograms_of_workers_add_up() -> None:
    values = np.array([1.5, math.nan, -3, 0, 2.0**70, 1e-20])
    both = histogram(values[:3]) + histogram(values[3:])
    assert both.tolist() == histogram(values).tolist()
    assert (len(both), both.sum()) == (BUCKETS, 5)


def test_a_key_that_is_not_active_or_was_never_seen_has_no_values() -> None:
    made = {
        "a": pa.array([1, 2, None, 4, 5]),
        "b": pa.array([math.inf, 1.0, 1.0, 1.0, 1.0]),
        "c": pa.array([0.0] * 5),
        "n": pa.array([1, 0, 1, None, 1]),
    }
    found = part_values(SCORE, made, np.array([True, True, True, True, False]))
    nan = math.nan
    np.testing.assert_array_equal(found, [[1, nan, nan, nan, nan], [nan, nan, 1, nan, nan], [0, nan, 0, nan, nan]])


def test_a_score_and_its_reasons() -> None:
    # Asks: capped; ties; too few parts; nothing unusual.
    values = np.array([[30.0, 1, math.nan, 0], [20.0, 1, math.nan, 0], [1.0, -2, 3, math.nan]])
    once = np.ones(4)
    found = moved(SCORE, values, [(0 * once, once)] * 3)
    assert found.value().to_pylist() == [math.sqrt(33 / 3), math.sqrt(6 / 3), None, 0.0]
    assert [found.reason(rank).to_pylist() for rank in (1, 2, 3, 4)] == [
        ["a", "c", None, None], ["b", "a", None, None], ["c", "b", None, None], [None] * 4,
    ]  # fmt: skip


def test_a_part_that_is_not_fitted_has_no_distance() -> None:
    once = np.ones(1)
    found = moved(
        SCORE, np.array([[3.0], [2.0], [1.0]]), [(0 * once, once), (math.nan * once, math.nan * once), (once, once)]
    )
    assert found.value().to_pylist() == [math.sqrt(9 / 2)]
    assert [found.reason(rank).to_pylist() for rank in (1, 2)] == [["a"], [None]]
