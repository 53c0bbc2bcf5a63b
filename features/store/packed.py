"""A row of plain values as one run of bytes, which is what a lookup reads; Feast's own fields stand beside it for Feast's clients.

Little endian, without padding: the row's event timestamp (int64 microseconds UTC), 4 bytes that stand for the definition, a byte that is 1 where a
value left int64, a bit a feature that is set where it is null, then the features in the order of their names: 8 bytes of a number or an instant, 1 of a boolean, 4 of a text's length. The texts
follow, in UTF-8.
"""

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.expressions import ColumnType
from features.store.columns import Columns, OneRow, parted, typed
from features.store.heads import STATUS
from features.store.reads import Block
from features.store.values import Cell, integers

__all__ = ["BEFORE_NULLS", "MANY", "OVERFLOW", "Packing", "Taking", "Unpacked", "stamp_of"]

OVERFLOW = "overflow"
_CODES: dict[ColumnType, str] = {"string": "I", "int64": "q", "timestamp": "q", "float64": "d", "bool": "?"}
_DTYPES = {"I": "<u4", "q": "<i8", "d": "<f8", "?": "?"}
_WIDE = {code: struct.calcsize(code) for code in _DTYPES}
_HEAD = struct.Struct("<qIB")
"""Of a row: its timestamp, what stands for the definition, whether a value left int64."""
BEFORE_NULLS = _HEAD.size
"""So many bytes of a row are before the bits of its nulls."""

MANY = 32
"""Of so many rows numpy reads faster than struct, and cells are made when somebody reads them."""


def stamp_of(valid_from: int) -> bytes:
    """How a row begins that is valid from an instant on."""
    return struct.pack("<q", valid_from)


class Unpacked(NamedTuple):
    """Rows of one view, an element a row."""

    valid_from: Sequence[int]
    """Microseconds UTC."""

    overflow: Sequence[int]
    """1 where a value of the row left int64 and is null for it."""

    columns: Mapping[str, Sequence[Cell]]
    """Timestamps are microseconds UTC."""


class Taking:
    """Takes some features out of fields, among which from a place on are all of a row's.

    >>> some = Taking(("a", "b", "c"), ("c", "a"), 1)
    >>> some.cells((0, 10, 20, 30)), some.with_nulls((0, 10, 20, 30), bytes([0b101])), some.with_nulls((0, 10, 20, 30), bytes([0b10]))
    ((30, 10), (None, None), (30, 10))
    """

    def __init__(self, all_names: tuple[str, ...], names: tuple[str, ...], first: int) -> None:
        self.names = names
        self._bits = [all_names.index(name) for name in names]
        self.cells = _getting([first + bit for bit in self._bits])
        """One a feature."""
        self._missing = lru_cache(maxsize=256)(self._missing_by)

    def with_nulls(self, fields: tuple[Cell, ...], nulls: bytes) -> tuple[Cell, ...]:
        """The same, by the bits of a row's nulls."""
        made = list(self.cells(fields))
        for place in self._missing(nulls):
            made[place] = None
        return tuple(made)

    def _missing_by(self, nulls: bytes) -> list[int]:
        bits = int.from_bytes(nulls, "little")
        return [place for place, bit in enumerate(self._bits) if bits >> bit & 1]


def _getting(places: Sequence[int]) -> Callable[[tuple[Cell, ...]], tuple[Cell, ...]]:
    first = places[0] if places else 0
    run = range(first, first + len(places))
    return itemgetter(slice(run.start, run.stop)) if list(run) == places else itemgetter(*places)


