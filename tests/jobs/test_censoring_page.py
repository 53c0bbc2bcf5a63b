"""The censoring report's page: pictures inside it, nothing from elsewhere, equal for equal numbers."""

import re
from typing import Any
from xml.etree import ElementTree as ET

from jobs.censoring_page import censoring_page

DAYS = [
    {"day": "2026-03-01", "events": 8, "positive": 1, "negative": 4, "pending": 1, "unobserved": 2, "share_pending": 1 / 6},
    {"day": "2026-03-02", "events": 2, "positive": 0, "negative": 0, "pending": 0, "unobserved": 2, "share_pending": None},
]  # fmt: skip


def found(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "label": "fraud <1>", "hash": "0123456789abcdef", "horizon": "60d", "start": "2026-03-01", "end": "2026-03-03", "as_of": "2026-03-09", "days": DAYS,
        "lag": {"reach_days": 3, "positives": 7, "shares": [0.0, 0.5, 0.75, 1.0]}, "unknown": {"count": 0, "shown": []},
    }  # fmt: skip
    return given | changes


def test_the_page_holds_pictures_and_numbers_and_asks_for_nothing() -> None:
    page = censoring_page(found())
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own
    assert not re.search(r"(src|href)=\"(?!#)", re.sub(r"xlink:href=\"#", "", page))
    assert "<script" not in page
    assert "Label fraud &lt;1&gt;: how complete it is" in page
    assert "<td>2026-03-01</td><td>8</td><td>1</td><td>4</td><td>1</td><td>2</td><td>16.67%</td>" in page
    assert "<td>2026-03-02</td><td>2</td><td>0</td><td>0</td><td>0</td><td>2</td><td></td>" in page
    assert "<td>2</td><td>75.00%</td>" in page
    assert "learned from 7 positives of any age" in page


def test_equal_numbers_give_an_equal_page() -> None:
    assert censoring_page(found()) == censoring_page(found())
    assert censoring_page(found(days=DAYS[:1])) != censoring_page(found())


def test_without_events_or_positives_there_is_no_picture() -> None:
    page = censoring_page(found(days=[], lag={"reach_days": 0, "positives": 0, "shares": []}))
    assert "<svg" not in page
    assert "There are no events." in page
    assert "No event is positive yet." in page
