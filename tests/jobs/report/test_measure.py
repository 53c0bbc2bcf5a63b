"""The report's numbers on payments whose attacks one feature tells; what is not there is said, and nothing hangs on chance."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.errors import InputError, MissingError
from jobs.report.measure import ALL, BASE, measure
from jobs.report.page import report_page
from jobs.report.words import verdict
from tests.jobs.report.payments import PLAN, SERVICES, month

Given = tuple[pa.Table, pa.Table]


@pytest.fixture(scope="module")
def given() -> Given:
    return month()


@pytest.fixture(scope="module")
def found(given: Given) -> dict[str, Any]:
    return json.loads(json.dumps(measure(*given, SERVICES, PLAN)))  # type: ignore[no-any-return]


def test_the_feature_that_tells_is_found_and_the_others_are_not(found: dict[str, Any]) -> None:
    sets = found["kinds"]["stolen_card"]["sets"]
    assert list(sets) == [BASE, "radar_v1", "fraud_v1", ALL]
    assert sets["radar_v1"]["gain"]["recall"][1] > 0.2
    low, high = sets["fraud_v1"]["gain"]["recall"][1:]
    assert low <= 0 <= high
    assert verdict(found["kinds"]["stolen_card"], found["few"])[0] == "more"
    carried = found["kinds"]["stolen_card"]["carried"]
    assert carried["views"][0][0] == "v"
    assert carried["features"][0][0] == "v__telling"


def test_counts_are_those_of_the_frame(given: Given, found: dict[str, Any]) -> None:
    frame, _ = given
    rows = frame.to_pandas()
    late = rows[rows["part"] == "held back"]
    attack = late["attack"] == "stolen_card"
    assert found["rows"]["held back"] == len(late)
    assert found["budget"] == round(0.05 * late["weight"].sum() / 12)
    assert found["attack share"] == pytest.approx(attack.sum() / late["weight"].sum())
    counts = found["kinds"]["stolen_card"]["counts"]["held back"]
    assert counts == {"payments": attack.sum(), "campaigns": late.loc[attack, "cluster"].nunique()}


def test_campaigns_that_had_begun_are_told_apart(given: Given, found: dict[str, Any]) -> None:
    rows = given[0].to_pandas()
    named = rows[rows["attack"] != "honest"].groupby("cluster")["part"].nunique()
    assert found["kinds"]["stolen_card"]["begun"] == (named == 2).sum()


def test_the_same_frame_gives_the_same_numbers(given: Given, found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measure(*given, SERVICES, PLAN))) == found


def test_a_kind_that_is_not_in_both_parts_is_not_measured_and_says_why(given: Given) -> None:
    frame, events = given
    late = pc.and_(pc.equal(frame["part"], "held back"), pc.equal(frame["attack"], "stolen_card"))
    kinds = pc.if_else(late, pa.array(np.where(np.arange(len(frame)) % 2, "bust_out", "stolen_card")), frame["attack"])
    changed = frame.set_column(frame.schema.get_field_index("attack"), "attack", kinds)
    made = measure(changed, events, {"radar_v1": ["v__telling"]}, PLAN)
    kind = made["kinds"]["bust_out"]  # type: ignore[index]
    assert kind["why"] == "There are none to learn from."
    assert kind["counts"]["train"] == {"payments": 0, "campaigns": 0}
    page = report_page(made)
    assert "Not measured: bust-out; see below why." in page
    assert "There are none to learn from." in page


def test_rates_are_not_measured_without_disputes(given: Given) -> None:
    frame, events = given
    none = events.set_column(events.schema.get_field_index("label"), "label", pa.array(np.zeros(len(events), np.int8)))
    made = measure(frame, none, {"fraud_v1": SERVICES["fraud_v1"]}, PLAN)
    assert "No disputes that are settled" in made["rates"]["why"]  # type: ignore[index]
    assert "Not measured. No disputes that are settled" in report_page(made)


def test_a_naive_rate_of_disputed_campaigns_is_better_in_the_backtest_than_in_use(given: Given) -> None:
    # Disputes come in the days of one merchant, and are known nine days later: in use nothing tells it.
    frame, events = given
    shop = np.array([f"m{n // 60 % 9}" for n in range(len(events))])
    bad = np.array([n // 60 % 9 == n // 540 for n in range(len(events))])
    label = pa.array(bad.astype(np.int8))
    told = events.set_column(events.schema.get_field_index("label"), "label", label)
    told = told.set_column(told.schema.get_field_index("merchant_id"), "merchant_id", pa.array(shop))
    place = pc.index_in(frame["payment_id"], events["payment_id"].combine_chunks())
    mine = frame.set_column(
        frame.schema.get_field_index("merchant_id"), "merchant_id", pa.array(shop).take(place.combine_chunks())
    )
    scores = measure(mine, told, {"fraud_v1": SERVICES["fraud_v1"]}, PLAN)["rates"]["scores"]  # type: ignore[index]
    assert scores["naive, in the backtest"]["gain"]["auc"][1] > 0


def test_bad_input_is_refused_in_a_sentence(given: Given) -> None:
    frame, events = given
    with pytest.raises(
        InputError, match=r"Service identity_v1 has no features, so a model of it would be one of the payment alone"
    ):
        measure(frame, events, {"radar_v1": ["v__mute"], "identity_v1": []}, PLAN)
    with pytest.raises(MissingError, match=r"v__gone"):
        measure(frame, events, {"radar_v1": ["v__gone"]}, PLAN)
