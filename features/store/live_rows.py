"""Packed rows of the live generation, which nearly all are that a lookup finds: read at once, nulls and texts too. Others are told, for `Packing.unpack` to look at."""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from features.store.columns import Columns, OneRow, parted, typed
from features.store.packed import BEFORE_NULLS, DTYPES, MANY, Packing
from features.store.reads import Block
from features.store.values import Cell

__all__ = ["LiveRows", "Taking", "getting"]


class Taking:
    """Takes some features out of fields, among which from a place on are all of a row's.

    >>> some = Taking(("a", "b", "c"), ("c", "a"), 1)
    >>> some.cells((0, 10, 20, 30)), some.with_nulls((0, 10, 20, 30), bytes([0b101])), some.with_nulls((0, 10, 20, 30), bytes([0b10]))
    ((30, 10), (None, None), (30, 10))
    """

    def __init__(self, all_names: tuple[str, ...], names: tuple[str, ...], first: int) -> None:
        self.names = names
        self._bits = [all_names.index(name) for name in names]
        self.places = [first + bit for bit in self._bits]
        """Of each feature where its cell is among the fields."""
        self.cells = getting(self.places)
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


def getting(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Takes what is at these places of a tuple, in their order."""
    first = places[0] if places else 0
    run = range(first, first + len(places))
    return itemgetter(slice(run.start, run.stop)) if list(run) == list(places) else itemgetter(*places)


class LiveRows:
    """Reads rows that are of a definition and of one timestamp, and hold nothing that left int64."""

    def __init__(self, packing: Packing) -> None:
        self._packing, self._size = packing, packing.size
        self._values = struct.Struct(f"<{packing.begin_size}x{packing.codes}")
        self._runs = [(code, len(list(run))) for code, run in groupby(packing.codes)]
        self._among = lru_cache(maxsize=16)(self._dtype)
        self._taking = lru_cache(maxsize=256)(lambda names: Taking(packing.names, names, 0))

    def one(self, row: bytes, stamp: int, names: tuple[str, ...]) -> OneRow | None:
        """A row; None where it is another."""
        cells = self._cells(row, self._packing.begin(stamp), self._taking(names))
        return None if cells is None else OneRow(names, cells)

    def some(self, rows: Sequence[bytes], stamp: int, names: tuple[str, ...]) -> Mapping[str, Sequence[Cell]] | None:
        """Columns of rows; None where one is another."""
        if not rows:
            return dict.fromkeys(names, ())
        if len(rows) >= MANY:
            return self._of_many(rows, stamp, names)
        begin, taking, made = self._packing.begin(stamp), self._taking(names), list[tuple[Cell, ...]]()
        for row in rows:
            if len(row) != self._size or not row.startswith(begin):
                break
        else:  # none has a null or a text
            fields = zip(*self._values.iter_unpack(b"".join(rows)), strict=True)
            found = dict(zip(self._packing.names, fields, strict=True))
            return found if names == self._packing.names else {name: found[name] for name in names}
        for row in rows:
            cells = self._cells(row, begin, taking)
            if cells is None:
                return None
            made.append(cells)
        return dict(zip(names, zip(*made, strict=True), strict=True))

    def in_block(self, block: Block, stamp: int, names: tuple[str, ...]) -> Columns | None:
        """As `some`, of many rows without texts."""
        width = len(block.strings) // block.keys
        if not self._size or block.first + self._size > width:
            return None
        return self._many(np.frombuffer(block.strings, self._among(block.first, width)), {}, stamp, names)

    def _of_many(self, rows: Sequence[bytes], stamp: int, names: tuple[str, ...]) -> Columns | None:
        size, texts = self._values.size, dict[int, Sequence[str]]()
        fixed = rows
        if self._packing.texts:
            if min(map(len, rows)) < size:
                return None
            try:
                texts = dict(
                    zip(self._packing.texts, zip(*map(self._packing.texts_of, rows), strict=True), strict=True)
                )
            except ValueError:
                return None
            fixed = [row[:size] for row in rows]
        elif set(map(len, rows)) != {size}:
            return None
        return self._many(np.frombuffer(b"".join(fixed), self._among(0, size)), texts, stamp, names)

    def _cells(self, row: bytes, begin: bytes, taking: Taking) -> tuple[Cell, ...] | None:
        packing = self._packing
        if len(row) < self._values.size or not row.startswith(begin[:BEFORE_NULLS]):
            return None
        fields = self._values.unpack_from(row)
        if packing.texts:
            try:
                texts = packing.texts_of(row)
            except ValueError:
                return None
            whole = list(fields)
            for n, text in zip(packing.texts, texts, strict=True):
                whole[n] = text
            fields = tuple(whole)
        elif len(row) != self._values.size:
            return None
        if row.startswith(begin):
            return taking.cells(fields)
        return taking.with_nulls(fields, row[BEFORE_NULLS : packing.begin_size])

    def _dtype(self, first: int, width: int) -> np.dtype[Any]:
        """A row that begins at a byte of strings of so many; how it begins is there as a whole and in its two parts."""
        size, at = self._packing.begin_size, first + self._packing.begin_size
        bits = np.dtype(("u1", (size - BEFORE_NULLS,)))
        fields: list[tuple[str, Any, int]] = [
            ("begin", f"V{size}", first), ("head", f"V{BEFORE_NULLS}", first), ("nulls", bits, first + BEFORE_NULLS),
        ]  # fmt: skip
        for n, (code, count) in enumerate(self._runs):
            run = np.dtype((DTYPES[code], (count,)))
            fields.append((f"r{n}", run, at))
            at += run.itemsize
        names, formats, offsets = zip(*fields, strict=True)
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": width})

    def _many(
        self, many: np.ndarray, texts: Mapping[int, Sequence[str]], stamp: int, names: Sequence[str]
    ) -> Columns | None:
        """Of rows without their texts, which are by the places of their features."""
        begin, nulls = self._packing.begin(stamp), None
        if not (many["begin"] == np.void(begin)).all():
            if not (many["head"] == np.void(begin[:BEFORE_NULLS])).all():
                return None
            nulls = np.unpackbits(many["nulls"], axis=1, bitorder="little").T.astype(bool)
        return Columns(names, lambda: self._listed(many, texts, nulls), lambda: self._arrays(many, texts, nulls))

    def _listed(
        self, many: np.ndarray, texts: Mapping[int, Sequence[str]], nulls: np.ndarray | None
    ) -> dict[str, Sequence[Cell]]:
        made: list[list[Cell]] = [column for n in range(len(self._runs)) for column in many[f"r{n}"].T.tolist()]
        for feature, column in texts.items():
            made[feature] = list(column)
        if nulls is not None:
            for feature, row in np.argwhere(nulls[: len(made)]).tolist():
                made[feature][row] = None
        return dict(zip(self._packing.types, made, strict=True))

    def _arrays(
        self, many: np.ndarray, texts: Mapping[int, Sequence[str]], nulls: np.ndarray | None
    ) -> dict[str, pa.Array]:
        made: list[pa.Array] = []
        for n, (_, size) in enumerate(self._runs):
            mask = None if nulls is None else nulls[len(made) : len(made) + size].reshape(-1)
            made += parted(pa.array(np.ascontiguousarray(many[f"r{n}"].T).reshape(-1), mask=mask), size)
        for feature, column in texts.items():
            made[feature] = pa.array(column, pa.string(), mask=None if nulls is None else nulls[feature])
        return {name: typed(array, kind) for (name, kind), array in zip(self._packing.types.items(), made, strict=True)}
