"""The page asks for nothing, says what was found and what was not, and is the same for the same numbers."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from jobs.report.page import report_page
from jobs.report.words import number, percent, ranged

GOOD, NOTHING = [0.3, 0.2, 0.4], [0.0, -0.1, 0.1]


def scores(gain: list[float]) -> dict[str, Any]:
    of = {"recall": GOOD, "precision": [0.5, 0.4, 0.6], "saved": [1_200.0, -10.0, 3_000.0], "auc": [0.8, 0.7, 0.9]}
    rare = {"any attack": 0.75, "precision": 0.02, "saved": -50.0, "reviews": 9.0}
    return {"of": of, "gain": dict.fromkeys(of, gain), "rare": rare}


def kind(gain: list[float], campaigns: int = 30, **changes: Any) -> dict[str, Any]:
    counts = {"train": {"payments": 90, "campaigns": 40}, "held back": {"payments": 50, "campaigns": campaigns}}
    sets = {"payment": scores(NOTHING), "radar_v1": scores(gain), "all three": scores(gain)}
    carried = {"views": [["card_velocity", 0.2, 0.1, 0.3]], "features": []}
    return {
        "counts": counts,
        "begun": 0,
        "why": None,
        "most recall": 0.9,
        "sets": sets,
        "new campaigns": None,
        "carried": carried,
    } | changes


def found(**changes: Any) -> dict[str, Any]:
    auc = {name: {"of": dict.fromkeys(("auc", "average precision", "recall"), GOOD), "gain": {"auc": gain}}
           for name, gain in (("naive, in the backtest", GOOD), ("naive, in use", NOTHING), ("ours", NOTHING))}  # fmt: skip
    begun = {"payments": 9, "sets": {"payment": [0.1, 0.0, 0.2], "all three": [0.5, 0.4, 0.6]}}
    plan = {
        "start": "2026-02-04T00:00:00+00:00",
        "train_end": "2026-04-21T00:00:00+00:00",
        "held_back": "2026-05-05T00:00:00+00:00",
        "end": "2026-07-04T00:00:00+00:00",
    }
    return {
        "plan": plan | {"gap_days": 14, "budget": 0.01, "review_cost": 3.0, "honest": 0.1, "judged": 1.0, "samples": 200, "seed": 0}, "model": {"max_iter": 100}, "budget": 22,
        "rare": 0.001, "few": 10, "sets": {"payment": 12, "radar_v1": 500, "all three": 600}, "rows": {"train": 9_000, "held back": 4_000, "train stands for": 70_000}, "days": 60,
        "attack share": 0.05, "unknown": {"count": 3, "shown": ["p"]},
        "kinds": {
            "stolen_card": kind([0.2, 0.1, 0.3]), "friendly_fraud": kind(NOTHING), "prohibited_goods": kind([-0.2, -0.3, -0.1], 2, begun=1, **{"new campaigns": begun}),
            "bust_out": {"counts": {"train": {"payments": 1, "campaigns": 1}, "held back": {"payments": 0, "campaigns": 0}}, "begun": 0, "why": "There are none held back, to judge by."},
        },
        "rates": {"days": [7, 30], "ours": ["r"], "why": None, "rows": {"train": 9, "held back": 8}, "frauds": {"train": 4, "held back": 3}, "budget": 2, "scores": auc},
    } | changes  # fmt: skip


def test_the_page_holds_pictures_and_numbers_and_asks_for_nothing() -> None:
    page = report_page(found())
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own
    assert not re.search(r"(src|href)=\"(?!#)", re.sub(r"xlink:href=\"#", "", page))
    assert "<script" not in page
    assert page == report_page(found())


@pytest.mark.parametrize(
    "said",
    [
        "More is found with the features: stolen card.",
        "No difference was shown: friendly fraud.",
        "Less is found with them: prohibited goods.",
        "Not measured: bust-out; see below why.",
        "There are none held back, to judge by.",
        "It rests on 2 campaigns, so the interval holds less than it promises. 1 of its 2 campaigns had begun in the training weeks, so that model has met it.",
        "Of the others it finds 50% (40% to 60%), the payment alone 10% (0% to 20%).",
        "<td>50% (40% to 60%) [75%]</td><td>1,200 (-10 to 3,000)</td><td>2.0%</td><td>-50</td>",
        "<td>card_velocity 20% (10% to 30%)</td><td>no feature alone</td>",
        "The naive rates look better in the backtest than they are in use; in use ours are neither surely better nor surely worse.",
        "9,000 that stand for 70,000",
        "3 attack payments of the truth are not among the payments",
        "Attacks are 5.0% of the held-back payments.",
    ],
)
def test_it_says_what_came_out(said: str) -> None:
    assert said in report_page(found())


def test_a_report_in_which_nothing_could_be_measured() -> None:
    none = found()["kinds"]["bust_out"]
    page = report_page(found(kinds={"bust_out": none}, rates={"why": "No disputes."}))
    assert "There is nothing to draw." in page
    assert "Not measured. No disputes." in page


def test_numbers_as_texts() -> None:
    shown = {
        None: "\N{EN DASH}",
        float("nan"): "\N{EN DASH}",
        0.0: "0%",
        -0.00001: "0%",
        0.0028: "0.28%",
        0.034: "3.4%",
        0.5: "50%",
    }
    assert [percent(each) for each in shown] == list(shown.values())
    assert number(-1_234.6) == "-1,235"
    assert ranged([0.2, 0.1, 0.3], signed=True) == "+20% (10% to 30%)"
    assert ranged([0.2, None, None]) == "20%"
    assert ranged([0.75, 0.7, 0.8], share=False) == "0.750 (0.700 to 0.800)"
