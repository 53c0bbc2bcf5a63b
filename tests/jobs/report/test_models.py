"""What the trees read."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from features.errors import InputError, MissingError
from jobs.report.models import fitted, inputs_of, scored

NOW = datetime(2026, 1, 5, tzinfo=UTC)
FRAME = pa.table({
    "event_timestamp": pa.array([NOW] * 4, pa.timestamp("us", "UTC")), "n": pa.array([1, None, 3, 4]), "text": ["b", "a", "b", "new"],
    "flag": pa.array([True, None, False, True]), "since": pa.array([NOW.replace(second=1), None, NOW, NOW], pa.timestamp("us", "UTC")),
})  # fmt: skip


def test_columns_become_numbers() -> None:
    found = inputs_of(FRAME, ["n", "text", "flag", "since"], np.array([True, True, True, False]))
    expected = np.array([[1, 0, 1, -1e6], [np.nan, 1, np.nan, np.nan], [3, 0, 0, 0], [4, np.nan, 1, 0]])
    assert np.array_equal(found.values, expected, equal_nan=True)
    assert found.places(["flag", "n"]).tolist() == [2, 0]


def test_a_column_without_values_in_training_teaches_nothing() -> None:
    train = np.array([False, True, False, False])
    found = inputs_of(FRAME, ["n", "text"], train)
    assert found.values[:, 0].tolist() == [0, 0, 0, 0]
    fitted(np.tile(found.values[:, :1], (10, 1)), np.arange(40) % 2 == 0, np.ones(40), 0)


def test_what_is_not_there_is_said() -> None:
    train = np.ones(4, bool)
    with pytest.raises(InputError, match=r"A set of features is empty"):
        inputs_of(FRAME, [], train)
    with pytest.raises(MissingError, match=r"v__x"):
        inputs_of(FRAME, ["v__x"], train)
    with pytest.raises(MissingError, match=r"v__x"):
        inputs_of(FRAME, ["n"], train).places(["v__x"])


def test_the_same_rows_make_the_same_model() -> None:
    rng = np.random.default_rng(0)
    values, positive = rng.normal(size=(400, 3)), rng.random(400) < 0.3
    first, again = (scored(fitted(values, positive, np.ones(400), 5), values) for _ in range(2))
    assert np.array_equal(first, again)
