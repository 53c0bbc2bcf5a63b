"""The bundled Hive metastore service on Derby: a background process under `home/metastore`, for one machine.

Embedded Derby admits one process; through this service many Spark applications share one catalogue. It is for `metastore.kind = "derby"`.
"""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from xml.sax.saxutils import escape

from features.errors import SettingsError
from features.settings import Settings
from jobs.background import LOG4J, Service, write_whole
from jobs.java import find_java

__all__ = ["answers", "ensure", "hive_site", "running", "stop"]

# Hive 2.3 has no setting for the address that its metastore listens on, and takes all. The whole of its class that opens the socket, for our use:
_LISTENER = """package org.apache.hadoop.hive.common.auth;

public class HiveAuthUtils {
    public static org.apache.thrift.transport.TServerSocket getServerSocket(String host, int port) throws org.apache.thrift.transport.TTransportException {
        return new org.apache.thrift.transport.TServerSocket(new java.net.InetSocketAddress("127.0.0.1", port));
    }
}
"""
_OPENS = ("java.lang", "java.net", "java.util", "java.util.concurrent", "java.io", "java.nio")


def ensure(settings: Settings) -> str:
    """The service's `thrift://127.0.0.1:port`; starts it where it does not answer. Two processes never start two.

    Raises:
        BusyError: it does not answer within two minutes; the message names its log.
        SettingsError: it cannot be kept from listening to other machines.
    """
    return f"thrift://127.0.0.1:{_service(settings).ensure()}"


def stop(settings: Settings) -> bool:
    """End the service where it runs; nothing otherwise. Whether it ran."""
    return _service(settings).stop()


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The service's uri for as long as the block runs."""
    try:
        yield ensure(settings)
    finally:
        stop(settings)


def answers(port: int, *, seconds: float = 5) -> bool:
    """Whether a metastore on this port of 127.0.0.1 lists its databases: one Thrift call, not only an open port."""
    name = b"get_all_databases"
    call = struct.pack(">II", 0x80010001, len(name)) + name + struct.pack(">IB", 0, 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.sendall(call)
            with connection.makefile("rb") as stream:
                return stream.read(4) == struct.pack(">I", 0x80010002)  # a reply; an exception would be …03
    except OSError:
        return False


def hive_site(settings: Settings) -> dict[str, str]:
    """The metastore's own settings, the same for the service and for a Spark with embedded Derby."""
    return {
        "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={_folder(settings) / 'derby'};create=true",
        "javax.jdo.option.ConnectionDriverName": "org.apache.derby.jdbc.EmbeddedDriver",
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
        "hive.metastore.warehouse.dir": settings.tables_root,
        # Its asynchronous log needs a class that Spark does not bundle.
        "hive.async.log.enabled": "false",
    }


def _service(settings: Settings) -> Service:
    def command(port: int) -> Sequence[str]:
        _remove_unborn(settings)
        _configure(settings)
        _compile_listener(settings)
        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
        # The heap and the compiler suit a small catalogue that should be up soon; Derby's own log belongs to the folder.
        java = (*_java(settings), "-Xmx512m")
        rest = (
            f"-Dderby.stream.error.file={_log(settings)}.derby",
            "-Duser.timezone=UTC",
            "-cp",
            f"{_folder(settings) / 'conf'}:{_jars()}/*",
        )
        return (*java, *opens, *rest, "org.apache.hadoop.hive.metastore.HiveMetaStore", "-p", str(port))

    return Service(
        name="The Hive metastore service", folder=_folder(settings), log=_log(settings), port=settings.metastore.port, command=command, answers=answers
    )  # fmt: skip


def _remove_unborn(settings: Settings) -> None:
    """A database that a killed first start left without `service.properties`, the last file of its making, opens never again and holds nothing."""
    database = _folder(settings) / "derby"
    if database.is_dir() and not (database / "service.properties").exists():
        shutil.rmtree(database)


def _configure(settings: Settings) -> None:
    conf = _folder(settings) / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>\n"
        for name, value in hive_site(settings).items()
    )
    write_whole(conf / "hive-site.xml", f"<configuration>\n{rows}</configuration>\n")
    log4j = LOG4J.format(log=_log(settings))
    write_whole(conf / "hive-log4j2.properties", log4j)
    write_whole(conf / "log4j2.properties", log4j)


def _compile_listener(settings: Settings) -> None:
    """Into `conf`, which comes before Hive's jars; by the compiler that Spark brings, since a Java made to run has none."""
    conf, jars = _folder(settings) / "conf", Path(_jars())
    source, compiled = conf / "HiveAuthUtils.java", conf / "compiled"
    if compiled.exists() and compiled.read_text(encoding="utf-8") == _LISTENER:
        return
    write_whole(source, _LISTENER)
    (thrift,) = jars.glob("libthrift-*.jar")
    compiler = ("org.codehaus.commons.compiler.samples.CompilerDemo", "-d", str(conf), "-classpath", str(thrift))
    command = [*_java(settings), "-cp", f"{jars}/*", *compiler, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        msg = f"The metastore's listener cannot be compiled, and without it other machines could reach the service: {done.stderr.strip()}. Use metastore.kind = 'embedded' or 'thrift'."
        raise SettingsError(msg)
    write_whole(compiled, _LISTENER)


def _java(settings: Settings) -> tuple[str, ...]:
    return (str(find_java(settings.home) / "bin" / "java"), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def _jars() -> str:
    return str(files("pyspark") / "jars")


def _folder(settings: Settings) -> Path:
    return settings.home / "metastore"


def _log(settings: Settings) -> Path:
    return settings.logs / "metastore.log"
