"""Answers that are no values: what is wrong with a request, or with the service, as an HTTP code and a sentence."""

import logging
from uuid import uuid4

from fastapi import Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from features.errors import AsofError, InputError, MissingError, NotLoadedError

__all__ = ["BAD", "BUSY", "LATE", "NO_RIGHT", "NO_TOKEN", "TOO_LARGE", "RefusedError", "failed"]

log = logging.getLogger("asof.serve")
BAD, NO_TOKEN, NO_RIGHT, TOO_LARGE, BUSY, LATE = 400, 401, 403, 413, 503, 504
_UNKNOWN, _GONE, _BROKEN = 404, 499, 500


class RefusedError(Exception):
    """A request that is not answered by values."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


_CODES: tuple[tuple[type[AsofError], int], ...] = (
    (NotLoadedError, BUSY), (MissingError, _UNKNOWN), (InputError, BAD), (AsofError, BUSY),
)  # fmt: skip
"""The first that fits."""


def failed(error: Exception) -> Response:
    """The answer where making one raised an error; one that is no fault of the request is logged."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=_GONE)  # nobody is there to read it; the counts have it
    if isinstance(error, RefusedError):
        return _sentence(error.code, error.reason)
    if isinstance(error, AsofError):
        return _sentence(next(code for kind, code in _CODES if isinstance(error, kind)), str(error))
    number = uuid4().hex[:12]
    log.error("Request %s failed.", number, exc_info=error)
    return _sentence(_BROKEN, f"The service failed, by no fault of the request. Its log has the cause under {number}.")


def _sentence(code: int, reason: str) -> JSONResponse:
    """Feast's clients show `detail`."""
    headers = {"WWW-Authenticate": "Bearer"} if code == NO_TOKEN else {"Retry-After": "1"} if code == BUSY else None
    return JSONResponse({"detail": reason}, code, headers)
