"""Where Redis has a view's packed rows: at a place of each entity's own string, where one look into memory finds those of all views.

Rows with texts differ in length; they are a field of the hash of the entity's states. Which bytes are whose is said by one hash for all views of an entity's key
columns: `<view> <definition>` to `<first byte> <bytes>`, or to `0 0` for the field. A definition keeps its place as long as it lives, and another one of the same
view gets another: readers of the one before find its rows until the new one is live, and the load after that empties the old place, which is free from then on. An
entity without a row has zeros there, or a string that ends before.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from features.store.heads import Layout
from features.store.keys import PROJECT, belongs, key_prefix, redis_places, redis_rows, redis_states
from features.store.packed import Packing
from features.store.redis_client import Pipe, each, keys_like, run
from features.store.resp import Items, bulk, command

__all__ = ["Place", "Places", "entities_in", "place_of"]

_KEYS_AT_ONCE = 5000
_BEGIN = 12
"""A row's first bytes: its timestamp and what stands for the definition, which are not all zero."""
_TAKE = """local mine, size = ARGV[1], tonumber(ARGV[2])
if redis.call('hexists', KEYS[1], mine) == 0 then
  local taken, at = {}, 0
  for _, value in ipairs(redis.call('hvals', KEYS[1])) do
    local first, bytes = string.match(value, '(%d+) (%d+)')
    if bytes ~= '0' then table.insert(taken, {tonumber(first), tonumber(bytes)}) end
  end
  table.sort(taken, function(one, other) return one[1] < other[1] end)
  for _, one in ipairs(taken) do
    if one[1] - at < size then at = one[1] + one[2] end
  end
  redis.call('hset', KEYS[1], mine, (size > 0 and at or 0) .. ' ' .. size)
end
return redis.call('hgetall', KEYS[1])"""
# SETRANGE gives a string that grows twice the room it needs, SET what it needs.
_EXTEND = b"""local at, row = tonumber(ARGV[1]), ARGV[2]
local held = redis.call('getrange', KEYS[1], 0, -1)
if #held >= at + #row then
  redis.call('setrange', KEYS[1], at, row)
else
  redis.call('set', KEYS[1], string.sub(held, 1, at) .. string.rep('\\0', at - #held) .. row)
end
return 1"""
_CLEAR = """local at, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  local held = redis.call('getrange', key, 0, -1)
  local left = string.sub(held, 1, at) .. string.rep('\\0', math.min(bytes, #held - at)) .. string.sub(held, at + bytes + 1)
  if not string.find(left, '[^%z]') then redis.call('del', key)
  elseif #held > at then redis.call('set', key, left) end
end
return {}"""


class Place(NamedTuple):
    """Of the rows of a view's definition."""

    view: str
    at: int = 0
    """The first byte in the string of an entity."""
    size: int = 0
    """Bytes; 0 where rows are a field."""
    length: int = 0
    """Of strings with the rows of all views, as a head record says; a load knows it of all views together."""

    @property
    def field(self) -> bytes:
        """Of rows that are a field; those of states have a number behind the view's name."""
        return self.view.encode()

    def key(self, entity: bytes) -> bytes:
        """What holds the row of an entity."""
        return redis_rows(entity) if self.size else redis_states(entity)

    def begins(self, client: Any, entities: Sequence[bytes]) -> list[bytes | None]:  # noqa: ANN401 - see client_of
        """How each entity's row begins; None where it has none."""
        if not self.size:
            return each(client, [(b"HGET", self.key(entity), self.field) for entity in entities])
        ends = b"%d" % self.at, b"%d" % (self.at + _BEGIN - 1)
        found: list[bytes] = each(client, [(b"GETRANGE", self.key(entity), *ends) for entity in entities])
        return [begin if begin.strip(b"\0") else None for begin in found]

    def put(self, pipe: Pipe, entities: Sequence[bytes], rows: Sequence[bytes]) -> Items:
        """What writes a row of each entity, once it is known which strings end before it."""
        if not self.size:
            head, named = b"*4\r\n$4\r\nHSET\r\n", bulk(self.field)
            return [
                (key, b"".join((head, bulk(key), named, bulk(row))), 1)
                for key, row in zip(map(redis_states, entities), rows, strict=True)
            ]
        keys, at = list(map(redis_rows, entities)), b"%d" % self.at
        head, first = b"*4\r\n$8\r\nSETRANGE\r\n", bulk(at)
        return [
            (key, command(b"EVAL", _EXTEND, b"1", key, at, row) if short else b"".join((head, bulk(key), first, bulk(row))), 1)
            for key, row, short in zip(keys, rows, self._short(pipe, keys), strict=True)
        ]  # fmt: skip

    def _short(self, pipe: Pipe, keys: Sequence[bytes]) -> list[bool]:
        """Which strings would grow: one that begins here is made as long as it must be."""
        if not self.at:
            return [False] * len(keys)
        found = pipe.ask([(key, b"*2\r\n$6\r\nSTRLEN\r\n" + bulk(key), 1) for key in keys])
        return [length < self.at + self.size for length in found]

    def clear(self, client: Any, entities: Sequence[bytes]) -> None:  # noqa: ANN401 - see client_of
        """Takes these entities' rows out, and strings of which nothing is left."""
        if self.size and entities:
            run(client, _CLEAR, [((self.key(entity),), ()) for entity in entities], self.at, self.size)
        elif entities:
            each(client, [(b"HDEL", self.key(entity), self.field) for entity in entities])


