"""Rows of several views about one key each, as they lie in a string an entity: read at once, not view by view. Nearly every lookup is of one key."""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, overload

from features.store.columns import OneRow
from features.store.heads import Head
from features.store.packed import Packing, taking
from features.store.reads import Answer
from features.store.values import Cell

__all__ = ["RowsTogether", "Span", "StringLayout", "Together", "fits"]

_Cells: TypeAlias = Callable[[tuple[Cell, ...]], tuple[Cell, ...]]


class Span(NamedTuple):
    """Bytes of a string."""

    first: int
    end: int
    """The one after the last."""


class StringLayout(NamedTuple):
    """Which rows are in a string."""

    views: Sequence[int]
    """Whose, by their numbers, which ascend."""
    spans: tuple[Span, ...]
    """Where the row of each lies."""


class Together(Sequence[Answer]):
    """Answers about one entity a view, of which each entity's rows lie in one string; an answer is made where somebody looks at it.

    Args:
        heads: of each view.
        layouts: of each string what is in it; each view is in one.
        keys: of each string its entity.
        strings: where one ends early there are no rows.
    """

    __slots__ = ("_made", "heads", "keys", "layouts", "strings")

    def __init__(
        self,
        heads: Sequence[Head | None],
        layouts: Sequence[StringLayout],
        keys: Sequence[bytes],
        strings: Sequence[bytes],
    ) -> None:
        self.heads, self.layouts, self.keys, self.strings = heads, layouts, keys, strings
        self._made: list[Answer] | None = None

    def __len__(self) -> int:
        return len(self.heads)

    def __eq__(self, other: object) -> bool:
        """To the same answers, made or not."""
        return isinstance(other, Together | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Answer]: ...
    def __getitem__(self, place: int | slice) -> Answer | Sequence[Answer]:
        """Of a view; zeros where a row would be are none."""
        if self._made is None:
            rows = {
                number: {key: string[first:end] if string[first:end].strip(b"\0") else None}
                for layout, key, string in zip(self.layouts, self.keys, self.strings, strict=True)
                for number, (first, end) in zip(layout.views, layout.spans, strict=True)
            }
            self._made = [Answer(head, rows[number]) for number, head in enumerate(self.heads)]
        return self._made[place]


class RowsTogether:
    """How the rows of some views are read where they lie.

    Args:
        packings: of each view.
        names: of each view the features that are asked for.
        begins: of each view how a row begins that is read, see `Packing.begin`.
        layouts: see `Together`; they fit.
    """

    def __init__(
        self,
        packings: Sequence[Packing],
        names: Sequence[tuple[str, ...]],
        begins: Sequence[bytes],
        layouts: Sequence[StringLayout],
    ) -> None:
        self._strings = [_StringRows.of(packings, names, begins, layout) for layout in layouts]
        numbers = [number for layout in layouts for number in layout.views]
        self._order = sorted(range(len(numbers)), key=numbers.__getitem__) if len(layouts) > 1 else None

    def read(self, strings: Sequence[bytes]) -> list[OneRow] | None:
        """A row a view. None where one does not begin so: it is missing, of another time or definition, or holds nulls."""
        made = list[OneRow]()
        for (size, unpack, first, begins, taken), string in zip(self._strings, strings, strict=False):
            if len(string) < size:
                return None
            fields = unpack(string)
            if [fields[place] for place in first] != begins:
                return None
            made += [OneRow(names, cells(fields)) for names, cells in taken]
        return made if self._order is None else [made[place] for place in self._order]


class _StringRows(NamedTuple):
    """How those of one string are read."""

    size: int
    """Bytes up to the end of the last."""
    unpack: Callable[[bytes], tuple[Any, ...]]
    """Of each row how it begins and all its features, in the order in which they lie."""
    first: Sequence[int]
    """Of each view the place among those of how its row begins."""
    begins: list[bytes]
    taken: Sequence[tuple[tuple[str, ...], _Cells]]
    """The features asked for, and what takes them."""

    @classmethod
    def of(
        cls,
        packings: Sequence[Packing],
        names: Sequence[tuple[str, ...]],
        begins: Sequence[bytes],
        layout: StringLayout,
    ) -> "_StringRows":
        codes, at, fields = ["<"], 0, 0
        first = dict[int, int]()
        for span, number in sorted(zip(layout.spans, layout.views, strict=True)):
            packing = packings[number]
            codes.append(f"{span.first - at}x{packing.begin_size}s{packing.codes}")
            first[number], at = fields, span.end
            fields += 1 + len(packing.codes)
        made = struct.Struct("".join(codes))
        return cls(
            made.size,
            made.unpack_from,
            [first[number] for number in layout.views],
            [begins[number] for number in layout.views],
            [
                (names[number], taking(packings[number].names, names[number], first[number] + 1))
                for number in layout.views
            ],
        )


def fits(packings: Sequence[Packing], layouts: Sequence[StringLayout]) -> bool:
    """Whether each span is as long as its packing's rows, which have no texts, and none overlaps another of its string."""
    for layout in layouts:
        ends = [Span(0, 0), *sorted(layout.spans)]
        if any(one.end > other.first for one, other in pairwise(ends)):
            return False
        for number, (first, end) in zip(layout.views, layout.spans, strict=True):
            if not 0 < packings[number].size == end - first:
                return False
    return True
