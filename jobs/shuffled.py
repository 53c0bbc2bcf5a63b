"""The label-shuffle check: a model that learned shuffled labels on train must tell nothing of test. Where it does, rows of train stand in test too.

Numpy, Arrow and scikit-learn, no Spark. Rows of the same keys and instant are one event: they keep one label when labels are shuffled, so a model
that learns an event in train by heart knows its copy in test, and nothing else of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.findings import Finding, Severity
from jobs.separation import LEAST_ROWS

__all__ = ["PERMUTATIONS", "Parts", "by_time", "copies", "event_codes", "shuffled_labels"]

Array = np.ndarray
PERMUTATIONS = 20
"""Shuffles, each with a model of its own."""

_T = 2.8609
"""Student's t of 19 degrees of freedom: a 99% interval of the mean of 20."""
_ROWS = 10_000
"""Of each part at the most, whole events."""
_TEST_SHARE = 0.3
_MANY = 0.01
"""Share of test's rows whose event is in train too, from which on that is a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Rows with a mature label, in two parts."""

    train: Array
    """A boolean a row; rows in neither part are left out."""

    test: Array
    how: str
    """By what rows were parted, for a person."""


def by_time(instants: Array) -> Parts:
    """The last 30% of the rows are test; rows of one instant stay together."""
    edge = np.sort(instants)[int(len(instants) * (1 - _TEST_SHARE))] if len(instants) else 0
    return Parts(train=instants < edge, test=instants >= edge, how="the last 30% of the rows by time are test")


def event_codes(columns: Sequence[pa.Array]) -> Array:
    """A number a row, equal where all of these columns are; of rows with nulls too."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        part = np.asarray(column.dictionary_encode(null_encoding="encode").indices).astype(np.int64)
        _, codes = np.unique(codes * (part.max(initial=0) + 1) + part, return_inverse=True)
    return codes


def copies(events: Array, parts: Parts) -> list[Finding]:
    """Events with rows in both parts."""
    both = np.isin(events, events[parts.train]) & parts.test
    if not both.any():
        return []
    share = both.sum() / parts.test.sum()
    says = (
        f"{both.sum()} of {parts.test.sum()} rows of test ({share:.1%}) have the keys and the instant of a row of train: a model is asked what it learned. "
        "Keep all rows of an event in one part, or each event once."
    )
    severity: Severity = "leak" if share >= _MANY else "warning"
    return [Finding(check="shuffled labels", severity=severity, name="rows of train in test", says=says)]


def shuffled_labels(
    features: Mapping[str, pa.Array], positive: Array, events: Array, parts: Parts, seed: int
) -> dict[str, Any]:
    """Plain data: `areas`, one a shuffle; their `mean`, a 99% interval `low` to `high`, and the `findings` that follow.

    Args:
        features: column to values, in the rows' order.
        positive: boolean a row.
        events: as `event_codes` has them.
        parts: train and test.
        seed: of shuffles, models and the rows taken where there are more than 10,000 in a part.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - a second, for audits alone
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - scikit-learn's own

    rng = np.random.default_rng(seed)
    rows = _taken(events, parts, rng)
    train, test = parts.train[rows], parts.test[rows]
    if problem := _too_few(positive[rows], train, test):
        return {"how": parts.how, "findings": [_not_done(problem)]}
    given = np.column_stack([_numbers(column)[rows] for column in features.values()])
    # scikit-learn fails on a column without any value; all are null, and so equal.
    given[:, np.isnan(given[train]).all(axis=0)] = 0
    areas = []
    for n in range(PERMUTATIONS):
        labels = _shuffled(positive[rows], events[rows], rng)
        if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:  # noqa: PLR2004
            continue
        # Leaves of one row: what can be learned by heart is.
        model = HistGradientBoostingClassifier(
            max_iter=10,
            learning_rate=0.5,
            min_samples_leaf=1,
            early_stopping=False,  # pyright: ignore[reportArgumentType] - its default is a text
            random_state=seed + n,
        )
        # So few rows gain nothing from threads, which wait for one another on a busy machine.
        with threadpool_limits(1):
            model.fit(given[train], labels[train])
            areas.append(float(roc_auc_score(labels[test], model.predict_proba(given[test])[:, 1])))
    if len(areas) < PERMUTATIONS:
        return {"how": parts.how, "findings": [_not_done("a shuffle left one of the parts with labels of one kind")]}
    mean, half = float(np.mean(areas)), _T * float(np.std(areas, ddof=1)) / float(np.sqrt(len(areas)))
    made = {
        "how": parts.how, "train": int(train.sum()), "test": int(test.sum()), "areas": areas, "mean": mean, "low": mean - half, "high": mean + half,
    }  # fmt: skip
    return {**made, "findings": _skill(mean, mean - half, mean + half)}


def _taken(events: Array, parts: Parts, rng: np.random.Generator) -> Array:
    """Row numbers of both parts: some events with all of their rows, where there are too many."""
    inside = np.flatnonzero(parts.train | parts.test)
    most = max(parts.train.sum(), parts.test.sum())
    if most <= _ROWS:
        return inside
    chosen = rng.random(events.max() + 1) < _ROWS / most
    return np.asarray(inside[chosen[events[inside]]])


def _too_few(positive: Array, train: Array, test: Array) -> str | None:
    for name, part in (("train", train), ("test", test)):
        hits = int(positive[part].sum())
        if min(hits, int(part.sum()) - hits) < LEAST_ROWS:
            return f"{name} has {hits} positive and {int(part.sum()) - hits} negative rows with mature labels, and needs {LEAST_ROWS} of each"
    return None


def _shuffled(positive: Array, events: Array, rng: np.random.Generator) -> Array:
    """Labels of events among each other; rows of one event get one label."""
    _, firsts, place = np.unique(events, return_index=True, return_inverse=True)
    return np.asarray(rng.permutation(positive[firsts])[place], np.int8)


def _numbers(column: pa.Array) -> Array:
    """As a model takes them: texts by the number of their value, nulls as NaN."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.indices
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = column.value_lengths()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _skill(mean: float, low: float, high: float) -> list[Finding]:
    if low <= 0.5:  # noqa: PLR2004
        return []
    says = (
        f"models that learned shuffled labels reach an area of {mean:.3f} on test (99% interval {low:.3f} to {high:.3f}), where 0.5 is all there can be: "
        "train and test share rows, so test says nothing of new events. Part them by event, entity or time."
    )
    return [Finding(check="shuffled labels", severity="leak", name="evaluation", says=says)]


def _not_done(why: str) -> Finding:
    return Finding(check="shuffled labels", severity="not done", name="evaluation", says=f"{why[0].upper()}{why[1:]}.")