def place_of(view: str, text: str | None) -> Place:
    """As a record has it; where there is none, from before there were places, rows are a field."""
    return Place(view, *map(int, (text or "0 0").split()))


class Places(NamedTuple):
    """Those of a view."""

    mine: Place
    """Of the definition that is loaded."""
    others: dict[str, Place]
    """Of definitions of before; all that are a field are the same."""
    length: int
    """Of strings with the rows of all views."""

    @property
    def text(self) -> str:
        """As head records have it."""
        return f"{self.mine.at} {self.mine.size} {self.length}"

    @classmethod
    def taken(cls, client: Any, layout: Layout, live: str | None, place: Place) -> "Places":  # noqa: ANN401 - see client_of
        """As they are; a definition that has none gets one.

        Args:
            client: see `client_of`.
            layout: of the load.
            live: the definition that readers see.
            place: of its rows, by its head record.
        """
        record = redis_places(layout.keys)
        if live is not None:  # it was loaded before there were places, or somebody removed the record
            client.hsetnx(record, f"{layout.view} {live}", f"{place.at} {place.size}")
        size = Packing(dict(layout.features), layout.definition).size
        found = [text.decode() for text in client.eval(_TAKE, 1, record, f"{layout.view} {layout.definition}", size)]
        pairs = [(*name.split(), place_of("", text)) for name, text in zip(found[::2], found[1::2], strict=True)]
        places = {definition: place._replace(view=view) for view, definition, place in pairs if view == layout.view}
        length = max(place.at + place.size for *_, place in pairs)
        return cls(places.pop(layout.definition), places, length)

    def of(self, definitions: Iterable[str]) -> list[Place]:
        """Where some other definitions have their rows, each place once and never the one of this definition."""
        return sorted({place for name in definitions if (place := self.others.get(name))} - {self.mine})

    def but(self, live: str | None) -> list[Place]:
        """Where no reader can look any more once this definition is live: all other places but that of the one until now."""
        return sorted({*self.of(self.others)} - {self.others.get(live or "")})

    def free(self, client: Any, layout: Layout, emptied: Sequence[Place]) -> None:  # noqa: ANN401 - see client_of
        """Lets others have what is empty, and forgets definitions whose field is this one's now."""
        gone = [name for name, place in self.others.items() if place in (*emptied, self.mine)]
        for name in gone:
            client.hdel(redis_places(layout.keys), f"{layout.view} {name}")


def entities_in(client: Any, layout: Layout, places: Sequence[Place]) -> Iterator[list[bytes]]:  # noqa: ANN401 - see client_of
    """All entities of the layout's key columns that have anything in these places, by looking at all keys."""
    holders = sorted({place.key(b"\0") for place in places})
    for holder in holders:
        before, after = holder.split(b"\0" + PROJECT.encode())
        prefix = before + key_prefix(layout.keys)
        pattern = b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]\\^-" else bytes((byte,)) for byte in prefix)
        found = keys_like(client, pattern + b"*" + after)
        while some := list(islice(found, _KEYS_AT_ONCE)):
            keys = {key.removeprefix(before).removesuffix(after) for key in some}
            made = sorted(key.removesuffix(PROJECT.encode()) for key in keys if belongs(key, layout.keys))
            if holder != holders[0]:  # whoever has both was there already
                told = each(client, [(b"EXISTS", redis_rows(entity)) for entity in made])
                made = [entity for entity, is_there in zip(made, told, strict=True) if not is_there]
            yield made
