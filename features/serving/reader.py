"""Looks values up in the online store: one round trip a request, each value with the status and age of its view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import repeat
from types import TracebackType
from typing import NamedTuple, Self

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.definitions.names import micros
from features.definitions.views import FeatureView
from features.errors import AsofError, BusyError, EarlyError, InputError, MissingError
from features.serving.keys import Key, Keys
from features.serving.one_key import OneKey
from features.serving.policies import Rules, enforced, rules_of
from features.serving.served import Selected, Served, Status, ViewColumns, ViewValues, answered
from features.serving.tables import Tables
from features.settings import Settings
from features.store.keys import key_encoder
from features.store.one_each import Alike, OneEach
from features.store.reads import Answer, OnlineStore, Question
from features.store.stores import open_store
from features.store.together import Together
from features.store.values import Cell
from features.values.requests import Request

__all__ = ["Chosen", "Lookup", "Lookups", "Reader", "Result", "Row", "Status", "ViewColumns", "ViewValues"]

_REMEMBERED = 256
"""So many choices of features are kept ready."""


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


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row a key, in the order asked."""

    service: str
    at: int
    """The asked instant, in microseconds UTC."""

    keys: tuple[Key, ...]
    views: Sequence[ViewColumns]
    """In the order of the service, an element a key."""

    selected: Selected = field(compare=False, repr=False)
    """The views and features, as they are."""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The same, key by key."""
        of_views = zip(*(view.rows() for view in self.views), strict=True) if self.views else repeat((), len(self.keys))
        return tuple(Row(key=key, views=views) for key, views in zip(self.keys, of_views, strict=True))


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
        self, chosen: "Chosen", keys: Sequence[Mapping[str, object]], at: int | None, service: str = ""
    ) -> Result:
        """What the views say; `at` and errors as `Reader` has them."""
        lookup = self.begun(chosen, keys, at)
        return chosen.result(service, lookup, self._online().ask(lookup.questions))

    def begun(self, chosen: "Chosen", keys: Sequence[Mapping[str, object]], at: int | None) -> "Lookup":
        """What the store is to be asked."""
        return chosen.lookup(keys, micros(self._settings.now()) if at is None else at, is_now=at is None)

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
        self._services: dict[str, Chosen] = {}
        self._tables = Tables(catalog)
        self._of_features = lru_cache(maxsize=_REMEMBERED)(self._chosen_of)

    def lookup(self, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        """The values that the store's live generation gives at an instant (microseconds UTC; None: the clock's now).

        Raises:
            MissingError: no such service; NotLoadedError: a view of it was never loaded, or by another definition.
            InputError: a key lacks a column or a request field, has one too many or of a wrong type; the service has a view without lookups;
                the instant is before the live generation.
            StaleError, MissingError: a value is stale, or missing, whose policy is to fail.
            BusyError: the store does not answer, or holds only what is later than this machine's clock.
        """
        return self.look_up(self.of_service(service), keys, at, service)

    def lookup_features(
        self, features: Mapping[str, Sequence[str]], keys: Sequence[Mapping[str, object]], at: int | None = None
    ) -> Result:
        """The same for features of no service: view to the names of its features.

        Raises:
            MissingError: no such view or feature; NotLoadedError: a view was never loaded, or by another definition.
            InputError: as `lookup` has it.
            BusyError: the store does not answer.
        """
        return self.look_up(self.of_features(features), keys, at)

    def table(self, found: Result) -> pa.Table:
        """What a lookup found as Arrow: the key columns, `view__feature` in its own type, `view__asof_status`; a row a key. Where keys are many no Python value is made on the way."""
        return pa.Table.from_batches([self._tables.batch(found)])

    def of_service(self, service: str) -> "Chosen":
        """What a service takes; errors as `lookup` has them."""
        if service not in self._services:
            found = self._catalog.service(service)
            views = [(self._served(view), names) for view, names in self._catalog.views_of(found)]
            self._services[service] = Chosen(f"service {service!r}", views, rules_of(found, views))
        return self._services[service]

    def of_features(self, features: Mapping[str, Sequence[str]]) -> "Chosen":
        """Features of views, view to their names; errors as `lookup_features` has them."""
        return self._of_features(tuple((name, tuple(names)) for name, names in features.items()))

    def _chosen_of(self, features: tuple[tuple[str, tuple[str, ...]], ...]) -> "Chosen":
        chosen = [(self._served(self._catalog.view(name)), names) for name, names in features]
        for served, names in chosen:
            for feature in names:
                if feature not in served.types:
                    what, known = f"feature of view {served.view.name!r}", list(served.types)
                    raise MissingError.of(what, feature, known, "Ask for one of these.")
        return Chosen(f"view {', '.join(name for name, _ in features)}", chosen)

    def unready(self, services: Sequence[str]) -> list[str]:
        """A sentence for each view of these services that cannot be looked up now; none where all can.

        Raises:
            BusyError: the store does not answer.
        """
        found: list[str] = []
        at = micros(self._settings.now())
        views = [view for name in services for view, _ in self._catalog.views_of(self._catalog.service(name))]
        views = list(dict.fromkeys(views))
        answers = self._online().ask([self._served(view).question((), at) for view in views])
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


class Lookup(NamedTuple):
    """One look-up before it is answered."""

    keys: Sequence[Key]
    encoded: Sequence[Sequence[bytes | None]]
    """Of each view."""

    questions: Sequence[Question]
    at: int
    is_now: bool
    """The clock said the instant, nobody asked for it."""

    request: Request
    """What is brought beside the keys, an element a key."""


_Encoded = tuple[Sequence[Sequence[bytes | None]], Sequence[Question]]


class Chosen:
    """Some views and of each some features, and what is the same for all that ask for them; `of` is what messages call the whole.

    Raises:
        InputError: a view has no lookups.
    """

    def __init__(self, of: str, views: Sequence[tuple[Served, Sequence[str]]], rules: Rules | None = None) -> None:
        self.of, self.views, self.rules = of, [(served, tuple(names)) for served, names in views], rules or {}
        for served, _ in views:
            _refuse_unserved(of, served)
        self.selected = Selected(tuple((served.view.name, names) for served, names in self.views))
        self._one_key = OneKey(self.views)
        self.keys = Keys([served.view for served, _ in views], of)
        encoders = [key_encoder(served.view.keys, served.view.entity.type) for served, _ in views]
        self._encoders = list(dict.fromkeys(encoders))
        self._of_view = tuple([self._encoders.index(one) for one in encoders])
        tails = [served.tail if served.stateful else None for served, _ in views]
        self._alike = Alike(tuple([served.view.name for served, _ in views]), self._of_view, tuple(tails))

    def lookup(self, keys: Sequence[Mapping[str, object]], at: int, *, is_now: bool) -> Lookup:
        """Begins a look-up of these keys at an instant.

        Raises:
            InputError: a key does not fit.
        """
        typed, request = self.keys.parted(keys)
        encoded, questions = self._of_one(typed, at) or self._of_some(typed, at)
        return Lookup(keys=typed, encoded=encoded, questions=questions, at=at, is_now=is_now, request=request)

    def result(self, service: str, lookup: Lookup, answers: Sequence[Answer]) -> Result:
        """Ends it with what the store said; errors as `Reader` has them."""
        keys, at, request = lookup.encoded, lookup.at, lookup.request
        try:
            if isinstance(answers, Together) and len(lookup.keys) == 1:
                found: Sequence[ViewColumns] = self._one_key.columns(keys, answers, at, request)
            else:
                found = answered(self.views, keys, answers, at, request)
        except EarlyError as error:
            if not lookup.is_now:
                raise
            msg = f"{error} Nobody asked for that instant: it is this machine's clock, which is behind that of the load. Set it right, or try again then."
            raise BusyError(msg) from error
        if self.rules:
            found = tuple(
                enforced(service, self.rules, served, view) for (served, _), view in zip(self.views, found, strict=True)
            )
        return Result(service=service, at=lookup.at, keys=tuple(lookup.keys), views=found, selected=self.selected)

    def _of_one(self, keys: Sequence[Key], at: int) -> _Encoded | None:
        """The entity keys of each view, and what the store is asked; None of many, and of a null."""
        if len(keys) != 1:
            return None
        found = [encode(keys[0]) for encode in self._encoders]
        entities = tuple([one for one in found if one is not None])
        if len(entities) < len(found):
            return None
        own = [[key] for key in found]  # views of one entity have the same list, by which what they share is known
        return [own[place] for place in self._of_view], OneEach(self._alike, entities, at)

    def _of_some(self, keys: Sequence[Key], at: int) -> _Encoded:
        """The same; views of one entity share both, and each key is asked for once."""
        made = [list(map(encode, keys)) for encode in self._encoders]
        distinct = [tuple(filter(None, dict.fromkeys(found))) for found in made]
        questions = [self.views[n][0].question(distinct[place], at) for n, place in enumerate(self._of_view)]
        return [made[place] for place in self._of_view], questions


def _refuse_unserved(of: str, served: Served) -> None:
    if not served.tabled:
        msg = (
            f"{of[0].upper()}{of[1:]} takes {served.view.name}, which has no lookups: {served.view.unkept}. "
            "Use a service without it here, and `asof frame` for this one."
        )
        raise InputError(msg)
