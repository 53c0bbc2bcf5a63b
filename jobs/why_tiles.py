"""The tiles behind a value: of each tile of the window what its rows come to, as `asof stats` would add them up. Neither Spark nor a build."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from features.definitions.features import Aggregate
from features.definitions.names import utc
from features.definitions.tiling import metric_of, tiling, untileable
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.tile_values import metrics
from jobs import tiles
from jobs.stats import cuts_of
from jobs.tile_answers import Question, of_key

__all__ = ["tiles_behind"]


def tiles_behind(
    settings: Settings, part: Aggregate, view: FeatureView, key: Mapping[str, object], cut: int
) -> tuple[list[dict[str, Any]], str]:
    """The tiles of one key within a feature's window at a cut, the newest first; else why there are none to show.

    Args:
        settings: where they lie.
        part: the feature.
        view: its view.
        key: of the entity, no null in it.
        cut: microseconds UTC.
    """
    if (because := untileable(view)) is not None:
        return [], because
    metric = metric_of(view, part)
    lower, upper = part.window.bounds(cut, view.remember_us)
    question = Question(view=view, by=("asof_tile",), lower=lower, cut=cut)
    builds = tiles.in_place(settings, view, cuts_of(settings, question))
    if builds is None:
        return [], "not all tiles of its window are built; `asof stats` or tiles=True builds them"
    summed = of_key(question, builds, key).sort_by([("asof_tile", "descending")])
    values, _ = metrics(view, summed, lower, cut)
    rows, length = f"{metric.group.label}__n", tiling(view).grid_us
    made = [
        {"feature": part.name, "from": utc(start).isoformat(), "to": utc(start + length).isoformat(), "rows": count, "value": value}
        for start, count, value in zip(
            summed["asof_tile"].cast(pa.int64()).to_pylist(), summed[rows].to_pylist(), values[metric.name].to_pylist(), strict=True
        )
        if start < upper and count
    ]  # fmt: skip
    return made, "" if made else "its window has no tile"
