from pathlib import Path

from features.definitions.aggregation_page import page
from features.definitions.aggregations import AGGREGATIONS

_ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_fresh() -> None:
    shown = (_ROOT / "docs/aggregations.md").read_text(encoding="utf-8")
    assert shown == page(), "run python -m features.definitions.aggregation_page > docs/aggregations.md"


def test_every_aggregation_has_a_line() -> None:
    lines = page().splitlines()
    assert [name for name in AGGREGATIONS if not any(line.startswith(f"| {name} | ") for line in lines)] == []


def test_the_example_is_the_file_word_for_word() -> None:
    own = (_ROOT / "features/definitions/aggregations/burst.py").read_text(encoding="utf-8")
    assert f"```python\n{own}```\n" in (_ROOT / "docs/aggregations.md").read_text(encoding="utf-8")
