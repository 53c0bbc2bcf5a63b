"""Looks values up in the online store: one round trip a request, each value with the status and age of its view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Self

from features.definitions.catalog import Catalog
from features.definitions.names import micros
from features.definitions.views import FeatureView
from features.errors import AsofError, InputError, MissingError
from features.serving.keys import Key, checked, needed
from features.serving.served import Served, Status, ViewValues
from features.settings import Settings
from features.store.keys import entity_key
from features.store.reads import OnlineStore
from features.store.stores import open_store
from features.store.values import Cell

__all__ = ["Lookups", "Reader", "Result", "Row", "Status", "ViewValues"]


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


class Lookups:
    """Keeps its connection to the store; close it, or use it in a `with` block. Not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: OnlineStore | None = None
        self._is_empty = False

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

    def look_up(
        self,
        of: str,
        chosen: Sequence[tuple[Served, Sequence[str]]],
        keys: Sequence[Mapping[str, object]],
        at: int | None,
        service: str = "",
    ) -> Result:
        """What the views say, each of the features chosen of it; `of` is what messages call the whole, `at` and errors as `Reader` has them."""
        _refuse_unserved(of, [served.view for served, _ in chosen])
        columns = needed(served.view for served, _ in chosen)
        typed = [checked(key, columns, of) for key in keys]
        asked = micros(self._settings.now()) if at is None else at
        encoded = [[_encoded(served.view, key) for key in typed] for served, _ in chosen]
        questions = [
            served.question(features, of_view, asked)
            for (served, features), of_view in zip(chosen, encoded, strict=True)
        ]
        answers = self._online().ask(questions)
        found = [
            served.values(features, of_view, answer, asked)
            for (served, features), of_view, answer in zip(chosen, encoded, answers, strict=True)
        ]
        rows = tuple(Row(key=key, views=tuple(column[place] for column in found)) for place, key in enumerate(typed))
        return Result(service=service, at=asked, rows=rows)

    def _online(self) -> OnlineStore:
        if self._store is not None and self._is_empty and self._settings.online_db.exists():
            self.close()  # the first load came after the reader
        if self._store is None:
            self._is_empty = self._settings.online.kind == "sqlite" and not self._settings.online_db.exists()
            self._store = open_store(self._settings, writable=False)
        return self._store


class Reader(Lookups):
    """Lookups of a catalogue's services and views."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        super().__init__(settings)
        self._catalog = catalog
        self._views: dict[str, Served] = {}

    def lookup(self, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        """The values that the store's live generation gives at an instant (microseconds UTC; None: the clock's now).

        Raises:
            MissingError: no such service; NotLoadedError: a view of it was never loaded, or by another definition.
            InputError: a key lacks a column, has one too many or of a wrong type; the service has a view without lookups;
                the instant is before the live generation.
            BusyError: the store does not answer.
        """
        found = self._catalog.service(service)
        chosen = [(self._served(view), names) for view, names in self._catalog.views_of(found)]
        return self.look_up(f"service {service!r}", chosen, keys, at, service)

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
        return self.look_up(f"view {', '.join(features)}", chosen, keys, at)

    def unready(self, services: Sequence[str]) -> list[str]:
        """A sentence for each view of these services that cannot be looked up now; none where all can.

        Raises:
            BusyError: the store does not answer.
        """
        found: list[str] = []
        at = micros(self._settings.now())
        views = [view for name in services for view, _ in self._catalog.views_of(self._catalog.service(name))]
        views = list(dict.fromkeys(views))
        answers = self._online().ask([self._served(view).question((), (), at) for view in views])
        for view, answer in zip(views, answers, strict=True):
            try:
                self._served(view).live(answer.head, at)
            except AsofError as error:
                found.append(str(error))
        return found

    def _served(self, view: FeatureView) -> Served:
        if view.name not in self._views:
            self._views[view.name] = Served(view)
        return self._views[view.name]


def _encoded(view: FeatureView, key: Key) -> bytes | None:
    parts = {name: value for name in view.keys if (value := key[name]) is not None}
    return entity_key(parts, view.entity.type) if len(parts) == len(view.keys) else None


def _refuse_unserved(of: str, views: Sequence[FeatureView]) -> None:
    for view in views:
        if not view.tabled:
            msg = (
                f"{of[0].upper()}{of[1:]} takes {view.name}, which has no lookups: {view.unkept}. "
                "Use a service without it here, and `asof frame` for this one."
            )
            raise InputError(msg)
