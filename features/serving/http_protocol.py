"""How `asof serve` answers: lookups past what uvicorn and FastAPI do for any application, and each answer in one write."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["DIRECT", "Direct", "OneWrite"]

DIRECT = "direct"
"""In the state that an application's lifespan gives: what is answered directly, by method and path."""

Direct = Mapping[tuple[str, str], Callable[[Scope, bytes], Response | Awaitable[Response] | None]]
"""Makes the answer of a request and its body, at once or later; None where the application is to be asked as ever."""


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol, which writes an answer's head and its body one after the other: two packets, and the asker wakes up twice.

    A request that came whole may be answered directly, without a task where its answer is there at once; one that comes in parts, or waits for a word to go on,
    takes uvicorn's way.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The transport is one that joins writes."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]  # it has all that uvicorn asks of one
        self._direct: Direct = self.app_state.get(DIRECT, {})
        self._idle_since: float | None = None
        self._coming: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """A request whose rest is still to come takes uvicorn's way."""
        super().data_received(data)
        coming, self._coming = self._coming, None
        if coming is not None and not self.transport.is_closing():
            super()._start_asgi_task(coming, cast("Any", self.app))

    def on_message_complete(self) -> None:
        """A request that may be answered directly is whole."""
        super().on_message_complete()
        coming, self._coming = self._coming, None
        if coming is not None:
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
        self._idle_since = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's own type of what it calls
        """As soon as a request's head is read; of one that came before the answer to another was made, after that: it takes uvicorn's way."""
        may_be_direct = cycle.more_body and not cycle.waiting_for_100_continue and app is self.app
        if may_be_direct and _asked_of(cycle) in self._direct:
            self._coming = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: RequestResponseCycle) -> None:
        try:
            made = self._direct[_asked_of(cycle)](cast("Scope", cycle.scope), bytes(cycle.body))
        except Exception as error:  # noqa: BLE001 - uvicorn answers and logs it
            made = _raised(error)
        if isinstance(made, Response) and not cycle.flow.write_paused:
            _write(cycle, made)
        else:
            super()._start_asgi_task(cycle, cast("Any", self.app if made is None else _Later(cycle, made)))


def _asked_of(cycle: RequestResponseCycle) -> tuple[str, str]:
    return cycle.scope["method"], cycle.scope["path"]


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
    parts = [STATUS_LINE[response.status_code]]
    for name, value in cycle.default_headers + response.raw_headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    parts.append(bytes(response.body))
    cycle.response_started = cycle.response_complete = True
    cast("_Joining", cycle.transport).write_through(b"".join(parts))
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


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
