"""Asof's online store as Feast's: `FeatureStore.get_online_features` gives finished values of Asof's views, with honest statuses.

Feast resolves a request, computes its on-demand views and gives the answer; here all of its views are read at one instant. Views that are
not Asof's are read and written by Feast's own store, in the same file or server.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

from feast import FeatureService, FeatureView, RepoConfig
from feast.infra.infra_object import InfraObject
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStoreConfig, RedisType
from feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.online_response import OnlineResponse
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel
from pydantic import Field, StrictBool, StrictInt, StrictStr

from features.definitions.names import micros
from features.errors import InputError
from features.feast import answers
from features.feast.engine import refuse_write
from features.feast.events import take_events
from features.feast.foreign import ForeignRedis, ForeignSqlite, PlainConfig, foreign_config, foreign_store, redis_url
from features.feast.tags import is_asof, is_events, served_of
from features.serving.reader import Lookups
from features.settings import Settings, load
from features.store.redis_store import RedisStore
from features.store.stores import open_store

__all__ = ["AsofOnlineStore", "AsofOnlineStoreConfig"]

_MICROSECOND = 1_000_000
_KINDS = {"redis": "redis", "redis_cluster": "redis-cluster"}
Asked = list[str] | FeatureService
EntityRows = list[dict[str, Any]] | Mapping[str, Sequence[Any] | Sequence[Value] | RepeatedValue]
_ROWS: ContextVar[EntityRows] = ContextVar("rows", default=[])  # noqa: B039 - never changed
Rows = list[tuple[datetime | None, dict[str, Value] | None]]
Written = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""Entity key, values, event timestamp and created timestamp of a row."""


class AsofOnlineStoreConfig(FeastConfigBaseModel):
    """In Feast's settings file, under `online_store`: Feast's own words for its SQLite and Redis stores."""

    type: Literal["features.feast.online.AsofOnlineStore"] = "features.feast.online.AsofOnlineStore"
    path: StrictStr = "data/online.db"
    """The SQLite file; relative to the repository."""
    connection_string: StrictStr | None = Field(default=None, repr=False)
    """Of Redis, as Feast writes it: `host:port,db=0,password=…`, of a cluster `host:port,host:port,password=…`; None: SQLite."""
    redis_type: Literal["redis", "redis_cluster"] = "redis"
    key_ttl_seconds: StrictInt | None = None
    """Redis forgets an entity so long after Feast wrote of it, Asof's plain values of the same entity with it."""
    full_scan_for_deletion: StrictBool = True
    skip_dedup: StrictBool = False

    def plain(self) -> PlainConfig:
        """The same in the words of Feast's own store; made for each call, for a caller may change them."""
        if self.connection_string is None:
            return SqliteOnlineStoreConfig(path=self.path)
        return RedisOnlineStoreConfig(
            redis_type=RedisType(self.redis_type), connection_string=self.connection_string, key_ttl_seconds=self.key_ttl_seconds,
            full_scan_for_deletion=self.full_scan_for_deletion, skip_dedup=self.skip_dedup,
        )  # fmt: skip


