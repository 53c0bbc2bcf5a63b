"""The store that the settings name."""

from features.settings import Settings
from features.store.cluster_store import ClusterStore
from features.store.redis_cluster import SCHEMES
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore

__all__ = ["open_store", "redis_url"]


def open_store(settings: Settings, *, writable: bool) -> SqliteStore | RedisStore:
    """Of `online.kind`; a reader of a SQLite file that does not exist sees an empty store.

    Raises:
        BusyError: it cannot be opened.
    """
    if settings.online.kind == "sqlite":
        return SqliteStore(settings.online_db, writable=writable)
    url = redis_url(settings)
    return ClusterStore(url) if url.startswith(SCHEMES) else RedisStore(url)


def redis_url(settings: Settings) -> str:
    """With its password: never to be shown. Of a cluster its scheme says so, wherever it goes."""
    url = settings.online.url.get_secret_value() if settings.online.url is not None else ""
    return url.replace("://", "+cluster://", 1) if settings.online.kind == "redis-cluster" else url
