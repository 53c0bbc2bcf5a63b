"""What is counted and can leave again: rows, integer sums and squares of each window. A cut has them from the cut before and from tiles (semantics 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from features.definitions.features import Aggregate
from features.definitions.tiling import Group, tiling
from features.definitions.views import FeatureView
from features.definitions.windows import EVER, Window
from features.values import exact
from features.values.columns import numbers
from features.values.sweep import Counted, Sweep

__all__ = ["Slot", "Sums", "counted_features", "finished", "is_counted", "slots", "summed"]

Array = np.ndarray
Sums = dict[str, Array]
"""int64 a key, by `Slot.name`."""
_COUNTED = {"count", "sum", "mean", "std"}
_SQUARES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One window of the rows that some features share."""

    number: int
    group: Group
    window: Window

    @property
    def parts(self) -> tuple[str, ...]:
        """The tiles' partials that are undone by subtraction, without the group's name."""
        return tuple(p.name.removeprefix(f"{self.group.label}__") for p in self.group.partials if p.removable)

    def name(self, part: str) -> str:
        """The column that holds a part."""
        return f"w{self.number}_{part}"


def is_counted(view: FeatureView, feature: object) -> bool:
    """Whether a feature's rows can leave its window by subtraction: counts, and sums, means and deviations of integers."""
    return (
        isinstance(feature, Aggregate) and feature.operation in _COUNTED
        and (feature.column is None or view.source.types[feature.column] == "int64")
    )  # fmt: skip


def counted_features(view: FeatureView) -> tuple[Aggregate, ...]:
    """In the view's order."""
    return tuple(feature for feature in view.features if isinstance(feature, Aggregate) and is_counted(view, feature))


@lru_cache(maxsize=256)
def slots(view: FeatureView) -> tuple[Slot, ...]:
    """The first one is all rows that the view remembers; the others are what its counted features need, each once."""
    groups = {(repr(group.where), group.column): group for group in tiling(view).groups if not group.inputs}
    wanted = dict.fromkeys(
        [("None", None, EVER), *((repr(f.where), f.column, f.window) for f in counted_features(view))]
    )
    return tuple(
        Slot(number=n, group=groups[where, column], window=window) for n, (where, column, window) in enumerate(wanted)
    )


def summed(view: FeatureView, made: Sweep) -> Sums:
    """Every slot's parts, an element an ask, from rows."""
    found: Sums = {}
    for slot in slots(view):
        group = slot.group
        stream = made.stream(group.where, group.column)
        found[slot.name("n")] = stream.count(slot.window)
        if "high" in slot.parts:
            found[slot.name("high")], found[slot.name("low")] = made.added(group.where, group.column, slot.window)
        if "square_0" in slot.parts:
            pieces = exact.square_limbs(numbers(stream.rows.columns[group.column or ""]))
            squares = stream.added(pieces, slot.window)
            for n in range(_SQUARES):
                found[slot.name(f"square_{n}")] = squares[n] if n < len(squares) else np.zeros_like(squares[0])
    return found


def finished(view: FeatureView, sums: Mapping[str, Array]) -> Counted:
    """The counted features' values: the same bits as a sweep over the rows that were summed."""
    found = slots(view)
    places = {(repr(slot.group.where), slot.group.column, slot.window): slot for slot in found}
    seen = sums[found[0].name("n")]
    overflow = np.zeros(len(seen), dtype=bool)
    made: dict[str, pa.Array] = {}
    for feature in counted_features(view):
        slot = places[repr(feature.where), feature.column, feature.window]
        count = sums[slot.name("n")]
        if feature.operation == "count":
            made[feature.name] = pa.array(count)
            continue
        limbs = np.stack([sums[slot.name("high")], sums[slot.name("low")]])
        squares = (
            np.stack([sums[slot.name(f"square_{n}")] for n in range(_SQUARES)]) if feature.operation == "std" else limbs
        )
        value, null, left = exact.finished(feature.operation, count, limbs, squares)
        overflow |= left
        made[feature.name] = pa.array(value, mask=null)
    return Counted(columns=made, overflow=overflow, seen=seen)