class AsofOnlineStore(OnlineStore):
    """What Feast asks of a store. Several threads may ask at once."""

    # Feast asks it of the views that are its own, whose store is.
    _versioned_read_supported = True

    def __init__(self) -> None:
        self._foreign: ForeignSqlite | ForeignRedis | None = None
        self._settings: Settings | None = None
        self._free: deque[Lookups] = deque()

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Both, in threads."""
        return SupportedAsyncMethods(read=True, write=True)

    def get_online_features(
        self, config: RepoConfig, features: Asked, entity_rows: EntityRows, registry: BaseRegistry, project: str, *more: bool, **named: bool
    ) -> OnlineResponse:  # fmt: skip
        """Feast's answer.

        Raises:
            KeyError: a row lacks a key column.
            InputError: a key or a request field is of a wrong type, or a request field lacks; a view holds no values, or has no lookups; the service has Feast compute vectors ahead.
            NotLoadedError: a view of Asof's was never loaded, or by another definition.
            BusyError: the store does not answer.
        """
        _refuse_precomputed(features, registry, project)
        with _bringing(entity_rows):
            return super().get_online_features(config, features, entity_rows, registry, project, *more, **named)

    async def get_online_features_async(
        self, config: RepoConfig, features: Asked, entity_rows: EntityRows, registry: BaseRegistry, project: str, *more: bool, **named: bool
    ) -> OnlineResponse:  # fmt: skip
        """The same; it reads in a thread."""
        _refuse_precomputed(features, registry, project)
        with _bringing(entity_rows):
            return await super().get_online_features_async(
                config, features, entity_rows, registry, project, *more, **named
            )

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: GetOnlineFeaturesResponse,
        full_feature_names: bool,  # noqa: FBT001 - Feast's
        include_feature_view_version_metadata: bool,  # noqa: FBT001 - Feast's
    ) -> None:
        """Reads all views of a request at one instant, where Feast would read one after the other."""
        settings = self._settings_of(config)
        at = micros(settings.now())
        ours = [(view, names) for view, names in grouped_refs if _is_ours(view)]
        theirs = [(view, list(names)) for view, names in grouped_refs if not _is_ours(view)]
        keys = [answers.key_columns(view, entity_name_to_join_key_map, join_key_values) for view, _ in ours]
        aside = GetOnlineFeaturesResponse()
        with self._lookups(settings) as lookups:
            found = iter(answers.asked_vectors(lookups, ours, keys, at, _brought))
        if theirs:
            store, plain = self._theirs(config)
            store._read_features_per_fv(  # noqa: SLF001 - how Feast's own stores read several views
                plain, theirs, join_key_values, entity_name_to_join_key_map, aside, full_feature_names, include_feature_view_version_metadata
            )  # fmt: skip
        read, asked = zip(aside.metadata.feature_names.val, aside.results, strict=True), iter(theirs)
        metadata = online_features_response.metadata
        metadata.feature_view_metadata.extend(aside.metadata.feature_view_metadata)
        for view, names in grouped_refs:
            if _is_ours(view):
                called = str(cast("Any", view.projection).name_to_use())
                named = [f"{called}__{name}" if full_feature_names else name for name in names]
                vectors = next(found)
                if include_feature_view_version_metadata:
                    metadata.feature_view_metadata.add(name=called, version=view.current_version_number or 0)
            else:
                # Redis has added the time to what was asked of it.
                named, vectors = map(list, zip(*islice(read, len(next(asked)[1])), strict=True))
                _mark_old(vectors, view, at)
            metadata.feature_names.val.extend(named)
            online_features_response.results.extend(vectors)

    async def _read_features_per_fv_async(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Feast's
        await asyncio.to_thread(self._read_features_per_fv, *args, **kwargs)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> Rows:
        """Event timestamp and values of each key, neither where there is none; of Asof's views as of now."""
        if not _is_ours(table):
            store, plain = self._theirs(config)
            return cast("Rows", store.online_read(plain, table, entity_keys, requested_features))
        if not entity_keys:
            return []
        names = requested_features or [field.name for field in table.features]
        columns = {
            name: [key.entity_values[list(key.join_keys).index(name)] for key in entity_keys]
            for name in entity_keys[0].join_keys
        }
        settings = self._settings_of(config)
        with self._lookups(settings) as lookups:
            keys = answers.key_columns(table, {name: name for name in columns}, columns)
            return answers.asked_rows(lookups, table, names, keys, micros(settings.now()))

    async def online_read_async(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Feast's
        """The same, in a thread."""
        return await asyncio.to_thread(self.online_read, *args, **kwargs)

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[Written], progress: Callable[[int], Any] | None
    ) -> None:
        """Rows of Feast's own views; events of a source that Asof's views follow.

        Raises:
            InputError: the view is one of Asof's that takes no rows, or events do not fit; see `take_events`.
            BusyError: the store does not answer.
        """
        if is_events(table):
            take_events(self._settings_of(config), table, data)
            if progress:
                progress(len(data))
            return
        refuse_write(table)
        store, plain = self._theirs(config)
        store.online_write_batch(plain, table, data, progress)

    async def online_write_batch_async(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Feast's
        """The same, in a thread."""
        await asyncio.to_thread(self.online_write_batch, *args, **kwargs)

    def update(
        self, config: RepoConfig, tables_to_delete: Sequence[Any], tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any], entities_to_keep: Sequence[Any], partial: bool,  # noqa: FBT001 - Feast's
    ) -> None:  # fmt: skip
        """Makes room for plain values, and drops what is no longer defined with all that Asof keeps of it."""
        gone = [view for view in tables_to_delete if not is_events(view)]
        kept = [view for view in tables_to_keep if _is_plain(view)]
        store, plain = self._theirs(config)
        store.update(plain, gone, kept, entities_to_delete, entities_to_keep, partial)
        self._forget(config, gone)

    def plan(self, config: RepoConfig, desired_registry_proto: Registry) -> list[InfraObject]:
        """The tables of plain values, of SQLite."""
        views = [FeatureView.from_proto(view) for view in desired_registry_proto.feature_views]
        versioned = bool(cast("Any", config.registry).enable_online_feature_view_versioning)
        others = {compute_table_id(config.project, view, versioned) for view in views if not _is_plain(view)}
        store, plain = self._theirs(config)
        return [item for item in store.plan(plain, desired_registry_proto) if item.name not in others]

    def teardown(self, config: RepoConfig, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Drops everything: the SQLite file, or of Redis the hashes of these views' entities and all that Asof keeps beside them."""
        store, plain = self._theirs(config)
        store.teardown(plain, tables, entities)
        self._close()
        settings = self._settings_of(config)
        if settings.online.kind == "sqlite":
            for end in ("-wal", "-shm"):
                Path(f"{_path(config)}{end}").unlink(missing_ok=True)
        elif any(is_asof(view) for view in tables):
            redis = cast("RedisStore", open_store(settings, writable=True))
            redis.clear()
            redis.close()

    async def close(self) -> None:
        """Ends the connections; the next request begins new ones."""
        self._close()

    def _close(self) -> None:
        while self._free:
            self._free.pop().close()
        if self._foreign is not None:
            self._foreign.end()

    def _forget(self, config: RepoConfig, views: Sequence[Any]) -> None:
        if ours := [view.name for view in views if is_asof(view)]:
            store = open_store(self._settings_of(config), writable=True)
            for name in ours:
                store.forget(name)
            store.close()

    def _theirs(self, config: RepoConfig) -> tuple[ForeignSqlite | ForeignRedis, RepoConfig]:
        """Feast's own store, and the settings that it understands."""
        plain = _own(config).plain()
        if self._foreign is None:
            self._foreign = foreign_store(plain)
        return self._foreign, foreign_config(config, plain)

    def _settings_of(self, config: RepoConfig) -> Settings:
        """Which store, from Feast's settings; the clock, from Asof's."""
        if self._settings is None:
            own, path = _own(config), _path(config)
            online = (
                {"kind": "sqlite", "path": path}
                if own.connection_string is None
                else {"kind": _KINDS[own.redis_type], "url": redis_url(own.connection_string)}
            )
            self._settings = load(home=path.parent, online=online)
        return self._settings

    @contextmanager
    def _lookups(self, settings: Settings) -> Iterator[Lookups]:
        """A connection that nobody else uses meanwhile."""
        try:
            mine = self._free.pop()
        except IndexError:
            mine = Lookups(settings)
        try:
            yield mine
        finally:
            self._free.append(mine)


@contextmanager
def _bringing(rows: EntityRows) -> Iterator[None]:
    """Feast passes keys on and leaves out what it does not know, request fields of Asof's views among it: they are kept here while it is asked."""
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def _brought(name: str) -> Sequence[object] | None:
    """The values of a column of what is asked, one a row; None: it has none of that name."""
    rows = _ROWS.get()
    if isinstance(rows, Mapping):
        found = rows.get(name)
        return found.val if isinstance(found, RepeatedValue) else found
    if rows and any(name in row for row in rows):
        return [row.get(name) for row in rows]
    return None


def _own(config: RepoConfig) -> AsofOnlineStoreConfig:
    return cast("AsofOnlineStoreConfig", config.online_store)


def _path(config: RepoConfig) -> Path:
    return Path(config.repo_path or ".") / _own(config).path


def _is_ours(view: Any) -> bool:  # noqa: ANN401 - any of Feast's kinds of views
    return is_asof(view) or is_events(view)


def _is_plain(view: Any) -> bool:  # noqa: ANN401 - any of Feast's kinds of views
    """Whether its values lie in Feast's plain layout."""
    return not is_events(view) and (not is_asof(view) or served_of(view).view.served)


def _refuse_precomputed(features: Asked, registry: BaseRegistry, project: str) -> None:
    """Vectors that Feast computed ahead are of no instant that was asked for, and have no statuses."""
    if not isinstance(features, FeatureService) or not features.precompute_online:
        return
    for name in (projection.name for projection in features.feature_view_projections):
        if is_asof(registry.get_any_feature_view(name, project, allow_cache=True)):
            msg = (
                f"Service {features.name!r} has precompute_online, and takes {name!r} of Asof, whose values are of the asked instant. "
                "Apply it without precompute_online, or take Feast's own views alone."
            )
            raise InputError(msg)


def _mark_old(vectors: Sequence[answers.Vector], view: FeatureView, at: int) -> None:
    """Past the view's ttl a value is OUTSIDE_MAX_AGE and still beside it; Feast's Python server would say PRESENT."""
    lasting = int(view.ttl.total_seconds() * _MICROSECOND) if view.ttl else 0
    for vector in vectors if lasting else ():
        for place, (status, stamp) in enumerate(zip(vector.statuses, vector.event_timestamps, strict=True)):
            if status == FieldStatus.PRESENT and stamp.ToMicroseconds() + lasting < at:
                vector.statuses[place] = FieldStatus.OUTSIDE_MAX_AGE
