"""Sequences for models that read a history: the `last_k` features of a frame's rows as padded arrays. Arrow and numpy, no Spark."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.definitions.features import Aggregate
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.values.timeline import anchors

__all__ = ["Sequences", "sequences"]

_FILL: dict[str, Any] = {"string": "", "bool": False, "float64": 0.0, "int64": 0, "timestamp": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """Arrays of one shape, a line a row of the frame and k wide: oldest first, the newest last, and what a row has fewer of is missing in front."""

    values: NDArray[Any]
    """In the column's own type; instants as microseconds UTC, text as objects. 0, false or "" where there is none."""

    times: NDArray[np.int64]
    """When each value's event was, microseconds UTC. 0 where there is none."""

    mask: NDArray[np.bool_]
    """True where there is a value."""


def sequences(rows: pa.Table, view: FeatureView, of: str) -> Sequences:
    """The newest values of one `last_k` of a view: `of="amount_minor_30d"` reads `last_1_amount_minor_30d`, `time_since_last_1_…` and so on.

    Args:
        rows: a frame of a service with the view, or lookups as such: `event_timestamp` (UTC) and `view__feature`.
        view: as it was defined when the frame was made.
        of: column, suffix if any, and window, as in the features' names.

    Raises:
        MissingError: the view has no such sequence, or the rows lack one of its columns.
        InputError: the view's ranks of it have gaps.
    """
    ranks = _ranks(view, of)
    values, ages = ([_column(rows, f"{view.name}__{stem}_{rank}_{of}") for rank in ranks] for stem in _STEMS)
    mask = np.column_stack([_valid(column) for column in values])
    asked = _column(rows, "event_timestamp").cast(pa.int64()).to_numpy()
    times = anchors(asked, view.freshness)[:, None] - np.column_stack([_filled(column, 0) for column in ages])
    return Sequences(
        values=np.column_stack([_filled(column, _FILL[view.types[f"last_1_{of}"]]) for column in values]),
        times=np.where(mask, times, 0),
        mask=mask,
    )


_STEMS = ("last", "time_since_last")


def _ranks(view: FeatureView, of: str) -> list[int]:
    """From the oldest to the newest."""
    lasts = [feature for feature in view.features if isinstance(feature, Aggregate) and feature.operation == "last_k"]
    known: dict[str, list[int]] = {}
    for feature in lasts:
        rank = int(dict(feature.parameters)["rank"])
        known.setdefault(feature.name.removeprefix(f"last_{rank}_"), []).append(rank)
    if of not in known:
        raise MissingError.of(f"sequence of view {view.name!r}", of, list(known), "last_k(…) in the view makes one.")
    found = sorted(known[of], reverse=True)
    if found[0] != len(found):
        msg = f"View {view.name!r} has ranks {', '.join(map(str, reversed(found)))} of last_…_{of}, which are no sequence. Define it by last_k(…), which makes all."
        raise InputError(msg)
    return found


def _column(rows: pa.Table, name: str) -> pa.Array:
    if name not in rows.column_names:
        remedy = "Make the frame of a service that takes the whole view."
        raise MissingError.of("column of the rows", name, rows.column_names, remedy)
    return rows[name].combine_chunks()


def _valid(column: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return found


def _filled(column: pa.Array, fill: Any) -> NDArray[Any]:  # noqa: ANN401 - of the column's type
    plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    found: NDArray[Any] = plain.fill_null(fill).to_numpy(zero_copy_only=False)
    return found
