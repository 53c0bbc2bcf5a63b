"""Hashes against the xxhash package, exact sums against Python's integers, windows' edges against brute force."""

import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from features.values import exact, kernels
from features.values.hashing import hash64

INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 2**31, 2**32 - 1, 2**32, -(2**32), 2**62, 2**63 - 1, -(2**63)]),
)


def intended(data: bytes) -> int:
    return int(xxhash.xxh64_intdigest(data))


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_hash_of_text(values: list[str]) -> None:
    assert hash64(pa.array(values)).tolist() == [intended(value.encode()) for value in values]
    assert hash64(pa.array(["before", *values, "after"]).slice(1, len(values))).tolist() == [
        intended(value.encode()) for value in values
    ]


@given(
    st.lists(INT64, min_size=1), st.lists(st.floats(allow_nan=False), min_size=1), st.lists(st.booleans(), min_size=1)
)
def test_hash_of_numbers(integers: list[int], floats: list[float], flags: list[bool]) -> None:
    assert hash64(pa.array(integers, pa.int64())).tolist() == [intended(struct.pack("<q", value)) for value in integers]
    assert hash64(pa.array(integers, pa.int64()).cast(pa.timestamp("us", "UTC"))).tolist() == [
        intended(struct.pack("<q", value)) for value in integers
    ]
    assert hash64(pa.array(floats)).tolist() == [intended(struct.pack("<d", value + 0.0)) for value in floats]
    assert hash64(pa.array(flags)).tolist() == [intended(bytes([value])) for value in flags]


@given(st.lists(INT64, min_size=1, max_size=12))
def test_sums_mean_and_std_are_those_of_python_s_integers(values: list[int]) -> None:
    array, n = np.array(values, np.int64), len(values)
    sums = exact.sum_limbs(array).sum(axis=1, keepdims=True)
    squares = exact.square_limbs(array).sum(axis=1, keepdims=True)
    total, fits = exact.total(sums)
    assert fits[0] == (-(2**63) <= sum(values) < 2**63)
    assert not fits[0] or total[0] == sum(values)
    assert exact.mean(sums, np.array([n]))[0] == float(sum(values)) / float(n)
    if n > 1:
        wide = n * sum(value * value for value in values) - sum(values) ** 2
        assert exact.std(sums, squares, np.array([n]))[0] == math.sqrt(float(wide) / float(n * (n - 1)))


def test_std_of_equal_amounts_near_the_limit_is_zero() -> None:
    array = np.full(3, 2**63 - 1)
    made = exact.std(
        exact.sum_limbs(array).sum(axis=1, keepdims=True),
        exact.square_limbs(array).sum(axis=1, keepdims=True),
        np.array([3]),
    )
    assert made.tolist() == [0.0]


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """Rows of one key with spans, and windows whose edges only move forward."""
    n = draw(st.integers(0, 8))
    since = [draw(st.integers(0, 6)) for _ in range(n)]
    until = [draw(st.one_of(st.integers(0, 8), st.just(99))) for _ in range(n)]
    lo = sorted(draw(st.lists(st.integers(0, n), min_size=1, max_size=6)))
    width = draw(st.lists(st.integers(0, n), min_size=len(lo), max_size=len(lo)))
    hi = np.maximum.accumulate(np.minimum(np.array(lo) + np.array(width), n))
    instant = [draw(st.integers(0, 8)) for _ in lo]
    return {
        "since": np.array(since, np.int64), "until": np.array(until, np.int64), "instant": np.array(instant, np.int64),
        "lo": np.array(lo, np.int64), "hi": hi.astype(np.int64), "settled": np.array(sorted(draw(st.integers(-1, 7)) for _ in range(n)), np.int64), "values": np.array([draw(st.integers(-3, 3)) for _ in range(n)], np.int64),
    }  # fmt: skip


@settings(max_examples=300)
@given(lines())
def test_every_loop_against_brute_force(line: dict[str, Any]) -> None:
    seen, lo, hi, values = (line["since"], line["until"], line["instant"]), line["lo"], line["hi"], line["values"]
    inside = [range(a, b) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)]
    visible = [
        [i for i in span if line["since"][i] <= t < line["until"][i]]
        for span, t in zip(inside, line["instant"], strict=True)
    ]
    clean, instant = kernels.clean(*seen, lo, hi), line["instant"]
    rows = kernels.visibility(line["since"], line["until"], line["settled"])
    assert clean.tolist() == [len(all_) == len(some) for all_, some in zip(inside, visible, strict=True)]
    assert kernels.counts(rows, instant, lo, hi, clean).tolist() == [len(some) for some in visible]
    assert kernels.oldest(*seen, lo, hi).tolist() == [min(some, default=-1) for some in visible]
    assert kernels.newest(*seen, lo, hi).tolist() == [max(some, default=-1) for some in visible]
    assert kernels.limb_sums(values[None], rows, instant, lo, hi, clean)[0].tolist() == [
        sum(values[i] for i in some) for some in visible
    ]
    assert kernels.float_sums(values.astype(float), *seen, lo, hi).tolist() == [
        float(sum(values[i] for i in some)) for some in visible
    ]
    assert kernels.distincts(values + 3, 7, rows, instant, lo, hi, clean).tolist() == [
        len({values[i] for i in some}) for some in visible
    ]
    for largest, pick in ((True, max), (False, min)):
        at = kernels.extremes(values, rows, instant, lo, hi, clean, largest)
        assert [None if i < 0 else values[i] for i in at] == [
            pick((values[i] for i in some), default=None) for some in visible
        ]


@pytest.mark.parametrize(("bound", "at"), [([-5, 0, 0, 1, 9], [0, 0, 0, 2, 3])])
def test_edges_of_equal_instants(bound: list[int], at: list[int]) -> None:
    time = np.array([0, 0, 1])
    assert kernels.edges(np.zeros(3, np.int64), time, np.zeros(5, np.int64), np.array(bound)).tolist() == at
