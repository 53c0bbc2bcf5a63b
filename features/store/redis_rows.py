"""Plain values in Redis as Spark's tasks write and remove them: of each row a packed field, and Feast's hash."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.store.heads import Layout
from features.store.keys import PROJECT, encode_instant, entity_keys, field, instant_field, redis_states
from features.store.packed import Packing
from features.store.redis_client import client_of, still_ours
from features.store.redis_plain import packed_field
from features.store.resp import bulk, fields_and_values, piped

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["drop_rows", "remove_rows", "write_rows"]

_ROWS_AT_ONCE = 2000


def write_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: of a row its packed field, then one HSET of Feast's; yields the rows of each batch. Doing it twice changes nothing."""
    client, packing = client_of(url), Packing(dict(layout.features), layout.definition)
    names = [field(layout.view, name) for name, _ in layout.features]
    stamp = bulk(instant_field(layout.view)) + bulk(encode_instant(layout.valid_from))
    # HSET of a packed row, HSET of Feast's fields, and HDEL of those that went.
    whole = (b"*4\r\n$4\r\nHSET\r\n", bulk(packed_field(layout.view)))
    plain = b"*%d\r\n$4\r\nHSET\r\n" % (2 * len(names) + 4)
    old = (b"*%d\r\n$4\r\nHDEL\r\n" % (len(gone) + 2), b"".join(bulk(field(layout.view, name)) for name in gone))
    try:
        with piped(client) as pipe:
            for batch in batches:
                keys = _redis_keys(layout, batch)
                columns: list[tuple[bytes, pa.Array, ColumnType]] = [
                    (held, batch.column(name), kind) for held, (name, kind) in zip(names, layout.features, strict=True)
                ]
                rows = zip(keys, fields_and_values(columns), packing.pack(batch, layout.valid_from), strict=True)
                for start in range(0, len(keys), _ROWS_AT_ONCE):
                    still_ours(client, layout.view, token)
                    made = list[bytes]()
                    for key, values, row in islice(rows, _ROWS_AT_ONCE):
                        place = bulk(key)
                        made += (whole[0], bulk(_states(key)), whole[1], bulk(row), plain, place, values, stamp)
                        if gone:
                            made += (old[0], place, old[1])
                    pipe.send(b"".join(made), (3 if gone else 2) * min(_ROWS_AT_ONCE, len(keys) - start))
                yield len(keys)
    finally:
        client.close()


def remove_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: takes the view's fields from these keys' hashes, unless they are of this cut; yields how many had any."""
    client, wanted = client_of(url), encode_instant(layout.valid_from)
    try:
        for batch in batches:
            keys, removed = _redis_keys(layout, batch), 0
            for start in range(0, len(keys), _ROWS_AT_ONCE):
                still_ours(client, layout.view, token)
                some = keys[start : start + _ROWS_AT_ONCE]
                with client.pipeline(transaction=False) as pipe:
                    for key in some:
                        pipe.hget(key, instant_field(layout.view))
                    stamps = pipe.execute()
                others = [key for key, stamp in zip(some, stamps, strict=True) if stamp not in (None, wanted)]
                removed += drop_rows(client, layout, gone, others)
            yield removed
    finally:
        client.close()


def drop_rows(client: Any, layout: Layout, gone: tuple[str, ...], keys: Sequence[bytes]) -> int:  # noqa: ANN401 - see client_of
    """Takes the view's fields out of these hashes; how many there are."""
    fields = [
        instant_field(layout.view),
        *(field(layout.view, name) for name in (*(name for name, _ in layout.features), *gone)),
    ]
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hdel(_states(key), packed_field(layout.view))
            pipe.hdel(key, *fields)
        pipe.execute()
    return len(keys)


def _states(key: bytes) -> bytes:
    """The hash of packed rows and states beside one of Feast's, whose key ends with the project."""
    return redis_states(key.removesuffix(PROJECT.encode()))


def _redis_keys(layout: Layout, batch: pa.RecordBatch) -> list[bytes]:
    project = PROJECT.encode()
    return [
        key + project
        for key in entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
    ]
