"""`asof sql`: Spark's Thrift server on the metastore that all commands use, for beeline, PyHive and BI tools; see docs/sql.md.

It listens on 127.0.0.1, asks nobody who they are, and runs until `asof stop`.
"""

import shlex
import socket
import struct
from collections.abc import Mapping, Sequence
from importlib.resources import files

from features.errors import SettingsError
from features.settings import Settings
from jobs.background import Service, write_whole
from jobs.commands import Sql
from jobs.java import find_java
from jobs.session import spark_conf
from jobs.stages import say
from jobs.submit import environment, spark_submit

__all__ = ["run", "stop"]

_MAIN = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
_OURS = {
    # Anyone who reaches it may run code: this machine only.
    "hive.server2.thrift.bind.host": "127.0.0.1",
    "hive.server2.transport.mode": "binary",
    # Names are not checked, so nobody acts under the one that a client gave.
    "hive.server2.enable.doAs": "false",
}
_STRONGER = ("HIVE_SERVER2_THRIFT_BIND_HOST", "HIVE_SERVER2_THRIFT_PORT")
"""Variables that Hive prefers to what it is told."""


def run(command: Sql, settings: Settings) -> int:  # noqa: ARG001
    """Starts it where it does not answer, and says how to connect.

    Raises:
        SettingsError: the metastore admits one process only.
        BusyError: it does not answer within two minutes; the message names its log.
    """
    if settings.metastore.kind == "embedded":
        msg = (
            "The SQL server is a process beside Asof's commands, and metastore.kind = 'embedded' admits one at a time. Use 'derby', the bundled "
            "service (what embedded wrote is there: end the process that holds it, `asof stop` if it is Spark Connect), or 'thrift'."
        )
        raise SettingsError(msg)
    conf = spark_conf(settings)
    port = _ensure(settings, conf)
    beeline = shlex.quote(str(files("pyspark") / "bin" / "beeline"))
    java = shlex.quote(str(find_java(settings.home)))
    # Instants within the hour that a zone's clock leaves out in spring are shown right in UTC only.
    say(f"beeline: TZ=UTC JAVA_HOME={java} {beeline} -u jdbc:hive2://127.0.0.1:{port}")
    say(f'PyHive: from pyhive import hive; connection = hive.connect("127.0.0.1", {port})')
    return 0


def stop(settings: Settings) -> bool:
    """End the server where it runs; nothing otherwise. Whether it ran."""
    return _service(settings, {}).stop()


def _ensure(settings: Settings, conf: Mapping[str, str]) -> int:
    """Its port. One whose metastore has gone, and come back on another port, is started anew."""
    service, uri = _service(settings, conf), conf["spark.hadoop.hive.metastore.uris"]
    known = service.folder / "metastore"
    if known.exists() and known.read_text(encoding="utf-8") != uri:
        service.stop()
    port = service.ensure()
    write_whole(known, uri)
    return port


def _service(settings: Settings, conf: Mapping[str, str]) -> Service:
    folder = settings.home / "sql"

    def command(port: int) -> Sequence[str]:
        given = {**_OURS, "hive.server2.thrift.port": str(port)}
        pairs = [part for name, value in given.items() for part in ("--hiveconf", f"{name}={value}")]
        return spark_submit(conf, _MAIN, pairs)

    env = {name: value for name, value in environment().items() if name not in _STRONGER}
    return Service(
        name="The SQL server", folder=folder, log=settings.logs / "spark.log", port=settings.sql.port, command=command, answers=_answers, env=env
    )  # fmt: skip


def _answers(port: int) -> bool:
    """Whether it greets as a Thrift server does (SASL, PLAIN, no password): not only an open port."""
    mechanism, name = b"PLAIN", b"\0asof\0-"
    greeting = struct.pack(">BI", 1, len(mechanism)) + mechanism + struct.pack(">BI", 5, len(name)) + name
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(greeting)
            with connection.makefile("rb") as stream:
                answer = stream.read(5)  # all of a welcome: what is left unread would be an error in the server's log
    except OSError:
        return False
    return answer[:1] in {b"\x02", b"\x03", b"\x04", b"\x05"}  # go on, not with this, an error, welcome
