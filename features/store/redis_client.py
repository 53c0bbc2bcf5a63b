"""What all that talks to Redis shares: the connection, and the lease that keeps two loads of a view apart."""

from collections.abc import Sequence
from typing import Any

import redis

from features.errors import BusyError, SettingsError
from features.store.keys import PROJECT

__all__ = ["Trip", "client_of", "lease", "still_ours", "taken"]

_TIMEOUT_SECONDS = 30


def lease(view: str) -> bytes:
    """The Redis key of the lease on a view's loads."""
    return f"asof:lease:{PROJECT}:{view}".encode()


def taken(view: str) -> str:
    """What a load says that has lost its lease."""
    return f"Another load of view {view!r} took over while this one stood still. Nothing is lost: run the same command again."


def client_of(url: str) -> Any:  # noqa: ANN401 - redis-py's own hints know no keys of bytes
    """A connection.

    Raises:
        SettingsError: the URL is none.
    """
    try:
        return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS)
    except ValueError as error:  # its text may hold parts of the URL, and so of a password
        msg = "The setting online.url is no Redis URL. Write redis://[:password@]host:port/db (rediss:// for TLS) into ASOF_ONLINE__URL."
        raise SettingsError(msg) from error


class Trip:
    """Reads that are answered together, as of one instant, in one round trip; a fraction of the time of redis-py's pipeline, which looks at each answer."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - see client_of
        self._client = client
        self._commands: list[tuple[str | bytes, ...]] = [("MULTI",)]
        self._pairs: list[int] = []

    def hgetall(self, key: bytes) -> None:
        """All fields of a hash and their values, answered as a dict."""
        self._pairs.append(len(self._commands) - 1)
        self._commands.append(("HGETALL", key))

    def hmget(self, key: bytes, fields: Sequence[bytes]) -> None:
        """The values of some fields of a hash."""
        self._commands.append(("HMGET", key, *fields))

    def hvals(self, key: bytes) -> None:
        """All values of a hash."""
        self._commands.append(("HVALS", key))

    def get(self, key: bytes) -> None:
        """One value."""
        self._commands.append(("GET", key))

    def execute(self) -> list[Any]:
        """One answer a command.

        Raises:
            redis.RedisError: Redis does not answer, or not as it should.
        """
        pool, count = self._client.connection_pool, len(self._commands)
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands([*self._commands, ("EXEC",)]))
            for _ in range(count):
                connection.read_response()
            found: list[Any] = connection.read_response()
        except BaseException:
            connection.disconnect()  # what was not read must not be another's answer
            raise
        finally:
            pool.release(connection)
        if wrong := next((item for item in found if isinstance(item, redis.RedisError)), None):
            raise wrong
        for place in self._pairs:
            if isinstance(found[place], list):
                pairs = iter(found[place])
                found[place] = dict(zip(pairs, pairs, strict=True))
        return found


def still_ours(client: Any, view: str, token: str) -> None:  # noqa: ANN401 - see client_of
    """Before each write of a load.

    Raises:
        BusyError: another load has taken over.
    """
    if client.get(lease(view)) != token.encode():
        raise BusyError(taken(view))
