"""The three doors through which values are looked up: the reader in this process, the HTTP service, and Feast's own client. A proof asks the same of each."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Protocol

from features.definitions.catalog import Catalog
from features.definitions.names import utc
from features.definitions.services import FeatureService
from features.definitions.views import FeatureView
from features.errors import BusyError
from features.serving.reader import Reader
from features.settings import Settings
from jobs.commands import Through

if TYPE_CHECKING:
    from features.feast.client import Client

__all__ = ["Brought", "Door", "Key", "Seen", "opened"]

Key = tuple[Any, ...]
"""An entity's values, in the order of its key columns."""

Brought = Mapping[str, Any]
"""Request fields by name; timestamps are int64 microseconds UTC."""

Seen = Mapping[tuple[Key, str], tuple[Mapping[str, Any], str]]
"""By key and view the value of each feature (instants are microseconds UTC), and Asof's status."""

_Found = dict[tuple[Key, str], tuple[Mapping[str, Any], str]]

_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DEADLINE_MS = 60_000
_ALL = 1 << 30
_ONE_CLOCK = threading.Lock()


class Door(Protocol):
    """Looks views of one entity up."""

    def look_up(
        self, views: Sequence[FeatureView], keys: Sequence[Key], brought: Sequence[Brought], at: int, at_once: int = _ALL
    ) -> Seen:  # fmt: skip
        """What is said of keys, each with its request fields, at an instant (microseconds UTC).

        Args:
            views: of one entity.
            keys: its.
            brought: of each.
            at: the instant.
            at_once: so many keys a lookup, one lookup after the other.

        Raises:
            AsofError: what a lookup refuses, or the store.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByReader:
    settings: Settings
    catalog: Catalog

    def look_up(
        self, views: Sequence[FeatureView], keys: Sequence[Key], brought: Sequence[Brought], at: int, at_once: int = _ALL
    ) -> Seen:  # fmt: skip
        """As `Door` says."""
        service = FeatureService(name="prove", views=tuple(views))
        seen: _Found = {}
        with Reader(self.settings, replace(self.catalog, services=(service,))) as reader:
            for some, rows in _lookups(views, keys, brought, at_once):
                result = reader.lookup(service.name, rows, at=at)
                for key, row in zip(some, result.rows, strict=True):
                    seen.update({(key, view.view): (dict(view.values), view.status) for view in row.views})
        return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByService:
    port: int

    def look_up(
        self, views: Sequence[FeatureView], keys: Sequence[Key], brought: Sequence[Brought], at: int, at_once: int = _ALL
    ) -> Seen:  # fmt: skip
        """As `Door` says; the answer is Feast's JSON."""
        asked = {
            "features": [f"{view.name}:{name}" for view in views for name in view.types], "full_feature_names": True,
            "at": utc(at).isoformat(),
        }  # fmt: skip
        seen: _Found = {}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_MS / 1000)
        try:
            for some, rows in _lookups(views, keys, brought, at_once):
                body = json.dumps({**asked, "entities": _columns(rows)})
                connection.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                seen.update(_answered(views, some, response.status, json.loads(response.read())))
        finally:
            connection.close()
        return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByFeast:
    folder: str
    clients: dict[int, "Client"] = field(default_factory=dict)
    """By the instant at which its clock stands."""

    def look_up(
        self, views: Sequence[FeatureView], keys: Sequence[Key], brought: Sequence[Brought], at: int, at_once: int = _ALL
    ) -> Seen:  # fmt: skip
        """As `Door` says. Feast's client knows no instants, so it is asked with Asof's clock standing there."""
        names = [f"{view.name}:{name}" for view in views for name in (*view.types, "asof_status")]
        seen: _Found = {}
        with _ONE_CLOCK, _clock(at):
            if at not in self.clients:
                self.clients[at] = _client(self.folder)
            for some, rows in _lookups(views, keys, brought, at_once):
                columns = self.clients[at].answers(names, rows)
                statuses = {view.name: columns[f"{view.name}__asof_status"] for view in views}
                seen.update(_seen(views, some, columns, statuses))
        return seen


