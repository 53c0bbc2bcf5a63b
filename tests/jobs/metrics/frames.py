"""Labelled frames of a few literal rows, for the tests of metrics."""

from typing import Any

import pyarrow as pa

from features.values.sampling import WEIGHT

__all__ = ["DAY", "labelled"]

DAY = 86_400_000_000


def labelled(text: str, **columns: list[Any]) -> pa.Table:
    """A row a line: card, day, outcome (fraud, good, pending, unobserved, young), score, amount, and a weight where one is given."""
    rows = [line.split() for line in text.strip().splitlines()]
    outcomes = [row[2] for row in rows]
    status = {"fraud": "positive", "young": "positive", "good": "negative"}
    label = {"fraud": 1, "young": 1, "good": 0}
    given: dict[str, Any] = {
        "card_id": [None if row[0] == "-" else row[0] for row in rows],
        "event_timestamp": pa.array([int(row[1]) * DAY + 5 for row in rows]).cast(pa.timestamp("us", "UTC")),
        "label": pa.array([label.get(outcome) for outcome in outcomes], pa.int8()),
        "label_status": [status.get(outcome, outcome) for outcome in outcomes],
        "label_mature": [outcome in {"fraud", "good"} for outcome in outcomes],
        "score": [float(row[3]) for row in rows],
        "amount": [float(row[4]) for row in rows],
        WEIGHT: [float(row[5]) if len(row) > 5 else 1.0 for row in rows],
    }
    return pa.table(given | columns)
