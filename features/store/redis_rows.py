"""Plain values on their way into Redis: of each entity a packed row, which lookups read, and beside it Feast's own hash, where a view keeps it.

A row never mixes two generations (it is one command), and says which it is of. While a load runs, `begun` in the head record lists its cut, so that the next load
cleans up after one that was killed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.errors import BusyError
from features.store.heads import Layout, Loaded, settled
from features.store.keys import (
    PROJECT,
    encode_instant,
    entity_keys,
    field,
    instant_field,
)
from features.store.packed import Packing, stamp_of
from features.store.redis_client import client_of, each, piped, records_of, stamped, still_ours, taken
from features.store.redis_parts import begin_parts
from features.store.redis_places import Place, Places, entities_in, place_of
from features.store.redis_shapes import HEAD_FIELDS, LAYOUT, head_of
from features.store.resp import bulk, fields_and_values

if TYPE_CHECKING:
    from features.definitions.entities import KeyType

__all__ = ["Load", "Task", "remove_rows", "write_rows"]

_ROWS_AT_ONCE = 2000
_HEAD_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[2], KEYS[3])
redis.call('hset', KEYS[2], unpack(ARGV, 3))
if KEYS[4] then redis.call('set', KEYS[4], ARGV[2]) end
return 1"""


class Task(NamedTuple):
    """What Spark's tasks need of a load."""

    layout: Layout
    place: Place
    gone: tuple[str, ...]
    """Features that Feast's hashes in the store may have and the layout does not write there."""
    token: str
    """Of the lease."""


class Load:
    """A load in progress, and how it ends."""

    def __init__(self, client: Any, layout: Layout, now: int, token: str) -> None:  # noqa: ANN401 - see client_of
        self._client, self.layout, self._now, self.token = client, layout, now, token
        self._records = records_of(client, layout.view)
        record = client.hgetall(self._records.head)
        self.old = head_of(layout.view, record)
        self.settled = settled(self.old, layout)
        self._begun: list[list[Any]] = json.loads(record.get(b"begun", b"[]"))
        self._features: list[str] = json.loads(record.get(b"features", b"[]"))
        self._old_place = place_of(layout.view, record.get(b"place", b"").decode())
        self._places: Places | None = None

    @property
    def task(self) -> Task:
        """Of a load that has begun."""
        gone = tuple(sorted(set(self._features) - set(self._written)))
        return Task(self.layout, self.places.mine, gone, self.token)

    @property
    def places(self) -> Places:
        """Where rows are; from now on those of this load have a place."""
        if self._places is None:
            live = self.old.definition if self.old else None
            self._places = Places.taken(self._client, self.layout, live, self._old_place)
        return self._places

    @property
    def _written(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout.features) if self.layout.feast_layout else ()

    @property
    def cuts_before(self) -> tuple[int, ...] | None:
        """The other cuts whose keys may be in the store; None where another definition's may be, which their tables no longer tell."""
        if any(definition != self.layout.definition for _, definition in self._there):
            return None
        return tuple(sorted({cut for cut, _ in self._there} - {self.layout.cut}))

    @property
    def _there(self) -> set[tuple[int, str]]:
        """The cuts and definitions whose rows may be in the store, as far as they are not counted as removed."""
        live = ((self.old.cut, self.old.definition),) if self.old else ()
        return {*live, *((cut, definition) for cut, definition in self._begun)}

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
        client, task, removed = self._client, self.task, 0
        others = self.places.of(definition for _, definition in self._there)
        for entities in entities_in(client, self.layout, [task.place, *others]):
            still_ours(client, self.layout.view, self.token)
            removed += _drop_others(client, task, entities, others)
        return removed

    def end(self, *, written: int, removed: int) -> Loaded:
        """Makes the generation the live one, and frees the places that nobody reads any more.

        Raises:
            BusyError: another load took over meanwhile.
        """
        head = self.layout.head(
            generation=1 + (self.old.generation if self.old else 0), rows=written, loaded_at=self._now
        )
        values: list[Any] = list(
            chain.from_iterable((name, getattr(head, name)) for name in (*HEAD_FIELDS, "definition"))
        )
        values += ["features", json.dumps(self._written), "layout", LAYOUT, "place", self.places.text]
        keys = stamped(self._client, self._records.lease, self._records.head, self._records.parts)
        if not self._client.eval(_HEAD_IF_OURS, len(keys), *keys, self.token, uuid4().hex, *values):
            raise BusyError(taken(self.layout.view))
        self._free()
        return Loaded(head=head, written=written, removed=removed)

    def _free(self) -> None:
        """Empties the places of definitions that no reader can be at any more: all but the one that was live until now."""
        emptied = self.places.but(self.old.definition if self.old else None)
        for entities in entities_in(self._client, self.layout, emptied):
            still_ours(self._client, self.layout.view, self.token)
            for place in emptied:
                there = zip(entities, place.begins(self._client, entities), strict=True)
                place.clear(self._client, [entity for entity, begin in there if begin is not None])
        self.places.free(self._client, self.layout, emptied)


