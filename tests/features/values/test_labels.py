"""Labels of literal events, and of hostile ones against the oracle: versions, voids and instants on the horizon or a microsecond beside it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Label, Source, col, fields
from features.values.labels import ASKED, Labelled, label_events
from tests import engine, oracle
from tests.oracle import Row
from tests.strategies import NO_HEALTH_CHECK

H = 60_000_000
VERSIONED: dict[str, Any] = {"known_at": "known", "event_id": "id", "version": "version", "void": "gone"}
PAYMENTS = Source(
    name="payments", table="raw.payments",
    columns=(*fields("string", "id card status"), *fields("bool", "tried gone"), *fields("int64", "version"), *fields("timestamp", "event_time known")),
    **VERSIONED,
)  # fmt: skip
DISPUTES = Source(
    name="disputes", table="raw.disputes",
    columns=(*fields("string", "id payment reason"), *fields("bool", "gone"), *fields("int64", "version"), *fields("timestamp", "event_time known")),
    **VERSIONED,
)  # fmt: skip
FRAUD = Label(
    name="fraud", events=PAYMENTS, outcomes=DISPUTES, of="payment", horizon="60s", positive=col("reason") == "fraud",
    blocked=col("status") == "blocked", explored=col("tried"),
)  # fmt: skip


def payment(id: str = "p", at: int = 0, **changes: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "id": id,
        "card": "c",
        "status": "approved",
        "tried": None,
        "gone": False,
        "version": 0,
        "event_time": at,
        "known": at,
    } | changes


def dispute(known: int, payment: str = "p", **changes: Any) -> dict[str, Any]:
    return {
        "id": "d",
        "payment": payment,
        "reason": "fraud",
        "gone": False,
        "version": 0,
        "event_time": known,
        "known": known,
    } | changes


def as_read(source: Source, raw: Sequence[Row]) -> pa.Table:
    """As known_rows gives it, from raw versions."""
    table = engine.stored(source, raw)
    known, undoes = (table[name].cast(pa.int64()) for name in ("asof_known_at", "asof_undoes"))
    kept = table.drop_columns(["asof_known_at", "asof_undoes"])
    return kept.append_column("asof_known", known).append_column("asof_undoes", undoes)


def found(payments: Sequence[Row], disputes: Sequence[Row], as_of: int, label: Label = FRAUD) -> Labelled:
    return label_events(label, as_read(PAYMENTS, payments), as_read(label.outcomes, disputes), as_of)


def told(made: Labelled) -> dict[str, tuple[Any, ...]]:
    """Event to status, label and since when it is known."""
    rows = made.rows.set_column(
        made.rows.schema.get_field_index("label_known_at"),
        "label_known_at",
        made.rows["label_known_at"].cast(pa.int64()),
    )
    return {row["id"]: (row["label_status"], row["label"], row["label_known_at"]) for row in rows.to_pylist()}


LATE = 9 * H


@pytest.mark.parametrize(("disputes", "as_of", "meant"), [
    pytest.param([], H, ("negative", 0, H), id="no outcome, at the horizon"),
    pytest.param([], H - 1, ("pending", None, None), id="no outcome, a microsecond before it"),
    pytest.param([dispute(H - 1)], LATE, ("positive", 1, H - 1), id="a microsecond before the horizon"),
    pytest.param([dispute(H)], LATE, ("negative", 0, H), id="on the horizon"),
    pytest.param([dispute(5)], 5, ("pending", None, None), id="known at as_of is not known by it"),
    pytest.param([dispute(5)], 6, ("positive", 1, 5), id="known a microsecond before as_of"),
    pytest.param([dispute(5, reason="lost parcel")], LATE, ("negative", 0, H), id="another reason"),
    pytest.param([dispute(5, reason=None)], LATE, ("negative", 0, H), id="no reason"),
    pytest.param([dispute(5), dispute(9, id="e", reason="lost parcel")], LATE, ("positive", 1, 5), id="two that conflict"),
    pytest.param([dispute(9), dispute(5, id="e")], LATE, ("positive", 1, 5), id="two that agree: the first says when"),
    pytest.param([dispute(5), dispute(9, gone=True)], LATE, ("negative", 0, H), id="taken back"),
    pytest.param([dispute(5), dispute(9, gone=True)], 9, ("positive", 1, 5), id="taken back, not known yet"),
    pytest.param([dispute(5), dispute(2 * H, gone=True)], LATE, ("negative", 0, 2 * H), id="taken back after the horizon"),
    pytest.param([dispute(5), dispute(9, gone=True), dispute(2 * H, version=1)], LATE, ("negative", 0, H), id="taken back, revived too late"),
    pytest.param([dispute(5), dispute(2 * H, version=1, event_time=6)], LATE, ("positive", 1, 5), id="corrected after the horizon, positive throughout"),
    pytest.param([dispute(5), dispute(9, version=1, reason="lost parcel")], LATE, ("negative", 0, H), id="corrected to another reason"),
    pytest.param([dispute(5, reason="lost parcel"), dispute(9, version=1)], LATE, ("positive", 1, 9), id="corrected to fraud"),
    pytest.param([dispute(5, reason="lost parcel"), dispute(H, version=1)], LATE, ("negative", 0, H), id="corrected to fraud too late"),
    pytest.param([dispute(5), dispute(9, version=1, payment="q")], LATE, ("negative", 0, H), id="corrected to another event"),
    pytest.param([dispute(5), dispute(2 * H, gone=True), dispute(H - 2, id="e")], LATE, ("positive", 1, H - 2), id="one taken back, one that stands"),
    pytest.param([dispute(5), dispute(2 * H, gone=True), dispute(H + 2, id="e")], LATE, ("negative", 0, 2 * H), id="one taken back, one too late"),
])  # fmt: skip
def test_what_became_of_an_event(disputes: list[Row], as_of: int, meant: tuple[Any, ...]) -> None:
    assert told(found([payment()], disputes, as_of)) == {"p": meant}


def test_blocked_events_are_unobserved_unless_they_were_explored() -> None:
    rows = [
        payment("blocked", status="blocked"), payment("blocked and reported", status="blocked", tried=False),
        payment("explored", status="blocked", tried=True), payment("of no status", status=None),
    ]  # fmt: skip
    made = told(found(rows, [dispute(5, "blocked and reported"), dispute(6, "explored", id="e")], LATE))
    assert made == {
        "blocked": ("unobserved", None, None), "blocked and reported": ("unobserved", None, None),
        "explored": ("positive", 1, 6), "of no status": ("negative", 0, H),
    }  # fmt: skip


def test_events_are_as_known_and_in_order_of_time_and_id() -> None:
    rows = [payment("b"), payment("a"), payment("z", -1), payment("gone"), payment("gone", gone=True, known=7), payment("late", known=LATE),
            payment("moved"), payment("moved", version=1, event_time=3, card="k", known=8)]  # fmt: skip
    made = found(rows, [], LATE).rows
    assert made["id"].to_pylist() == ["z", "a", "b", "moved"]
    assert made["card"].to_pylist() == ["c", "c", "c", "k"]


def test_what_was_asked_with_is_as_the_first_version_has_it() -> None:
    of_blocked = replace(PAYMENTS, filter=col("status") == "blocked")
    label = replace(FRAUD, events=of_blocked)
    rows = [
        payment("moved", card="first"), payment("moved", version=1, card="second", status="blocked", known=5),
        payment("again", gone=True), payment("again", version=1, card=None, status="blocked", known=7), payment("again", version=2, card="d", status="blocked", known=8),
        payment("late", card="e", status="blocked", known=LATE), payment("one", status="blocked"),
    ]  # fmt: skip
    made = label_events(label, as_read(of_blocked, rows), as_read(DISPUTES, []), LATE, ("card", "event_time")).rows
    told = {row["id"]: (row["card"], row[f"{ASKED}card"]) for row in made.to_pylist()}
    assert told == {"moved": ("second", "first"), "again": ("d", None), "one": ("c", "c")}
    assert made.schema.field(f"{ASKED}event_time").type == made.schema.field("event_time").type
    nothing = label_events(label, as_read(of_blocked, []), as_read(DISPUTES, []), LATE, ("card",)).rows
    assert (len(nothing), nothing.schema.field(f"{ASKED}card").type) == (0, pa.string())


def test_outcomes_without_ids_stand_each_for_itself_and_a_lag_delays_them() -> None:
    reports = replace(DISPUTES, name="reports", event_id=None, version=None, void=None, lag="10s", filter=col("card_present") == False,  # noqa: E712
                      columns=(*fields("string", "payment reason"), *fields("bool", "card_present"), *fields("timestamp", "event_time known")))  # fmt: skip
    label = replace(FRAUD, outcomes=reports)
    report = {"payment": "p", "reason": "fraud", "card_present": False, "event_time": 5, "known": 7}
    rows = [report, report, report | {"payment": None}, report | {"payment": "q", "card_present": True}]
    made = told(found([payment(), payment("q")], rows, LATE, label))
    assert made == {"p": ("positive", 1, 10_000_005), "q": ("negative", 0, H)}


def test_an_outcome_that_arrived_before_its_event_is_told_until_it_is_taken_back() -> None:
    rows = [payment("p", 100), payment("q", 100)]
    early = dispute(99), dispute(100, "q", id="e")
    made = found(rows, early, LATE)
    assert made.early.to_pylist() == [{"outcome": "d", "event": "p", "arrived": 99, "happened": 100}]
    assert len(found(rows, [*early, dispute(200, gone=True)], LATE).early) == 0


def test_an_event_is_mature_once_its_horizon_has_passed_positive_or_not() -> None:
    rows = found([payment("a"), payment("b", 1), payment("c", 1)], [dispute(5, "b")], H).rows
    assert dict(zip(rows["id"].to_pylist(), rows["label_mature"].to_pylist(), strict=True)) == {
        "a": True,
        "b": False,
        "c": False,
    }


def test_no_events_and_no_outcomes() -> None:
    assert told(found([], [dispute(5)], LATE)) == {}
    assert found([], [], LATE).rows.schema.field("label").type == pa.int8()


AT = (0, H)
"""Of events."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Few ids; what is known lies on the edges of events, of horizons and of as_of, or a microsecond beside them."""
    edges = sorted({at + h + d for at in AT for h in (0, H) for d in (-1, 0, 1)})
    near = st.sampled_from(edges)
    versions = {"version": st.sampled_from([0, 0, 1]), "gone": st.sampled_from([False, False, True])}
    first = draw(st.builds(payment, at=st.sampled_from(AT)))
    others = draw(st.lists(st.builds(
        payment, id=st.sampled_from("pq"), at=st.sampled_from(AT), known=near,
        status=st.sampled_from(["approved", "blocked", None]), tried=st.sampled_from([None, True, False]), **versions,
    ), max_size=2))  # fmt: skip
    disputes = draw(st.lists(st.builds(
        dispute, known=near | st.sampled_from([first["event_time"] + H + d for d in (-1, 0, 1)]), payment=st.sampled_from(["p", "p", "p", "q", None]), id=st.sampled_from("de"),
        reason=st.sampled_from(["fraud", "fraud", "fraud", "lost", None]), **versions,
    ), max_size=4))  # fmt: skip
    return [first, *others], disputes, draw(st.sampled_from([*edges, 3 * H]))


