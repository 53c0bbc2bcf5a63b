"""Events that Feast's `push` brings go into the tails: Feast's messages back to rows of the source, which are taken in as `POST /push` takes them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.definitions.sources import Source
from features.errors import InputError
from features.feast.tags import followed_of
from features.serving.push import take_in
from features.settings import Settings

__all__ = ["take_events"]

_SHOWN = 5
_LARGEST_EXACT = 1 << 53
# What Feast makes of a pandas time: UTC, without saying so.
_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
_ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "timestamp": pa.string(),
}  # fmt: skip


def take_events(settings: Settings, view: Any, data: Sequence[Any]) -> None:  # noqa: ANN401 - Feast's FeatureView and quadruplets
    """Takes in all rows that fit. A row that was taken in before changes nothing, so a mended frame may be pushed whole.

    Args:
        settings: say which store.
        view: through which events of one source are pushed.
        data: entity key, values, event timestamp and created timestamp of each row; the first two count.

    Raises:
        InputError: rows do not fit: the message names them, each with its column and the reason; the others are in. Nothing is in where
            a column of whole numbers lost digits on its way through Feast.
        BusyError: the store does not answer; push the same again.
    """
    followed = followed_of(view)
    done = take_in(settings, followed, _table(followed.source, data))
    if done.refused:
        shown = "; ".join(f"row {row}: {reason}" for row, reason in sorted(done.refused.items())[:_SHOWN])
        more = f"; and {len(done.refused) - _SHOWN} more" if len(done.refused) > _SHOWN else ""
        msg = (
            f"Of {len(data)} rows pushed to source {followed.source.name!r}, {len(done.refused)} do not fit and were left out: {shown}{more}. "
            "The others are taken in. Mend these, and push them or all again: what is known already changes nothing."
        )
        raise InputError(msg)


def _table(source: Source, data: Sequence[Any]) -> pa.Table:
    made: dict[str, pa.Array] = {}
    for column in source.given:
        cells = [_cell(key, values, column.name) for key, values, _, _ in data]
        if column.type == "int64":
            _refuse_rounded(source, column.name, cells)
        array = pa.array(cells, _ARROW[column.type])
        made[column.name] = _instants(array) if column.type == "timestamp" else array
    return pa.table(made)


def _cell(key: Any, values: Any, name: str) -> Any:  # noqa: ANN401 - Feast's messages
    found = dict(zip(key.join_keys, key.entity_values, strict=True)).get(name, values.get(name))
    kind = None if found is None else found.WhichOneof("val")
    return None if kind is None else getattr(found, kind)


def _refuse_rounded(source: Source, name: str, cells: Sequence[int | None]) -> None:
    """Feast hands a column of whole numbers on as floats where one of them is null."""
    if None in cells and (large := [cell for cell in cells if cell is not None and abs(cell) >= _LARGEST_EXACT]):
        msg = (
            f"Column {name!r} of what was pushed to {source.name!r} has nulls, so Feast made floats of its whole numbers, and {large[0]} may have "
            "lost digits. Nothing was taken in: push the rows with nulls apart from the others."
        )
        raise InputError(msg)


def _instants(texts: pa.Array) -> pa.Array:
    """Times without a zone are UTC, as everywhere in Feast; other text is read as `asof ingest` reads it."""
    cells = [None if text is None else _in_utc(text) for text in texts.to_pylist()]
    if not any(isinstance(cell, str) for cell in cells):
        return pa.array(cells, pa.timestamp("us", tz="UTC"))
    return pa.array([cell.isoformat() if isinstance(cell, datetime) else cell for cell in cells], pa.string())


def _in_utc(text: str) -> datetime | str:
    if not _WITHOUT_ZONE.fullmatch(text):
        return text
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return text
