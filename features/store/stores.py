"""The store that the settings name."""

from features.settings import Settings
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore

__all__ = ["open_store", "redis_url"]


def open_store(settings: Settings, *, writable: bool) -> SqliteStore | RedisStore:
    """Of `online.kind`; a reader of a SQLite file that does not exist sees an empty store.

    Raises:
        BusyError: it cannot be opened.
    """
    return (
        RedisStore(redis_url(settings))
        if settings.online.kind == "redis"
        else SqliteStore(settings.online_db, writable=writable)
    )


def redis_url(settings: Settings) -> str:
    """With its password: never to be shown."""
    return settings.online.url.get_secret_value() if settings.online.url is not None else ""
