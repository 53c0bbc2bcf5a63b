"""What ingest stores of versions: literal rows in, additions, retractions and voids out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features import Schedule, Source, fields
from features.definitions.freshness import EventFreshness
from features.values.timeline import FOREVER, Rows, timeline, visible_at_cut
from features.values.versions import Resolved, resolve, stand

SOURCE = Source(
    name="payments", table="raw.payments", event_id="id", version="version", void="void",
    columns=(*fields("string", "id card"), *fields("int64", "amount version"), *fields("bool", "void"), *fields("timestamp", "event_time")),
)  # fmt: skip
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema([("id", pa.string()), ("card", pa.string()), ("amount", pa.int64()), ("version", pa.int64()), ("void", pa.bool_()), ("event_time", TIME),
                    ("asof_known_at", TIME)])  # fmt: skip
Incoming = tuple[int, str, int, int, bool]


def resolved(*rows: Incoming, standing: pa.Table | None = None) -> Resolved:
    """Rows of one event: (known_at, card, amount, version, void)."""
    return resolve(SOURCE, pa.Table.from_pylist([
        {"id": "p", "card": card, "amount": amount, "version": version, "void": void, "event_time": 1, "asof_known_at": known}
        for known, card, amount, version, void in rows
    ], SCHEMA), standing)  # fmt: skip


def stored(found: Resolved) -> list[tuple[Any, ...]]:
    """(op, known_at, card, amount, undoes, first), in the order of time; what changes nothing is left out."""
    table = found.rows.set_column(
        found.rows.schema.get_field_index("asof_known_at"),
        "asof_known_at",
        found.rows["asof_known_at"].cast(pa.int64()),
    )
    table = table.set_column(
        table.schema.get_field_index("asof_undoes"), "asof_undoes", table["asof_undoes"].cast(pa.int64())
    )
    names = ("asof_op", "asof_known_at", "card", "amount", "asof_undoes", "asof_first")
    return sorted(
        (tuple(row[name] for name in names) for row in table.to_pylist() if row["asof_op"] != "again"),
        key=lambda row: (row[1], row[0] != "retract"),
    )


@pytest.mark.parametrize(("rows", "meant"), [
    pytest.param([(5, "a", 10, 0, False)], [("add", 5, "a", 10, None, True)], id="first"),
    pytest.param([(5, "a", 10, 0, False), (9, "a", 12, 0, False)], [("add", 5, "a", 10, None, True), ("retract", 9, "a", 10, 5, False), ("add", 9, "a", 12, None, False)], id="correction"),
    pytest.param([(5, "a", 10, 0, False), (9, "b", 10, 1, False)], [("add", 5, "a", 10, None, True), ("retract", 9, "a", 10, 5, False), ("add", 9, "b", 10, None, False)], id="changed key"),
    pytest.param([(5, "a", 10, 0, False), (9, "a", 10, 0, True)], [("add", 5, "a", 10, None, True), ("retract", 9, "a", 10, 5, False), ("void", 9, "a", 10, None, False)], id="void"),
    pytest.param([(5, "a", 10, 0, True), (9, "a", 10, 0, False)], [("void", 5, "a", 10, None, True)], id="void before its original"),
    pytest.param([(5, "a", 10, 0, True), (9, "a", 10, 1, False)], [("void", 5, "a", 10, None, True), ("add", 9, "a", 10, None, False)], id="revived by a larger version"),
    pytest.param([(5, "a", 10, 0, False), (9, "a", 10, 0, False)], [("add", 5, "a", 10, None, True)], id="redelivery"),
    pytest.param([(5, "a", 10, 0, False), (7, "a", 10, 0, False), (9, "a", 11, 0, False)],
                 [("add", 5, "a", 10, None, True), ("retract", 9, "a", 10, 5, False), ("add", 9, "a", 11, None, False)], id="correction after a redelivery"),
    pytest.param([(5, "a", 10, 2, False), (9, "a", 12, 1, False)], [("add", 5, "a", 10, None, True)], id="lower version later"),
    pytest.param([(5, "a", 10, 0, False), (5, "a", 12, 0, False)], [("add", 5, "a", 12, None, True)], id="equal known_at: content"),
    pytest.param([(5, "a", 10, 1, False), (5, "a", 12, 0, False)], [("add", 5, "a", 10, None, True)], id="equal known_at: version"),
])  # fmt: skip
def test_what_is_stored_of_one_event(rows: list[Incoming], meant: list[tuple[Any, ...]]) -> None:
    assert stored(resolved(*rows)) == meant
    assert stored(resolved(*reversed(rows))) == meant


def test_versions_that_change_nothing_are_kept_apart() -> None:
    found = resolved((5, "a", 10, 1, False), (6, "a", 10, 1, False), (7, "a", 99, 0, False), (7, "a", 98, 0, False))
    assert again(found) == [(6, "a", 10), (7, "a", 99)]


def again(found: Resolved) -> list[tuple[Any, ...]]:
    """(known_at, card, amount) of what changed nothing."""
    rows = [row for row in found.rows.to_pylist() if row["asof_op"] == "again"]
    return sorted((int(row["asof_known_at"].timestamp() * 1e6), row["card"], row["amount"]) for row in rows)


def test_a_later_batch_knows_what_stands() -> None:
    before = resolved((5, "a", 10, 0, False)).rows
    assert stored(resolved((9, "a", 10, 0, False), standing=before)) == []
    assert again(resolved((9, "a", 10, 0, False), standing=before)) == [(9, "a", 10)]
    assert stored(resolved((9, "a", 12, 0, False), standing=before)) == [
        ("retract", 9, "a", 10, 5, False),
        ("add", 9, "a", 12, None, False),
    ]


DAY = 86_400_000_000


def test_what_comes_later_than_a_source_corrects_is_refused_in_one_batch_and_in_two() -> None:
    first, second, late = (0, "a", 10, 0, False), (180 * DAY, "a", 10, 0, False), (360 * DAY + 1, "a", 12, 0, False)
    prompt, again_late = (360 * DAY, "a", 11, 0, False), (541 * DAY, "a", 13, 0, False)
    for rows in ((first, second, late), (first, second, prompt, again_late)):
        one = resolved(*rows)
        standing = resolved(*rows[:-1]).rows
        heard = pa.array([rows[-2][0]], TIME)
        newest = standing.filter(pa.array([op == "add" for op in standing["asof_op"].to_pylist()]))
        newest = newest.slice(len(newest) - 1).append_column("asof_heard", heard)
        two = resolved(rows[-1], standing=newest)
        for found in (one, two):
            assert found.late["amount"].to_pylist() == [rows[-1][2]]
            assert found.late["asof_heard"].cast(pa.int64()).to_pylist() == [rows[-2][0]]
        assert stored(one) == stored(resolved(*rows[:-1]))
        assert len(two.rows) == 0


RECEIVING = replace(SOURCE, known_at="known", columns=(*SOURCE.columns, *fields("timestamp", "known")))


def landed(*rows: tuple[int, int, int], standing: pa.Table | None = None) -> pa.Table:
    """Of one event: (received at, known at since it landed then, amount)."""
    return resolve(RECEIVING, pa.Table.from_pylist([
        {"id": "p", "card": "a", "amount": amount, "version": 0, "void": False, "event_time": 1, "known": at, "asof_known_at": known}
        for at, known, amount in rows
    ], pa.schema([*list(SCHEMA)[:-1], ("known", TIME), SCHEMA.field("asof_known_at")])), standing).rows  # fmt: skip


def test_a_redelivery_stands_for_its_version_in_one_batch_and_in_two() -> None:
    first, again_, earlier = (1, 1, 10), (12, 12, 10), (11, 20, 20)
    assert [row["asof_op"] for row in landed(first, again_, earlier).to_pylist()] == ["add", "again", "again"]
    standing = landed(first, again_).slice(0, 1)
    assert landed(earlier, standing=standing)["asof_op"].to_pylist() == ["add", "retract"]
    standing = standing.append_column("asof_received", pa.array([12], TIME))
    assert landed(earlier, standing=standing)["asof_op"].to_pylist() == ["again"]


def test_content_decides_between_what_was_received_in_one_instant_whenever_it_landed() -> None:
    low, high = (1, 1, 10), (1, 20, 12)
    assert [row["asof_op"] for row in landed(low, high).to_pylist()] == ["add", "add", "retract"]
    assert landed(high, standing=landed(low))["asof_op"].to_pylist() == ["add", "retract"]
    low, high = (1, 20, 10), (1, 1, 12)
    assert [row["asof_op"] for row in landed(low, high).to_pylist()] == ["add", "again"]
    assert landed(low, standing=landed(high))["asof_op"].to_pylist() == ["again"]


Delivered = tuple[int, int | None, int, int, bool]


def stood(*rows: Delivered) -> list[tuple[Any, ...]]:
    """Of one event: (received at, known from or None where it is held, amount, version, void)."""
    known = [row for row in rows if row[1] is not None]
    table = pa.Table.from_pylist([
        {"id": "p", "card": "a", "amount": amount, "version": version, "void": void, "event_time": 1, "asof_known_at": at}
        for at, _, amount, version, void in known
    ], SCHEMA)  # fmt: skip
    made = stand(SOURCE, table.append_column("asof_from", pa.array([row[1] for row in known], pa.int64())))
    return [(row[0], row[1], *row[3:]) for row in stored(Resolved(rows=made, late=made))]


@pytest.mark.parametrize(("rows", "meant"), [
    pytest.param([(1, 1, 10, 0, False), (2, None, 20, 0, False), (3, 3, 30, 0, False)],
                 [("add", 1, 10, None, True), ("retract", 3, 10, 1, False), ("add", 3, 30, None, False)], id="held between"),
    pytest.param([(1, 1, 10, 0, False), (2, None, 20, 0, False), (3, 3, 20, 0, True)], [("add", 1, 10, None, True), ("retract", 3, 10, 1, False)], id="void after what is held"),
    pytest.param([(2, None, 20, 0, False), (3, 3, 20, 0, False)], [("add", 3, 20, None, True)], id="delivered again"),
    pytest.param([(1, 1, 10, 0, False), (2, 9, 20, 0, False), (3, 3, 30, 0, False)],
                 [("add", 1, 10, None, True), ("retract", 3, 10, 1, False), ("add", 3, 30, None, False)], id="released after a later version"),
    pytest.param([(1, 1, 10, 0, False), (2, 9, 20, 1, False), (3, 3, 30, 0, False)],
                 [("add", 1, 10, None, True), ("retract", 3, 10, 1, False), ("add", 3, 30, None, False), ("retract", 9, 30, 3, False), ("add", 9, 20, None, False)],
                 id="released, and of a larger version"),
    pytest.param([(1, 9, 10, 0, False), (2, 9, 20, 0, False)], [("add", 9, 20, None, True)], id="released together"),
])  # fmt: skip
def test_what_stands_where_some_is_held(rows: list[Delivered], meant: list[tuple[Any, ...]]) -> None:
    assert stood(*rows) == meant
    assert stood(*reversed(rows)) == meant


SCHEDULE = Schedule(period="10us", phase="3us", publish_lag="2us")


@pytest.mark.parametrize(("known", "since"), [(2, 5), (3, 15), (12, 15), (13, 25), (-7, 5), (-8, -5)])
def test_a_row_is_served_from_the_first_cut_after_it_plus_the_lag(known: int, since: int) -> None:
    assert visible_at_cut(np.array([known]), SCHEDULE).tolist() == [since]


def spans(freshness: Any, lag: str = "0") -> list[tuple[int, int, int]]:
    """(amount, since, until) of an addition at 4, corrected at 14 and redelivered to another key at 21."""
    source = Source(
        name="s",
        table="raw.s",
        event_id="id",
        known_at="k",
        lag=lag,
        columns=(*fields("string", "id"), *fields("int64", "n"), *fields("timestamp", "event_time k")),
    )
    rows = Rows(
        key=np.array([0, 0, 0, 0, 1]), time=np.zeros(5, np.int64), known=np.array([4, 14, 14, 21, 21]), retract=np.array([False, True, False, True, False]),
        undoes=np.array([0, 4, 0, 14, 0]), first=np.array([True, False, False, False, False]), columns={"id": pa.array(["p"] * 5), "n": pa.array([1, 1, 2, 2, 3])},
    )  # fmt: skip
    line = timeline(rows, source, freshness)
    return sorted(zip(line.columns["n"].to_pylist(), line.since.tolist(), line.until.tolist(), strict=True))


def test_retractions_end_what_they_take_back() -> None:
    assert spans(SCHEDULE) == [(1, 15, 25), (2, 25, 25), (3, 25, FOREVER)]
    assert spans(EventFreshness(lag="1us", lateness="1h", cuts=SCHEDULE)) == [(1, 5, 25), (2, 25, 25), (3, 25, FOREVER)]
    assert spans(EventFreshness(lag="1us", lateness="3us", cuts=SCHEDULE)) == [
        (1, 15, 25),
        (2, 25, 25),
        (3, 25, FOREVER),
    ]


def test_a_lag_delays_what_counts_and_not_what_is_taken_back() -> None:
    assert spans(SCHEDULE, lag="30us") == [(1, 35, 25), (2, 35, 25), (3, 35, FOREVER)]