def standing(source: Source, raw: Sequence[Row], as_of: int) -> dict[str, list[Row]]:
    """Id to the versions that stood one after the other before `as_of`; the last one still does."""
    by_id: dict[str, list[Row]] = {}
    for row in raw:
        by_id.setdefault(row["id"], []).append(row)
    stood = {name: [row for row in oracle.stood(source, rows) if row["known"] < as_of] for name, rows in by_id.items()}
    return {name: rows for name, rows in stood.items() if rows and not rows[-1]["gone"]}


def meant(payments: Sequence[Row], disputes: Sequence[Row], as_of: int) -> dict[str, tuple[str, int | None]]:
    """The rule, event by event."""
    made: dict[str, tuple[str, int | None]] = {}
    for name, rows in standing(PAYMENTS, payments, as_of).items():
        event = rows[-1]
        positive = False
        for versions in standing(DISPUTES, disputes, as_of).values():
            says = [row["payment"] == name and row["reason"] == "fraud" and not row["gone"] for row in versions]
            began = len(says)
            while began and says[began - 1]:
                began -= 1
            positive |= began < len(says) and versions[began]["known"] < event["event_time"] + H
        if event["status"] == "blocked" and event["tried"] is not True:
            made[name] = ("unobserved", None)
        elif positive:
            made[name] = ("positive", 1)
        else:
            made[name] = ("negative", 0) if event["event_time"] + H <= as_of else ("pending", None)
    return made


