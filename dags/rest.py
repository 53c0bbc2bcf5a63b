"""Airflow's REST API, as far as dags/embedded.py needs it; patient with a slow machine."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from features.errors import AsofError, BusyError

__all__ = ["Api"]

_TIMEOUT_SECONDS = 30
_PAUSE_SECONDS = 0.25


class Api:
    """Calls with a token of its own.

    Args:
        url: without a slash at its end.
        patience: seconds without an answer after which BusyError is raised.
        check: called between attempts; raises if waiting has no sense any more.
    """

    def __init__(self, url: str, patience: float, check: Callable[[], None]) -> None:
        self.url = url
        self._patience = patience
        self._check = check
        self._token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, once: bool = False) -> dict[str, Any]:
        """One request, repeated while the server does not answer or is overloaded; `once`: never after it was sent.

        Raises:
            BusyError: no answer in time.
            AsofError: the server refuses; with its own words.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._token = self._token or self._request("GET", "/auth/token", None)["access_token"]
                return self._request(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code < 500 or once:  # noqa: PLR2004
                    said = error.read().decode(errors="replace")[:500]
                    message = f"Airflow refuses {method} {path} with {error.code}: {said}"
                    raise AsofError(message) from error
                last: Exception = error
            except OSError as error:
                if once and not isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                    message = f"Airflow at {self.url} broke off {method} {path}: {error}. Try again."
                    raise BusyError(message) from error
                last = error
            self._check()
            if time.monotonic() > deadline:
                waited = f"{self._patience:.0f} s ({last})"
                message = f"Airflow at {self.url} has not answered {method} {path} for {waited}. Try again."
                raise BusyError(message) from last
            time.sleep(_PAUSE_SECONDS)

    def health(self) -> dict[str, Any]:
        """What Airflow says of its parts; empty while nobody answers."""
        try:
            return self._request("GET", "/api/v2/monitor/health", None)
        except OSError:
            return {}

    def answers(self, path: str) -> bool:
        """Whether a page is there."""
        try:
            self._request("GET", path, None)
        except OSError:
            return False
        return True

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until `ready`.

        Raises:
            BusyError: not within the patience.
        """
        deadline = time.monotonic() + self._patience
        while not ready():
            self._check()
            if time.monotonic() > deadline:
                message = (
                    f"Airflow: {what} has not come up within {self._patience:.0f} s. Try again on a less busy machine."
                )
                raise BusyError(message)
            time.sleep(_PAUSE_SECONDS)

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._token}"} if self._token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)  # noqa: S310 - ourselves
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            result: dict[str, Any] = json.load(answer)
        return result
