"""Samples of labelled events: which rows stay, the same ones under one seed in any order, and weights that undo what was left out."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.values.sampling import WEIGHT, Sampling, capped, parse_sampling, placed, thinned, weighted
from tests.features.values.test_labels import FRAUD, PAYMENTS, H, dispute, found, payment

DAY = 86_400_000_000


def events(size: int, **columns: Any) -> pa.Table:
    """Weighted labelled events e0, e1 …, every tenth positive; an hour apart."""
    given_: dict[str, Any] = {
        "id": [f"e{n}" for n in range(size)],
        "card": [f"c{n % 7}" if n % 5 else None for n in range(size)],
        "label_status": ["negative" if n % 10 else "positive" for n in range(size)],
        "event_timestamp": pa.array([n * DAY // 24 for n in range(size)], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "label_mature": [n % 3 > 0 for n in range(size)],
        WEIGHT: [1.0] * size,
    }
    return pa.table(given_ | columns)


def test_negatives_are_thinned_and_weigh_as_many_as_they_stand_for() -> None:
    made = thinned(parse_sampling(["negatives=0.25", "seed=3"]), events(8_000), "id")
    rows = Counter(zip(made["label_status"].to_pylist(), made[WEIGHT].to_pylist(), strict=True))
    assert set(rows) == {("positive", 1.0), ("negative", 4.0)}
    assert rows["positive", 1.0] == 800
    # Binomial, 7200 x 1/4: three standard deviations are 110.
    assert abs(rows["negative", 4.0] - 1_800) < 110


def test_rates_of_strata_multiply_with_that_of_negatives() -> None:
    channels = ["web" if n % 2 else None for n in range(4_000)]
    sampling = parse_sampling(["negatives=0.5", "rate:channel:web=0.5", "rate:channel:=1"])
    made = thinned(sampling, events(4_000, channel=channels), "id")
    weights = {
        (row["label_status"], row["channel"]): row[WEIGHT] for row in made.select(["label_status", "channel", WEIGHT]).to_pylist()
    }  # fmt: skip
    assert weights == {("negative", "web"): 4.0, ("negative", None): 2.0, ("positive", None): 1.0}


@pytest.mark.parametrize("text", ["negatives=0.1", "rate:card:c1=0.3"])
def test_weights_undo_rates_in_expectation(text: str) -> None:
    table = events(500)
    sums = [pc.sum(thinned(parse_sampling([text, f"seed={seed}"]), table, "id")[WEIGHT]).as_py() for seed in range(200)]
    error = np.std(sums) / np.sqrt(len(sums))
    assert error > 0
    assert abs(np.mean(sums) - 500) < 4 * error


def test_caps_leave_at_most_so_many_and_their_weights_count_all_exactly() -> None:
    table = events(480)
    made = capped(parse_sampling(["cap:card/day=2", "seed=9"]), table, "id")
    hours = [row["event_timestamp"].date() for row in table.to_pylist()]
    before = Counter(zip(table["card"].to_pylist(), hours, strict=True))
    after: Counter[Any] = Counter()
    weight: Counter[Any] = Counter()
    for row in made.to_pylist():
        after[row["card"], row["event_timestamp"].date()] += 1
        weight[row["card"], row["event_timestamp"].date()] += row[WEIGHT]
    assert {key: n for key, n in after.items() if key[0] is not None} == {
        key: min(n, 2) for key, n in before.items() if key[0] is not None
    }
    assert {key: n for key, n in after.items() if key[0] is None} == {
        key: n for key, n in before.items() if key[0] is None
    }
    assert dict(weight) == pytest.approx(dict(before), rel=1e-12)


def test_a_cap_in_all_of_a_composite_entity_and_two_caps_after_one_another() -> None:
    table = events(300, shop=[f"s{n % 2}" for n in range(300)])
    made = capped(parse_sampling(["cap:card,shop=5", "cap:shop=12"]), table, "id")
    assert max(Counter(zip(made["card"].to_pylist(), made["shop"].to_pylist(), strict=True)).values()) <= 12
    assert Counter(made["shop"].to_pylist()) == {"s0": 12, "s1": 12}
    totals = made.group_by("shop").aggregate([(WEIGHT, "sum")]).to_pylist()
    assert len(totals) == 2


def test_statuses_that_are_not_kept_leave_and_nothing_weighs_for_them() -> None:
    made = thinned(parse_sampling(["keep=positive"]), events(100), "id")
    assert set(made["label_status"].to_pylist()) == {"positive"}
    assert pc.sum(made[WEIGHT]).as_py() == 10
    mature = thinned(parse_sampling(["keep=mature"]), events(100), "id")
    assert mature["id"].to_pylist() == [f"e{n}" for n in range(100) if n % 3]


@given(
    st.permutations(range(60)),
    st.integers(0, 3),
    st.sampled_from(["negatives=0.5", "cap:card=3", "cap:card/day=1", "rate:card:=0.5"]),
)
def test_neither_order_nor_company_changes_who_is_taken(order: list[int], seed: int, text: str) -> None:
    sampling, table = parse_sampling([text, f"seed={seed}"]), events(60)

    def taken(rows: pa.Table) -> dict[str, float]:
        made = capped(sampling, thinned(sampling, rows, "id"), "id")
        return dict(zip(made["id"].to_pylist(), made[WEIGHT].to_pylist(), strict=True))

    assert taken(table.take(pa.array(order))) == taken(table)
    if not sampling.caps:
        half = table.slice(0, 30)
        assert taken(half) == {
            name: weight for name, weight in taken(table).items() if name in set(half["id"].to_pylist())
        }


def test_another_seed_takes_others_and_places_are_even() -> None:
    ids = events(10_000)["id"]
    first, second = placed(ids, 0, "rate"), placed(ids, 1, "rate")
    assert ((first >= 0) & (first < 1)).all()
    assert np.histogram(first, 10, (0, 1))[0].min() > 900
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert abs(np.corrcoef(first, placed(ids, 0, "split"))[0, 1]) < 0.05


def test_explored_events_weigh_for_the_blocked() -> None:
    rows = found(
        [payment("a", tried=True), payment("b"), payment("c", status="blocked")], [dispute(5, "a")], 9 * H
    ).rows
    assert weighted(FRAUD, rows)[WEIGHT].to_pylist() == [1, 1, 1]
    assert weighted(replace(FRAUD, propensity=0.04), rows)[WEIGHT].to_pylist() == [25, 1, 1]
    column = replace(FRAUD, events=replace(PAYMENTS, columns=(*PAYMENTS.columns, *REASONS)), propensity="chance")
    assert weighted(column, rows.append_column("chance", pa.array([0.5, None, 7.0])))[WEIGHT].to_pylist() == [2, 1, 1]


REASONS = (replace(PAYMENTS.columns[0], name="chance", type="float64"),)


def test_a_propensity_that_is_none_is_told_with_its_events() -> None:
    rows = found([payment(name, tried=True) for name in "abcde"], [], 9 * H).rows
    column = replace(FRAUD, events=replace(PAYMENTS, columns=(*PAYMENTS.columns, *REASONS)), propensity="chance")
    with pytest.raises(InputError) as caught:
        weighted(column, rows.append_column("chance", pa.array([0.0, None, 0.5, 1.5, -1.0])))
    assert str(caught.value) == (
        "Label 'fraud': the propensity 'chance' of 4 explored event(s) is null or outside (0, 1]: a (0.0), b (nan), d (1.5) …. "
        "Correct them in the source, or give the label a number."
    )


HOW = (
    "Write negatives=RATE, rate:COLUMN:VALUE=RATE, cap:COLUMN=ROWS, cap:COLUMN/day=ROWS, keep=STATUS,STATUS, keep=mature or seed=NUMBER, "
    "where a RATE is in (0, 1] and ROWS is at least 1."
)


@pytest.mark.parametrize(("texts", "said"), [
    (["negatives=0"], "--sample negatives=0: a rate is in (0, 1]. To leave a status out, write keep=STATUS,STATUS."),
    (["negatives=1.01"], "--sample negatives=1.01: a rate is in (0, 1]. To leave a status out, write keep=STATUS,STATUS."),
    (["rate:channel:web=-0.5"], "--sample rate:channel:web=-0.5: a rate is in (0, 1]. To leave a status out, write keep=STATUS,STATUS."),
    (["rate:channel:web=nan"], "--sample rate:channel:web=nan: a rate is in (0, 1]. To leave a status out, write keep=STATUS,STATUS."),
    (["negatives=few"], f"--sample negatives=few is not understood. {HOW}"),
    (["negatives"], f"--sample negatives is not understood. {HOW}"),
    (["cap:card=0"], f"--sample cap:card=0 is not understood. {HOW}"),
    (["cap:card/hour=1"], f"--sample cap:card/hour=1 is not understood. {HOW}"),
    (["keep=old"], f"--sample keep=old is not understood. {HOW}"),
    (["seed=-1"], f"--sample seed=-1 is not understood. {HOW}"),
    (["seed=1", "seed=2"], "--sample seed=2 says seed again. Say it once."),
    (["rate:a:b=1", "rate:a:b=0.5"], "--sample gives a:b two rates. Give one."),
])  # fmt: skip
def test_a_sample_that_is_none(texts: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_sampling(texts)
    assert str(caught.value) == said


def test_a_sampling_is_read_back_from_its_texts() -> None:
    texts = [
        "negatives=0.1",
        "rate:channel:a=b=0.5",
        "cap:card,shop/day=3",
        "cap:card=9",
        "keep=positive,negative",
        "seed=7",
    ]
    made = parse_sampling(texts)
    assert parse_sampling(made.texts) == made
    assert parse_sampling(Sampling().texts) == Sampling()
    mature = parse_sampling(["keep=mature"])
    assert parse_sampling(mature.texts) == mature != parse_sampling(["keep=positive,negative"])
    assert made.columns == ("channel", "card", "shop")
    assert made.rates[0].value == "a=b"
