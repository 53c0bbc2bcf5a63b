"""Names of things in Feast's online layouts: entity keys (its version 3), Redis fields, the `_ts:` instant, tables of SQLite."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.definitions.entities import KeyType
from features.definitions.views import FeatureView
from features.errors import InputError
from features.store.values import integers, varint

__all__ = [
    "PROJECT", "Records", "belongs", "collisions", "encode_instant", "entity_key", "entity_keys", "field", "instant_field",
    "key_encoder", "key_prefix", "murmur3", "redis_overtaking", "redis_places", "redis_records", "redis_row_keys", "redis_rows", "redis_stamp", "redis_state_keys", "redis_states", "redis_tail", "redis_tail_keys", "sqlite_table", "state_field",
]  # fmt: skip

PROJECT = "asof"
"""Feast's project, in every key and table name."""

_STRING, _INT64 = 2, 4  # feast.value_type.ValueType
_MASK = 0xFFFFFFFF
_NUMBER, _VALUE = struct.Struct("<IIq"), struct.Struct("<q")
_NUMBER_HEAD = struct.pack("<II", _INT64, 8)
_STAMP = f"asof:stamp:{PROJECT}".encode()
_STATES, _ROWS = PROJECT.encode() + b"}:states", PROJECT.encode() + b"}:rows"


def murmur3(data: bytes) -> int:
    """murmur3_x86_32 with seed 0, unsigned."""
    value, whole = 0, len(data) // 4 * 4
    for (block,) in struct.iter_unpack("<I", data[:whole]):
        value ^= _scrambled(block)
        value = (((value << 13 | value >> 19) & _MASK) * 5 + 0xE6546B64) & _MASK
    value ^= _scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _scrambled(block: int) -> int:
    block = block * 0xCC9E2D51 & _MASK
    return (block << 15 | block >> 17) * 0x1B873593 & _MASK


@lru_cache(maxsize=1 << 16)
def field(view: str, feature: str) -> bytes:
    """The Redis field of a feature: four bytes of a hash of its full name."""
    return struct.pack("<I", murmur3(f"{view}:{feature}".encode()))


def instant_field(view: str) -> bytes:
    """The Redis field of a row's event timestamp."""
    return f"_ts:{view}".encode()


class Records(NamedTuple):
    """The Redis keys of what there is once a view; no entity key begins like them."""

    head: bytes
    """The head record of plain values."""
    generations: bytes
    """The records of its states' generations."""
    lease: bytes
    """Who may load it."""
    parts: bytes
    """What a load has finished."""


@lru_cache(maxsize=4096)
def redis_records(view: str, *, tagged: bool = False) -> Records:
    """Those of a view. On a cluster they are tagged with it: scripts that change several of them at once need them in one slot."""
    of = f"{{{view}}}" if tagged else view
    return Records(*(f"asof:{kind}:{PROJECT}:{of}".encode() for kind in Records._fields))


def redis_stamp() -> bytes:
    """The Redis key of what is another whenever a record of any view says something else to readers; of one server, not of a cluster."""
    return _STAMP


def redis_places(keys: Sequence[str]) -> bytes:
    """The Redis key of the record that says which bytes of an entity's rows are whose, by its key columns."""
    return f"asof:places:{PROJECT}:{'+'.join(sorted(keys))}".encode()


def redis_rows(key: bytes) -> bytes:
    """The Redis key of an entity's packed rows."""
    return b"asof:{" + key + _ROWS


def redis_row_keys(keys: Iterable[bytes]) -> list[bytes]:
    """The same of some entities."""
    return [b"asof:{%b%b" % (key, _ROWS) for key in keys]


def redis_states(key: bytes) -> bytes:
    """The Redis key of an entity's states, apart from Feast's plain hash: one field a view and generation."""
    return b"asof:{" + key + _STATES


def redis_state_keys(keys: Iterable[bytes]) -> list[bytes]:
    """The same of some entities."""
    return [b"asof:{%b%b" % (key, _STATES) for key in keys]


def redis_tail(key: bytes, source: str) -> bytes:
    """The Redis key of an entity's tail of a source; in the slot of its states."""
    return redis_tail_keys((key,), source)[0]


def redis_tail_keys(keys: Iterable[bytes], source: str) -> list[bytes]:
    """The same of some entities."""
    after = PROJECT.encode() + b"}:tail:" + source.encode()
    return [b"asof:{%b%b" % (key, after) for key in keys]


def redis_overtaking(key: bytes, source: str, event_id: bytes) -> bytes:
    """The Redis key of the order of the version of an event that overtook another, in the slot of an entity's tail; no tail ends like it."""
    return b"asof:{" + key + PROJECT.encode() + b"}:overtaking:" + source.encode() + b":" + event_id + b":"


@lru_cache(maxsize=4096)
def state_field(view: str, generation: int) -> bytes:
    """Its field."""
    return f"{view}:{generation}".encode()


