"""How `asof serve` answers: lookups past what uvicorn and FastAPI do for any application, and each answer in one write."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from features.serving.staying import Staying

__all__ = ["DIRECT", "STAYING", "Direct", "OneWrite"]

DIRECT = "direct"
STAYING = "staying"
"""In the state that an application's lifespan gives: what is answered directly, by method and path, and what keeps the loop awake after an answer."""

Answering = Callable[[Scope, bytes], Response | Awaitable[Response] | None]
"""Makes the answer of a request and its body, at once or later; None where the application is to be asked as ever."""
Direct = Mapping[tuple[str, str], Answering]

_BLANK = b"\r\n\r\n"
"""The end of a head."""
_REMEMBERED = 16
"""So many heads of a connection."""


class _Head(NamedTuple):
    """What the head of a request says, to the byte."""

    scope: Scope
    answering: Answering
    length: int
    """Of the body that follows."""


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol, which writes an answer's head and its body one after the other: two packets, and the asker wakes up twice.

    A request that came whole may be answered directly, without a task where its answer is there at once; one that comes in parts, or waits for a word to go on,
    takes uvicorn's way. Who asks again and again sends the same head: it is taken apart once a connection.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The transport is one that joins writes."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]  # it has all that uvicorn asks of one
        self._direct: Direct = self.app_state.get(DIRECT, {})
        self._idle_since: float | None = None
        self._staying: Staying | None = self.app_state.get(STAYING)
        self._coming: RequestResponseCycle | None = None
        self._heads: dict[bytes, _Head] = {}
        self._is_within, self._came = False, b""

    def data_received(self, data: bytes) -> None:
        """A request whose rest is still to come takes uvicorn's way."""
        last = cast("RequestResponseCycle | None", self.cycle)
        is_first = not self._is_within and (last is None or last.response_complete)
        if is_first and self._is_answered(data):
            return
        self._came = data if is_first else b""
        super().data_received(data)
        coming, self._coming = self._coming, None
        if coming is not None and not self.transport.is_closing():
            super()._start_asgi_task(coming, cast("Any", self.app))

    def on_message_begin(self) -> None:
        """What comes belongs to a request, until that is whole."""
        self._is_within = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """A request that may be answered directly is whole."""
        self._is_within = False
        super().on_message_complete()
        coming, self._coming = self._coming, None
        if coming is not None:
            self._remember(coming)
            self._answer(coming)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def on_response_complete(self) -> None:
        """As uvicorn, which starts a timer after each answer and stops it with the next request; this one goes on, and looks since when nobody asked when it is due."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._staying is not None and len(self.connections) == 1:  # several would wait for each other's answers
            self._staying.answered()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """The timer is due."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the answer that is being made starts it again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_in(left)
        else:
            super().timeout_keep_alive_handler()

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Somebody asks."""
        if self._staying is not None:
            self._staying.asked()
        self._idle_since = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's own type of what it calls
        """As soon as a request's head is read; of one that came before the answer to another was made, after that: it takes uvicorn's way."""
        may_be_direct = cycle.more_body and not cycle.waiting_for_100_continue and app is self.app
        if may_be_direct and _asked_of(cycle) in self._direct:
            self._coming = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _remember(self, cycle: RequestResponseCycle) -> None:
        """The head of a request that was all that came, by its length: no more than a head and this body."""
        length, end = len(cycle.body), self._came.find(_BLANK) + len(_BLANK)
        if length and len(self._came) == end + length:
            if len(self._heads) >= _REMEMBERED:
                self._heads.clear()
            self._heads[self._came[:end]] = _Head(cast("Scope", cycle.scope), self._direct[_asked_of(cycle)], length)

    def _is_answered(self, data: bytes) -> bool:
        """Whether this was a whole request whose head came before, which the parser then need not see."""
        end = data.find(_BLANK) + len(_BLANK)
        head = self._heads.get(data[:end])
        if head is None or len(data) != end + head.length or self.flow.write_paused or self.transport.is_closing():
            return False
        made = _made(head.answering, head.scope, data[end:])
        if made is None:
            return False
        self._unset_keepalive_if_required()
        if isinstance(made, Response):
            packet = _packet(made, self.server_state.default_headers, keep_alive=True)
            cast("_Joining", self.transport).write_through(packet)
            self.on_response_complete()
        else:
            self.cycle = self._cycle({**head.scope, "state": self.app_state.copy()})
            super()._start_asgi_task(self.cycle, cast("Any", _Later(self.cycle, made)))
        return True

    def _cycle(self, scope: Scope) -> RequestResponseCycle:
        """As uvicorn makes one, of a request that is whole."""
        made = RequestResponseCycle(
            scope=cast("Any", scope), transport=self.transport, flow=self.flow, logger=self.logger, access_logger=self.access_logger,
            access_log=self.access_log, default_headers=self.server_state.default_headers, message_event=asyncio.Event(), expect_100_continue=False,
            keep_alive=True, on_response=self.on_response_complete,
        )  # fmt: skip
        made.more_body = False
        return made

    def _answer(self, cycle: RequestResponseCycle) -> None:
        made = _made(self._direct[_asked_of(cycle)], cast("Scope", cycle.scope), bytes(cycle.body))
        if isinstance(made, Response) and not cycle.flow.write_paused:
            _write(cycle, made)
        else:
            super()._start_asgi_task(cycle, cast("Any", self.app if made is None else _Later(cycle, made)))


def _asked_of(cycle: RequestResponseCycle) -> tuple[str, str]:
    return cycle.scope["method"], cycle.scope["path"]


def _made(answering: Answering, scope: Scope, body: bytes) -> Response | Awaitable[Response] | None:
    try:
        return answering(scope, body)
    except Exception as error:  # noqa: BLE001 - uvicorn answers and logs it
        return _raised(error)


async def _raised(error: Exception) -> Response:
    raise error


class _Later:
    """An application for one request, whose answer it writes itself once it is there."""

    def __init__(self, cycle: RequestResponseCycle, made: Response | Awaitable[Response]) -> None:
        self._cycle, self._made = cycle, made

    async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
        response = self._made if isinstance(self._made, Response) else await self._made
        if self._cycle.flow.write_paused:
            await self._cycle.flow.drain()
        if not self._cycle.disconnected:
            _write(self._cycle, response)


def _write(cycle: RequestResponseCycle, response: Response) -> None:
    cycle.response_started = cycle.response_complete = True
    packet = _packet(response, cycle.default_headers, keep_alive=cycle.keep_alive)
    cast("_Joining", cycle.transport).write_through(packet)
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _packet(response: Response, headers: Sequence[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """The answer as it is sent."""
    lines = [b"%b: %b\r\n" % header for header in (*headers, *response.raw_headers)]
    end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
    return b"".join((STATUS_LINE[response.status_code], *lines, end, response.body))


class _Joining:
    """A transport that sends what was written in one turn of the loop at its end, together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keeps it for the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_through(self, data: bytes) -> None:
        """Sends it, after what is kept."""
        self._flush()
        self._transport.write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """The same of several."""
        self.write(b"".join(parts))

    def close(self) -> None:
        """Sends what is kept before it ends."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))
