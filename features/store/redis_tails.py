"""Tails in Redis: a hash an entity and source, a field an event id or a block; of each event a record says which version was known first."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, cast
from uuid import uuid4

from features.definitions.sources import Source
from features.store.keys import PROJECT, redis_overtaking, redis_tail
from features.store.redis_client import each, run
from features.store.tail_folds import steps
from features.store.tail_rows import gone, is_block, is_gone, known_of, rows_in
from features.store.tails import Pushed

__all__ = ["fold", "push", "redis_watermark", "trim"]

_AT_ONCE = 500
# The least order wins, whoever writes it. A record keeps the entities of all versions that won before, so that whoever wins last, or does it again,
# takes out what any of them left.
_FIRST = """local made = {}
for i, record in ipairs(KEYS) do
  local mine, keys = ARGV[2 * i], ARGV[2 * i + 1]
  local old = redis.call('get', record)
  local order = old and string.sub(old, 1, string.len(mine))
  if not old then
    redis.call('set', record, mine .. keys, 'PX', ARGV[1])
    made[i] = 2
  elseif order < mine then
    made[i] = 0
  else
    if order > mine then redis.call('set', record, mine .. keys .. string.sub(old, string.len(mine) + 1), 'PX', ARGV[1]) end
    made[i] = old
  end
end
return made"""
# Of an entry the order of what overtook its event, and the tail: of one slot. What overtakes leaves its order, so that what it overtook, and comes
# later because its writer stood still, stays out. Marks only where there is a tail.
_PUT = """for i = 1, #KEYS, 2 do
  local order, id, entry, kind = ARGV[2 * i], ARGV[2 * i + 1], ARGV[2 * i + 2], ARGV[2 * i + 3]
  local least = redis.call('get', KEYS[i])
  if not least or order <= least then
    if kind ~= 'first' then redis.call('set', KEYS[i], order, 'PX', ARGV[1]) end
    if kind ~= 'gone' then
      redis.call('hset', KEYS[i + 1], id, entry)
      redis.call('pexpire', KEYS[i + 1], ARGV[1])
    elseif redis.call('exists', KEYS[i + 1]) == 1 then
      redis.call('hset', KEYS[i + 1], id, entry)
    end
  end
end
return {}"""
_LATER = """local old = redis.call('get', KEYS[1])
if not old or tonumber(old) < tonumber(ARGV[1]) then redis.call('set', KEYS[1], ARGV[1]) end
return 1"""
# A step of `tail_folds`, by the one who owns the tail for a while.
_FOLD = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return -1 end
local puts, dropped, kept = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
for i = 4 + 2 * puts + dropped, #ARGV, 2 do
  if redis.call('hget', KEYS[2], ARGV[i]) == ARGV[i + 1] then kept[#kept + 1] = ARGV[i] end
end
if #kept == 0 then return 0 end
for i = 0, puts - 1 do redis.call('hset', KEYS[2], ARGV[4 + 2 * i], ARGV[5 + 2 * i]) end
for i = 0, dropped - 1 do redis.call('hdel', KEYS[2], ARGV[4 + 2 * puts + i]) end
for i = 1, #kept do redis.call('hdel', KEYS[2], kept[i]) end
return #kept"""
# An event may have come back since they were read.
_DELETE_MARKS = """for i = 1, #ARGV, 2 do
  if redis.call('hget', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('hdel', KEYS[1], ARGV[i]) end
end
return 1"""
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
_LOST, _NEW = 0, 2
_FIRST_ONE, _OVERTAKES, _GONE = b"first", b"overtakes", b"gone"
_OWNED_MS = 30_000
_STEPS_AT_ONCE = 10
"""A tail that is longer is folded on by the next push."""


def redis_watermark(source: str) -> bytes:
    """The Redis key of the instant up to which a source's stream has told all."""
    return f"asof:watermark:{PROJECT}:{source}".encode()


def push(client: Any, source: str, events: Sequence[Pushed], told: int, lasting_ms: int) -> int:  # noqa: ANN401 - see client_of
    """Takes events in; how many were not known before. Killed anywhere and done again it ends the same.

    Args:
        client: see `client_of`.
        source: whose tail.
        events: in any order.
        told: everything known before this instant, in microseconds UTC, was pushed.
        lasting_ms: how long an event's record and an idle entity's tail last.
    """
    new = 0
    for start in range(0, len(events), _AT_ONCE):
        some = events[start : start + _AT_ONCE]
        given = [((_event(source, event.event_id),), (event.order, _packed(event.keys))) for event in some]
        found = run(client, _FIRST, given, lasting_ms)
        new += sum(answer == _NEW for answer in found)
        writes = [
            write for event, answer in zip(some, found, strict=True) if answer != _LOST
            for write in _writes(source, event, answer)
        ]  # fmt: skip
        run(client, _PUT, writes, lasting_ms)
    client.eval(_LATER, 1, redis_watermark(source), told)
    return new


