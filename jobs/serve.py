"""`asof serve`: the HTTP service of lookups under uvicorn, one process or several. Neither Spark nor Feast."""

import os
import socket
import tempfile
from pathlib import Path

from features.definitions.catalog import load_catalog
from features.errors import BusyError
from features.settings import Settings
from jobs.commands import Exit, Serve
from jobs.stages import say

__all__ = ["run"]

_GRACE_SECONDS = 10
_ANYONE_HERE = ("127.0.0.1", "localhost", "::1")


def run(command: Serve, settings: Settings) -> int:
    """Serves until SIGTERM or Ctrl-C, then answers what runs and ends.

    Raises:
        InvalidCatalogError: the definitions are wrong.
        BusyError: something else listens on the port.
    """
    import uvicorn  # noqa: PLC0415 - the service alone needs it

    from features.serving.http_protocol import OneWrite  # noqa: PLC0415 - as above
    from features.serving.meters import TOGETHER  # noqa: PLC0415 - as above

    load_catalog(settings.catalog)
    host, port = settings.serving.host, command.port or settings.serving.port
    workers = command.workers or settings.serving.workers
    _refuse_taken(host, port)
    for line in _said(settings, host, port):
        say(line)
    config = uvicorn.Config(
        "features.serving.app:served", factory=True, host=host, port=port, workers=workers, log_level="warning", access_log=False, http=OneWrite,
        timeout_graceful_shutdown=_GRACE_SECONDS, server_header=False,
    )  # fmt: skip
    if workers == 1:
        uvicorn.Server(config).run()
        return Exit.OK
    from features.serving.dealing import Dealer, Supervisor  # noqa: PLC0415 - as above

    config.loop = "features.serving.dealing:Loop"
    with tempfile.TemporaryDirectory(prefix=TOGETHER) as together, Dealer(host, port, Path(together)) as dealer:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = together  # where the workers' counts meet
        Supervisor(config, dealer).run()
    return Exit.OK


def _said(settings: Settings, host: str, port: int) -> list[str]:
    made = [f"Serving on http://{host}:{port}; /docs shows requests, /ready says what is loaded. Ctrl-C ends it."]
    if settings.serving.auth == "none":
        made.append("serving.auth = 'none': whoever reaches the port may read every feature.")
    elif not settings.tokens.exists():
        made.append(
            "Nobody holds a token yet, so every request is refused: `asof grant NAME --service SERVICE` makes one."
        )
    if host not in _ANYONE_HERE:
        made.append(
            f"It listens on {host} without TLS: put it behind what ends TLS, or the tokens are read on the way."
        )
    return made


def _refuse_taken(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0], found[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except OSError as error:
        msg = f"Nothing can listen on {host}:{port}: {error.strerror or error}. End what does, or give another port: `asof serve --port PORT`."
        raise BusyError(msg) from error
