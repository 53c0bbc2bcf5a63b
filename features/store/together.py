"""Rows of several views about one key each, as they lie in strings of entities: read at once, not view by view. Nearly every lookup is of one key."""

import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, overload

from features.store.columns import OneRow
from features.store.heads import Head
from features.store.live_rows import Taking
from features.store.packed import BEFORE_NULLS, Packing, Span
from features.store.reads import Answer

__all__ = ["Span", "StringLayout", "StringRows", "Strings", "Together", "fitting"]

_NOTHING: Mapping[int, Any] = MappingProxyType({})


class StringLayout(NamedTuple):
    """Which rows are in a string."""

    views: Sequence[int]
    """Whose, by the places of their questions in a lookup."""
    spans: tuple[Span, ...]
    """Where the row of each lies."""


class Strings(NamedTuple):
    """Of entities, one or several each."""

    layouts: Sequence[StringLayout]
    """Of each what is in it."""
    entities: Sequence[bytes]
    owners: Sequence[int]
    """Of each the place of its entity."""
    found: Sequence[bytes]
    """Where one ends early there are no rows."""


class Together(Sequence[Answer]):
    """Answers of a lookup that asks each view for one entity, many of whose rows lie in strings; of those an answer is made where somebody looks at it.

    Args:
        numbers: the places of the questions that were asked for plain values.
        heads: of each.
        strings: with the rows of most of them.
        fields: of questions whose rows are in no string the entity and its row.
        others: the answers of all other questions.
    """

    __slots__ = ("_made", "fields", "heads", "numbers", "others", "strings")

    def __init__(
        self,
        numbers: Sequence[int],
        heads: Sequence[Head | None],
        strings: Strings,
        fields: Mapping[int, tuple[bytes, bytes | None]] = _NOTHING,
        others: Mapping[int, Answer] = _NOTHING,
    ) -> None:
        self.numbers, self.heads, self.strings = numbers, heads, strings
        self.fields, self.others = fields, others
        self._made: list[Answer] | None = None

    def __len__(self) -> int:
        return len(self.numbers) + len(self.others)

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Answer]: ...
    def __getitem__(self, place: int | slice) -> Answer | Sequence[Answer]:
        """Of a question; zeros where a row would be are none."""
        if isinstance(place, int) and (there := self.others.get(place)) is not None:
            return there
        if self._made is None:
            rows: dict[int, tuple[bytes, bytes | None]] = dict(self.fields)
            layouts, entities, owners, strings = self.strings
            for layout, owner, string in zip(layouts, owners, strings, strict=True):
                for number, (first, end) in zip(*layout, strict=True):
                    rows[number] = entities[owner], string[first:end] if string[first:end].strip(b"\0") else None
            made = dict(self.others)
            for number, head in zip(self.numbers, self.heads, strict=True):
                made[number] = Answer(head, dict([rows[number]] if number in rows else ()))
            self._made = [made[number] for number in range(len(made))]
        return self._made[place]


class StringRows:
    """Reads the rows that lie in a string.

    Args:
        layout: which; they fit, see `fitting`.
        packings: of each.
        names: of each the features that are asked for.
        begins: of each how rows begin that are read, see `Packing.begin`; nulls may be others.
    """

    def __init__(
        self,
        layout: StringLayout,
        packings: Sequence[Packing],
        names: Sequence[tuple[str, ...]],
        begins: Sequence[bytes],
    ) -> None:
        codes, end, fields, first = ["<"], 0, 0, dict[int, int]()
        for span, place in sorted(zip(layout.spans, range(len(packings)), strict=True)):
            codes.append(f"{span.first - end}x{packings[place].begin_size}s{packings[place].codes}")
            first[place], end = fields, span.end
            fields += 1 + len(packings[place].codes)
        made = struct.Struct("".join(codes))
        self._size, self.fields = made.size, made.unpack_from
        """Reads the fields of all rows of a string that is long enough; `count` are they."""
        self.count = fields
        self._spans, self._begins = layout.spans, list(begins)
        self._where = [
            slice(span.first, span.first + packing.begin_size)
            for span, packing in zip(layout.spans, packings, strict=True)
        ]
        self._first = [first[place] for place in range(len(packings))]
        self.taken: Sequence[Taking] = [
            Taking(packing.names, some, at + 1) for packing, some, at in zip(packings, names, self._first, strict=True)
        ]
        """Of each what takes its cells out of the fields."""
        self.words = [
            _words(packing.words(some), span) for packing, some, span in zip(packings, names, layout.spans, strict=True)
        ]
        """Of each where its cells lie in the string, as `Packing.words` has it."""

    def are_usual(self, string: bytes) -> bool:
        """Whether each row is there, of its definition and timestamp, and without a null."""
        return len(string) >= self._size and [string[where] for where in self._where] == self._begins

    def one_by_one(self, string: bytes) -> list[OneRow | bytes]:
        """A row each; its bytes where it is none of that definition and timestamp, or a value left int64, and no bytes where there is none."""
        fields, end = self.fields(string.ljust(self._size, b"\0")), len(string)
        made = list[OneRow | bytes]()
        for span, place, begin, some in zip(self._spans, self._first, self._begins, self.taken, strict=True):
            found = fields[place]
            if found[:BEFORE_NULLS] != begin[:BEFORE_NULLS] or span.end > end:
                row = string[span.first : span.end]
                made.append(row if row.strip(b"\0") else b"")
            elif found == begin:
                made.append(OneRow(some.names, some.cells(fields)))
            else:
                made.append(OneRow(some.names, some.with_nulls(fields, found[BEFORE_NULLS:])))
        return made


def _words(own: Sequence[Span] | None, within: Span) -> list[Span] | None:
    return None if own is None else [Span(within.first + one.first, within.first + one.end) for one in own]


def fitting(layout: StringLayout, sizes: Mapping[int, int]) -> StringLayout:
    """What of a layout can be read at once: the rows that are as long as their views' are, of which none overlaps another; those of views that are not named here are left out.

    >>> one, two, three = Span(0, 8), Span(8, 17), Span(16, 24)
    >>> fitting(StringLayout((4, 5, 6), (one, two, three)), {4: 8, 5: 8, 6: 8}).views
    (4, 6)
    >>> fitting(StringLayout((4, 5, 6), (one, two, three)), {4: 8, 5: 9, 6: 8}).views
    ()
    """
    there = [
        (span, view) for view, span in zip(*layout, strict=True) if 0 < sizes.get(view, 0) == span.end - span.first
    ]
    in_order = sorted([span for span, _ in there])
    if any(one.end > other.first for one, other in pairwise(in_order)):
        there = []
    return StringLayout(tuple(view for _, view in there), tuple(span for span, _ in there))
