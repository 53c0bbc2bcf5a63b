"""What several views say of one key whose rows are all as they usually are: in strings, each there, and none with a null.

Whoever writes an answer takes the cells of all views at once, or their bytes as they came; what a single view says is made where somebody looks at it.
"""

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple, overload

from features.serving.served import Status, ViewColumns
from features.store.columns import OneRow
from features.store.live_rows import getting
from features.store.packed import Span
from features.store.together import StringRows
from features.store.values import Cell

__all__ = ["Pieces", "Usual", "UsualView", "UsualViews"]

_FEW = 4
"""Of as many cells a run in the mean it pays to take their bytes."""


class Pieces(NamedTuple):
    """How the bytes of cells are taken out of strings, many at once."""

    cuts: Sequence[Callable[[bytes], tuple[bytes, ...]]]
    """Of each string those in it."""
    order: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
    """Puts all of them, and what comes after those of each view, in order."""

    def taken(self, strings: Sequence[bytes], after: Sequence[bytes]) -> tuple[bytes, ...]:
        """Of each view the bytes of its cells, 8 each, little endian, and then what comes after them."""
        made = list[bytes]()
        for cut, string in zip(self.cuts, strings, strict=True):
            made += cut(string)
        return self.order((*made, *after))


class UsualView(NamedTuple):
    """What is the same for all keys."""

    name: str
    features: tuple[str, ...]
    status: Status
    cut: int
    string: int
    """In which of the strings its row is."""
    fields: Sequence[int]
    """Where its cells are among the fields of that string."""
    words: Sequence[Span] | None
    """Where they lie in it, where each has 8 bytes."""


class Usual:
    """How rows are read while head records say the same.

    Args:
        strings: the rows that lie in each.
        views: all that is asked for, in the order of the lookup.
    """

    def __init__(self, strings: Sequence[StringRows], views: Sequence[UsualView]) -> None:
        self.views, self.strings = views, strings
        self.told: tuple[Status, ...] = tuple([view.status for view in views])
        """The status of each view."""
        self.statuses: tuple[tuple[Status, ...], ...] = tuple([(view.status,) for view in views])
        self.cuts = tuple([(view.cut,) for view in views])
        """Both as `ViewColumns` has them."""
        begins = [*accumulate([rows.count for rows in strings], initial=0)]
        self.cells = getting([begins[view.string] + place for view in views for place in view.fields])
        """Takes the cells of all views out of the fields of all strings."""
        self.pieces = _pieces(len(strings), views)
        """None where they are many, or a cell has other than 8 bytes."""

    def of(self, found: Sequence[bytes], at: int) -> "UsualViews | None":
        """None where a row is not as usual.

        Args:
            found: the strings.
            at: the asked instant, in microseconds UTC.
        """
        for rows, string in zip(self.strings, found, strict=True):
            if not rows.are_usual(string):
                return None
        return UsualViews(self, found, at)


class UsualViews(Sequence[ViewColumns]):
    """Of one key, asked at an instant."""

    __slots__ = ("_at", "_made", "of", "strings")

    def __init__(self, of: Usual, strings: Sequence[bytes], at: int) -> None:
        self.of, self.strings, self._at = of, strings, at
        self._made: Sequence[ViewColumns] | None = None

    def cells(self) -> tuple[Cell, ...]:
        """Of all views, one after the other."""
        fields = [rows.fields(string) for rows, string in zip(self.of.strings, self.strings, strict=True)]
        return self.of.cells(fields[0] if len(fields) == 1 else sum(fields, ()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as of any list

    def __reduce__(self) -> tuple[type[tuple[ViewColumns, ...]], tuple[tuple[ViewColumns, ...]]]:
        """Whoever keeps it, or sends it to another process, has the views."""
        return tuple, (tuple(self),)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __len__(self) -> int:
        return len(self.of.views)

    @overload
    def __getitem__(self, place: int) -> ViewColumns: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ViewColumns]: ...
    def __getitem__(self, place: int | slice) -> ViewColumns | Sequence[ViewColumns]:
        """Of a view, or of some."""
        if self._made is None:
            cells, ends = self.cells(), [*accumulate([len(view.features) for view in self.of.views], initial=0)]
            self._made = [
                self._view(view, cells[first:end])
                for view, first, end in zip(self.of.views, ends, ends[1:], strict=False)
            ]
        return self._made[place]

    def _view(self, view: UsualView, cells: tuple[Cell, ...]) -> ViewColumns:
        row = OneRow(view.features, cells)
        return ViewColumns(view.name, row, (view.status,), (view.cut,), (self._at - view.cut,))


def _pieces(strings: int, views: Sequence[UsualView]) -> Pieces | None:
    there = sorted(
        (view.string, span, n, part) for n, view in enumerate(views) for part, span in enumerate(view.words or ())
    )
    cells = sum(len(view.features) for view in views)
    if any(view.words is None for view in views) or cells < _FEW * len(there):
        return None
    cuts = list[Callable[[bytes], tuple[bytes, ...]]]()
    for number in range(strings):
        codes, at = ["<"], 0
        for span in [span for string, span, *_ in there if string == number]:
            codes.append(f"{span.first - at}x{span.end - span.first}s")
            at = span.end
        cuts.append(struct.Struct("".join(codes)).unpack_from)
    places = {(n, part): place for place, (*_, n, part) in enumerate(there)}
    order = [
        place
        for n, view in enumerate(views)
        for place in (*[places[n, part] for part in range(len(view.words or ()))], len(there) + n)
    ]
    return Pieces(cuts, getting(order))
