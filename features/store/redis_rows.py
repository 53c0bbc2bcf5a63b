"""Plain values on their way into Redis: of each row a packed field, which lookups read, and beside it Feast's own hash, where a view keeps it.

A row never mixes two generations (one HSET), and says which it is of. While a load runs, `begun` in the head record lists its cut, so that the next load
cleans up after one that was killed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.errors import BusyError
from features.store.heads import Layout, Loaded, settled
from features.store.keys import (
    PROJECT,
    belongs,
    encode_instant,
    entity_keys,
    field,
    instant_field,
    key_prefix,
    redis_states,
)
from features.store.packed import Packing, stamp_of
from features.store.redis_client import client_of, each, keys_like, piped, records_of, still_ours, taken
from features.store.redis_parts import begin_parts
from features.store.redis_plain import HEAD_FIELDS, LAYOUT, head_of, packed_field
from features.store.resp import bulk, fields_and_values

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["Load", "remove_rows", "write_rows"]

_ROWS_AT_ONCE = 2000
_KEYS_AT_ONCE = 5000
_HEAD_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[2], KEYS[3])
redis.call('hset', KEYS[2], unpack(ARGV, 2))
return 1"""


class Load:
    """A load in progress: what Spark's tasks need, and how it ends."""

    def __init__(self, client: Any, layout: Layout, now: int, token: str) -> None:  # noqa: ANN401 - see client_of
        self._client, self.layout, self._now, self.token = client, layout, now, token
        self._records = records_of(client, layout.view)
        record = client.hgetall(self._records.head)
        self.old = head_of(layout.view, record)
        self.settled = settled(self.old, layout)
        self._begun: list[list[Any]] = json.loads(record.get(b"begun", b"[]"))
        self._features: list[str] = json.loads(record.get(b"features", b"[]"))

    @property
    def gone_features(self) -> tuple[str, ...]:
        """Features that Feast's hashes in the store may have and the layout does not write there."""
        return tuple(sorted(set(self._features) - set(self._written)))

    @property
    def _written(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout.features) if self.layout.feast_layout else ()

    @property
    def cuts_before(self) -> tuple[int, ...] | None:
        """The other cuts whose keys may be in the store; None where another definition's may be, which their tables no longer tell."""
        live = ((self.old.cut, self.old.definition),) if self.old else ()
        there = {*live, *((cut, definition) for cut, definition in self._begun)}
        if any(definition != self.layout.definition for _, definition in there):
            return None
        return tuple(sorted({cut for cut, _ in there} - {self.layout.cut}))

    def begin(self, rows: str = "") -> dict[int, int]:
        """Records the cut as begun, before the first row is written; which parts a killed load of the same finished, and their rows.

        Args:
            rows: stands for what is loaded, in the same parts; nothing where it has none.

        Raises:
            BusyError: another load took over meanwhile.
        """
        mine = [self.layout.cut, self.layout.definition]
        begun = [*(one for one in self._begun if one != mine), mine]
        features = sorted({*self._features, *self._written})
        self._client.hset(self._records.head, mapping={"begun": json.dumps(begun), "features": json.dumps(features)})
        load = f"{self.layout.cut} {self.layout.definition} {rows or self.token}"
        return begin_parts(self._client, self.layout.view, self.token, load)

    def remove_by_scan(self) -> int:
        """Removes every row of the view that is not of this cut, by looking at all keys of the entity; how many there were."""
        client, (before, after) = self._client, redis_states(b"\0").split(b"\0" + PROJECT.encode())
        prefix = before + key_prefix(self.layout.keys)
        pattern = b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]\\^-" else bytes((byte,)) for byte in prefix) + b"*"
        removed, found = 0, keys_like(client, pattern)
        while some := list(islice(found, _KEYS_AT_ONCE)):
            entities = {key.removeprefix(before).removesuffix(after) for key in some if key.endswith(after)}
            keys = sorted(key for key in entities if belongs(key, self.layout.keys))
            removed += _drop_others(client, self.layout, self.gone_features, keys)
        return removed

    def end(self, *, written: int, removed: int) -> Loaded:
        """Makes the generation the live one.

        Raises:
            BusyError: another load took over meanwhile.
        """
        head = self.layout.head(
            generation=1 + (self.old.generation if self.old else 0), rows=written, loaded_at=self._now
        )
        values: list[Any] = list(
            chain.from_iterable((name, getattr(head, name)) for name in (*HEAD_FIELDS, "definition"))
        )
        values += ["features", json.dumps(self._written), "layout", LAYOUT]
        keys = self._records.lease, self._records.head, self._records.parts
        if not self._client.eval(_HEAD_IF_OURS, 3, *keys, self.token, *values):
            raise BusyError(taken(self.layout.view))
        return Loaded(head=head, written=written, removed=removed)


