"""Answers for many keys as Arrow tables, and in Arrow's stream format."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.definitions.expressions import ColumnType
from features.serving.arrow_messages import FEW_ROWS, Column, Messages, by_pyarrow
from features.store.columns import Columns, parted
from features.store.values import ARROW, Cell

if TYPE_CHECKING:
    from features.serving.reader import Result

__all__ = ["Tables"]

_INSTANT = ARROW["timestamp"]
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""Of a stream."""
_REMEMBERED = 256
"""So many schemas are kept ready."""
Selected = tuple[tuple[str, tuple[str, ...]], ...]
"""Views and of each its features."""


class Tables:
    """Makes tables of a catalogue's views; it remembers what columns they have."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._messages = catalog, Messages()
        self._of, self._schema = cache(self._kinds), lru_cache(maxsize=_REMEMBERED)(self._described)

    def batch(self, result: "Result") -> pa.RecordBatch:
        """The keys' columns, `view__feature` in the feature's own type, `view__asof_status`; a row a key, in the order asked."""
        schema, of_keys, _ = self._schema(_selected(result))
        columns = [pa.array([key[name] for key in result.keys], ARROW[kind]) for name, kind in of_keys]
        for view in result.views:
            if isinstance(view.values, Columns):
                columns += [*view.values.arrays(), pa.array(view.statuses, pa.string())]
                continue
            kinds = self._of(view.view)
            for _, names in groupby(view.values, kinds.__getitem__):
                some = list(names)
                columns += _columns([view.values[name] for name in some], ARROW[kinds[some[0]]])
            columns.append(pa.array(view.statuses, pa.string()))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def stream(self, result: "Result") -> bytes:
        """The same in Arrow's stream format."""
        selected = _selected(result)
        _, of_keys, begin = self._schema(selected)
        if len(result.keys) > FEW_ROWS:
            return begin + by_pyarrow(self.batch(result)) + _END
        columns: list[Column] = [(kind, [key[name] for key in result.keys]) for name, kind in of_keys]
        for view in result.views:
            kinds = self._of(view.view)
            columns += [(kinds[name], cells) for name, cells in view.values.items()]
            columns.append(("string", view.statuses))
        return begin + self._messages.message(selected, columns, lambda: self.batch(result)) + _END

    def _described(self, selected: Selected) -> tuple[pa.Schema, list[tuple[str, ColumnType]], bytes]:
        """The schema, its fields of keys, and the bytes that a stream of it begins with."""
        views = [self._catalog.view(name) for name, _ in selected]
        kinds: dict[str, ColumnType] = {name: view.entity.type for view in views for name in view.keys}
        of_keys = list(kinds.items())
        made = pa.schema([*((name, ARROW[kind]) for name, kind in of_keys), *self._fields(selected)])
        return made, of_keys, made.serialize().to_pybytes()

    def _fields(self, selected: Selected) -> Iterable[tuple[str, pa.DataType]]:
        for name, features in selected:
            yield from ((f"{name}__{feature}", ARROW[self._of(name)[feature]]) for feature in features)
            yield f"{name}__asof_status", pa.string()

    def _kinds(self, name: str) -> Mapping[str, ColumnType]:
        """The type of each feature of a view."""
        return self._catalog.view(name).types


def _selected(result: "Result") -> Selected:
    return tuple((view.view, tuple(view.values)) for view in result.views)


def _columns(cells: Sequence[Sequence[Cell]], kind: pa.DataType) -> list[pa.Array]:
    """Columns of one type, made together: pyarrow takes as long for one value as for a hundred."""
    flat = list(chain.from_iterable(cells))
    made = pa.array(flat, pa.int64()).cast(kind) if kind == _INSTANT else pa.array(flat, kind)
    return parted(made, len(cells))
