"""What all that talks to Redis shares: the connection, and the lease that keeps two loads of a view apart."""

from typing import Any

import redis

from features.errors import BusyError, SettingsError
from features.store.keys import PROJECT

__all__ = ["client_of", "lease", "still_ours", "taken"]

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


def still_ours(client: Any, view: str, token: str) -> None:  # noqa: ANN401 - see client_of
    """Before each write of a load.

    Raises:
        BusyError: another load has taken over.
    """
    if client.get(lease(view)) != token.encode():
        raise BusyError(taken(view))