class Packing:
    """How the rows of one definition are packed."""

    def __init__(self, types: Mapping[str, ColumnType], definition: str) -> None:
        self._kind = zlib.crc32(definition.encode())
        self._types: dict[str, ColumnType] = {name: types[name] for name in sorted(types) if name != STATUS}
        self._bits = (len(self._types) + 7) // 8
        codes = [_CODES[kind] for kind in self._types.values()]
        self.names, self.codes = tuple(self._types), "".join(codes)
        """Of all features in the order of a row: their names, and how `struct` reads them."""

        self.begin_size = BEFORE_NULLS + self._bits
        """Bytes before them."""

        self._fixed = struct.Struct(f"<qIB{self._bits}s{self.codes}")
        self._dtype = np.dtype(
            [("stamp", "<i8"), ("kind", "<u4"), ("overflow", "u1"), ("nulls", "u1", (self._bits,))]
            + [(f"f{n}", _DTYPES[code]) for n, code in enumerate(codes)]
        )
        self._runs = [(code, len(list(run))) for code, run in groupby(codes)]
        self._read = np.dtype(
            [("stamp", "<i8"), ("kind", "<u4"), ("overflow", "u1"), ("nulls", f"V{self._bits}")]
            + [(f"r{n}", _DTYPES[code], (size,)) for n, (code, size) in enumerate(self._runs)]
        )
        self._stands = struct.pack("<I", self._kind)
        self._texts = [n for n, kind in enumerate(self._types.values()) if kind == "string"]
        self._lengths = struct.Struct(
            f"<{self.begin_size}x{''.join(code if code == 'I' else f'{_WIDE[code]}x' for code in codes)}"
        )
        self._values = struct.Struct(f"<{self.begin_size}x{self.codes}")
        self._whole = np.dtype(
            [("begin", f"V{self.begin_size}")]
            + [(f"r{n}", _DTYPES[code], (size,)) for n, (code, size) in enumerate(self._runs)]
        )

        self._among = lru_cache(maxsize=16)(self._whole_among)
        self.begin = lru_cache(maxsize=4)(self._whole_begin)
        self._taking = lru_cache(maxsize=256)(lambda names: Taking(self.names, names, 0))

    def _whole_among(self, first: int, width: int) -> np.dtype[Any]:
        """A row that begins at a byte of strings of so many."""
        fields = cast("Mapping[str, tuple[np.dtype[Any], int]]", self._whole.fields)
        formats, offsets = zip(*((kind, first + at) for kind, at, *_ in fields.values()), strict=True)
        return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": width})

    def _whole_begin(self, stamp: int) -> bytes:
        """How rows begin that are of this definition and one timestamp, and hold neither nulls nor what left int64."""
        return _HEAD.pack(stamp, self._kind, 0) + bytes(self._bits)

    @property
    def size(self) -> int:
        """Bytes of any row; 0 where texts make them differ."""
        return 0 if self._texts else self._fixed.size

    def pack(self, batch: pa.RecordBatch, stamp: int) -> list[bytes]:
        """One a row; `stamp` is their event timestamp."""
        rows = np.zeros(batch.num_rows, self._dtype)
        rows["stamp"], rows["kind"] = stamp, self._kind
        rows["overflow"] = np.array([text == OVERFLOW for text in batch.column(STATUS).to_pylist()])
        nulls = np.zeros((batch.num_rows, self._bits * 8), bool)
        texts: list[list[bytes]] = []
        for n, (name, kind) in enumerate(self._types.items()):
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
        if self._alike(rows):
            return [True] * len(rows)
        if self._texts:
            return [row is not None and row[8:12] == stands and self._is_whole(row) for row in rows]
        return [row is not None and len(row) == size and row[8:12] == stands for row in rows]

    def _alike(self, rows: Sequence[bytes | None]) -> bool:
        """Whether these are many rows of this definition, as they nearly always are: told without looking at one after the other."""
        there = [row for row in rows if row is not None] if len(rows) >= MANY and not self._texts else []
        if not there or len(there) < len(rows) or set(map(len, there)) != {self._fixed.size}:
            return False
        return bool((np.frombuffer(b"".join(there), self._read)["kind"] == self._kind).all())

    def _is_whole(self, row: bytes) -> bool:
        """Whether a row of this definition has its texts, and nothing behind them."""
        if len(row) < self._fixed.size:
            return False
        try:
            self._texts_of(row)
        except ValueError:
            return False
        return True

    def usual(
        self, rows: Sequence[bytes | None], stamp: int, names: tuple[str, ...]
    ) -> Mapping[str, Sequence[Cell]] | None:
        """Columns of rows that are all there, of this definition and of one timestamp, and have no null, no text and nothing that left int64: nearly all are. Else None."""
        if self._texts or not rows or None in rows:
            return None
        there = cast("Sequence[bytes]", rows)
        size, begin = self._fixed.size, self.begin(stamp)
        if len(there) < MANY:
            for row in there:
                if len(row) != size or not row.startswith(begin):
                    return None
            whole = b"".join(there)
            found = dict(zip(self._types, zip(*self._values.iter_unpack(whole), strict=True), strict=True))
            return {name: found[name] for name in names}
        if set(map(len, there)) != {size}:
            return None
        return self._many(np.frombuffer(b"".join(there), self._whole), begin, names)

    def one(self, row: bytes | None, stamp: int, names: tuple[str, ...]) -> OneRow | None:
        """A row that is of this definition and timestamp, and has nothing that left int64. Else None."""
        begin, size = self.begin(stamp), self._fixed.size
        if row is None or not size <= len(row) or not row.startswith(begin[:BEFORE_NULLS]):
            return None
        fields = self._values.unpack_from(row)
        if self._texts:
            try:
                texts = self._texts_of(row)
            except ValueError:
                return None
            whole = list(fields)
            for n, text in zip(self._texts, texts, strict=True):
                whole[n] = text
            fields = tuple(whole)
        elif len(row) != size:
            return None
        taking = self._taking(names)
        if row.startswith(begin):
            return OneRow(names, taking.cells(fields))
        return OneRow(names, taking.with_nulls(fields, row[BEFORE_NULLS : self.begin_size]))

    def _texts_of(self, row: bytes) -> list[str]:
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

    def usual_in(self, block: Block, stamp: int, names: Sequence[str]) -> Mapping[str, Sequence[Cell]] | None:
        """As `usual`, of many rows."""
        width = len(block.strings) // block.keys
        if self._texts or block.first + self._fixed.size > width:
            return None
        begin = self.begin(stamp)
        return self._many(np.frombuffer(block.strings, self._among(block.first, width)), begin, names)

    def _many(self, many: np.ndarray, begin: bytes, names: Sequence[str]) -> Columns | None:
        if not (many["begin"] == np.void(begin)).all():
            return None
        return Columns(
            names,
            lambda: dict(zip(self._types, self._columns(many), strict=True)),
            lambda: self._arrays(many),
        )

    def _arrays(self, found: np.ndarray) -> dict[str, pa.Array]:
        made: list[pa.Array] = []
        for n, (_, size) in enumerate(self._runs):
            made += parted(pa.array(np.ascontiguousarray(found[f"r{n}"].T).reshape(-1)), size)
        return {name: typed(array, kind) for (name, kind), array in zip(self._types.items(), made, strict=True)}

    def unpack(self, rows: Sequence[bytes]) -> Unpacked:
        """Rows that fit."""
        if not rows:
            return Unpacked(valid_from=(), overflow=(), columns=dict.fromkeys(self._types, ()))
        size = self._fixed.size
        fixed = b"".join([row[:size] for row in rows] if self._texts else rows)
        read = self._by_field if len(rows) < MANY else self._by_column
        stamps, overflow, nulls, columns = read(fixed)
        if self._texts:
            self._read_texts(rows, columns)
        if nulls.strip(b"\0"):
            columns = self._with_nulls(columns, nulls)
        found = dict(zip(self._types, columns, strict=True))
        return Unpacked(valid_from=stamps, overflow=overflow, columns=found)

    def _by_field(self, fixed: bytes) -> tuple[Sequence[int], Sequence[int], bytes, list[Sequence[Cell]]]:
        fields: list[Any] = list(zip(*self._fixed.iter_unpack(fixed), strict=True))
        stamps, _, overflow, nulls, *columns = fields
        return stamps, overflow, b"".join(nulls), columns

    def _by_column(self, fixed: bytes) -> tuple[Sequence[int], Sequence[int], bytes, list[Sequence[Cell]]]:
        """Columns of one type that follow each other are read together."""
        found = np.frombuffer(fixed, self._read)
        return found["stamp"].tolist(), found["overflow"].tolist(), found["nulls"].tobytes(), self._columns(found)

    def _columns(self, found: np.ndarray) -> list[Sequence[Cell]]:
        return [column for n in range(len(self._runs)) for column in found[f"r{n}"].T.tolist()]

    def _read_texts(self, rows: Sequence[bytes], columns: list[Sequence[Cell]]) -> None:
        for n, texts in zip(self._texts, zip(*map(self._texts_of, rows), strict=True), strict=True):
            columns[n] = texts

    def _with_nulls(self, columns: Sequence[Sequence[Cell]], nulls: bytes) -> list[Sequence[Cell]]:
        bits = np.frombuffer(nulls, np.uint8).reshape(-1, self._bits)
        missing = np.unpackbits(bits, axis=1, bitorder="little").T.tolist()
        return [
            [None if null else value for value, null in zip(column, some, strict=True)] if 1 in some else column
            for column, some in zip(columns, missing, strict=False)
        ]
