"""The HTTP service of lookups: Feast's own request and answer, an Arrow answer for many rows, health, readiness, metrics.

Lookups run in threads, each with its reader and connection; the event loop reads requests and writes answers.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.compiled import hash_of
from features.definitions.names import micros
from features.errors import InputError
from features.serving import feast_http, openapi, push_http
from features.serving.alike_bodies import AlikeBodies
from features.serving.arrow_messages import FEW_ROWS
from features.serving.async_reader import AsyncReader
from features.serving.deadlines import Deadlines
from features.serving.feast_answers import Answers, Described
from features.serving.http_protocol import DIRECT, STAYING, Direct
from features.serving.meters import LATER_SECONDS, Meters
from features.serving.push import Pusher, PushResult, pushable
from features.serving.reader import Chosen, Result
from features.serving.refusals import BAD, BUSY, LATE, NO_RIGHT, NO_TOKEN, TOO_LARGE, RefusedError, failed
from features.serving.staying import Staying
from features.serving.tables import Tables
from features.serving.tokens import Tokens, Who
from features.settings import Settings, load

__all__ = ["create_app", "served"]

log = logging.getLogger("asof.serve")
ARROW = "application/vnd.apache.arrow.stream"
_ARROW_TYPE, _JSON_TYPE = (b"content-type", ARROW.encode()), (b"content-type", b"application/json")
_OK = 200
_MOST_BYTES = 8 << 20
_LOOKUP = "/get-online-features"
_REMEMBERED = 256
"""So many choices of features are kept taken apart."""
_WARMING = "What lookups run is being compiled, which takes some seconds. Ask again."

_Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


def create_app(settings: Settings, catalog: Catalog) -> FastAPI:
    """The service over a catalogue; what it reads, and who may ask, the settings say."""
    here = _Service(settings, catalog)

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[dict[str, Direct | Staying]]:
        here.warm()
        yield {DIRECT: {("POST", _LOOKUP): here.direct}, STAYING: Staying(asyncio.get_running_loop())}
        here.close()

    app = _App(
        here.answering(_LOOKUP, here.lookup),
        title="Asof",
        description=openapi.SAYS,
        version="1",
        lifespan=alive,
        redoc_url=None,
    )
    for path, handler, method, told in (
        (_LOOKUP, here.lookup, "POST", openapi.lookup(catalog, here.services)),
        ("/push", here.push, "POST", openapi.push(catalog)),
        ("/health", here.health, "GET", openapi.health()),
        ("/ready", here.ready, "GET", openapi.ready()),
        ("/metrics", here.metrics, "GET", openapi.metrics()),
    ):
        app.add_api_route(path, here.answering(path, handler), methods=[method], response_model=None, **told)
    openapi.add_bearer(app.openapi())
    return app


class _App(FastAPI):
    """Answers lookups itself: FastAPI's own route, which the document needs, and what stands before it take a tenth of a lookup's time."""

    def __init__(self, lookup: _Handler, **more: Any) -> None:  # noqa: ANN401 - FastAPI's
        super().__init__(**more)
        self._lookup = lookup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _LOOKUP and scope["method"] == "POST":
            response = await self._lookup(Request(scope, receive, send))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def served() -> FastAPI:
    """The service that the settings say: what each worker process makes for itself."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load()
    return create_app(settings, load_catalog(settings.catalog))


