"""The metadata of Arrow's record batches, which are a FlatBuffer: where in it the numbers lie that differ from batch to batch of the same columns.

Source: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc (Message.fbs), https://flatbuffers.dev/internals/.
"""

from collections.abc import Sequence
from struct import pack_into, unpack_from
from typing import NamedTuple, Self

import numpy as np

from features.definitions.expressions import ColumnType

__all__ = ["Metadata"]

_PREFIX = 8
"""Before the FlatBuffer: four bytes of ones, and its length."""
_HEADER, _BODY_LENGTH = 2, 3
"""Fields of a Message."""
_NODES, _BUFFERS = 1, 2
"""Fields of a RecordBatch."""


class Metadata(NamedTuple):
    """Of batches of the same columns and as many rows."""

    written_by_pyarrow: bytes
    rows: int
    body_length: int
    nodes: int
    buffers: int
    """Where in them: how long the body is; of each column how many rows and nulls it has; of each buffer where it begins and how long it is."""
    lengths: np.ndarray
    """Of each buffer, as long as all texts are empty and nothing is null."""
    present: np.ndarray
    """Of each column the place of the buffer that says what is no null."""
    texts: np.ndarray
    """The places of the buffers of texts."""

    @classmethod
    def of(cls, metadata: bytes, kinds: Sequence[ColumnType], rows: int) -> Self | None:
        """Of those that pyarrow wrote of columns of these types; None where they are not laid out as known."""
        message = _Table(metadata, _PREFIX + _whole(metadata, _PREFIX))
        header, body_length = message.field(_HEADER), message.field(_BODY_LENGTH)
        if not header or not body_length:
            return None
        batch = _Table(metadata, header + _whole(metadata, header))
        nodes, buffers = batch.field(_NODES), batch.field(_BUFFERS)
        if not nodes or not buffers:
            return None
        lengths, present, texts = list[int](), list[int](), list[int]()
        for kind in kinds:
            present.append(len(lengths))
            if kind == "string":
                texts.append(len(lengths) + 2)
                lengths += [0, 4 * (rows + 1), 0]
            else:
                lengths += [0, (rows + 7) // 8 if kind == "bool" else 8 * rows]
        nodes, buffers = nodes + _whole(metadata, nodes), buffers + _whole(metadata, buffers)
        if (_whole(metadata, nodes), _whole(metadata, buffers)) != (len(kinds), len(lengths)):
            return None
        # Structs follow the number of them.
        return cls(
            metadata, rows, body_length, nodes + 4, buffers + 4, np.array(lengths, np.int64), np.array(present), np.array(texts, np.int64),
        )  # fmt: skip

    def written(self, texts: Sequence[int], nulls: bytes) -> bytes:
        """Of a batch.

        Args:
            texts: how long the text of each text column is.
            nulls: how many each column has; none: no column has one.
        """
        buffers = np.zeros((len(self.lengths), 2), np.int64)
        lengths, ends = buffers[:, 1], buffers[1:, 0]
        lengths[:] = self.lengths
        lengths[self.texts] = texts
        nodes = np.zeros((len(self.present), 2), np.int64)
        nodes[:, 0] = self.rows
        if nulls:
            nodes[:, 1] = np.frombuffer(nulls, np.uint8)
            lengths[self.present[nodes[:, 1] > 0]] = (self.rows + 7) // 8
        filled = np.cumsum((lengths + 7) & ~7)
        ends[:] = filled[:-1]
        made = bytearray(self.written_by_pyarrow)
        made[self.nodes : self.nodes + nodes.nbytes] = nodes.tobytes()
        made[self.buffers : self.buffers + buffers.nbytes] = buffers.tobytes()
        pack_into("<q", made, self.body_length, filled[-1])
        return bytes(made)


class _Table(NamedTuple):
    """Of a FlatBuffer."""

    whole: bytes
    at: int

    def field(self, number: int) -> int:
        """Where a field lies; 0 where it has its default."""
        fields = self.at - _signed(self.whole, self.at)
        place = 4 + 2 * number
        offset = _half(self.whole, fields + place) if place < _half(self.whole, fields) else 0
        return self.at + offset if offset else 0


def _whole(data: bytes, at: int) -> int:
    found: int = unpack_from("<I", data, at)[0]
    return found


def _signed(data: bytes, at: int) -> int:
    found: int = unpack_from("<i", data, at)[0]
    return found


def _half(data: bytes, at: int) -> int:
    found: int = unpack_from("<H", data, at)[0]
    return found
