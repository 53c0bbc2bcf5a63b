"""The merge by itself, against a search written the slow way; and the blobs that carry rows between tasks."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.pit import ASKS, CREATED, ROW, TIME, Reading, blobs, join, newest

NEVER = -(2**63)
rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 6), st.one_of(st.just(NEVER), st.integers(0, 9))), max_size=12
)
asks = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 8)), max_size=8)


def slowly(found: list[tuple[int, int, int]], key: int, instant: int, *, ttl: int, known: bool, ordered: bool) -> int:
    best = -1
    for place, (k, time, created) in enumerate(found):
        if k != key or time > instant or (ttl and instant - time > ttl):
            continue
        if known and (created == NEVER or created > instant):
            continue
        rank = (time, created if ordered else 0)
        if best < 0 or rank >= (found[best][1], found[best][2] if ordered else 0):
            best = place
    return best


@settings(max_examples=300)
@given(found=rows, asked=asks, ttl=st.sampled_from([0, 1, 3]), mode=st.sampled_from(["plain", "created", "known"]))
def test_the_newest_row_is_that_of_a_slow_search(
    found: list[tuple[int, int, int]], asked: list[tuple[int, int]], ttl: int, mode: str
) -> None:
    key, time, created = (np.array([row[n] for row in found], np.int64) for n in range(3))
    known, ordered = mode == "known", mode != "plain"
    made = newest(
        (key, time, created if ordered else None),
        (np.array([k for k, _ in asked], np.int64), np.array([t for _, t in asked], np.int64)),
        ttl_us=ttl,
        known=known,
    )
    assert made.tolist() == [slowly(found, k, t, ttl=ttl, known=known, ordered=ordered) for k, t in asked]


def test_instants_at_both_ends_of_int64_are_told_apart() -> None:
    ends = np.array([-(2**63) + 1, 2**63 - 1])
    made = newest((np.array([0, 0]), ends, None), (np.array([0, 0]), ends))
    assert made.tolist() == [0, 1]


@pytest.mark.parametrize("packed", [True, False])
def test_blobs_bring_composite_keys_together_and_never_mix_them(*, packed: bool) -> None:
    asked = pa.RecordBatch.from_pydict({"k0": ["1", "11"], "k1": ["12", "2"], TIME: [5, 5], ROW: [0, 1]})
    held = pa.RecordBatch.from_pydict(
        {"k0": ["1", "11"], "k1": ["12", "2"], TIME: [5, 5], CREATED: [None, 1], "v0_0": [10.0, 20.0]}
    )
    reading = Reading(part=1, columns=pa.schema([("v0_0", pa.float64())]), ttl_us=0, created=True, known=False)
    cut = [batch for part, each in enumerate([asked, held]) for batch in blobs(part, 2, 1, lambda: 0)([each])]
    assert cut[0]["part"].to_pylist() == [ASKS]
    made = list(join(2, [reading], packed=packed)(cut))
    if packed:
        made = [batch for each in made for blob in each["data"] for batch in pa.ipc.open_stream(blob.as_buffer())]
    assert pa.Table.from_batches(made).sort_by(ROW).to_pydict() == {ROW: [0, 1], "v0_0": [10.0, 20.0]}


def test_a_source_without_rows_answers_null_in_its_type() -> None:
    asked = pa.RecordBatch.from_pydict({"k0": [7], TIME: [5], ROW: [0]})
    reading = Reading(part=1, columns=pa.schema([("v0_0", pa.int32())]), ttl_us=0, created=False, known=False)
    (made,) = join(1, [reading], packed=False)(list(blobs(0, 1, 4, lambda: 0)([asked])))
    assert (made.schema.field("v0_0").type, made.to_pydict()) == (pa.int32(), {ROW: [0], "v0_0": [None]})


def test_rows_that_nothing_orders_stay_in_the_order_of_tasks() -> None:
    asked = pa.RecordBatch.from_pydict({"k0": [1], TIME: [5], ROW: [0]})
    reading = Reading(part=1, columns=pa.schema([("v0_0", pa.int64())]), ttl_us=0, created=False, known=False)
    rows = [pa.RecordBatch.from_pydict({"k0": [1], TIME: [5], "v0_0": [task]}) for task in (2, 1)]
    later, earlier = (next(blobs(1, 1, 1, partial(int, task))([each])) for task, each in zip((2, 1), rows, strict=True))
    (made,) = join(1, [reading], packed=False)([later, *blobs(0, 1, 1, lambda: 0)([asked]), earlier])
    assert made["v0_0"].to_pylist() == [2]