@given(cases())
@settings(max_examples=200, suppress_health_check=NO_HEALTH_CHECK)
def test_labels_are_the_oracle_s(case: tuple[list[dict[str, Any]], list[dict[str, Any]], int]) -> None:
    payments, disputes, as_of = case
    made = told(found(payments, disputes, as_of))
    assert {name: row[:2] for name, row in made.items()} == meant(payments, disputes, as_of)


@given(cases())
@settings(max_examples=100, suppress_health_check=NO_HEALTH_CHECK)
def test_what_was_asked_with_is_the_oracle_s_first(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], int],
) -> None:
    payments, _, as_of = case
    made = label_events(FRAUD, as_read(PAYMENTS, payments), as_read(DISPUTES, []), as_of, ("status", "tried")).rows
    asked = {row["id"]: (row[f"{ASKED}status"], row[f"{ASKED}tried"]) for row in made.to_pylist()}
    first = {
        name: next(row for row in rows if not row["gone"]) for name, rows in standing(PAYMENTS, payments, as_of).items()
    }
    assert asked == {name: (row["status"], row["tried"]) for name, row in first.items()}


@given(cases(), st.integers(0, 10**9))
@settings(max_examples=50, suppress_health_check=NO_HEALTH_CHECK)
def test_the_order_of_rows_and_what_is_known_later_change_nothing(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], int], seed: int
) -> None:
    payments, disputes, as_of = case
    shown, outcomes = as_read(PAYMENTS, payments), as_read(DISPUTES, [row for row in disputes if row["known"] < as_of])
    mixed = outcomes.take(pa.array(sorted(range(len(outcomes)), key=lambda n: hash((seed, n))), pa.int64()))
    assert told(label_events(FRAUD, shown, mixed, as_of)) == told(found(payments, disputes, as_of))


@given(cases())
@settings(max_examples=50, suppress_health_check=NO_HEALTH_CHECK)
def test_since_label_known_at_the_label_was_what_it_is(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], int],
) -> None:
    """The events are known all along: only what becomes known of outcomes is asked about."""
    payments, disputes, as_of = case
    still = [row | {"known": -2} for row in payments if row["known"] < as_of]
    for name, (status, _, since) in told(found(still, disputes, as_of)).items():
        if since is not None:
            assert told(found(still, disputes, min(since + 1, as_of)))[name][0] == status
