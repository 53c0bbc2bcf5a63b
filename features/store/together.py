"""One entity's rows of several views as they lie in one string: read at once, not view by view. Nearly every lookup is of one entity."""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, overload

from features.store.columns import OneRow
from features.store.heads import Head
from features.store.packed import Packing, taking
from features.store.reads import Answer
from features.store.values import Cell

__all__ = ["Span", "StringRows", "Together", "fits"]


class Span(NamedTuple):
    """Bytes of a string."""

    first: int
    end: int
    """The one after the last."""


class Together(Sequence[Answer]):
    """Answers about one entity whose rows lie in one string; one is made where somebody looks at it.

    Args:
        heads: of each view.
        key: the entity's.
        string: all its rows; where it ends early there are none.
        spans: of each view where its row lies.
    """

    __slots__ = ("heads", "key", "spans", "string")

    def __init__(self, heads: Sequence[Head | None], key: bytes, string: bytes, spans: tuple[Span, ...]) -> None:
        self.heads, self.key, self.string, self.spans = heads, key, string, spans

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
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        span = self.spans[place]
        row = self.string[span.first : span.end]
        return Answer(self.heads[place], {self.key: row if row.strip(b"\0") else None})


class StringRows:
    """How the rows of some views are read from a string in which each has its span.

    Args:
        packings: of each view.
        names: of each view the features that are asked for.
        spans: of each view. They do not overlap, and each is as long as its packing's rows, which have no texts.
    """

    def __init__(self, packings: Sequence[Packing], names: Sequence[tuple[str, ...]], spans: Sequence[Span]) -> None:
        codes, at, fields = ["<"], 0, 0
        first = [0] * len(spans)
        for number in sorted(range(len(spans)), key=spans.__getitem__):
            packing, span = packings[number], spans[number]
            codes.append(f"{span.first - at}x{packing.begin_size}s{packing.codes}")
            first[number], at = fields, span.end
            fields += 1 + len(packing.codes)
        self._struct = struct.Struct("".join(codes))
        self._first = tuple(first)
        self._rows: list[tuple[tuple[str, ...], Callable[[tuple[Cell, ...]], tuple[Cell, ...]]]] = [
            (some, taking(packing.names, some, place + 1)) for packing, some, place in zip(packings, names, first, strict=True)
        ]  # fmt: skip

    def read(self, string: bytes, begins: Sequence[bytes]) -> list[OneRow] | None:
        """A row a view, if each begins so (see `Packing.begin`). Else None: one is missing, of another time or definition, or holds nulls."""
        if len(string) < self._struct.size:
            return None
        fields = self._struct.unpack_from(string)
        if [fields[place] for place in self._first] != begins:
            return None
        return [OneRow(names, cells(fields)) for names, cells in self._rows]


def fits(packings: Sequence[Packing], spans: Sequence[Span]) -> bool:
    """Whether each span is as long as its packing's rows, which have no texts, and none overlaps another."""
    ends = [Span(0, 0), *sorted(spans)]
    return all(one.end <= other.first for one, other in pairwise(ends)) and all(
        0 < packing.size == span.end - span.first for packing, span in zip(packings, spans, strict=True)
    )