def _lookups(
    views: Sequence[FeatureView], keys: Sequence[Key], brought: Sequence[Brought], at_once: int
) -> Iterator[tuple[Sequence[Key], list[dict[str, Any]]]]:
    """The keys of each lookup, and its rows."""
    for first in range(0, len(keys), at_once):
        some = keys[first : first + at_once]
        yield some, _rows(views[0].keys, some, brought[first : first + at_once])


def _answered(views: Sequence[FeatureView], keys: Sequence[Key], status: int, answer: Mapping[str, Any]) -> Seen:
    if "results" not in answer:
        msg = f"The service answered {status}: {answer.get('detail', answer)}"
        raise BusyError(msg)
    metadata = answer["metadata"]
    columns = {
        name: column["values"] for name, column in zip(metadata["feature_names"], answer["results"], strict=True)
    }
    statuses = {name: view["statuses"] for name, view in metadata["asof"]["views"].items()}
    return _seen(views, keys, columns, statuses)


def _rows(names: Sequence[str], keys: Sequence[Key], brought: Sequence[Brought]) -> list[dict[str, Any]]:
    return [{**more, **dict(zip(names, key, strict=True))} for key, more in zip(keys, brought, strict=True)]


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _seen(
    views: Sequence[FeatureView], keys: Sequence[Key], columns: Mapping[str, Sequence[Any]], statuses: Mapping[str, Sequence[str]]
) -> Seen:  # fmt: skip
    """Answers that are columns, in the types of the definitions: JSON has no NaN."""
    return {
        (key, view.name): (
            {name: _typed(columns[f"{view.name}__{name}"][n], kind) for name, kind in view.types.items()}, statuses[view.name][n]
        )
        for view in views
        for n, key in enumerate(keys)
    }  # fmt: skip


def _typed(value: Any, kind: str) -> Any:  # noqa: ANN401 - whatever a feature is
    return _FLOATS[value] if kind == "float64" and isinstance(value, str) else value


@contextmanager
def _clock(at: int) -> Iterator[None]:
    before = os.environ.get("ASOF_CLOCK")
    os.environ["ASOF_CLOCK"] = utc(at).isoformat()
    try:
        yield
    finally:
        if before is None:
            del os.environ["ASOF_CLOCK"]
        else:
            os.environ["ASOF_CLOCK"] = before


@contextmanager
def _serving(settings: Settings, catalog: Catalog) -> Iterator[int]:
    """The port of the service, which runs in a thread of this process, for this machine alone, and asks nobody for a token."""
    import uvicorn  # noqa: PLC0415 - who does not ask the service needs none of it

    from features.serving.app import create_app  # noqa: PLC0415 - as above

    serving = settings.serving.model_copy(update={"auth": "none", "deadline_ms": _DEADLINE_MS})
    app = create_app(settings.model_copy(update={"serving": serving}), catalog)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                msg = "The lookup service did not start; the log says why."
                raise BusyError(msg)
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _client(folder: str) -> "Client":
    # Feast, which only who asks it needs.
    from features.feast.light import import_feast  # noqa: PLC0415

    import_feast()
    from features.feast.client import Client  # noqa: PLC0415

    return Client(folder)


@contextmanager
def opened(names: Sequence[Through], settings: Settings, catalog: Catalog) -> Iterator[Mapping[Through, Door]]:
    """Those that are named, in their order. Feast's is left out where its repository was never written: `asof apply` does that.

    Raises:
        BusyError: the service does not start.
    """
    with ExitStack() as stack:
        made: dict[Through, Door] = {}
        for name in names:
            match name:
                case Through.SERVICE:
                    made[name] = _ByService(port=stack.enter_context(_serving(settings, catalog)))
                case Through.FEAST:
                    if (settings.feast / "feature_store.yaml").exists():
                        made[name] = _ByFeast(folder=str(settings.feast))
                case _:
                    made[name] = _ByReader(settings=settings, catalog=catalog)
        yield made
