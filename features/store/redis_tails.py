"""Tails in Redis: a hash an entity and source, a field an event id; of each event a record says which version was known first."""

from collections.abc import Sequence
from typing import Any, cast

from features.store.keys import PROJECT, redis_tail
from features.store.tails import Pushed, known_of

__all__ = ["push", "redis_watermark", "trim"]

_AT_ONCE = 500
# The least order wins, whoever writes it; what it replaces is given back, so that its entries can be taken out.
_FIRST = """local old = redis.call('get', KEYS[1])
if old and string.sub(old, 1, string.len(ARGV[1])) < ARGV[1] then return 0 end
if old and string.sub(old, 1, string.len(ARGV[1])) == ARGV[1] then return 1 end
redis.call('set', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
if old then return old end
return 2"""
_LATER = """local old = redis.call('get', KEYS[1])
if not old or tonumber(old) < tonumber(ARGV[1]) then redis.call('set', KEYS[1], ARGV[1]) end
return 1"""
_LOST, _NEW = 0, 2


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
        with client.pipeline(transaction=False) as pipe:
            for event in some:
                pipe.eval(_FIRST, 1, _event(source, event.event_id), event.order, _packed(event.keys), lasting_ms)
            found = pipe.execute()
        with client.pipeline(transaction=False) as pipe:
            for event, answer in zip(some, found, strict=True):
                new += answer == _NEW
                if answer != _LOST:
                    _write(pipe, source, event, _keys_of(answer, event), lasting_ms)
            pipe.execute()
    client.eval(_LATER, 1, redis_watermark(source), told)
    return new


def _write(pipe: Any, source: str, event: Pushed, before: Sequence[bytes], lasting_ms: int) -> None:  # noqa: ANN401 - see client_of
    for key in before:
        pipe.hdel(redis_tail(key, source), event.event_id)
    if event.entry is not None:
        for key in event.keys:
            pipe.execute_command("HSET", redis_tail(key, source), event.event_id, event.entry)
            pipe.pexpire(redis_tail(key, source), lasting_ms)


def _event(source: str, event_id: bytes) -> bytes:
    return f"asof:pushed:{PROJECT}:{source}:".encode() + event_id


def _packed(keys: Sequence[bytes]) -> bytes:
    return b"".join(len(key).to_bytes(4, "little") + key for key in keys)


def _keys_of(answer: Any, event: Pushed) -> list[bytes]:  # noqa: ANN401 - a number, or a record's bytes
    """The keys of the version that a record held before."""
    if isinstance(answer, int):
        return []
    rest, made = cast("bytes", answer)[len(event.order) :], []
    while rest:
        length = int.from_bytes(rest[:4], "little")
        made.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return made


def trim(client: Any, source: str, before: int) -> int:  # noqa: ANN401 - see client_of
    """Drops what became known before an instant, by looking at all tails of the source; how many entries that were."""
    removed: int = 0
    at = 0
    suffix = f"}}:tail:{source}".encode()
    pattern = b"asof:{*" + suffix
    while True:
        at, found = cast("tuple[int, list[bytes]]", client.scan(cursor=at, match=pattern, count=5000))
        for key in found:
            if key.endswith(suffix):
                old = [name for name, entry in client.hgetall(key).items() if known_of(entry) < before]
                removed += int(client.hdel(key, *old)) if old else 0
        if at == 0:
            return removed
