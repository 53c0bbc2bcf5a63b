"""Heavy buckets are taken apart by time; a slice has the rows that the windows of its asks reach, and no other."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features import EventFreshness, count, flat
from features.values.partition import ASK, EntityViews, entity_views
from jobs import shares
from jobs.shares import Share, slicing
from tests.jobs.shop import DAILY_VIEW, LIVE_VIEW, RECORD_VIEW

DAY = 86_400_000_000
GROUP = EntityViews(
    views=(replace(LIVE_VIEW, features=flat((count("1d"),)), remember="2d", freshness=EventFreshness()),), sources=(LIVE_VIEW.source,)
)  # fmt: skip


def batch(*instants: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"asof_time": pa.array(instants, pa.int64())})


def test_only_heavy_buckets_are_taken_apart_and_they_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert shares.shares([10, 10, 10]) == tuple(Share(bucket=n) for n in range(3))
    found = shares.shares([300_000, 9_000_000, 400_000, 350_000])
    assert found == (
        Share(bucket=1, number=1, of=2), Share(bucket=1, number=0, of=2), Share(bucket=0), Share(bucket=2), Share(bucket=3),
    )  # fmt: skip
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert {share.of for share in shares.shares([0, 9_000_000, 0])} == {1, 4}


def test_each_ask_is_in_one_slice_also_where_many_are_of_one_instant() -> None:
    for instants in ([5] * 9, list(range(40)), [1, 1, 1, 2, 9, 9, 9, 9, 9], [7]):
        asked = np.array(instants, np.int64)
        kept = [
            np.asarray(slicing(GROUP, Share(bucket=0, number=n, of=3), asked)(ASK, batch(*instants))["asof_time"])
            for n in range(3)
        ]
        assert sorted(np.concatenate(kept).tolist()) == sorted(instants)


def test_events_are_kept_as_far_as_windows_reach_to_the_microsecond() -> None:
    asks = np.array([10 * DAY + 7] * 3 + [20 * DAY] * 3, np.int64)
    keep = slicing(GROUP, Share(bucket=0, number=1, of=2), asks)
    # Windows remember two days, from midnight on.
    assert keep(0, batch(18 * DAY - 1, 18 * DAY, 20 * DAY, 20 * DAY + 1)) == batch(18 * DAY, 20 * DAY)
    assert keep(ASK, batch(10 * DAY + 7, 20 * DAY)) == batch(20 * DAY)
    early = slicing(GROUP, Share(bucket=0, number=0, of=2), asks)
    assert early(0, batch(8 * DAY - 1, 8 * DAY, 10 * DAY + 7, 10 * DAY + 8)) == batch(8 * DAY, 10 * DAY + 7)


def test_attributes_are_kept_whatever_their_age() -> None:
    (group,) = entity_views([RECORD_VIEW])
    keep = slicing(group, Share(bucket=0, number=1, of=2), np.array([1 * DAY, 9 * DAY], np.int64))
    assert keep(0, batch(-DAY, 20 * DAY)) == batch(-DAY, 20 * DAY)


def test_a_slice_without_asks_has_no_rows() -> None:
    (group,) = entity_views([DAILY_VIEW])
    keep = slicing(group, Share(bucket=0, number=0, of=2), np.array([5, 5, 5], np.int64))
    assert len(keep(ASK, batch(5))) == len(keep(0, batch(4))) == 0
