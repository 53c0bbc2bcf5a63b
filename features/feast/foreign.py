"""Feast's own stores, where views that are not Asof's lie: the same file or server, Feast's own bytes."""

import copy
import sqlite3
from threading import RLock
from typing import Any
from urllib.parse import quote, urlencode

from feast import RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

__all__ = ["ForeignRedis", "ForeignSqlite", "PlainConfig", "foreign_config", "foreign_store", "redis_url"]

PlainConfig = SqliteOnlineStoreConfig | RedisOnlineStoreConfig
_WAIT_MILLISECONDS = 120_000
_KEYS_AT_ONCE = 10_000  # SQLite takes at most 32,766 parameters
_TRUE = ("true", "1")


class ForeignSqlite(SqliteOnlineStore):
    """Feast's, for many keys, for several threads, and beside a load that holds the file."""

    def __init__(self) -> None:
        self._lock = RLock()

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        fresh = self._conn is None
        found: sqlite3.Connection = super()._get_conn(config)
        if fresh:
            found.execute(f"PRAGMA busy_timeout={_WAIT_MILLISECONDS}")
        return found

    def end(self) -> None:
        """Ends the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def online_read(self, config: RepoConfig, table: Any, entity_keys: Any, requested_features: Any = None) -> Any:  # noqa: ANN401 - Feast's
        """As Feast reads, but only what is asked for."""
        made: list[Any] = []
        with self._lock:
            for start in range(0, len(entity_keys), _KEYS_AT_ONCE):
                made += super().online_read(config, table, entity_keys[start : start + _KEYS_AT_ONCE])
        if requested_features is None:
            return made
        wanted = frozenset(requested_features)
        return [
            (at, None if row is None else {name: value for name, value in row.items() if name in wanted})
            for at, row in made
        ]

    def online_write_batch(self, config: RepoConfig, table: Any, data: Any, progress: Any) -> None:  # noqa: ANN401 - Feast's
        """As Feast writes."""
        with self._lock:
            super().online_write_batch(config, table, data, progress)


class ForeignRedis(RedisOnlineStore):
    """Feast's, but a key that was never written is not there; Feast says that it is, and null."""

    def _get_features_for_entity(self, values: Any, feature_view: str, requested_features: Any) -> Any:  # noqa: ANN401 - Feast's
        stamp = dict(zip(requested_features, values, strict=True))[f"_ts:{feature_view}"]
        return (
            (None, None)
            if stamp is None
            else super()._get_features_for_entity(values, feature_view, requested_features)
        )

    def end(self) -> None:
        """Ends the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def online_read(self, config: RepoConfig, table: Any, entity_keys: Any, requested_features: Any = None) -> Any:  # noqa: ANN401 - Feast's
        """As Feast reads; the list of what is asked for stays as it was."""
        return super().online_read(config, table, entity_keys, requested_features and list(requested_features))


def foreign_store(plain: PlainConfig) -> ForeignSqlite | ForeignRedis:
    """The store of these settings."""
    return ForeignSqlite() if isinstance(plain, SqliteOnlineStoreConfig) else ForeignRedis()


def foreign_config(config: RepoConfig, plain: PlainConfig) -> RepoConfig:
    """A repository's settings with these of its online store."""
    made = copy.copy(config)
    vars(made)["_online_store"] = plain  # what its property of that name gives
    return made


def redis_url(connection_string: str) -> str:
    """Feast's `host:port,db=0,password=…`, of a cluster with several nodes before the rest, as a URL.

    >>> redis_url("cache:6380,db=2,password=p@ss,ssl=true")
    'rediss://:p%40ss@cache:6380/2'
    """
    parts = connection_string.split(",")
    host = ",".join(part for part in parts if "=" not in part)
    more = dict(part.split("=", 1) for part in parts if "=" in part)
    secure = more.pop("ssl", "false").lower() in _TRUE
    user, password, db = more.pop("username", ""), more.pop("password", ""), more.pop("db", "0")
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"redis{'s' * secure}://{who}{host}/{db}{'?' + urlencode(more) if more else ''}"
