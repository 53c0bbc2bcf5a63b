"""The leak audit's page: verdict, findings and pictures inside it, nothing from elsewhere, equal for equal findings."""

import re
from typing import Any
from xml.etree import ElementTree as ET

from jobs.leaks_page import leaks_page

LEAK = {"check": "arrival", "severity": "leak", "name": "source <s>", "says": "known at once"}
SEPARATED = {
    "feature": "v__b", "area": {"value": 0.99, "low": 0.97, "high": 1.0}, "null_area": {"value": 0.5, "low": 0.4, "high": 0.6}, "nulls": 0.25,
    "outcome_only": {"value": "x", "rows": 12, "share": 0.5},
}  # fmt: skip
PLAIN = {"feature": "v__a", "area": None, "null_area": None, "nulls": 1.0, "outcome_only": None}


def found(**changes: Any) -> dict[str, Any]:
    checks = {
        "future shift": {"rows": 40, "features": [{"feature": "v__a", "changed": 0, "later": 3}, {"feature": "v__b", "changed": 2, "later": 9}]},
        "arrival": {
            "sources": [{"source": "s", "features": [], "rows": 9, "stamped": 8, "early": 7, "bulk": 6, "ahead": {"due": 5}}],
            "outcomes": [{"name": "label l", "rows": 4, "at_once": 3, "in_time": None, "lag": 172_800_000_000}],
        },
        "shuffled labels": {"how": "by time", "train": 70, "test": 30, "areas": [0.4, 0.6], "mean": 0.5, "low": 0.45, "high": 0.55},
        "separation": {"features": [PLAIN, SEPARATED]},
    }  # fmt: skip
    given: dict[str, Any] = {
        "frame": "f.parquet", "rows": 100, "service": "s_v1", "label": "fraud", "threshold": 0.95, "seed": 0, "sample": 40, "verdict": "leaks",
        "findings": [LEAK], "checks": checks,
    }  # fmt: skip
    return given | changes


def test_the_page_holds_verdict_pictures_and_numbers_and_asks_for_nothing() -> None:
    page = leaks_page(found())
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    for picture in pictures:
        assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own
    assert not re.search(r"(src|href)=\"(?!#)", re.sub(r"xlink:href=\"#", "", page))
    assert "<script" not in page
    assert '<p class="verdict leaks"><b>The frame leaks: 1 finding(s).</b></p>' in page
    assert "<td>arrival</td><td>leak</td><td>source &lt;s&gt;</td><td>known at once</td>" in page
    assert "<td>manifest</td><td>passed</td><td></td><td>The file is what its manifest says.</td>" in page
    assert "<td>s</td><td>9</td><td>8</td><td>7</td><td>6</td><td>due 5</td>" in page
    assert "<td>label l</td><td>4</td><td>3</td><td></td><td>2.0</td>" in page
    assert "mean area 0.500, 99% interval 0.450 to 0.550" in page
    assert (
        "<td>v__b</td><td>0.990</td><td>0.970 to 1.000</td><td>25.0%</td><td>0.500</td><td>x: 12 rows, 50% of positives</td>"
        in page
    )
    assert page == leaks_page(found())


def test_a_page_of_a_frame_without_labels() -> None:
    checks = {**found()["checks"], "shuffled labels": {}, "separation": {}}
    page = leaks_page(found(label=None, findings=[], verdict="passes", checks=checks))
    assert '<p class="verdict passes"><b>No leak was found.</b></p>' in page
    assert page.count("<svg") == 1
    assert "Not done: see above." in page
    assert "There is nothing to draw." in page
