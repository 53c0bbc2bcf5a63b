"""Answers for many keys as Arrow tables, and in Arrow's stream format."""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.definitions.expressions import ColumnType
from features.serving.arrow_messages import FEW_ROWS, JOINED, Column, Messages, by_pyarrow
from features.serving.served import Selected
from features.serving.usual_rows import UsualViews
from features.store.columns import Columns, OneRow, parted
from features.store.packed import MANY
from features.store.values import ARROW, Cell

if TYPE_CHECKING:
    from features.serving.reader import Result

__all__ = ["Tables"]

_INSTANT = ARROW["timestamp"]
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""Of a stream."""
_REMEMBERED = 256
"""So many schemas are kept ready."""


class _Shape(NamedTuple):
    """What answers have that are for the same features."""

    schema: pa.Schema
    keys: tuple[tuple[str, ColumnType], ...]
    """Its fields of keys."""
    begin: bytes
    """Of a stream."""
    runs: tuple[tuple[ColumnType, int, int], ...]
    """Columns whose buffers, of a single row, are their cells one after the other: their type, the first and the end; a text or a boolean stands alone."""
    texts: tuple[int, ...]
    """The places of the columns that are texts."""


class Tables:
    """Makes tables of a catalogue's views; it remembers what columns they have."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._messages = catalog, Messages()
        self._of, self._schema = cache(self._kinds), lru_cache(maxsize=_REMEMBERED)(self._described)

    def batch(self, result: "Result") -> pa.RecordBatch:
        """The keys' columns, `view__feature` in the feature's own type, `view__asof_status`; a row a key, in the order asked."""
        shape = self._schema(result.selected)
        # To read a message takes pyarrow a tenth of what it takes to make a hundred arrays.
        made = self._by_hand(shape, result) if len(result.keys) < MANY else None
        if made is None:
            return self._of_arrays(shape, result)
        return pa.ipc.read_record_batch(pa.py_buffer(made), shape.schema)

    def stream(self, result: "Result") -> bytes:
        """The same in Arrow's stream format."""
        shape = self._schema(result.selected)
        made = self._by_hand(shape, result) if len(result.keys) <= FEW_ROWS else None
        return shape.begin + (made or by_pyarrow(self._of_arrays(shape, result))) + _END

    def _of_arrays(self, shape: _Shape, result: "Result") -> pa.RecordBatch:
        columns = [pa.array([key[name] for key in result.keys], ARROW[kind]) for name, kind in shape.keys]
        for view in result.views:
            if isinstance(view.values, Columns):
                columns += [*view.values.arrays(), pa.array(view.statuses, pa.string())]
                continue
            kinds = self._of(view.view)
            for _, names in groupby(view.values, kinds.__getitem__):
                some = list(names)
                columns += _columns([view.values[name] for name in some], ARROW[kinds[some[0]]])
            columns.append(pa.array(view.statuses, pa.string()))
        return pa.RecordBatch.from_arrays(columns, schema=shape.schema)

    def _by_hand(self, shape: _Shape, result: "Result") -> bytes | None:
        """The message of few rows; None where pyarrow has to make it."""
        of, rows = result.selected, len(result.keys)
        if rows > 1:
            return self._messages.message(of, rows, self._of_few(shape, result))
        made = self._of_words(shape, result)
        if made is not None:
            return made
        cells = _of_one(shape, result)
        made = self._messages.row(of, shape.texts, cells)
        return made or self._messages.message(of, 1, [(kind, cells[first:end]) for kind, first, end in shape.runs])

    def _of_words(self, shape: _Shape, result: "Result") -> bytes | None:
        """Of a row whose bytes the store holds as they are here; None of any other."""
        views = result.views
        if not isinstance(views, UsualViews) or (pieces := views.of.pieces) is None:
            return None
        (key,) = result.keys
        keys = [key[name] for name, _ in shape.keys]
        return self._messages.row_of_words(
            result.selected, keys, lambda statuses: pieces.taken(views.strings, statuses), views.of.told
        )

    def _of_few(self, shape: _Shape, result: "Result") -> list[Column]:
        columns: list[Column] = [(kind, [key[name] for key in result.keys]) for name, kind in shape.keys]
        for view in result.views:
            kinds = self._of(view.view)
            columns.extend((kinds[name], cells) for name, cells in view.values.items())
            columns.append(("string", view.statuses))
        return columns

    def _described(self, selected: Selected) -> _Shape:
        views = [self._catalog.view(name) for name, _ in selected.views]
        kinds: dict[str, ColumnType] = {name: view.entity.type for view in views for name in view.keys}
        fields: list[tuple[str, ColumnType]] = [*kinds.items(), *self._fields(selected)]
        made = pa.schema([(name, ARROW[kind]) for name, kind in fields])
        columns: list[ColumnType] = [kind for _, kind in fields]
        texts = tuple(place for place, kind in enumerate(columns) if kind == "string")
        return _Shape(made, tuple(kinds.items()), made.serialize().to_pybytes(), tuple(_runs(columns)), texts)

    def _fields(self, selected: Selected) -> list[tuple[str, ColumnType]]:
        made = list[tuple[str, ColumnType]]()
        for name, features in selected.views:
            kinds = self._of(name)
            made.extend((f"{name}__{feature}", kinds[feature]) for feature in features)
            made.append((f"{name}__asof_status", "string"))
        return made

    def _kinds(self, name: str) -> Mapping[str, ColumnType]:
        """The type of each feature of a view."""
        return self._catalog.view(name).types


def _runs(kinds: Sequence[ColumnType]) -> list[tuple[ColumnType, int, int]]:
    made = list[tuple[ColumnType, int, int]]()
    for at, kind in enumerate(kinds):
        if made and made[-1][0] == kind and kind in JOINED:
            made[-1] = kind, made[-1][1], at + 1
        else:
            made.append((kind, at, at + 1))
    return made


def _of_one(shape: _Shape, result: "Result") -> list[Cell]:
    """The cells of a single row."""
    (key,), cells = result.keys, list[Cell]()
    cells += [key[name] for name, _ in shape.keys]
    for view in result.views:
        values = view.values
        cells += values.cells if isinstance(values, OneRow) else [cell for (cell,) in values.values()]
        cells += view.statuses
    return cells


def _columns(cells: Sequence[Sequence[Cell]], kind: pa.DataType) -> list[pa.Array]:
    """Columns of one type, made together: pyarrow takes as long for one value as for a hundred."""
    flat = list(chain.from_iterable(cells))
    made = pa.array(flat, pa.int64()).cast(kind) if kind == _INSTANT else pa.array(flat, kind)
    return parted(made, len(cells))
