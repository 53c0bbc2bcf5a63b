"""Why a value is what it is: of each row of one key, whether it counts, and if not, why not. Numpy and Arrow, no Spark."""

import numpy as np
import pyarrow as pa

from features.definitions.features import Aggregate, ArrivalRate, Attribute, Feature, Rate
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values.columns import usable
from features.values.expressions import evaluate, mask
from features.values.timeline import Timeline

__all__ = ["COUNTS", "reasons"]

COUNTS = "counts"
Array = np.ndarray


def reasons(
    view: FeatureView, feature: Feature, source: Source, line: Timeline, instant: int, anchor: int
) -> list[str]:
    """For each row of one key, `COUNTS` or why it does not, the first of: visible, in the window, meets the condition, has a value.

    Args:
        view: its definition.
        feature: one of `features.definitions.lineage.bases`.
        source: the view's, or that of a rate's outcomes.
        line: the source's rows, those that are taken back among them.
        instant: at which the value is asked, in microseconds UTC; of a snapshot cut + publish lag.
        anchor: where windows end.
    """
    found = np.full(len(line), COUNTS, dtype=object)
    match feature:
        case Aggregate():
            chosen = mask(feature.where, line.columns, len(line))
            _say(found, ~_usable(feature, line), "has no value that counts")
            _say(found, ~chosen, "does not meet the condition")
            lower, upper = feature.window.bounds(anchor, view.remember_us)
            # The row that stands for the ask is the only one of its instant that counts.
            _window(found, line, lower, upper if line.own is None or feature.window.offset_us else upper + line.own)
        case Rate() if source.name == view.source.name:
            _say(found, ~mask(feature.eligible, line.columns, len(line)), "is not eligible")
            _window(found, line, *feature.window.bounds(anchor, view.remember_us))
        case ArrivalRate():
            lower, upper = feature.window.bounds(anchor, view.remember_us)
            arrived = line.since if line.known is None else line.known
            _say(found, arrived < lower, "arrived before the window")
            _say(found, arrived >= upper, "arrived after the window")
        case Attribute():
            _newest(found, line, instant, anchor)
        case _:
            pass
    _say(found, line.until <= instant, "was taken back before")
    _say(found, line.since > instant, "became known later")
    return [str(reason) for reason in found]


def _say(found: Array, where: Array, reason: str) -> None:
    found[where] = reason


def _window(found: Array, line: Timeline, lower: int, upper: int | Array) -> None:
    _say(found, line.time < lower, "is before the window")
    _say(found, line.time >= upper, "is after the window")


def _usable(feature: Aggregate, line: Timeline) -> Array:
    made = np.ones(len(line), dtype=bool)
    for node in feature.reads:
        column = evaluate(node, line.columns)
        if isinstance(column, pa.Scalar):
            column = pa.array([column.as_py()] * len(line), column.type)
        made &= usable(column)
    return made


def _newest(found: Array, line: Timeline, instant: int, anchor: int) -> None:
    """Of what is visible and holds already the newest row counts."""
    holds = (line.time <= anchor) & (line.since <= instant) & (line.until > instant)
    _say(found, line.time > anchor, "holds later")
    _say(found, holds, "was replaced by a newer row")
    if holds.any():
        found[np.flatnonzero(holds)[-1]] = COUNTS