def write_rows(url: str, task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    """In a Spark task: of each entity its packed row, then one HSET of Feast's; yields the rows of each batch. Doing it twice changes nothing."""
    layout, place = task.layout, task.place
    client, packing = client_of(url), Packing(dict(layout.features), layout.definition)
    beside = _Beside(layout, task.gone)
    try:
        with piped(client) as pipe:
            for batch in batches:
                entities, rows = _keys(layout, batch), packing.pack(batch, layout.valid_from)
                keys = _feasts(entities)
                commands = beside.commands(keys, batch)
                for start in range(0, len(keys), _ROWS_AT_ONCE):
                    still_ours(client, layout.view, task.token)
                    some = slice(start, start + _ROWS_AT_ONCE)
                    put = place.put(pipe, entities[some], rows[some])
                    told = [(key, made, beside.count) for key, made in zip(keys[some], commands, strict=False) if made]
                    pipe.ask([*put, *told])
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

    def commands(self, keys: Sequence[bytes], batch: pa.RecordBatch) -> Iterator[bytes]:
        """One a row, of `count` commands."""
        made = self._written(keys, batch) if self._layout.feast_layout else [b""] * len(keys)
        if self._old is None:
            return iter(made)
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


def remove_rows(url: str, task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    """In a Spark task: takes the view's rows from these entities, unless they are of this cut; yields how many had one."""
    client = client_of(url)
    try:
        for batch in batches:
            entities, removed = _keys(task.layout, batch), 0
            for start in range(0, len(entities), _ROWS_AT_ONCE):
                still_ours(client, task.layout.view, task.token)
                removed += _drop_others(client, task, entities[start : start + _ROWS_AT_ONCE])
            yield removed
    finally:
        client.close()


def _drop_others(client: Any, task: Task, entities: Sequence[bytes], others: Sequence[Place] = ()) -> int:  # noqa: ANN401 - see client_of
    """Takes the view's rows from these entities, unless they are of this cut; how many had one, here or in another place. Those stay: a reader may be there."""
    wanted = stamp_of(task.layout.valid_from)
    mine = task.place.begins(client, entities)
    old = [entity for entity, begin in zip(entities, mine, strict=True) if begin is not None and begin[:8] != wanted]
    gone = dict.fromkeys(old)
    bare = [entity for entity, begin in zip(entities, mine, strict=True) if begin is None] if others else []
    for place in others:
        there = zip(bare, place.begins(client, bare), strict=True)
        gone |= dict.fromkeys(entity for entity, begin in there if begin is not None)
    features = (*(name for name, _ in task.layout.features), *task.gone)
    fields = [instant_field(task.layout.view), *(field(task.layout.view, name) for name in features)]
    each(client, [(b"HDEL", key, *fields) for key in _feasts(gone)])
    task.place.clear(client, old)  # last: by these rows a load that follows a killed one finds what is left of Feast's
    return len(gone)


def _feasts(entities: Iterable[bytes]) -> list[bytes]:
    """The keys of Feast's own hashes, which end with the project."""
    project = PROJECT.encode()
    return [entity + project for entity in entities]


def _keys(layout: Layout, batch: pa.RecordBatch) -> list[bytes]:
    return entity_keys({name: batch.column(name) for name in layout.keys}, cast("KeyType", layout.key_type))
