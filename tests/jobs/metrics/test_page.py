"""The page's own example runs."""

import re
from pathlib import Path

import pytest

from tests.jobs.metrics.frames import labelled

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_example_measures_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    frame = labelled("a 1 fraud 0.9 300\n b 1 good 0.5 100\n c 1 pending 0.5 100").rename_columns(
        ["card_id", "event_timestamp", "label", "label_status", "label_mature", "score", "amount_minor", "asof_weight"]
    )
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], {"frame": frame})  # noqa: S102 - our own page
    said = capsys.readouterr().out
    assert "auc_roc 1.0 " in said
    assert "savings_at_100 -300.0 " in said
    assert "{'pending': 1, 'unobserved': 0, 'young': 0}" in said
