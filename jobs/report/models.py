"""The plain model, the same for every attack and every set of columns, and what it reads. No Spark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from features.errors import InputError, MissingError

__all__ = ["SETTINGS", "Inputs", "fitted", "inputs_of", "scored"]

Array = np.ndarray
SETTINGS: Mapping[str, Any] = {
    "learning_rate": 0.1, "max_iter": 60, "max_leaf_nodes": 15, "min_samples_leaf": 20, "l2_regularization": 1.0, "early_stopping": False,
}  # fmt: skip
"""Of every model; chosen beforehand, and never tuned."""


_BINS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Numbers in place of a frame's columns."""

    names: tuple[str, ...]
    values: Array
    """float64, a row each of the frame's rows; NaN where there is no value."""

    def places(self, names: Sequence[str]) -> Array:
        """Where these columns stand, in their order.

        Raises:
            MissingError: one is not there.
        """
        of = {name: place for place, name in enumerate(self.names)}
        if lost := [name for name in names if name not in of]:
            raise MissingError.of("column of the frame", lost[0], self.names, "Make the frame of this catalogue.")
        return np.array([of[name] for name in names], np.int64)


def inputs_of(frame: pa.Table, names: Sequence[str], train: Array) -> Inputs:
    """Columns as the trees read them: nulls are missing values, instants ages in microseconds, texts the rank of how frequent they are in training.

    Of numbers with many values their bin is told, by quantiles of training. A column that has no value in training is 0 everywhere: nothing can be learned of it.

    Args:
        frame: with `event_timestamp`.
        names: of columns.
        train: bool, which rows are learned from; a text that none of them has is a missing value.

    Raises:
        MissingError: a column is not there.
        InputError: there is no column to learn from.
    """
    if not names:
        msg = "A set of features is empty, so no model can be made of it. Give the service features, or leave it out."
        raise InputError(msg)
    if lost := [name for name in names if name not in frame.column_names]:
        raise MissingError.of("column of the frame", lost[0], frame.column_names, "Make the frame of this catalogue.")
    values = np.empty((len(frame), len(names)))
    for place, name in enumerate(names):
        values[:, place] = _binned(_numbers(frame, name, train), train)
    return Inputs(names=tuple(names), values=values)


def _binned(column: Array, train: Array) -> Array:
    """Numbers of many values as the bins that the trees would make of them, told once for all models; 0 where training has no value, which scikit-learn refuses."""
    seen = column[train]
    seen = seen[~np.isnan(seen)]
    if not len(seen):
        return np.zeros(len(column))
    if len(np.unique(seen)) <= _BINS:
        return column
    edges = np.unique(np.quantile(seen, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.where(np.isnan(column), np.nan, np.searchsorted(edges, column, "right"))


def _numbers(frame: pa.Table, name: str, train: Array) -> Array:
    column = frame[name].combine_chunks()
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = pc.subtract(frame["event_timestamp"].cast(pa.int64()), column.cast(pa.int64()))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        seen = pc.value_counts(column.filter(pa.array(train)).drop_null()).to_pylist()
        order = [item["values"] for item in sorted(seen, key=lambda item: (-item["counts"], item["values"]))]
        column = pc.index_in(column, pa.array(order, kind), skip_nulls=True)
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy())


def fitted(values: Array, positive: Array, weight: Array, seed: int) -> HistGradientBoostingClassifier:
    """A model of rows; the same rows and seed make the same."""
    trees = HistGradientBoostingClassifier(random_state=seed, **SETTINGS)
    with threadpool_limits(1):  # sums in one order
        trees.fit(values, positive, sample_weight=weight)
    return trees


def scored(trees: HistGradientBoostingClassifier, values: Array) -> Array:
    """Log odds, which order rows as probabilities do, and tie less."""
    with threadpool_limits(1):
        return np.asarray(trees.decision_function(values))
