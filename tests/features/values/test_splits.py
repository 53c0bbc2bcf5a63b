"""Splits of labelled events: by time with an embargo, by entity, both; and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.names import micros
from features.errors import InputError
from features.values.splits import SPLIT, parse_split, split_rows

DAY = 86_400_000_000
END = datetime(2026, 3, 1, tzinfo=UTC)
H = 10 * DAY


def events(
    *instants: datetime, cards: list[Any] | None = None, labels: list[int | None] | None = None, mature: bool = True
) -> pa.Table:
    return pa.table({
        "id": [f"e{n}" for n in range(len(instants))],
        "card": pa.array(cards or ["c"] * len(instants), pa.string()),
        "event_timestamp": pa.array([micros(at) for at in instants], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "label": pa.array(labels or [0] * len(instants), pa.int8()), "label_mature": pa.array([mature] * len(instants), pa.bool_()),
    })  # fmt: skip


def parts(rows: pa.Table, *texts: str) -> list[str]:
    split = parse_split(texts, H)
    assert split is not None
    made: list[str] = split_rows(split, rows, "id")[SPLIT].to_pylist()
    return made


def test_an_embargo_of_the_horizon_lies_between_train_and_test() -> None:
    one = timedelta(microseconds=1)
    rows = events(END - one, END, END + timedelta(days=10) - one, END + timedelta(days=10))
    assert parts(rows, "train_end=2026-03-01") == ["train", "embargo", "embargo", "test"]
    assert parts(
        events(END - one, END, END + timedelta(days=20)), "train_end=2026-03-01T01:00+01:00", "embargo=20d"
    ) == ["train", "embargo", "test"]


def test_entities_are_in_one_part_whatever_else_is_there() -> None:
    cards = [f"c{n % 50}" if n % 7 else None for n in range(1_000)]
    rows = events(*[END] * 1_000, cards=cards)
    found = parts(rows, "entity=card", "test=0.4", "seed=3")
    of_card: dict[str, set[str]] = {}
    for card, part in zip(cards, found, strict=True):
        if card is not None:
            of_card.setdefault(card, set()).add(part)
    assert all(len(seen) == 1 for seen in of_card.values())
    assert 10 <= sum(seen == {"test"} for seen in of_card.values()) <= 30
    # Rows of no entity are put one by one.
    assert {part for card, part in zip(cards, found, strict=True) if card is None} == {"train", "test"}
    assert parts(rows.slice(500), "entity=card", "test=0.4", "seed=3") == found[500:]
    assert parts(rows, "entity=card", "test=0.4", "seed=4") != found


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "d", "12", "1", None]), st.sampled_from([-1, 0, 9, 10, 11])),
        min_size=60,
        max_size=80,
    ),
    st.integers(0, 5),
)
@pytest.mark.slow
def test_both_put_a_row_where_both_say(drawn: list[tuple[str | None, int]], seed: int) -> None:
    rows = events(*[END + timedelta(days=days) for _, days in drawn], cards=[card for card, _ in drawn])
    by = f"seed={seed}", "test=0.5", "entity=card"
    try:
        time, entity = parts(rows, "train_end=2026-03-01"), parts(rows, *by)
        both = parts(rows, "train_end=2026-03-01", *by)
    except InputError as error:
        assert "leaves no rows with a mature label" in str(error)  # noqa: PT017 - a draw may leave one empty
        return
    assert both == [t if t == e else "embargo" for t, e in zip(time, entity, strict=True)]


def test_composite_entities_do_not_meet() -> None:
    rows = events(*[END] * 400, cards=["1"] * 200 + ["12"] * 200)
    rows = rows.append_column("shop", pa.array([f"{n % 200}" if n < 200 else f"{n % 200}"[1:] for n in range(400)]))
    found = parts(rows, "entity=card,shop", "test=0.5")
    twice = [(found[n], found[200 + n]) for n in range(20, 30)]  # ("1", "2x") and ("12", "x")
    assert any(a != b for a, b in twice)


@pytest.mark.parametrize(("rows", "texts", "said"), [
    (events(END - timedelta(days=3), END), ["train_end=2026-03-01"],
     ("The split leaves no rows with a mature label for test: of 2 such events between 2026-02-26T00:00:00+00:00 and 2026-03-01T00:00:00+00:00, 1 are train, 0 test and 1 in neither. "
     "Train ends before 2026-03-01T00:00:00+00:00, and test begins at 2026-03-11T00:00:00+00:00. Move train_end, take a longer span of events, another share of entities, or a later --as-of.")),
    (events(END, END + timedelta(days=10), labels=[0, None]), ["train_end=2026-03-01"], "no rows with a mature label for train and test: of 1 such events between"),
    (events(END, END + timedelta(days=10), labels=[1, 1], mature=False), ["train_end=2026-03-01"], "no rows with a mature label for train and test: of 0 such events, 0 are train"),
    (events(END, cards=["c"]), ["entity=card", "test=0.5"], "The split leaves no rows with a mature label for t"),
    (events(), ["entity=card"], "no rows with a mature label for train and test: of 0 such events, 0 are train"),
])  # fmt: skip
def test_a_part_without_labelled_rows_is_refused(rows: pa.Table, texts: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parts(rows, *texts)
    assert said in str(caught.value)


HOW = "Write train_end=INSTANT, embargo=DURATION, entity=COLUMN, test=SHARE or seed=NUMBER, for instance train_end=2026-03-01 or entity=card_id with test=0.2."


@pytest.mark.parametrize(("texts", "said"), [
    (["train_end=soon"], f"--split train_end=soon is not understood. {HOW}"),
    (["random"], f"--split random is not understood. {HOW}"),
    (["entity=card,"], f"--split entity=card, is not understood. {HOW}"),
    (["entity=card", "seed=x"], f"--split seed=x is not understood. {HOW}"),
    (["entity=card", "test=half"], f"--split test=half is not understood. {HOW}"),
    (["train_end=2026-03-01T10:00"], "--split train_end=2026-03-01T10:00 has no zone, so it names no instant. Write 2026-03-01T10:00Z if it is UTC, or its offset."),
    (["train_end=2026-03-01", "embargo=9 days"], "--split embargo=9 days: '9 days' is not a duration."),
    (["train_end=2026-03-01", "embargo=9d"], "--split embargo=9d is shorter than the label's horizon, 10d: train's labels would hold what became known while test's events happened."),
    (["entity=card", "test=1"], "--split test=1: the share of test is in (0, 1), or one of the parts has no rows."),
    (["entity=card", "test=0"], "--split test=0: the share of test is in (0, 1), or one of the parts has no rows."),
    (["entity=card", "entity=shop"], "--split entity=shop says entity again. Say it once."),
    (["embargo=60d"], "--split embargo=60d has no effect without train_end=…. Add it, or leave embargo away."),
    (["train_end=2026-03-01", "seed=1"], "--split seed=1 has no effect without entity=…. Add it, or leave seed away."),
])  # fmt: skip
def test_a_split_that_is_none(texts: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_split(texts, H)
    assert str(caught.value).startswith(said)


def test_a_split_is_read_back_from_its_texts() -> None:
    assert parse_split([], H) is None
    for texts in (
        ["train_end=2026-03-01"],
        ["entity=card,shop", "test=0.3", "seed=2"],
        ["train_end=2026-03-01T00:00:00.000001Z", "embargo=20d", "entity=card"],
    ):
        made = parse_split(texts, H)
        assert made is not None
        assert parse_split(made.texts, H) == made
