"""Lists of numbers as bytes: what is written is read, and a list that is passed over ends where it is read to end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.values.state.varints import get_numbers, get_times, put_numbers, put_times, skip_numbers

SIZES = st.sampled_from([1, 2, 7, 8, 14, 20, 21, 27, 28, 29, 35, 56, 63])
NUMBERS = SIZES.flatmap(lambda bits: st.integers(-(1 << (bits - 1)), (1 << bits) - 1) | st.integers(0, (1 << bits) - 1))
SAME_SIZE = SIZES.flatmap(lambda bits: st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=60))
LISTS = st.one_of(SAME_SIZE, st.lists(NUMBERS, min_size=1, max_size=60))


def written(values: list[int]) -> np.ndarray:
    out = np.zeros(16 * len(values) + 16, np.uint8)
    return out[: put_numbers(out, 0, np.array(values, np.int64))]


def read(data: np.ndarray, at: int, end: int, count: int) -> tuple[int, list[int]]:
    made = np.zeros(count, np.int64)
    return get_numbers(data, at, end, made), made.tolist()


@settings(max_examples=300)
@given(LISTS, st.binary(max_size=9), st.binary(max_size=9))
def test_a_list_is_read_as_it_was_written_and_passed_over_to_its_end(
    values: list[int], before: bytes, after: bytes
) -> None:
    middle = written(values)
    data = np.frombuffer(before + middle.tobytes() + after, np.uint8)
    ends = len(before) + len(middle)
    assert read(data, len(before), len(data), len(values)) == (ends, values)
    assert skip_numbers(data, len(before), len(data), len(values)) in (ends, -1)
    if min(values) >= 0 and max(values) < 1 << 21 and len(set(values)) > 1:
        assert skip_numbers(data, len(before), ends, len(values)) == ends, (
            "numbers of up to three bytes are passed over"
        )


@settings(max_examples=500)
@given(st.binary(max_size=80), st.integers(1, 60), st.integers(0, 80))
def test_of_any_bytes_a_list_that_is_passed_over_is_one(data: bytes, count: int, end: int) -> None:
    whole, end = np.frombuffer(b"\x01" + data, np.uint8), min(end, len(data) + 1)
    behind = skip_numbers(whole, 0, end, count)
    assert behind == -1 or read(whole, 0, end, count)[0] == behind


@settings(max_examples=200)
@given(LISTS, st.integers(0, 200))
def test_a_list_that_is_cut_off_is_none(values: list[int], short: int) -> None:
    end = max(0, len(written(values)) - 1 - short)
    data = np.concatenate([written(values), np.full(8, 1, np.uint8)])  # what comes after it is another's
    assert read(data, 0, end, len(values))[0] == -1
    assert skip_numbers(data, 0, end, len(values)) == -1


@settings(max_examples=200)
@given(
    st.lists(st.integers(0, 1 << 40), min_size=1, max_size=60).map(sorted), st.sampled_from([1, 1_000, 3_600_000_000]),
    st.integers(0, 1 << 40),
)  # fmt: skip
def test_instants_are_read_as_they_were_written(steps: list[int], unit: int, cut: int) -> None:
    times = np.array([step % (1 << 20) * unit for step in steps], np.int64)
    times.sort()
    out = np.zeros(12 * len(times) + 32, np.uint8)
    end = put_times(out, 0, times, cut)
    made = np.zeros(len(times), np.int64)
    assert get_times(out, 0, end, cut, made) == end
    assert made.tolist() == times.tolist()
    assert get_times(out, 0, end - 1, cut, made) == -1


@pytest.mark.parametrize("way", [4, 9, 255])
def test_a_list_of_no_known_way_is_none(way: int) -> None:
    data = np.array([way, 1, 1, 1], np.uint8)
    assert read(data, 0, 4, 3)[0] == skip_numbers(data, 0, 4, 3) == -1
