"""Which parts of a load are in Redis already: a load that was killed goes on where it stopped.

One hash a view: `load` says which load of what it is, and of each finished part a field has its rows. Only the holder of the view's lease writes to it,
the next load of anything else empties it, and what ends a load removes it. Redis keeps commands in their order, so no part is there whose rows are not.
"""

from typing import Any, cast

from features.errors import BusyError
from features.store.redis_client import client_of, records_of, taken

__all__ = ["begin_parts", "finish_part", "load_of"]

_LOAD = b"load"
_BEGIN_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('hget', KEYS[2], 'load') ~= ARGV[2] then
  redis.call('del', KEYS[2])
  redis.call('hset', KEYS[2], 'load', ARGV[2])
end
return redis.call('hgetall', KEYS[2])"""
_FINISH_IF_OURS = """if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('hset', KEYS[2], ARGV[2], ARGV[3])
return 1"""


def load_of(client: Any, view: str) -> str:  # noqa: ANN401 - see client_of
    """Which load the finished parts are of; nothing where there are none."""
    return cast("bytes", client.hget(records_of(client, view).parts, _LOAD) or b"").decode()


def begin_parts(client: Any, view: str, token: str, load: str) -> dict[int, int]:  # noqa: ANN401 - see client_of
    """The finished parts of this very load, and the rows of each; those of any other are forgotten.

    Raises:
        BusyError: another load of the view has taken over.
    """
    records = records_of(client, view)
    found = client.eval(_BEGIN_IF_OURS, 2, records.lease, records.parts, token, load)
    if not isinstance(found, list):
        raise BusyError(taken(view))
    pairs = iter(cast("list[bytes]", found))
    return {int(name): int(rows) for name, rows in zip(pairs, pairs, strict=True) if name != _LOAD}


def finish_part(url: str, view: str, token: str, part: int, rows: int) -> None:
    """In a Spark task, once Redis has taken all rows of a part.

    Raises:
        BusyError: another load of the view has taken over.
    """
    client = client_of(url)
    try:
        records = records_of(client, view)
        if not client.eval(_FINISH_IF_OURS, 2, records.lease, records.parts, token, part, rows):
            raise BusyError(taken(view))
    finally:
        client.close()
