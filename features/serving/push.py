"""Events go into the tails of the online store as they happen: each counts in lookups once it is known, as a frame counts it (semantics 2 and 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa

from features.definitions.catalog import Catalog
from features.definitions.entities import Entity
from features.definitions.names import micros
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import InputError
from features.settings import Settings
from features.store.keys import entity_key
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store
from features.store.tails import Pushed, entries, tail_source
from features.values.fit import fit

__all__ = ["Followed", "PushResult", "Pusher", "followed_by", "push", "pushable", "pushed", "take_in"]

_HALF = 1 << 63
_MILLISECOND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """What became of events."""

    new: int
    """Not known before."""

    known: int
    """Redeliveries, and later versions, which count from the next cut on."""

    refused: Mapping[int, str]
    """Place in what was pushed to why the row does not fit; nothing of it was taken in."""

    told: int | None = None
    """Up to when the stream has told everything, by this push; microseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A source that event views follow, and what a push must know of those views."""

    source: Source
    entities: tuple[tuple[Entity, tuple[str, ...]], ...]
    """Each once, with the columns of the source that hold its key."""

    lasting_us: int
    """How long an event is of use: until the cut that knows it has replaced the one before the one that is served, and a day more."""


def pushable(catalog: Catalog, name: str) -> Followed:
    """A source that event views follow.

    Raises:
        MissingError: there is no such source.
        InputError: no event view follows it, or its rows become whole only when they are ingested.
    """
    source = catalog.source(name)
    views = tuple(view for view in catalog.views if view.stateful and tail_source(view) == name)
    if not views:
        followed = sorted({tail_source(view) for view in catalog.views if view.stateful} - {""})
        msg = (
            f"No view follows source {name!r} event by event, so a push would change no lookup. "
            f"Push to {', '.join(followed) or 'none: no view has EventFreshness'}; scheduled views take what `asof ingest` brings."
        )
        raise InputError(msg)
    if source.enriched is not None:
        msg = f"Source {name!r} takes columns from {source.enriched.parent.name!r}, which happens at ingest. Push to a source without enrich."
        raise InputError(msg)
    return followed_by(source, views)


def followed_by(source: Source, views: Sequence[FeatureView]) -> Followed:
    """A source, and at least one view that follows it."""
    found = {view.entity.name: (view.entity, view.source.key_columns(view.entity.name, view.keys)) for view in views}
    lasting = max(view.horizon_us + 2 * view.schedule.period_us for view in views)
    return Followed(source=source, entities=tuple(found.values()), lasting_us=lasting)


def push(
    settings: Settings,
    catalog: Catalog,
    name: str,
    rows: Sequence[Mapping[str, object]] | pa.Table,
    watermark: int | None = None,
) -> PushResult:
    """Takes versions of events in; doing it again changes nothing, and many may do it at once.

    Args:
        settings: say which store.
        catalog: whose source it is.
        name: of the source.
        rows: all of the source's columns; texts are read as `asof ingest` reads them. None: the stream only says that it lives.
        watermark: everything known before this instant (microseconds UTC) has been pushed; None: before the newest of the rows' known_at.
            One later than now, by the clock of the settings, is now.

    Raises:
        MissingError: there is no such source.
        InputError: no view follows it; a column is missing, unknown, or of mixed types.
        BusyError: the store does not answer; push the same again.
    """
    return take_in(settings, pushable(catalog, name), rows, watermark)


def take_in(
    settings: Settings,
    followed: Followed,
    rows: Sequence[Mapping[str, object]] | pa.Table,
    watermark: int | None = None,
) -> PushResult:
    """The same of a source that is known to be followed; see `push`."""
    with Pusher(settings) as pusher:
        return pusher.take_in(followed, rows, watermark)


class Pusher:
    """Keeps its connection to a server between pushes; close it, or use it in a `with` block. Not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: SqliteStore | RedisStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def take_in(
        self, followed: Followed, rows: Sequence[Mapping[str, object]] | pa.Table, watermark: int | None = None
    ) -> PushResult:
        """See `push`."""
        source = followed.source
        table = cast("pa.Table", rows) if isinstance(rows, pa.Table) else _table(source, rows)
        _refuse_columns(source, table.column_names)
        found = fit(source, table)
        good = [n for n in range(len(table)) if n not in found.reasons]
        events = pushed(followed, found.rows)
        told = watermark if watermark is not None else max((event.known for event in events), default=None)
        if told is None:
            return PushResult(new=0, known=0, refused=found.reasons)
        # A producer whose clock is ahead has not told of what is yet to come.
        told = min(told, micros(self._settings.now()))
        if self._store is None:
            self._store = open_store(self._settings, writable=True)
        try:
            new = self._store.push(source.name, events, told, followed.lasting_us // _MILLISECOND)
            if new:
                self._store.fold(source, [key for event in events for key in event.keys], self._settings.online.fold_at)
        finally:
            if self._settings.online.kind == "sqlite":
                self.close()  # the file may be another one by the next push
        return PushResult(new=new, known=len(good) - new, refused=found.reasons, told=told)


def _table(source: Source, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row)) or [column.name for column in source.given]
    made: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            made[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            msg = f"Column {name!r} of what was pushed to {source.name!r} mixes types: {error}. Give all of its values one type."
            raise InputError(msg) from error
    return pa.table(made)


def _refuse_columns(source: Source, names: Sequence[str]) -> None:
    declared = [column.name for column in source.given]
    lacking, unknown = (
        [name for name in declared if name not in names],
        [name for name in names if name not in declared],
    )
    if lacking or unknown:
        parts = [f"it lacks {', '.join(lacking)}"] * bool(lacking) + [f"it has {', '.join(unknown)} besides"] * bool(
            unknown
        )
        msg = f"What was pushed does not fit source {source.name!r}: {'; '.join(parts)}. Its columns are {', '.join(declared)}."
        raise InputError(msg)


def pushed(followed: Followed, rows: pa.Table) -> list[Pushed]:
    """Rows that `fit` has read, as a store takes them."""
    source = followed.source
    columns = {name: rows[name].combine_chunks() for name in source.types}
    known, time = _micros(rows["asof_known_at"]), _micros(rows[source.event_time])
    versions = _listed(columns, source.version, len(rows), 0)
    voids = _listed(columns, source.void, len(rows), False)
    ids = columns[source.event_id or ""].to_pylist()
    keys = _keys(followed, columns, len(rows))
    made = entries(source, columns, time, known)
    return [
        Pushed(
            event_id=ids[n].encode() if isinstance(ids[n], str) else int(ids[n]).to_bytes(8, "little", signed=True),
            # Known first; of what was known together the highest version, and of one version the void.
            order=f"{at + _HALF:020d}{_HALF - (versions[n] or 0):020d}{0 if voids[n] else 1}",
            known=at, entry=None if voids[n] else made[n], keys=keys[n],
        )
        for n, at in enumerate(known.tolist())
    ]  # fmt: skip


def _keys(followed: Followed, columns: Mapping[str, pa.Array], rows: int) -> list[tuple[bytes, ...]]:
    """The entities of each row, each once; a null key column belongs to none."""
    made: list[dict[bytes, None]] = [{} for _ in range(rows)]
    for entity, names in followed.entities:
        for n, values in enumerate(zip(*(columns[name].to_pylist() for name in names), strict=True)):
            if None not in values:
                made[n][entity_key(dict(zip(entity.keys, values, strict=True)), entity.type)] = None
    return [tuple(keys) for keys in made]


def _listed(columns: Mapping[str, pa.Array], name: str | None, rows: int, default: Any) -> list[Any]:  # noqa: ANN401 - of any column
    return [default] * rows if name is None else columns[name].to_pylist()


def _micros(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()).to_numpy())
