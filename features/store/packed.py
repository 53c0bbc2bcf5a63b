"""A row of plain values as one run of bytes, which is what a lookup reads; Feast's own fields stand beside it for Feast's clients.

Little endian, without padding: the row's event timestamp (int64 microseconds UTC), 4 bytes that stand for the definition, a byte that is 1 where a
value left int64, a bit a feature that is set where it is null, then the features in the order of their names: 8 bytes of a number or an instant, 1 of a boolean, 4 of a text's length. The texts
follow, in UTF-8.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.expressions import ColumnType
from features.store.heads import STATUS
from features.store.values import Cell, integers

__all__ = ["BEFORE_NULLS", "DTYPES", "MANY", "OVERFLOW", "Packing", "Span", "Unpacked", "stamp_of"]

OVERFLOW = "overflow"
_CODES: dict[ColumnType, str] = {"string": "I", "int64": "q", "timestamp": "q", "float64": "d", "bool": "?"}
DTYPES = {"I": "<u4", "q": "<i8", "d": "<f8", "?": "?"}
"""How numpy reads what `struct` reads by a code."""
_WORD = 8
_WIDE = {code: struct.calcsize(code) for code in DTYPES}
_HEAD = struct.Struct("<qIB")
"""Of a row: its timestamp, what stands for the definition, whether a value left int64."""
BEFORE_NULLS = _HEAD.size
"""So many bytes of a row are before the bits of its nulls."""

MANY = 32
"""Of so many rows numpy reads faster than struct, and cells are made when somebody reads them."""


def stamp_of(valid_from: int) -> bytes:
    """How a row begins that is valid from an instant on."""
    return struct.pack("<q", valid_from)


class Span(NamedTuple):
    """Bytes of a row or of a string."""

    first: int
    end: int
    """The one after the last."""


class Unpacked(NamedTuple):
    """Rows of one view, an element a row."""

    valid_from: Sequence[int]
    """Microseconds UTC."""

    overflow: Sequence[int]
    """1 where a value of the row left int64 and is null for it."""

    columns: Mapping[str, Sequence[Cell]]
    """Timestamps are microseconds UTC."""


class Packing:
    """How the rows of one definition are packed."""

    def __init__(self, types: Mapping[str, ColumnType], definition: str) -> None:
        self._kind = zlib.crc32(definition.encode())
        self.types: dict[str, ColumnType] = {name: types[name] for name in sorted(types) if name != STATUS}
        self._bits = (len(self.types) + 7) // 8
        codes = [_CODES[kind] for kind in self.types.values()]
        self.names, self.codes = tuple(self.types), "".join(codes)
        """Of all features in the order of a row: their names, and how `struct` reads them."""

        self.begin_size = BEFORE_NULLS + self._bits
        """Bytes before them."""

        self._fixed = struct.Struct(f"<qIB{self._bits}s{self.codes}")
        self._dtype = np.dtype(
            [("stamp", "<i8"), ("kind", "<u4"), ("overflow", "u1"), ("nulls", "u1", (self._bits,))]
            + [(f"f{n}", DTYPES[code]) for n, code in enumerate(codes)]
        )
        self._stands = struct.pack("<I", self._kind)
        self.texts = [n for n, kind in enumerate(self.types.values()) if kind == "string"]
        self._lengths = struct.Struct(
            f"<{self.begin_size}x{''.join(code if code == 'I' else f'{_WIDE[code]}x' for code in codes)}"
        )
        self.begin = lru_cache(maxsize=4)(self._begin)
        """How rows begin that are of this definition and a timestamp, and hold neither nulls nor what left int64."""

    def _begin(self, stamp: int) -> bytes:
        return _HEAD.pack(stamp, self._kind, 0) + bytes(self._bits)

    def words(self, names: Sequence[str]) -> list[Span] | None:
        """Where in a row the cells of some features lie, runs of 8 bytes each, in their order; None where one is of another size, or named twice."""
        if len({*names}) < len(names):
            return None
        wide = [_WIDE[code] for code in self.codes]
        begins = dict(zip(self.names, accumulate(wide, initial=self.begin_size), strict=False))
        made = list[Span]()
        for name in names:
            if _WIDE[_CODES[self.types[name]]] != _WORD:
                return None
            first, end = begins[name], begins[name] + _WORD
            if made and made[-1].end == first:
                first = made.pop().first
            made.append(Span(first, end))
        return made

    @property
    def size(self) -> int:
        """Bytes of any row; 0 where texts make them differ."""
        return 0 if self.texts else self._fixed.size

    def pack(self, batch: pa.RecordBatch, stamp: int) -> list[bytes]:
        """One a row; `stamp` is their event timestamp."""
        rows = np.zeros(batch.num_rows, self._dtype)
        rows["stamp"], rows["kind"] = stamp, self._kind
        rows["overflow"] = np.array([text == OVERFLOW for text in batch.column(STATUS).to_pylist()])
        nulls = np.zeros((batch.num_rows, self._bits * 8), bool)
        texts: list[list[bytes]] = []
        for n, (name, kind) in enumerate(self.types.items()):
            column = batch.column(name)
            nulls[:, n] = column.is_null().to_numpy(zero_copy_only=False)
            if kind == "string":
                texts.append(pc.fill_null(column.cast(pa.binary()), b"").to_pylist())
                rows[f"f{n}"] = [len(text) for text in texts[-1]]
            elif kind in {"int64", "timestamp"}:
                rows[f"f{n}"] = integers(column)
            else:
                rows[f"f{n}"] = pc.fill_null(column, 0.0 if kind == "float64" else False).to_numpy(zero_copy_only=False)
        rows["nulls"] = np.packbits(nulls, axis=1, bitorder="little")
        whole, width = rows.tobytes(), self._dtype.itemsize
        made = [whole[at : at + width] for at in range(0, len(whole), width)]
        return [b"".join(parts) for parts in zip(made, *texts, strict=True)] if texts else made

    def fitting(self, rows: Sequence[bytes | None]) -> list[bool]:
        """Which of these bytes are rows of this definition."""
        size, stands = self._fixed.size, self._stands
        if self.texts:
            return [row is not None and row[8:12] == stands and self._is_whole(row) for row in rows]
        return [row is not None and len(row) == size and row[8:12] == stands for row in rows]

    def _is_whole(self, row: bytes) -> bool:
        """Whether a row of this definition has its texts, and nothing behind them."""
        if len(row) < self._fixed.size:
            return False
        try:
            self.texts_of(row)
        except ValueError:
            return False
        return True

    def texts_of(self, row: bytes) -> list[str]:
        """The texts of a row that has all fields of fixed size.

        Raises:
            ValueError: it does not end with the last of them, or one is no UTF-8.
        """
        made, at = list[str](), self._fixed.size
        for length in self._lengths.unpack_from(row):
            made.append(row[at : at + length].decode())
            at += length
        if at != len(row):
            msg = f"{len(row)} bytes instead of {at}"
            raise ValueError(msg)
        return made

    def row(self, values: Mapping[str, Cell], stamp: int) -> bytes:
        """One that holds these, timestamps in microseconds UTC; the rest is null."""
        cells = [values.get(name) for name in self.types]
        texts = ["" if cells[n] is None else str(cells[n]) for n in self.texts]
        encoded = dict(zip(self.texts, [text.encode() for text in texts], strict=True))
        fields = [len(encoded[n]) if n in encoded else 0 if cell is None else cell for n, cell in enumerate(cells)]
        nulls = sum(1 << n for n, cell in enumerate(cells) if cell is None)
        begin = stamp, self._kind, 0, nulls.to_bytes(self._bits, "little")
        return b"".join((self._fixed.pack(*begin, *fields), *encoded.values()))

    def unpack(self, rows: Sequence[bytes]) -> Unpacked:
        """Rows that fit."""
        if not rows:
            return Unpacked(valid_from=(), overflow=(), columns=dict.fromkeys(self.types, ()))
        fields: list[Any] = list(zip(*[self._fixed.unpack_from(row) for row in rows], strict=True))
        stamps, _, overflow, nulls, *columns = fields
        if self.texts:
            self._read_texts(rows, columns)
        bits = b"".join(nulls)
        if bits.strip(b"\0"):
            columns = self._with_nulls(columns, bits)
        found = dict(zip(self.types, columns, strict=True))
        return Unpacked(valid_from=stamps, overflow=overflow, columns=found)

    def _read_texts(self, rows: Sequence[bytes], columns: list[Sequence[Cell]]) -> None:
        for n, texts in zip(self.texts, zip(*map(self.texts_of, rows), strict=True), strict=True):
            columns[n] = texts

    def _with_nulls(self, columns: Sequence[Sequence[Cell]], nulls: bytes) -> list[Sequence[Cell]]:
        bits = np.frombuffer(nulls, np.uint8).reshape(-1, self._bits)
        missing = np.unpackbits(bits, axis=1, bitorder="little").T.tolist()
        return [
            [None if null else value for value, null in zip(column, some, strict=True)] if 1 in some else column
            for column, some in zip(columns, missing, strict=False)
        ]
