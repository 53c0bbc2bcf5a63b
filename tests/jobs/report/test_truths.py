"""Payments meet the truth: attacks, clusters, parts and weights, by hand; and truths of other payments."""

from dataclasses import replace

import pytest

from features.definitions.durations import DAY
from features.errors import InputError
from jobs.report.truths import asked, in_euros, with_truth
from tests.jobs.report.payments import PLAN, START, paid, truth

PAYMENTS = paid(
    "p1 1 a1 1000 EUR approved",
    "p2 2 a1 108 USD approved",
    "p3 13 a2 500 EUR approved",
    "p4 17.5 a2 160 JPY declined",
    "p5 18 a3 86 GBP approved",
    "p6 30 a3 100 EUR approved",
)
TRUTH = truth("p2 stolen_card 7", "p4 card_testing 8", "p5 card_testing 8")


def test_an_attack_belongs_to_its_campaign_and_an_honest_payment_to_its_account() -> None:
    rows, unknown = with_truth(PAYMENTS, TRUTH)
    assert rows["attack"].to_pylist() == ["honest", "stolen_card", "honest", "card_testing", "card_testing", "honest"]
    assert rows["cluster"].to_pylist() == ["account:a1", "campaign:7", "account:a2", "campaign:8", "campaign:8", "account:a3"]  # fmt: skip
    assert unknown == {"count": 0, "shown": []}


def test_parts_weights_and_what_a_payment_says_of_itself() -> None:
    rows = asked(replace(PLAN, honest=1.0), with_truth(PAYMENTS, TRUTH)[0])
    assert rows["payment_id"].to_pylist() == ["p1", "p2", "p4", "p5"]  # p3 lies in the gap, p6 behind the end
    assert rows["part"].to_pylist() == ["train", "train", "held back", "held back"]
    assert rows["weight"].to_pylist() == [1, 1, 1, 1]
    assert rows["amount_eur"].to_pylist() == [10, 1, 1, 1]
    assert rows["hour"].to_pylist() == [0, 0, 12, 0]
    assert rows["weekday"].to_pylist() == [1, 2, 3, 4]  # 0 is Monday: 5 January 2026
    assert rows["shipped_elsewhere"].to_pylist() == [False, True, True, False]
    assert not {"label", "label_mature"} & set(rows.column_names)


def test_honest_payments_are_sampled_and_attacks_never() -> None:
    many = paid(*(f"p{n} {n / 100} a1 100 EUR approved" for n in range(2_500)))
    rows, _ = with_truth(many, truth(*(f"p{n} stolen_card 1" for n in range(0, 2_500, 50))))
    found = asked(replace(PLAN, honest=0.25, judged=0.5), rows).to_pandas()
    counts = found.groupby(["part", "attack"])["weight"].agg(["count", "sum", "max"])
    assert counts.loc[("train", "stolen_card")].tolist() == [24, 24, 1]
    assert counts.loc[("held back", "stolen_card")].tolist() == [18, 18, 1]
    assert counts.loc[("train", "honest"), "max"] == 4
    assert counts.loc[("held back", "honest"), "max"] == 2
    # 1176 and 882 there are; a share is taken by hash.
    assert counts.loc[("train", "honest"), "sum"] == pytest.approx(1_176, rel=0.15)
    assert counts.loc[("held back", "honest"), "sum"] == pytest.approx(882, rel=0.15)


def test_a_truth_of_other_payments_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"names 1 attack payments of 4 that this home does not have, for instance p9\. Give the folder whose files",
    ):
        with_truth(PAYMENTS, truth("p2 stolen_card 7", "p4 a 8", "p5 a 8", "p9 card_testing 8"))


def test_a_few_that_were_voided_are_counted() -> None:
    many = paid(*(f"p{n} 1 a1 100 EUR approved" for n in range(40)))
    _, unknown = with_truth(many, truth(*(f"p{n} stolen_card 1" for n in range(39)), "p40 stolen_card 1"))
    assert unknown == {"count": 1, "shown": ["p40"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_back": START + 40 * DAY, "end": START + 50 * DAY}, r"There are no payments to judge by, held back: from 2026-02-14 00:00 on, before 2026-02-24 00:00\. The payments there are: from 2026-01-06 00:00 to 2026-02-04 00:00"),
        ({"start": START + 3 * DAY}, r"There are no payments to learn from: from 2026-01-08 00:00 on"),
        ({"held_back": START + 29 * DAY, "end": START + 31 * DAY}, r"None of the 1 payments to judge by, held back \(.*\) is an attack\. Take a longer span"),
    ],
)  # fmt: skip
def test_a_part_without_payments_or_attacks_is_refused(changes: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        asked(replace(PLAN, **changes), with_truth(PAYMENTS, TRUTH)[0])


def test_a_currency_without_a_rate_is_named() -> None:
    with pytest.raises(InputError, match=r"no rate for XXX, .* It has EUR, USD, GBP, JPY\."):
        in_euros(paid("p1 1 a1 100 XXX approved"))
