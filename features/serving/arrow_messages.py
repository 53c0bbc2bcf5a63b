"""Record batches as bytes of Arrow's stream, put together by hand where their columns were seen before: pyarrow takes ten times as long for a hundred columns of a row.

A message is its metadata, which say how many rows there are, how many nulls each column has and where each buffer lies, and the buffers one after the other, each filled up to
8 bytes. How metadata are laid out is the same for the same columns and as many rows: they are kept from a batch that pyarrow wrote, and other nulls and lengths of texts are
written over. Metadata that were made once are kept as well.
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import accumulate, chain, groupby
from operator import itemgetter
from struct import pack
from typing import Any, NamedTuple

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.serving.arrow_metadata import Metadata
from features.store.values import ARROW, Cell

__all__ = ["FEW_ROWS", "JOINED", "Column", "Messages", "by_pyarrow"]

Column = tuple[ColumnType, Sequence[Cell]]
"""Its type and cells."""
_WORDS: dict[ColumnType, str] = {"int64": "q", "timestamp": "q", "float64": "d"}
JOINED = frozenset(_WORDS)
"""Types whose buffers are as their cells one after the other, those of a column and then those of the next."""
_REMEMBERED = 256
"""So many layouts of metadata are kept."""
_WRITTEN = 64
"""So many metadata as they were written, which may have 30 kB each: where texts are as long and nothing else is null they are the same again."""
_TEXTS = 1024
"""So many text columns."""
FEW_ROWS = 64
"""Of more rows pyarrow takes less a row. Nulls of a column are counted in one byte."""


class _Body(NamedTuple):
    """The buffers of a batch, and what its metadata say of them."""

    buffers: bytes
    lengths: tuple[int, ...]
    """Of the text of each text column."""
    nulls: bytes
    """How many each column has; none: no column has one."""


class _Row(NamedTuple):
    """How a row is written that has no null."""

    head: bytes
    body: Callable[..., bytes]
    """Takes its cells, of texts their buffers."""


class Messages:
    """Remembers shapes; of one thread, or of an event loop."""

    def __init__(self) -> None:
        self._metadata: dict[Hashable, Metadata | None] = {}
        self._heads: dict[Hashable, bytes] = {}
        self._rows: dict[Hashable, _Row] = {}

    def row(self, of: Hashable, texts: Sequence[int], cells: Sequence[Cell]) -> bytes | None:
        """The message of a single row, written at once; None where `message` has to make it: the first of its kind, one with a null or a boolean.

        Args:
            of: as `message` has it.
            texts: the places of the texts among the cells.
            cells: one a column.
        """
        parts, lengths = list[Any](cells), list[int]()
        for place in texts:
            if cells[place] is None:
                return None
            parts[place], length = _texts((cells[place],))
            lengths.append(length)
        known = self._rows.get((of, *lengths))
        if known is None:
            return None
        try:
            return known.head + known.body(*parts)
        except struct.error:  # a null
            return None

    def row_of_words(
        self,
        of: Hashable,
        keys: Sequence[Cell],
        words: Callable[[Sequence[bytes]], Sequence[bytes]],
        statuses: tuple[str, ...],
    ) -> bytes | None:
        """The same of a row whose buffers are there, as numbers and instants that lie one after the other have them.

        Args:
            of: as `message` has it.
            keys: the first columns, numbers or texts.
            words: gives of each view the buffers of its values, and after them those of its status, which it is told.
            statuses: of each the status, which is a column after those of its values.
        """
        parts, lengths = list[bytes](), list[int]()
        for key in keys:
            if isinstance(key, str):
                text, length = _texts((key,))
                lengths.append(length)
            elif key is None:
                return None
            else:
                text = pack("<q", key)
            parts.append(text)
        buffers, said = _texts_each(statuses)
        known = self._rows.get((of, *lengths, *said))
        if known is None:
            return None
        return b"".join((known.head, *parts, *words(buffers)))

    def message(self, of: Hashable, rows: int, columns: Sequence[Column]) -> bytes | None:
        """The message of a record batch; None where pyarrow lays such out in an unknown way, and has to make it.

        Args:
            of: stands for the columns' names and types.
            rows: how many there are, `FEW_ROWS` at the most.
            columns: in the order of the schema; of a single row `JOINED` ones that follow each other and are of one type may come as one.
        """
        body = _body(columns, rows)
        shape = (of, rows, body.lengths, body.nulls)
        head = self._heads.get(shape)
        if head is None:
            metadata = self._of((of, rows), columns, rows)
            if metadata is None:
                return None
            if len(self._heads) >= _WRITTEN:
                self._heads.clear()
            head = self._heads[shape] = metadata.written(body.lengths, body.nulls)
            if rows == 1 and not body.nulls and all(kind != "bool" for kind, _ in columns):
                if len(self._rows) >= _WRITTEN:
                    self._rows.clear()
                self._rows[of, *body.lengths] = _Row(head, _row_of(columns))
        return head + body.buffers

    def _of(self, key: Hashable, columns: Sequence[Column], rows: int) -> Metadata | None:
        if key not in self._metadata:
            if len(self._metadata) >= _REMEMBERED:
                self._metadata.clear()
            self._metadata[key] = _metadata(columns, rows)
        return self._metadata[key]


def _metadata(columns: Sequence[Column], rows: int) -> Metadata | None:
    """As pyarrow writes them of arrays that share nothing; None where they, or the buffers behind them, are not what is made here."""
    alone: list[Column] = [
        (kind, cells[at : at + rows]) for kind, cells in columns for at in range(0, len(cells), rows)
    ]
    arrays = [
        pa.array(cells, pa.int64()).cast(ARROW[kind]) if kind == "timestamp" else pa.array(cells, ARROW[kind])
        for kind, cells in alone
    ]
    whole = by_pyarrow(pa.RecordBatch.from_arrays(arrays, names=[""] * len(arrays)))
    body = _body(columns, rows)
    made = Metadata.of(whole[: len(whole) - len(body.buffers)], [kind for kind, _ in alone], rows)
    return made if made and made.written(body.lengths, body.nulls) + body.buffers == whole else None


def by_pyarrow(batch: pa.RecordBatch) -> bytes:
    """The message as pyarrow has it."""
    made: bytes = batch.serialize().to_pybytes()
    return made


def _body(columns: Sequence[Column], rows: int) -> _Body:
    parts, lengths, nulls = list[bytes](), list[int](), list[bytes]()
    for kind, some in groupby(columns, itemgetter(0)):
        if kind in _WORDS:
            cells: list[Any] = list(chain.from_iterable([column for _, column in some]))
            words, missing = _words(cells, rows, _WORDS[kind])
            parts.append(words)
            nulls.append(missing)
            continue
        for _, column in some:
            missing = bytes([column.count(None)])
            if missing != b"\0":
                parts.append(_present(column))
            if kind == "bool":
                parts.append(_filled(_bits(column)))
            else:
                texts, length = _texts(tuple(column))
                parts.append(texts)
                lengths.append(length)
            nulls.append(missing)
    whole = b"".join(nulls)
    return _Body(b"".join(parts), tuple(lengths), whole if whole.strip(b"\0") else b"")


def _row_of(columns: Sequence[Column]) -> Callable[..., bytes]:
    """Writes the buffers of columns of one row."""
    codes = [
        f"{len(cells)}{_WORDS[kind]}" if kind in _WORDS else f"{len(_texts(tuple(cells))[0])}s"
        for kind, cells in columns
    ]
    return struct.Struct("<" + "".join(codes)).pack


def _words(cells: list[Any], rows: int, code: str) -> tuple[bytes, bytes]:
    """The buffers of columns of numbers, and how many nulls each has."""
    if None not in cells:
        return pack(f"<{len(cells)}{code}", *cells), bytes(len(cells) // rows)
    if rows == 1:
        # No bit is set of one that is null, and its number may be any: two words of zeros.
        words = list(chain.from_iterable([(0, 0) if cell is None else (cell,) for cell in cells]))
        return pack(f"<{len(words)}{code}", *words), bytes([cell is None for cell in cells])
    parts, missing = list[bytes](), bytearray()
    for at in range(0, len(cells), rows):
        column = cells[at : at + rows]
        missing.append(column.count(None))
        if missing[-1]:
            parts.append(_present(column))
            column = [0 if cell is None else cell for cell in column]
        parts.append(pack(f"<{rows}{code}", *column))
    return b"".join(parts), bytes(missing)


@lru_cache(maxsize=_TEXTS)
def _texts(column: tuple[Cell, ...]) -> tuple[bytes, int]:
    """The buffers of a text column, where each cell begins and the text, and how long that is; statuses are nearly always the same."""
    texts = [b"" if cell is None else str(cell).encode() for cell in column]
    ends = list(accumulate(map(len, texts), initial=0))
    return _filled(pack(f"<{len(ends)}i", *ends)) + _filled(b"".join(texts)), ends[-1]


@lru_cache(maxsize=_TEXTS)
def _texts_each(cells: tuple[str, ...]) -> tuple[list[bytes], list[int]]:
    """Of columns of one text each."""
    made = [_texts((cell,)) for cell in cells]
    return [buffers for buffers, _ in made], [length for _, length in made]


def _present(column: Sequence[Cell]) -> bytes:
    """The buffer that says which cells are no nulls."""
    return _filled(_bits([cell is not None for cell in column]))


def _bits(column: Sequence[Cell]) -> bytes:
    """A bit a cell, the lowest first."""
    whole = sum(1 << place for place, cell in enumerate(column) if cell)
    return whole.to_bytes((len(column) + 7) // 8, "little")


def _filled(buffer: bytes) -> bytes:
    return buffer + b"\0" * (-len(buffer) % 8)
