"""An embedded Spark Connect server: one warm JVM that many short commands share. It is for `spark.remote = "embedded"`, on one machine.

A JVM start costs each command seconds, and twice as much until it is warm; through this server only the first pays.
"""

import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from features.errors import BusyError
from features.settings import Settings
from jobs.background import Service
from jobs.submit import environment, spark_submit

__all__ = ["FRESH", "ensure", "require", "stop"]

_PORT = 15002
_PATIENCE_SECONDS = 10

FRESH = {"spark.connect.session.planCache.enabled": "false"}
"""Set in each session: what it resolves it must resolve anew. The cache knows plans by their numbers, which begin at 0 in each process: of two processes that share a
session the second was told whether a table was there when the first asked."""
_OURS = {
    # Anyone who reaches it may run code: this machine only.
    "spark.connect.grpc.binding.address": "127.0.0.1",
    # Commands share one session, and with it warm Python workers; it must outlive a quiet weekend.
    "spark.connect.session.manager.defaultSessionTimeout": "7d",
}


def ensure(settings: Settings, conf: Mapping[str, str]) -> str:
    """The server's `sc://` address with the session that all commands of this home share; starts it, with this conf, where it does not answer.

    Raises:
        BusyError: it does not answer within two minutes; the message names its log.
    """
    session = uuid5(NAMESPACE_URL, str(settings.home))
    return f"sc://127.0.0.1:{_service(settings, conf).ensure()}/;user_id=asof;session_id={session}"


def require(url: str) -> None:
    """Checks that something listens at a `sc://host:port/…` address; Spark's own client would try for minutes.

    Raises:
        BusyError: nobody does.
    """
    found = urlsplit(url)
    try:
        with socket.create_connection((found.hostname or "", found.port or _PORT), timeout=_PATIENCE_SECONDS):
            return
    except OSError as error:
        msg = f"The Spark Connect server {found.scheme}://{found.hostname}:{found.port or _PORT} does not answer: {error}. Start it, or correct spark.remote; unset, each command starts its own Spark."
        raise BusyError(msg) from error


def stop(settings: Settings) -> bool:
    """End the server where it runs; nothing otherwise. Whether it ran."""
    return _service(settings, {}).stop()


def _service(settings: Settings, conf: Mapping[str, str]) -> Service:
    def command(port: int) -> Sequence[str]:
        given = {**conf, **_OURS, "spark.connect.grpc.binding.port": str(port)}
        return spark_submit(given, "org.apache.spark.sql.connect.service.SparkConnectServer")

    return Service(
        name="The Spark Connect server", folder=settings.home / "connect", log=settings.logs / "connect.log", port=None, command=command,
        answers=_answers, env=environment(),
    )  # fmt: skip


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
