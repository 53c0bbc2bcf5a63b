"""The order of rows: numpy's, whether the key and the instant fit into 64 bits or not, and ties as they came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.values.sorting import order_by

INSTANTS = st.sampled_from([-(2**63), -1, 0, 1, 2**11 - 1, 2**11, 1_760_054_400_000_000, 2**63 - 1])


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 2**20]), st.one_of(INSTANTS, st.integers(0, 100))), max_size=40))
def test_it_is_the_order_of_a_stable_sort_by_key_and_instant(rows: list[tuple[int, int]]) -> None:
    key, instant = (np.array([row[n] for row in rows], np.int64) for n in range(2))
    assert order_by(key, instant).tolist() == np.lexsort((instant, key)).tolist()


@pytest.mark.parametrize("keys", [1, 50_000])
def test_many_rows(keys: int) -> None:
    rng = np.random.default_rng(3)
    key, instant = rng.integers(0, keys, 100_000), rng.integers(0, 90 * 86_400, 100_000) * 1_000_000
    assert np.array_equal(order_by(key, instant), np.lexsort((instant, key)))
