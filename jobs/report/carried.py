"""What a model rests on: how much recall at the budget is lost when columns are shuffled among the rows that judge it. No Spark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from jobs.metrics import Metric, Rows
from jobs.report.judged import judged
from jobs.report.models import Inputs, scored

__all__ = ["Carrying", "carried"]

Array = np.ndarray
_VIEWS, _FEATURES = 3, 3
"""So many views are told of, and so many features of all of them."""
_WITHIN = 2
"""Of so many views each feature is shuffled alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    """A model, and the rows that judge it."""

    trees: HistGradientBoostingClassifier
    inputs: Inputs
    """Of the columns that the model was made of, and of these rows alone."""

    rows: Rows
    metric: Metric
    samples: int
    seed: int

    def losses(self, groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """By group of columns, what is lost when they are shuffled together, each row's values of a group staying together."""
        whole = self._value(scored(self.trees, self.inputs.values))
        return {name: whole - self._value(self._shuffled(columns)) for name, columns in groups.items()}

    def ranged(self, groups: Mapping[str, Sequence[str]]) -> dict[str, list[float | None]]:
        """The same with intervals: the loss, low, high."""
        scores = {"": scored(self.trees, self.inputs.values)}
        scores |= {name: self._shuffled(columns) for name, columns in groups.items()}
        found = judged(self.rows, scores, {"it": self.metric}, base="", samples=self.samples, seed=self.seed)
        made = {}
        for name in groups:
            gain = found[name]["gain"]["it"]
            made[name] = [None if each is None else -each for each in (gain.value, gain.high, gain.low)]
        return made

    def _value(self, scores: Array) -> float:
        made = judged(self.rows, {"": scores}, {"it": self.metric}, base="", samples=0, seed=0)
        return made[""]["of"]["it"].value or 0.0

    def _shuffled(self, columns: Sequence[str]) -> Array:
        values, places = self.inputs.values, self.inputs.places(columns)
        kept = values[:, places].copy()
        order = np.random.default_rng(self.seed).permutation(len(values))
        try:
            values[:, places] = kept[order]
            return scored(self.trees, values)
        finally:
            values[:, places] = kept


def carried(of: Carrying, views: Mapping[str, Sequence[str]]) -> dict[str, list[list[object]]]:
    """The `views` whose loss is largest, and of the columns of the best two the `features`; each its name, loss, low and high. None that loses nothing.

    Args:
        of: the model and its rows.
        views: columns by view; those of the payment itself are one of them.
    """
    lost = of.losses(views)
    best = [name for name in sorted(lost, key=lambda name: (-lost[name], name)) if lost[name] > 0][:_VIEWS]
    single = {column: [column] for name in best[:_WITHIN] for column in views[name]}
    alone = of.losses(single)
    top = [name for name in sorted(alone, key=lambda name: (-alone[name], name)) if alone[name] > 0][:_FEATURES]
    told = of.ranged({name: views[name] for name in best} | {name: single[name] for name in top})
    return {
        "views": [[name, *told[name]] for name in best], "features": [[name, *told[name]] for name in top]
    }  # fmt: skip
