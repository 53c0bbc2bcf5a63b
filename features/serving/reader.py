"""Looks values up in the online store: one round trip a request, each value with the status and age of its view."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Literal, Self

from features.definitions.catalog import Catalog
from features.definitions.compiled import hash_of
from features.definitions.names import cut_text, micros, utc
from features.definitions.services import FeatureService
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.serving.keys import Key, checked, needed
from features.settings import Settings
from features.store.heads import STATUS, Head
from features.store.keys import entity_key
from features.store.reads import Answer, OnlineStore, Question
from features.store.stores import open_store
from features.store.values import Cell, decode
from features.values.defaults import never_seen

__all__ = ["Reader", "Result", "Row", "Status", "ViewValues"]

Status = Literal["ok", "never_seen", "stale", "no_key", "overflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewValues:
    """What one view says of one key."""

    view: str
    values: Mapping[str, Cell]
    """Feature name to value. Timestamps are int64 microseconds UTC."""
    status: Status
    """no_key before stale before never_seen before overflow, where several hold."""
    cut: int
    """The cut that the values are of, in microseconds UTC."""
    age: int
    """Microseconds from that cut to the asked instant."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One key's answer."""

    key: Key
    views: tuple[ViewValues, ...]
    """In the order of the service."""

    @cached_property
    def values(self) -> Mapping[str, Cell]:
        """All values, named `view__feature` as Feast's full names are."""
        return {f"{view.view}__{name}": value for view in self.views for name, value in view.values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row a key, in the order asked."""

    service: str
    at: int
    """The asked instant, in microseconds UTC."""
    rows: tuple[Row, ...]


class Reader:
    """Keeps its connection to the store; close it, or use it in a `with` block. Not for several threads at once."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._store: OnlineStore | None = None
        self._hashes: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection to the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def lookup(self, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        """The values that the store's live generation gives at an instant (microseconds UTC; None: the clock's now).

        Raises:
            MissingError: no such service, or a view of it was never loaded, or was loaded by another definition.
            InputError: a key lacks a column, has one too many or of a wrong type; the service has a view that is not scheduled;
                the instant is before the live generation.
            BusyError: the store does not answer.
        """
        found = self._catalog.service(service)
        views = self._catalog.views_of(found)
        _refuse_unserved(found, [view for view, _ in views])
        typed = [checked(key, needed(self._catalog, found), service) for key in keys]
        asked = micros(self._settings.now()) if at is None else at
        encoded = [[_encoded(view, key) for key in typed] for view, _ in views]
        questions = [
            Question(
                view=view.name,
                keys=tuple(dict.fromkeys(key for key in of_view if key is not None)),
                features=(*features, STATUS),
            )
            for (view, features), of_view in zip(views, encoded, strict=True)
        ]
        answers = self._online().ask(questions)
        columns = [
            list(self._of_view(view, features, of_view, answer, asked))
            for (view, features), of_view, answer in zip(views, encoded, answers, strict=True)
        ]
        rows = tuple(Row(key=key, views=tuple(column[place] for column in columns)) for place, key in enumerate(typed))
        return Result(service=service, at=asked, rows=rows)

    def _online(self) -> OnlineStore:
        if self._store is None:
            self._store = open_store(self._settings, writable=False)
        return self._store

    def _of_view(
        self, view: FeatureView, features: Sequence[str], keys: Sequence[bytes | None], answer: Answer, at: int
    ) -> Iterator[ViewValues]:
        head = self._live(view, answer.head, at)
        types, unseen = view.types, never_seen(view)
        for key in keys:
            row = None if key is None else answer.rows.get(key)
            valid_from, cells = row or (head.valid_from, {})
            if at < valid_from:
                raise InputError(_too_early(view, valid_from, at))
            cut = valid_from - (head.valid_from - head.cut)
            if key is None:
                values: dict[str, Cell] = dict.fromkeys(features)
            elif row is None:
                values = {name: unseen[name] for name in features}
            else:
                values = {name: decode(cells.get(name, b""), types[name]) for name in features}
            status = _status(key, row is not None, decode(cells.get(STATUS, b""), "string"), at >= cut + head.horizon)
            yield ViewValues(view=view.name, values=values, status=status, cut=cut, age=at - cut)

    def _live(self, view: FeatureView, head: Head | None, at: int) -> Head:
        command = f"Run `asof materialize --cut CUT --view {view.name}` with a published cut."
        if head is None:
            msg = f"The online store holds no values of view {view.name!r}. {command}"
            raise MissingError(msg)
        wanted = self._hashes.setdefault(view.name, hash_of(view))
        if head.definition != wanted:
            msg = (
                f"The online store holds view {view.name!r} by definition {head.definition}, but the catalogue says {wanted}: "
                f"its values mean something else. Compute, publish and load it anew. {command}"
            )
            raise MissingError(msg)
        if at < head.valid_from:
            raise InputError(_too_early(view, head.valid_from, at))
        return head


def _encoded(view: FeatureView, key: Key) -> bytes | None:
    parts = {name: value for name in view.keys if (value := key[name]) is not None}
    return entity_key(parts, view.entity.type) if len(parts) == len(view.keys) else None


def _status(key: bytes | None, seen: bool, stored: Cell, stale: bool) -> Status:  # noqa: FBT001 - facts, not switches
    if key is None:
        return "no_key"
    if stale:
        return "stale"
    if not seen:
        return "never_seen"
    return "overflow" if stored == "overflow" else "ok"


def _too_early(view: FeatureView, valid_from: int, at: int) -> str:
    cut = cut_text(valid_from - view.schedule.lag_us)
    return (
        f"At {utc(at).isoformat()} view {view.name!r} had other values than the store holds: those are of cut {cut}, valid from "
        f"{utc(valid_from).isoformat()} on. Ask for a later instant, or use `asof frame`, which gives the values of any instant."
    )


def _refuse_unserved(service: FeatureService, views: Sequence[FeatureView]) -> None:
    names = [view.name for view in views if not view.served]
    if names:
        msg = (
            f"Service {service.name!r} takes {', '.join(names)}, whose values change between cuts: a lookup from state comes with a later "
            "release. Use a service of scheduled views here, and `asof frame` for this one."
        )
        raise InputError(msg)
