"""How `asof serve` answers: lookups past what uvicorn and FastAPI do for any application, and each answer in one write."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["DIRECT", "Direct", "OneWrite"]

DIRECT = "direct"
"""In the state that an application's lifespan gives: what is answered directly, by method and path."""

Direct = Mapping[tuple[str, str], Callable[[Scope, bytes], Awaitable[Response | None]]]
"""Makes the answer of a request and its body; None where the application is to be asked as ever."""


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol, which writes an answer's head and its body one after the other: two packets, and the asker wakes up twice.

    A request that came whole may be answered directly; one that comes in parts, or waits for a word to go on, takes uvicorn's way.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The transport is one that joins writes."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]  # it has all that uvicorn asks of one
        self._direct: Direct = self.app_state.get(DIRECT, {})
        self._idle_since: float | None = None

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
        """It runs after all that came with the request's head was read."""
        made = self._direct.get((cycle.scope["method"], cycle.scope["path"])) if app is self.app else None
        super()._start_asgi_task(cycle, app if made is None else _Directly(cycle, app, made))  # type: ignore[arg-type]


class _Directly:
    """An application for one request, whose answer it writes itself."""

    def __init__(
        self, cycle: RequestResponseCycle, app: ASGIApp, made: Callable[[Scope, bytes], Awaitable[Response | None]]
    ) -> None:
        self._cycle, self._app, self._made = cycle, app, made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = self._cycle
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            await self._app(scope, receive, send)
            return
        response = await self._made(scope, bytes(cycle.body))
        if response is None:
            await self._app(scope, receive, send)
            return
        if cycle.flow.write_paused:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
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
