"""What ingest stores of whole snapshots: literal days in, changes out; and on drawn days what a plain walk through them says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Source, fields
from features.definitions.sources import Field
from features.values.snapshots import Snapshot, changes, standing_snapshots

DAY = 86_400_000_000
NOON = DAY // 2
TIME = pa.timestamp("us", "UTC")
SOURCE = Source(
    name="merchants", table="raw.merchants", kind="full", event_id="merchant", deleted="closed", known_at="seen",
    columns=(*fields("string", "merchant city"), *fields("float64", "risk"), Field(name="closed", type="bool"), *fields("timestamp", "event_time seen")),
)  # fmt: skip
SCHEMA = pa.schema([("merchant", pa.string()), ("city", pa.string()), ("risk", pa.float64()), ("closed", pa.bool_()), ("event_time", TIME), ("seen", TIME),
                    ("asof_known_at", TIME)])  # fmt: skip
Said = tuple[str, str | None, int]
"""Merchant, city, holds from."""
Stored = tuple[str, str | None, int, int, bool]
"""Merchant, city, holds from, known at, gone."""


def snapshot(day: int, *, complete: bool = True) -> Snapshot:
    return Snapshot(day * DAY + NOON, complete, day * DAY + NOON)


def table(days: Mapping[int, Sequence[Said]]) -> pa.Table:
    """Rows of snapshots taken at noon of these days."""
    return pa.Table.from_pylist([
        {"merchant": name, "city": city, "risk": float("nan"), "closed": None, "event_time": since, "seen": day * DAY + NOON, "asof_known_at": day * DAY + NOON}
        for day, said in days.items() for name, city, since in said
    ], SCHEMA)  # fmt: skip


def stored(made: pa.Table) -> list[Stored]:
    micros = {name: made[name].cast(pa.int64()).to_pylist() for name in ("event_time", "asof_known_at", "seen")}
    assert micros["seen"] == micros["asof_known_at"]
    assert set(made["asof_op"].to_pylist()) <= {"add"}
    return sorted(
        zip(made["merchant"].to_pylist(), made["city"].to_pylist(), micros["event_time"], micros["asof_known_at"], made["closed"].to_pylist(), strict=True),
        key=lambda row: (row[3], row[0]),
    )  # fmt: skip


ONE, TWO, THREE = (day * DAY + NOON for day in (1, 2, 3))


@pytest.mark.parametrize(("days", "meant"), [
    pytest.param({1: [("m", "Rome", 5)]}, [("m", "Rome", 5, ONE, False)], id="new"),
    pytest.param({1: [("m", "Rome", 5)], 2: [("m", "Rome", 5)]}, [("m", "Rome", 5, ONE, False)], id="the same again"),
    pytest.param({1: [("m", "Rome", 5)], 2: [("m", "Rome", 9)]}, [("m", "Rome", 5, ONE, False)], id="the same, said to hold from later"),
    pytest.param({1: [("m", "Rome", 5)], 2: [("m", "Oslo", 9)]}, [("m", "Rome", 5, ONE, False), ("m", "Oslo", 9, TWO, False)], id="another value"),
    pytest.param({1: [("m", "Rome", 5)], 2: [("m", None, 9)]}, [("m", "Rome", 5, ONE, False), ("m", None, 9, TWO, False)], id="a value that becomes null"),
    pytest.param({1: [("m", "Rome", 5)], 2: [("m", "Oslo", 3)]}, [("m", "Rome", 5, ONE, False), ("m", "Oslo", 5, TWO, False)], id="never before what it replaces"),
    pytest.param({1: [("m", "Rome", 5), ("n", "Bonn", 5)], 2: [("n", "Bonn", 5)]},
                 [("m", "Rome", 5, ONE, False), ("n", "Bonn", 5, ONE, False), ("m", "Rome", TWO, TWO, True)], id="gone"),
    pytest.param({1: [("m", "Rome", 5), ("n", "Bonn", 5)], 2: [("n", "Bonn", 5)], 3: [("m", "Rome", 5), ("n", "Bonn", 5)]},
                 [("m", "Rome", 5, ONE, False), ("n", "Bonn", 5, ONE, False), ("m", "Rome", TWO, TWO, True), ("m", "Rome", TWO, THREE, False)], id="gone and back"),
    pytest.param({1: [("m", "Rome", 5)], 3: [("m", "Rome", 5)]}, [("m", "Rome", 5, ONE, False)], id="a day without a snapshot says nothing"),
])  # fmt: skip
def test_a_row_where_a_snapshot_says_something_new(days: dict[int, list[Said]], meant: list[Stored]) -> None:
    assert stored(changes(SOURCE, table(days), None, [snapshot(day) for day in days])) == meant


def test_an_incomplete_snapshot_deletes_nothing_and_the_next_complete_one_does() -> None:
    days = {1: [("m", "Rome", 5), ("n", "Bonn", 5)], 2: [("n", "Bonn", 5)], 3: [("n", "Bonn", 5)]}
    made = changes(SOURCE, table(days), None, [snapshot(1), snapshot(2, complete=False), snapshot(3)])
    assert stored(made)[2:] == [("m", "Rome", THREE, THREE, True)]


def test_a_key_twice_in_one_snapshot_counts_as_it_was_known_last() -> None:
    rows = table({1: [("m", "Rome", 5), ("m", "Oslo", 5)]})
    later = rows.slice(0, 1)
    for name in ("seen", "asof_known_at"):
        later = later.set_column(later.schema.get_field_index(name), name, pa.array([ONE + 7], TIME))
    made = changes(
        SOURCE, pa.concat_tables([later, rows.slice(1)]), None, [Snapshot(ONE + 7, complete=True, taken_at=ONE + 7)]
    )
    assert stored(made) == [("m", "Rome", 5, ONE + 7, False)]


def test_a_row_that_says_it_is_deleted_is_a_deletion() -> None:
    rows = table({1: [("m", "Rome", 5)], 2: [("m", "Rome", 5)]})
    rows = rows.set_column(rows.schema.get_field_index("closed"), "closed", pa.array([None, True]))
    made = changes(SOURCE, rows, None, [snapshot(1), snapshot(2)])
    assert stored(made) == [("m", "Rome", 5, ONE, False), ("m", "Rome", 5, TWO, True)]


DRAWN = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("mno"), st.tuples(st.sampled_from(["Rome", "Oslo", None]), st.integers(0, 5))),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400)
@given(drawn=DRAWN, batch=st.integers(1, 6), shuffled=st.randoms(use_true_random=False))
def test_drawn_snapshots_say_what_a_plain_walk_says(drawn: Any, batch: int, shuffled: Any) -> None:
    # Days before and after the times that rows hold from, so that some hold from the future.
    days = {n: [(name, *said) for name, said in rows.items()] for n, (rows, _) in enumerate(drawn)}
    days = {n: [(name, city, since * DAY + NOON) for name, city, since in said] for n, said in days.items() if said}
    whole = {n: drawn[n][1] for n in days}
    table_: pa.Table | None = None
    numbers = list(days)
    for at in range(0, len(numbers), batch):
        part = {n: days[n] for n in numbers[at : at + batch]}
        rows = table(part)
        index = list(range(len(rows)))
        shuffled.shuffle(index)
        snapshots = [snapshot(n, complete=whole[n]) for n in part]
        made = changes(
            SOURCE, rows.take(pa.array(index, pa.int64())), None if table_ is None else newest(table_), snapshots
        )
        table_ = made if table_ is None else pa.concat_tables([table_, made])
    found = [] if table_ is None else stored(table_)
    for name in "mno":
        mine = [row for row in found if row[0] == name]
        for k in range(7):
            for a in range(0, 7 * DAY, NOON):
                assert attribute(mine, a, k * DAY) == walked(days, whole, name, a, k * DAY), (name, a, k, mine)


HOLDS = st.dictionaries(st.integers(0, 5), st.sampled_from([None, 0, 1, 2, 3]), max_size=3)
"""Day to the days after which it was released; None: held."""


@settings(max_examples=400)
@given(drawn=DRAWN, holds=HOLDS)
def test_held_snapshots_say_what_a_plain_walk_without_them_says(drawn: Any, holds: dict[int, int | None]) -> None:
    days = {n: [(name, *said) for name, said in rows.items()] for n, (rows, _) in enumerate(drawn)}
    days = {n: [(name, city, since * DAY + NOON) for name, city, since in said] for n, said in days.items() if said}
    whole = {n: drawn[n][1] for n in days}
    delays = {n: holds.get(n, 0) for n in days}
    known = {n: (n + delay) * DAY + NOON + bool(delay) for n, delay in delays.items() if delay is not None}
    taken = standing_snapshots(Snapshot(known[n], whole[n], n * DAY + NOON) for n in known)
    left = {n: days[n] for n in (snapshot.taken_at // DAY for snapshot in taken)}
    found = stored(changes(SOURCE, table(left), None, taken)) if left else []
    for name in "mno":
        mine = [row for row in found if row[0] == name]
        for k in range(10):
            for a in range(0, 10 * DAY, NOON):
                assert attribute(mine, a, k * DAY) == told(days, whole, known, name, a, k * DAY), (name, a, k, mine)


def told(
    days: dict[int, list[Said]], whole: dict[int, bool], known: dict[int, int], name: str, a: int, k: int
) -> str | None:
    """Instant by instant, each snapshot as it becomes known, unless a later one was known before it or with it."""
    history: list[tuple[int, str | None]] = []
    heard = -1
    for day in sorted((n for n in known if known[n] < k), key=lambda n: (known[n], -n)):
        if day < heard:
            continue
        heard = day
        row = next((row for row in days[day] if row[0] == name), None)
        if row is None and not whole[day]:
            continue
        says, stands = None if row is None else f"is {row[1]}", history[-1][1] if history else None
        if says != stands:
            since = known[day] if row is None else row[2]
            history.append((max(since, history[-1][0]) if history else since, says))
    return next((says for since, says in reversed(history) if since <= a), None)


def newest(rows: pa.Table) -> pa.Table:
    """The newest stored row of each merchant, as ingest finds what stands."""
    known = np.asarray(rows["asof_known_at"].cast(pa.int64()))
    last = {name: n for n, name in sorted(enumerate(rows["merchant"].to_pylist()), key=lambda item: known[item[0]])}
    return rows.take(pa.array(sorted(last.values()), pa.int64()))


def attribute(rows: list[Stored], a: int, k: int) -> str | None:
    """Semantics 4: the newest row with `valid_from <= a` known before k; of one valid_from the one known later."""
    held = [row for row in rows if row[2] <= a and row[3] < k]
    top = max(held, key=lambda row: (row[2], row[3]), default=None)
    return None if top is None or top[4] else f"is {top[1]}"


def walked(days: dict[int, list[Said]], whole: dict[int, bool], name: str, a: int, k: int) -> str | None:
    """Through the snapshots known before k, day by day; each says what holds from then on."""
    history: list[tuple[int, str | None]] = []
    for day, rows in days.items():
        known = day * DAY + NOON
        if known >= k:
            break
        row = next((row for row in rows if row[0] == name), None)
        stands = history[-1][1] if history else None
        says = None if row is None else f"is {row[1]}"
        if row is None and not whole[day]:
            continue
        if says != stands:
            since = known if row is None else row[2]
            history.append((max(since, history[-1][0]) if history else since, says))
    return next((says for since, says in reversed(history) if since <= a), None)
