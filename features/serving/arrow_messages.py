"""Record batches as bytes of Arrow's stream, put together by hand where their shape was seen before: pyarrow takes ten times as long for a hundred columns of a row.

A message is its metadata, which say how many rows there are and where each buffer lies, and the buffers one after the other, each filled up to 8 bytes. Metadata are the same
for as many rows, and texts as long, as long as nothing is null: they are kept from a batch that pyarrow wrote, whose buffers were those that are made here.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import accumulate, chain, groupby
from operator import itemgetter
from struct import pack
from typing import Any

import pyarrow as pa

from features.store.values import Cell

__all__ = ["FEW_ROWS", "JOINED", "Column", "Messages", "by_pyarrow"]

Column = tuple[str, Sequence[Cell]]
"""Its type (`string`, `int64`, `float64`, `bool` or `timestamp`) and cells."""
_WORDS = {"int64": "q", "timestamp": "q", "float64": "d"}
JOINED = frozenset(_WORDS)
"""Types whose buffers are as their cells one after the other, those of a column and then those of the next."""
_REMEMBERED = 1024
"""So many shapes are kept."""
FEW_ROWS = 64
"""Of more rows texts are hardly ever as long, and pyarrow takes less a row."""


class Messages:
    """Remembers shapes; of one thread, or of an event loop."""

    def __init__(self) -> None:
        self._heads: dict[Hashable, bytes] = {}

    def message(self, of: Hashable, columns: Sequence[Column], batch: Callable[[], pa.RecordBatch]) -> bytes:
        """The message of a record batch.

        Args:
            of: stands for the columns' names and types, and for how many rows there are.
            columns: in the order of the schema; `JOINED` ones that follow each other and are of one type may come as one.
            batch: the same as pyarrow has it; asked for where the shape is new, or a cell is null.
        """
        return self.by_hand(of, columns, batch) or by_pyarrow(batch())

    def by_hand(self, of: Hashable, columns: Sequence[Column], batch: Callable[[], pa.RecordBatch]) -> bytes | None:
        """The same; None where pyarrow has to make it."""
        if any(None in cells for _, cells in columns):
            return None
        body, lengths = _body(columns)
        shape = (of, lengths)
        if shape not in self._heads:
            whole = by_pyarrow(batch())
            if not whole.endswith(body):
                return None
            if len(self._heads) >= _REMEMBERED:
                self._heads.clear()
            self._heads[shape] = whole[: len(whole) - len(body)]
        return self._heads[shape] + body


def by_pyarrow(batch: pa.RecordBatch) -> bytes:
    """The message as pyarrow has it."""
    made: bytes = batch.serialize().to_pybytes()
    return made


def _body(columns: Sequence[Column]) -> tuple[bytes, tuple[int, ...]]:
    """The buffers, and how long the text of each text column is."""
    parts, lengths = list[bytes](), list[int]()
    for kind, some in groupby(columns, itemgetter(0)):
        if kind in _WORDS:
            numbers: list[Any] = list(chain.from_iterable([column for _, column in some]))
            parts.append(pack(f"<{len(numbers)}{_WORDS[kind]}", *numbers))
            continue
        for _, column in some:
            if kind == "bool":
                parts.append(_filled(_bits(column)))
            else:
                texts, length = _texts(tuple(column))
                parts.append(texts)
                lengths.append(length)
    return b"".join(parts), tuple(lengths)


@lru_cache(maxsize=_REMEMBERED)
def _texts(column: tuple[Cell, ...]) -> tuple[bytes, int]:
    """The buffers of a text column, where each cell begins and the text, and how long that is; statuses are nearly always the same."""
    texts = [str(cell).encode() for cell in column]
    ends = list(accumulate(map(len, texts), initial=0))
    return _filled(pack(f"<{len(ends)}i", *ends)) + _filled(b"".join(texts)), ends[-1]


def _bits(column: Sequence[Cell]) -> bytes:
    """A bit a cell, the lowest first."""
    whole = sum(1 << place for place, cell in enumerate(column) if cell)
    return whole.to_bytes((len(column) + 7) // 8, "little")


def _filled(buffer: bytes) -> bytes:
    return buffer + b"\0" * (-len(buffer) % 8)
