"""What the page on real payments counts, by literal rows; the page itself is compared with its data in tests/real."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import card_payments
from benchmarks.card_payments import ALL, BEST, METRICS, SAMPLES, fresh, judged, page, plot


def rows(*payments: tuple[str, str, str, int]) -> pd.DataFrame:
    customers, parts, times, labels = zip(*payments, strict=True)
    return pd.DataFrame({
        "customer_id": customers, "asof_split": parts, "event_timestamp": pd.to_datetime([f"2018-07-{at}" for at in times], utc=True),
        "label": np.array(labels, "int8"), "label_mature": True,
    })  # fmt: skip


def test_customers_are_set_aside_from_the_day_on_that_begins_with_a_known_fraud() -> None:
    found = rows(
        ("a", "train", "05 12:00:00", 1), ("b", "embargo", "13 23:59:59", 1), ("c", "embargo", "14 00:00:01", 1), ("d", "train", "05 12:00:00", 0),
        ("a", "test", "15 12:00:00", 0), ("b", "test", "20 12:00:00", 0), ("b", "test", "21 12:00:00", 1), ("c", "test", "21 12:00:00", 1),
        ("d", "test", "21 12:00:00", 1),
    )  # fmt: skip
    assert fresh(found).tolist() == [False, True, False, True, True]


def test_the_page_has_a_line_a_model_with_intervals(tmp_path: Path) -> None:
    payments = [(f"c{n % 40}", "test", f"{15 + n % 7} 10:00:00", int(n % 9 == 0)) for n in range(300)]
    found = rows(("a", "train", "05 12:00:00", 1), *payments)
    # Its frauds score high, but for every fifth payment.
    scores = {BEST: np.array([(label if n % 5 else 0.3) + n / 1_000 for n, (_, _, _, label) in enumerate(payments)])}
    made = judged(found, scores, samples=50)
    assert list(made) == [BEST, ALL]
    assert list(made[BEST]) == list(METRICS)
    text = page(found, made)
    for name, metrics in made.items():
        cells = " | ".join(f"{item.value:.3f} ({item.low:.3f} to {item.high:.3f})" for item in metrics.values())
        assert f"| {name} | {cells} |" in text
    assert "300 payments, 34 frauds" in text
    plot(found, scores, tmp_path / "one.svg")
    plot(found, scores, tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_data_that_is_not_there_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["card_payments", str(tmp_path / "gone"), "--out", str(tmp_path)])
    assert card_payments.main() == 1
    assert capsys.readouterr().err == (
        f"{tmp_path / 'gone'} is not there. Give the folder of the card payments' Parquet files.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_page_in_docs_says_what_made_it() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "real-payments.md").read_text(encoding="utf-8")
    assert card_payments.COMMAND in text
    assert f"of {SAMPLES} bootstrap samples" in text
