"""How `asof serve` answers: each answer in one write."""

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["OneWrite"]


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol, which writes an answer's head and its body one after the other: two packets, and the asker wakes up twice."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The transport is one that joins writes."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]  # it has all that uvicorn asks of one


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