def write_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: of a row its packed field, then one HSET of Feast's; yields the rows of each batch. Doing it twice changes nothing."""
    client, packing = client_of(url), Packing(dict(layout.features), layout.definition)
    whole = (b"*4\r\n$4\r\nHSET\r\n", bulk(packed_field(layout.view)))
    beside = _Beside(layout, gone)
    try:
        with piped(client) as pipe:
            for batch in batches:
                keys = _redis_keys(layout, batch)
                rows = zip(keys, beside.commands(keys, batch), packing.pack(batch, layout.valid_from), strict=True)
                for _ in range(0, len(keys), _ROWS_AT_ONCE):
                    still_ours(client, layout.view, token)
                    made = list[tuple[bytes, bytes, int]]()
                    for key, commands, row in islice(rows, _ROWS_AT_ONCE):
                        states = _states(key)
                        made.append((states, b"".join((whole[0], bulk(states), whole[1], bulk(row))), 1))
                        if commands:
                            made.append((key, commands, beside.count))
                    pipe.ask(made)
                yield len(keys)
    finally:
        client.close()


class _Beside:
    """What happens to Feast's own hash beside each packed row: one HSET where the view keeps it, and one HDEL of fields that went."""

    def __init__(self, layout: Layout, gone: tuple[str, ...]) -> None:
        self._layout, self.count = layout, int(layout.feast_layout) + bool(gone)
        self._names = [field(layout.view, name) for name, _ in layout.features]
        stamp = bulk(instant_field(layout.view))
        self._stamp = stamp + bulk(encode_instant(layout.valid_from))
        self._plain = b"*%d\r\n$4\r\nHSET\r\n" % (2 * len(self._names) + 4)
        fields = [bulk(field(layout.view, name)) for name in gone] + ([] if layout.feast_layout else [stamp])
        self._old = (b"*%d\r\n$4\r\nHDEL\r\n" % (len(fields) + 2), b"".join(fields)) if gone else None

    def commands(self, keys: Sequence[bytes], batch: pa.RecordBatch) -> Iterable[bytes]:
        """One a row, of `count` commands."""
        made = self._written(keys, batch) if self._layout.feast_layout else [b""] * len(keys)
        if self._old is None:
            return made
        head, tail = self._old
        return (written + head + bulk(key) + tail for key, written in zip(keys, made, strict=True))

    def _written(self, keys: Sequence[bytes], batch: pa.RecordBatch) -> list[bytes]:
        columns: list[tuple[bytes, pa.Array, ColumnType]] = [
            (held, batch.column(name), kind)
            for held, (name, kind) in zip(self._names, self._layout.features, strict=True)
        ]
        plain, stamp = self._plain, self._stamp
        rows = zip(keys, fields_and_values(columns), strict=True)
        return [b"".join((plain, bulk(key), values, stamp)) for key, values in rows]


def remove_rows(
    url: str, layout: Layout, gone: tuple[str, ...], token: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[int]:
    """In a Spark task: takes the view's fields from these keys' hashes, unless they are of this cut; yields how many had any."""
    client = client_of(url)
    try:
        for batch in batches:
            keys, removed = _redis_keys(layout, batch), 0
            for start in range(0, len(keys), _ROWS_AT_ONCE):
                still_ours(client, layout.view, token)
                removed += _drop_others(client, layout, gone, keys[start : start + _ROWS_AT_ONCE])
            yield removed
    finally:
        client.close()


def _drop_others(client: Any, layout: Layout, gone: tuple[str, ...], keys: Sequence[bytes]) -> int:  # noqa: ANN401 - see client_of
    """Takes the view's rows from these keys, unless they are of this cut; how many there were."""
    rows = each(client, [(b"HGET", _states(key), packed_field(layout.view)) for key in keys])
    wanted = stamp_of(layout.valid_from)
    others = [key for key, row in zip(keys, rows, strict=True) if row is not None and not row.startswith(wanted)]
    return _drop(client, layout, gone, others)


def _drop(client: Any, layout: Layout, gone: tuple[str, ...], keys: Sequence[bytes]) -> int:  # noqa: ANN401 - see client_of
    fields = [
        instant_field(layout.view),
        *(field(layout.view, name) for name in (*(name for name, _ in layout.features), *gone)),
    ]
    packed = packed_field(layout.view)
    each(client, chain.from_iterable(((b"HDEL", _states(key), packed), (b"HDEL", key, *fields)) for key in keys))
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