class _Service:
    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self.settings, self.catalog = settings, catalog
        self.meters = Meters()
        self.tokens = None if settings.serving.auth == "none" else Tokens(settings.tokens)
        self.answers = Answers({view.name: Described(hash_of(view), view.schedule.lag_us) for view in catalog.views})
        # A service with a view that has no lookups is refused in a sentence when it is asked for; readiness is that of the others.
        self.services = [
            service.name for service in catalog.services if all(view.tabled for view, _ in catalog.views_of(service))
        ]
        self.features = {
            service.name: frozenset(
                f"{view.name}:{name}" for view, names in catalog.views_of(service) for name in names
            )
            for service in catalog.services
        }
        self.known = frozenset(f"{view.name}:{name}" for view in catalog.views for name in view.types)
        self._of_known = lru_cache(maxsize=_REMEMBERED)(self._of_known_features)
        self.bodies, self.tables = AlikeBodies(), Tables(catalog)
        self.reader = AsyncReader(settings, catalog)
        self.pushers: deque[Pusher] = deque()
        self.deadlines = Deadlines(settings.serving.deadline_ms / 1000)
        self.warmed: asyncio.Task[None]

    def warm(self) -> None:
        """Begins to compile what lookups run; the service is ready once that is done."""
        self.warmed = asyncio.create_task(self.reader.warm())

    def close(self) -> None:
        """Lets what runs end, and ends the connections."""
        self.deadlines.close()
        self.meters.write()
        self.reader.close()
        while self.pushers:
            self.pushers.pop().close()

    def answering(self, path: str, handler: _Handler) -> _Handler:
        """The handler, timed and counted; whatever goes wrong is answered in a sentence."""

        async def answered(request: Request) -> Response:
            return await self._counted(path, handler(request))

        return answered

    async def _counted(self, path: str, work: Awaitable[Response], started: float | None = None) -> Response:
        started = time.perf_counter() if started is None else started
        try:
            response = await work
        except Exception as error:  # noqa: BLE001 - the answer says it
            response = failed(error)
        self.meters.request(path, response.status_code, time.perf_counter() - started)
        return response

    async def lookup(self, request: Request) -> Response:
        """Values of a service, or of single features."""
        who = self._who(request)
        body = await _body(request)
        return await self._looked_up(self._begun(who, request.scope, body))

    def direct(self, scope: Scope, body: bytes) -> Response | Awaitable[Response] | None:
        """The same of a request that is here whole, at once where the store is. None: of somebody unknown, whom `lookup` refuses; it knows who asks through a proxy."""
        who = self._known(scope)
        if who is None and self.tokens is not None:
            return None
        started = time.perf_counter()
        try:
            begun = self._begun(who, scope, body)
            if not isinstance(begun.found, Result):
                return self._counted(_LOOKUP, self._looked_up(begun), started)
            self.meters.values(begun.found)
            response: Response = self._written(begun, begun.found)
        except Exception as error:  # noqa: BLE001 - the answer says it
            response = failed(error)
        self.meters.request(_LOOKUP, response.status_code, time.perf_counter() - started)
        return response

    def _begun(self, who: Who | None, scope: Scope, body: bytes) -> "_Begun":
        asked = self.bodies.asked(body)
        self._allow(who, asked)
        at = None if asked.at is None else micros(asked.at)
        keys = feast_http.keys_of(asked.entities)
        if not keys:
            msg = "The request has no row. Give each key column at least one value."
            raise InputError(msg)
        if asked.feature_service is not None:
            chosen = self.reader.of_service(asked.feature_service)
        else:
            chosen = self._chosen(asked.features)
        found = self.reader.begun(chosen, keys, at, asked.feature_service or "")
        return _Begun(asked, ARROW in _header(scope, b"accept"), found)

    async def _looked_up(self, begun: "_Begun") -> Response:
        result = begun.found if isinstance(begun.found, Result) else await self._within_deadline(begun.found)
        self.meters.values(result)
        if len(result.keys) <= FEW_ROWS:
            return self._written(begun, result)
        # What takes long to write must not hold up others.
        return await self.reader.run(lambda _: self._written(begun, result))

    def _written(self, begun: "_Begun", result: Result) -> Response:
        if begun.is_arrow:
            return _Whole(self.tables.stream(result), _ARROW_TYPE)
        return _Whole(self.answers.write(result, begun.asked), _JSON_TYPE)

    async def push(self, request: Request) -> Response:
        """Events go into the tails."""
        who = self._who(request)
        body = await _body(request)
        asked = push_http.asked(body)
        self._allow_push(who, asked.push_source_name)
        told = None if asked.watermark is None else micros(asked.watermark)
        rows = push_http.rows_of(asked.df)
        pushing = self.reader.run(lambda _: self._pushed(asked.push_source_name, rows, told))
        done: PushResult = await self._within_deadline(pushing)
        nothing = done.refused and not done.new and not done.known
        return JSONResponse(push_http.answer(done, asked.watermark), BAD if nothing else _OK)

    def _pushed(self, source: str, rows: list[dict[str, Any]], told: int | None) -> PushResult:
        """By a connection that nobody else uses meanwhile, and that the next push finds open."""
        followed = pushable(self.catalog, source)
        try:
            pusher = self.pushers.pop()
        except IndexError:
            pusher = Pusher(self.settings)
        try:
            done = pusher.take_in(followed, rows, told)
        except BaseException:
            pusher.close()
            raise
        self.pushers.append(pusher)
        return done

    async def health(self, _: Request) -> Response:
        """This process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Everything is compiled, every view is loaded by its definition, and the store answers."""
        if not self.warmed.done():
            return JSONResponse({"status": "not ready", "because": [_WARMING]}, BUSY)
        self.warmed.result()
        wrong = await self._within_deadline(self.reader.run(lambda reader: reader.unready(self.services)))
        return JSONResponse({"status": "not ready" if wrong else "ready", "because": wrong}, BUSY if wrong else _OK)

    async def metrics(self, _: Request) -> Response:
        """Of all workers together, which have written by then what was counted before."""
        await asyncio.sleep(2 * LATER_SECONDS)
        self.meters.write()
        return Response(self.meters.shown(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _who(self, request: Request) -> Who | None:
        """None where nobody is asked for a token."""
        who = self._known(request.scope)
        if who is None and self.tokens is not None:
            token = _header(request.scope, b"authorization").partition(" ")[2]
            client = request.client.host if request.client else "unknown"
            log.warning("Refused a request from %s: %s.", client, "unknown token" if token else "no token")
            reason = "The token is not known: it was revoked or replaced." if token else "The request has no token."
            raise RefusedError(
                NO_TOKEN,
                f"{reason} Send `Authorization: Bearer TOKEN`; `asof grant NAME --service SERVICE` makes one.",
            )
        return who

    def _known(self, scope: Scope) -> Who | None:
        """The holder of the request's token."""
        kind, _, token = _header(scope, b"authorization").partition(" ") if self.tokens is not None else ("", "", "")
        return (
            self.tokens.who(token.strip()) if self.tokens is not None and kind.lower() == "bearer" and token else None
        )

    def _allow(self, who: Who | None, asked: feast_http.Asked) -> None:
        if who is None:
            return
        if asked.feature_service is not None:
            allowed = asked.feature_service in who.services
            wanted = f"service {asked.feature_service!r}"
        else:
            mine = frozenset[str]().union(*(self.features.get(name, frozenset()) for name in who.services))
            wrong = [feature for feature in asked.features if feature not in mine]
            allowed, wanted = not wrong, f"feature(s) {', '.join(wrong[:3])}"
        if not allowed:
            log.warning("Refused %s to %s.", wanted, who.name)
            services = ", ".join(sorted(who.services)) or "no service"
            raise RefusedError(
                NO_RIGHT,
                f"The token of {who.name!r} may not read {wanted}; it may read {services}. `asof grant` gives it another right.",
            )

    def _allow_push(self, who: Who | None, source: str) -> None:
        if who is not None and push_http.PUSH_RIGHT + source not in who.services:
            log.warning("Refused a push to %s to %s.", source, who.name)
            raise RefusedError(
                NO_RIGHT,
                f"The token of {who.name!r} may not push to source {source!r}. `asof grant NAME --push {source}` gives a token that may.",
            )

    def _chosen(self, features: tuple[str, ...]) -> Chosen:
        try:
            return self._of_known(features)
        except KeyError:
            return self.reader.of_features(feast_http.by_view(features))

    def _of_known_features(self, features: tuple[str, ...]) -> Chosen:
        """Only what is there is remembered: whatever else a request names may be as long as a request."""
        if not self.known.issuperset(features):
            raise KeyError
        return self.reader.of_features(feast_http.by_view(features))

    async def _within_deadline(self, work: Awaitable[T]) -> T:
        try:
            return await self.deadlines.within(work)
        except TimeoutError:
            msg = f"No answer within {self.settings.serving.deadline_ms} ms, the deadline of a request (serving.deadline_ms). Ask again, or in smaller parts."
            raise RefusedError(LATE, msg) from None


class _Begun(NamedTuple):
    """A lookup under way."""

    asked: feast_http.Asked
    is_arrow: bool
    """What the answer is to be."""
    found: Result | Awaitable[Result]


class _Whole(Response):
    """An answer of bytes that are what they are: Starlette would look at them, and at its headers, once more."""

    def __init__(self, body: bytes, kind: tuple[bytes, bytes]) -> None:
        self.status_code, self.body, self.background = _OK, body, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), kind]


def _header(scope: Scope, name: bytes) -> str:
    """The first of a name, which is in small letters; empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


async def _body(request: Request) -> bytes:
    made = bytearray()
    async for part in request.stream():
        made += part
        if len(made) > _MOST_BYTES:
            raise RefusedError(TOO_LARGE, f"The request is larger than {_MOST_BYTES >> 20} MB. Ask in parts.")
    return bytes(made)
