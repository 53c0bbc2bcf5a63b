"""Values of one view, a column a feature: columns are made when somebody reads them, as Python's cells or as Arrow's arrays."""

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.store.values import ARROW, Cell
from features.values.columns import as_type

__all__ = ["Columns", "OneRow", "parted", "typed"]


class Columns(Mapping[str, Sequence[Cell]]):
    """Feature to its cells; timestamps are microseconds UTC.

    Args:
        names: of the features, in order.
        cells: makes the cells of these features, and maybe of others.
        arrays: makes an array of each likewise, of the type that the view declares.
    """

    def __init__(
        self,
        names: Sequence[str],
        cells: Callable[[], Mapping[str, Sequence[Cell]]],
        arrays: Callable[[], Mapping[str, pa.Array]],
    ) -> None:
        self._names, self._to_cells, self._to_arrays = names, cells, arrays

    @cached_property
    def _cells(self) -> dict[str, Sequence[Cell]]:
        made = self._to_cells()
        return {name: made[name] for name in self._names}

    def __getitem__(self, name: str) -> Sequence[Cell]:
        return self._cells[name]

    def items(self) -> ItemsView[str, Sequence[Cell]]:
        """As a dict has them: a mapping's own would ask for one after the other."""
        return self._cells.items()

    def values(self) -> ValuesView[Sequence[Cell]]:
        """See `items`."""
        return self._cells.values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def arrays(self) -> list[pa.Array]:
        """One a feature, in order."""
        made = self._to_arrays()
        return [made[name] for name in self._names]


class OneRow(Mapping[str, Sequence[Cell]]):
    """As `Columns`, of a single row: a hundred columns of one cell each take longer to make than the row.

    Args:
        names: of the features, in order.
        cells: theirs, in the same order.
    """

    __slots__ = ("_made", "cells", "names")

    def __init__(self, names: tuple[str, ...], cells: tuple[Cell, ...]) -> None:
        self.names, self.cells = names, cells
        self._made: dict[str, Sequence[Cell]] | None = None

    def _columns(self) -> dict[str, Sequence[Cell]]:
        if self._made is None:
            self._made = dict(zip(self.names, zip(self.cells, strict=True), strict=True))
        return self._made

    def __getitem__(self, name: str) -> Sequence[Cell]:
        return self._columns()[name]

    def items(self) -> ItemsView[str, Sequence[Cell]]:
        """See `Columns.items`."""
        return self._columns().items()

    def values(self) -> ValuesView[Sequence[Cell]]:
        """See `Columns.items`."""
        return self._columns().values()

    def __repr__(self) -> str:
        return repr(self._columns())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def parted(whole: pa.Array, count: int) -> list[pa.Array]:
    """Columns that stand one after the other in one array: pyarrow takes as long for one as for a hundred."""
    rows = len(whole) // max(count, 1)
    return [whole.slice(place * rows, rows) for place in range(count)]


def typed(array: pa.Array, kind: ColumnType) -> pa.Array:
    """An array in the type of published columns; one of whole numbers serves for timestamps, in microseconds UTC."""
    return as_type(array, ARROW[kind])
