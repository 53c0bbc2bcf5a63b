"""The bytes of a tail: entries of one event each, blocks of many, and what says that a row of a block counts no more (docs/state.md).

Of one event of one entity at most one entry counts: its own where there is one, else its row in the one block that has it.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.sources import Source
from features.values.state.blocks import Block, LazyColumns, read_blocks, write_blocks

__all__ = [
    "block_of",
    "entries",
    "event_ids",
    "fits",
    "gone",
    "is_block",
    "is_gone",
    "joined",
    "known_of",
    "rows_in",
    "rows_of",
]

Array = np.ndarray
_HEADER = struct.Struct("<q4s")
_BLOCK = struct.Struct("<qqI4s")
# No instant: the first eight bytes of an entry say when its event became known.
_MANY, _GONE = (struct.pack("<q", number) for number in (-(1 << 63), -(1 << 63) + 1))


def kind_of(source: Source) -> bytes:
    """Stands for the columns that a source has now."""
    return hashlib.sha256(repr(sorted(source.types.items())).encode()).digest()[:4]


def entries(source: Source, columns: Mapping[str, pa.Array], time: Array, known: Array) -> list[bytes]:
    """One entry a row."""
    count, kind = len(time), kind_of(source)
    block = Block(key=np.arange(count), time=time, since=known, columns={name: columns[name] for name in source.types})
    rows = write_blocks(count, block, 0, timed=True)
    return [_HEADER.pack(at, kind) + row for at, row in zip(known.tolist(), rows, strict=True)]


def gone(event_id: bytes) -> bytes:
    """Says that what blocks have of an event counts no more."""
    return _GONE + event_id


def is_gone(entry: bytes) -> bool:
    """Made by `gone`."""
    return entry[:8] == _GONE


def is_block(entry: bytes) -> bool:
    """Made by `block_of`."""
    return entry[:8] == _MANY


def known_of(entry: bytes) -> int:
    """When its event became known; of a block the latest."""
    return int(_BLOCK.unpack_from(entry)[1] if is_block(entry) else _HEADER.unpack_from(entry)[0])


def rows_in(entry: bytes) -> int:
    """How many events it has."""
    return int(_BLOCK.unpack_from(entry)[2]) if is_block(entry) else int(not is_gone(entry))


def fits(source: Source, entry: bytes) -> bool:
    """Whether an entry or a block has the columns that the source has now."""
    return _kind_in(entry) == kind_of(source)


def _kind_in(entry: bytes) -> bytes:
    return entry[_BLOCK.size - 4 : _BLOCK.size] if entry[:8] == _MANY else entry[8 : _HEADER.size]


def block_of(source: Source, rows: Block) -> bytes:
    """Rows of one entity as a block."""
    rows = rows.at(np.argsort(rows.time, kind="stable"))
    one = Block(key=np.zeros(len(rows), np.int64), time=rows.time, since=rows.since, columns=rows.columns)
    (made,) = write_blocks(1, one, 0, timed=True)
    return _BLOCK.pack(-(1 << 63), int(rows.since.max()), len(rows), kind_of(source)) + made


def joined(parts: Sequence[Block]) -> Block:
    """One after the other; there is at least one."""
    if len(parts) == 1:
        return parts[0]
    key, time, since = (np.concatenate([getattr(part, name) for part in parts]) for name in ("key", "time", "since"))
    columns = LazyColumns(parts[0].columns, lambda name: pa.concat_arrays([part.columns[name] for part in parts]))
    return Block(key=key, time=time, since=since, columns=columns)


def event_ids(source: Source, ids: Iterable[bytes]) -> pa.Array:
    """Fields of a tail as the source's own ids."""
    if source.types[source.event_id or ""] == "string":
        return pa.array([each.decode() for each in ids], pa.string())
    return pa.array([int.from_bytes(each, "little", signed=True) for each in ids], pa.int64())


def rows_of(source: Source, found: Sequence[tuple[int, bytes]]) -> Block:
    """The rows that count, in the order of keys, which are places, and instants.

    Args:
        source: entries of other columns than it has now are left out.
        found: place of the entity, and entry, block or what `gone` made; those of one place beside each other.
    """
    kind = kind_of(source)
    many = [(place, entry) for place, entry in found if entry[:8] == _MANY and _kind_in(entry) == kind]
    single = [(place, entry) for place, entry in found if entry[8:12] == kind and entry[:8] not in {_MANY, _GONE}]
    # Most events are known in the order in which they happen: rows that are read in order need not be put in it.
    single.sort(key=lambda each: (each[0], known_of(each[1])))
    rows = _read(source, single, _HEADER.size)
    if not many:
        return _ordered(rows)
    packed = _read(source, many, _BLOCK.size)
    return _ordered(joined([rows, packed.only(_counting(source, packed, rows, found))]))


def _ordered(rows: Block) -> Block:
    return rows.at(np.lexsort((rows.time, rows.key)))


def _read(source: Source, found: Sequence[tuple[int, bytes]], header: int) -> Block:
    data = b"".join([entry[header:] for _, entry in found])
    ends = np.cumsum([len(entry) - header for _, entry in found], dtype=np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    rows = read_blocks(data, begins, ends, 0, source.types, timed=True)
    places = np.array([place for place, _ in found], np.int64)[rows.key]
    return Block(key=places, time=rows.time, since=rows.since, columns=rows.columns)


def _counting(source: Source, packed: Block, rows: Block, found: Sequence[tuple[int, bytes]]) -> Array:
    """Which rows of blocks have no entry of their own beside them."""
    name, keep = source.event_id or "", np.ones(len(packed), bool)
    lost: dict[int, list[bytes]] = {}
    for place, entry in found:
        if is_gone(entry):
            lost.setdefault(place, []).append(entry[8:])
    for place in np.unique(packed.key).tolist():
        low, high = np.searchsorted(packed.key, [place, place + 1])
        own = rows.columns[name].filter(pa.array(rows.key == place))
        over = pa.concat_arrays([own, event_ids(source, lost.get(place, ())).cast(own.type)])
        if len(over):
            inside = pc.is_in(packed.columns[name][low:high], value_set=over)
            keep[low:high] = ~np.asarray(inside.to_numpy(zero_copy_only=False))
    return keep
