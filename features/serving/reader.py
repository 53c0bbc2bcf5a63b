"""Looks values up in the online store: one round trip a request, each value with the status and age of its view."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Literal, Self

from features.definitions.catalog import Catalog
from features.definitions.compiled import hash_of
from features.definitions.expressions import ColumnType
from features.definitions.names import cut_text, micros, utc
from features.definitions.views import FeatureView
from features.errors import AsofError, InputError, MissingError, NotLoadedError
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
        self._is_empty = False
        self._views: dict[str, _Served] = {}

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
            MissingError: no such service; NotLoadedError: a view of it was never loaded, or by another definition.
            InputError: a key lacks a column, has one too many or of a wrong type; the service has a view that is not scheduled;
                the instant is before the live generation.
            BusyError: the store does not answer.
        """
        found = self._catalog.service(service)
        chosen = [(self._served(view), names) for view, names in self._catalog.views_of(found)]
        return self._looked(f"service {service!r}", chosen, keys, at, service)

    def lookup_features(
        self, features: Mapping[str, Sequence[str]], keys: Sequence[Mapping[str, object]], at: int | None = None
    ) -> Result:
        """The same for features of no service: view to the names of its features.

        Raises:
            MissingError: no such view or feature; NotLoadedError: a view was never loaded, or by another definition.
            InputError: as `lookup` has it.
            BusyError: the store does not answer.
        """
        chosen = [(self._served(self._catalog.view(name)), tuple(names)) for name, names in features.items()]
        for served, names in chosen:
            for feature in names:
                if feature not in served.types:
                    what, known = f"feature of view {served.view.name!r}", list(served.types)
                    raise MissingError.of(what, feature, known, "Ask for one of these.")
        return self._looked(f"view {', '.join(features)}", chosen, keys, at, "")

    def unready(self, services: Sequence[str]) -> list[str]:
        """A sentence for each view of these services that cannot be looked up now; none where all can.

        Raises:
            BusyError: the store does not answer.
        """
        found: list[str] = []
        at = micros(self._settings.now())
        views = [view for name in services for view, _ in self._catalog.views_of(self._catalog.service(name))]
        views = list(dict.fromkeys(views))
        answers = self._online().ask([Question(view=view.name, keys=(), features=()) for view in views])
        for view, answer in zip(views, answers, strict=True):
            try:
                self._served(view).live(answer.head, at)
            except AsofError as error:
                found.append(str(error))
        return found

    def _looked(
        self,
        of: str,
        chosen: "Sequence[tuple[_Served, tuple[str, ...]]]",
        keys: Sequence[Mapping[str, object]],
        at: int | None,
        service: str,
    ) -> Result:
        _refuse_unserved(of, [served.view for served, _ in chosen])
        columns = needed(served.view for served, _ in chosen)
        typed = [checked(key, columns, of) for key in keys]
        asked = micros(self._settings.now()) if at is None else at
        encoded = [[_encoded(served.view, key) for key in typed] for served, _ in chosen]
        questions = [
            Question(
                view=served.view.name,
                keys=tuple(dict.fromkeys(key for key in of_view if key is not None)),
                features=(*features, STATUS),
            )
            for (served, features), of_view in zip(chosen, encoded, strict=True)
        ]
        answers = self._online().ask(questions)
        found = [
            list(served.values(features, of_view, answer, asked))
            for (served, features), of_view, answer in zip(chosen, encoded, answers, strict=True)
        ]
        rows = tuple(Row(key=key, views=tuple(column[place] for column in found)) for place, key in enumerate(typed))
        return Result(service=service, at=asked, rows=rows)

    def _served(self, view: FeatureView) -> "_Served":
        if view.name not in self._views:
            self._views[view.name] = _Served(view, view.types, never_seen(view), hash_of(view))
        return self._views[view.name]

    def _online(self) -> OnlineStore:
        if self._store is not None and self._is_empty and self._settings.online_db.exists():
            self.close()  # the first load came after the reader
        if self._store is None:
            self._is_empty = self._settings.online.kind == "sqlite" and not self._settings.online_db.exists()
            self._store = open_store(self._settings, writable=False)
        return self._store


@dataclass(frozen=True, slots=True)
class _Served:
    """A view, and what is asked of it again and again."""

    view: FeatureView
    types: Mapping[str, ColumnType]
    unseen: Mapping[str, Cell]
    definition: str

    def values(
        self, features: Sequence[str], keys: Sequence[bytes | None], answer: Answer, at: int
    ) -> Iterator[ViewValues]:
        """One a key."""
        head, view, types, unseen = self.live(answer.head, at), self.view, self.types, self.unseen
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

    def live(self, head: Head | None, at: int) -> Head:
        """The head record, if its values are these definitions' and of this instant."""
        view = self.view
        command = f"Run `asof materialize --cut CUT --view {view.name}` with a published cut."
        if head is None:
            msg = f"The online store holds no values of view {view.name!r}. {command}"
            raise NotLoadedError(msg)
        if head.definition != self.definition:
            msg = (
                f"The online store holds view {view.name!r} by definition {head.definition}, but the catalogue says {self.definition}: "
                f"its values mean something else. Compute, publish and load it anew. {command}"
            )
            raise NotLoadedError(msg)
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


def _refuse_unserved(of: str, views: Sequence[FeatureView]) -> None:
    names = [view.name for view in views if not view.served]
    if names:
        msg = (
            f"{of[0].upper()}{of[1:]} takes {', '.join(names)}, whose values change between cuts: a lookup from state comes with a later "
            "release. Use a service of scheduled views here, and `asof frame` for this one."
        )
        raise InputError(msg)