def _writes(
    source: str,
    event: Pushed,
    answer: Any,  # noqa: ANN401 - a number, or a record's bytes
) -> Iterator[tuple[tuple[bytes, bytes], tuple[str, bytes, bytes, bytes]]]:
    """Of an event whose version won: the keys that `_PUT` looks at, and what it needs beside them."""
    keys, mine = event.keys if event.entry is not None else (), event.order.encode() + _packed(event.keys)
    for key in dict.fromkeys(_keys_of(answer, event)):
        if key not in keys:
            yield _names(key, source, event), (event.order, event.event_id, gone(event.event_id), _GONE)
    kind = _FIRST_ONE if answer in (_NEW, mine) else _OVERTAKES  # that very version may have come before
    for key in keys:
        yield _names(key, source, event), (event.order, event.event_id, event.entry or b"", kind)


def _names(key: bytes, source: str, event: Pushed) -> tuple[bytes, bytes]:
    return redis_overtaking(key, source, event.event_id), redis_tail(key, source)


def fold(client: Any, source: Source, keys: Sequence[bytes], bound: int) -> int:  # noqa: ANN401 - see client_of
    """Folds those tails that have more fields than the bound, one owner a tail at a time; how many entries went into blocks.

    Killed anywhere, a tail is as it was before the step or after it, and the next push goes on once the owner's time is over.
    """
    name, folded = source.name, 0
    tails = [redis_tail(key, name) for key in dict.fromkeys(keys)]
    lengths = each(client, [(b"HLEN", tail) for tail in tails])
    for tail in (tail for tail, length in zip(tails, lengths, strict=True) if length > bound):
        owner, token = tail + b":owner", uuid4().hex
        if client.set(owner, token, nx=True, px=_OWNED_MS):
            done = _fold(client, source, tail, token)
            folded += done
            if done:  # else nobody need look again at once: it is of other columns
                client.eval(_RELEASE, 1, owner, token)
    return folded


def _fold(client: Any, source: Source, tail: bytes, token: str) -> int:  # noqa: ANN401 - see client_of
    folded = 0
    for step in islice(steps(source, client.hgetall(tail)), _STEPS_AT_ONCE):
        counts = (len(step.puts), len(step.dropped))
        given = (*chain.from_iterable(step.puts.items()), *step.dropped, *chain.from_iterable(step.taken))
        done = int(client.eval(_FOLD, 2, tail + b":owner", tail, token, *counts, *given))
        if done <= 0:  # another owns it, or it went meanwhile: the steps that follow build on this one
            break
        folded += done
    return folded


def _event(source: str, event_id: bytes) -> bytes:
    return f"asof:pushed:{PROJECT}:{source}:".encode() + event_id


def _packed(keys: Sequence[bytes]) -> bytes:
    return b"".join(len(key).to_bytes(4, "little") + key for key in keys)


def _keys_of(answer: Any, event: Pushed) -> list[bytes]:  # noqa: ANN401 - a number, or a record's bytes
    """The entities of the versions that a record held before."""
    if isinstance(answer, int):
        return []
    rest, made = cast("bytes", answer)[len(event.order) :], []
    while rest:
        length = int.from_bytes(rest[:4], "little")
        made.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return made


def trim(client: Any, source: str, before: int) -> int:  # noqa: ANN401 - see client_of
    """Drops what became known before an instant, by looking at all tails of the source; how many events that were. A block goes when all of it may."""
    suffix = f"}}:tail:{source}".encode()
    # A tail that is missed because its slot is being moved waits for the next time.
    found = client.scan_iter(match=b"asof:{*" + suffix, count=5000)
    return sum(_trimmed(client, key, before) for key in found if key.endswith(suffix))


def _trimmed(client: Any, key: bytes, before: int) -> int:  # noqa: ANN401 - see client_of
    tail = cast("dict[bytes, bytes]", client.hgetall(key))
    old = [name for name, entry in tail.items() if not is_gone(entry) and known_of(entry) < before]
    marks = [name for name, entry in tail.items() if is_gone(entry)]
    if marks and not any(is_block(entry) for name, entry in tail.items() if name not in set(old)):
        client.eval(_DELETE_MARKS, 1, key, *chain.from_iterable((name, tail[name]) for name in marks))
    if old:
        client.hdel(key, *old)
    return sum(rows_in(tail[name]) for name in old)