def sqlite_table(view: str) -> str:
    """The SQLite table of a view's values."""
    return f"{PROJECT}_{view}"


def encode_instant(instant: int) -> bytes:
    """`google.protobuf.Timestamp` of microseconds UTC."""
    seconds, rest = divmod(instant, 1_000_000)
    return (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(rest * 1000) if rest else b"")


@lru_cache(maxsize=1024)
def key_prefix(names: tuple[str, ...]) -> bytes:
    """What every key of an entity with these key columns, in whatever order, begins with."""
    encoded = [name.encode() for name in sorted(names)]
    return struct.pack("<I", len(encoded)) + b"".join(struct.pack("<II", _STRING, len(name)) + name for name in encoded)


def entity_keys(columns: Mapping[str, pa.Array], kind: KeyType) -> list[bytes]:
    """One key a row, of any number of key columns.

    Raises:
        InputError: a key column holds a null; the message shows the first such row.
    """
    for name, column in columns.items():
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            shown = {other: found[row].as_py() for other, found in columns.items()}
            msg = f"The key column {name!r} is null in row {shown}. Such a row belongs to no entity: mend the published table."
            raise InputError(msg)
    prefix = key_prefix(tuple(columns))
    parts = [_strings(columns[name]) if kind == "string" else _numbers(columns[name]) for name in sorted(columns)]
    return (
        [prefix + part for part in parts[0]]
        if len(parts) == 1
        else [prefix + b"".join(row) for row in zip(*parts, strict=True)]
    )


def entity_key(values: Mapping[str, str | int], kind: KeyType) -> bytes:
    """The key of one entity."""
    return key_prefix(tuple(values)) + b"".join([_part(values[name], kind) for name in sorted(values)])


@lru_cache(maxsize=1024)
def key_encoder(names: tuple[str, ...], kind: KeyType) -> Callable[[Mapping[str, str | int | None]], bytes | None]:
    """What gives the key of a row's entity by these columns; None where one is null. Rows may have other columns too."""
    prefix, (first, *others) = key_prefix(names), sorted(names)
    head = prefix + (struct.pack("<I", _STRING) if kind == "string" else _NUMBER_HEAD)
    size, number = struct.Struct("<I").pack, _VALUE.pack

    def of_text(row: Mapping[str, Any]) -> bytes | None:
        if (value := row[first]) is None:
            return None
        text = str(value).encode()
        return b"%b%b%b" % (head, size(len(text)), text)

    def of_number(row: Mapping[str, Any]) -> bytes | None:
        return None if (value := row[first]) is None else head + number(value)

    def of_several(row: Mapping[str, Any]) -> bytes | None:
        values = [row[first], *[row[name] for name in others]]
        return None if None in values else prefix + b"".join([_part(value, kind) for value in values])

    return of_several if others else of_text if kind == "string" else of_number


def _part(value: str | int, kind: KeyType) -> bytes:
    return _string(str(value).encode()) if kind == "string" else _NUMBER.pack(_INT64, 8, value)


def _string(value: bytes) -> bytes:
    return struct.pack("<II", _STRING, len(value)) + value


def _strings(column: pa.Array) -> list[bytes]:
    return [_string(value) for value in column.cast(pa.binary()).to_pylist()]


def _numbers(column: pa.Array) -> list[bytes]:
    packed = np.empty(len(column), dtype=[("type", "<u4"), ("length", "<u4"), ("value", "<i8")])
    packed["type"], packed["length"], packed["value"] = _INT64, 8, integers(column)
    whole, width = packed.tobytes(), packed.dtype.itemsize
    return [whole[at : at + width] for at in range(0, len(whole), width)]


def belongs(key: bytes, names: Sequence[str]) -> bool:
    """Whether a Redis key is of this entity and of our project: the project follows without a separator, so the key is walked."""
    prefix = key_prefix(tuple(names))
    if not key.startswith(prefix):
        return False
    at = len(prefix)
    for _ in names:
        if at + 8 > len(key):
            return False
        at += 8 + int(struct.unpack_from("<I", key, at + 4)[0])
    return key[at:] == PROJECT.encode()


def collisions(views: Sequence[FeatureView], extra: Sequence[str] = ()) -> list[str]:
    """Pairs of features whose four-byte Redis fields are the same in one entity's hash: Redis would keep only one of them."""
    seen: dict[tuple[tuple[str, ...], bytes], str] = {}
    found: list[str] = []
    for view in views:
        for name in (*(feature.name for feature in view.features), *extra):
            full = f"{view.name}:{name}"
            other = seen.setdefault((tuple(sorted(view.keys)), field(view.name, name)), full)
            if other != full:
                found.append(f"{view.where}: FeatureView {view.name!r}, feature {name!r}: Redis cannot tell it from {other!r} "
                             "(equal murmur3 hashes). Rename one of them.")  # fmt: skip
    return found
