"""A Redis Cluster of real servers on this machine, for tests marked `services`."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

__all__ = ["SLOTS", "Nodes", "started"]

SLOTS = 16384
_PATIENCE_SECONDS = 30


class Nodes:
    """Servers of one cluster; the first ones share the slots, others have none and can be given some."""

    def __init__(self, servers: list["subprocess.Popen[bytes]"], ports: list[int]) -> None:
        self.servers, self.ports = servers, ports
        self.clients: list[Any] = [redis.Redis(port=port, socket_timeout=10) for port in ports]
        self.url = f"redis://127.0.0.1:{ports[0]}"
        self.online = {"kind": "redis-cluster", "url": self.url}
        self.ids: list[str] = []

    def join(self, owners: int, buses: list[int]) -> None:
        """Makes one cluster of them."""
        for client in self.clients:
            _until(client.ping)
        self.ids = [client.execute_command("CLUSTER MYID").decode() for client in self.clients]
        for epoch, client in enumerate(self.clients, 1):  # two of one epoch would argue about slots
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        for port, bus in zip(self.ports[1:], buses[1:], strict=True):
            self.clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        for place in range(owners):
            span = place * SLOTS // owners, (place + 1) * SLOTS // owners - 1
            self.clients[place].execute_command("CLUSTER ADDSLOTSRANGE", *span)
        _until(self._is_whole)

    def flush(self) -> None:
        """Empties it."""
        for client in self.clients:
            client.flushall()

    def slot(self, key: bytes) -> int:
        """Of a key, as the server itself says."""
        return int(self.clients[0].execute_command("CLUSTER KEYSLOT", key))

    def owner(self, slot: int) -> int:
        """The place of the node that has a slot."""
        for client, own in zip(self.clients, self.ids, strict=True):
            for told in client.execute_command("CLUSTER NODES").values():
                if told["node_id"] == own and any(int(span[0]) <= slot <= int(span[-1]) for span in told["slots"]):
                    return self.ids.index(own)
        msg = f"no node has slot {slot}"
        raise LookupError(msg)

    def begin_moving(self, slot: int, to: int) -> int:
        """A slot is on its way to a node, its keys are where they were; from which node it goes."""
        source = self.owner(slot)
        self.clients[to].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.ids[source])
        self.clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.ids[to])
        return source

    def move_keys(self, slot: int, source: int, to: int, keys: list[bytes] | None = None) -> None:
        """These keys of a slot that is on its way go; all of them where none are named."""
        while some := keys or self.clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
            place = ("127.0.0.1", self.ports[to], "", 0, 5000)
            self.clients[source].execute_command("MIGRATE", *place, "KEYS", *some)
            if keys:
                return

    def end_moving(self, slot: int, to: int) -> None:
        """The slot is the other node's, and all nodes have heard of it: a move that begins before may take the same epoch, and a slot then belong to nobody."""
        first = [self.clients[to], *(client for place, client in enumerate(self.clients) if place != to)]
        for client in first:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", self.ids[to])
        _until(lambda: self._is_agreed(slot, to))

    def move(self, slot: int, to: int) -> None:
        """All of it."""
        source = self.begin_moving(slot, to)
        self.move_keys(slot, source, to)
        self.end_moving(slot, to)

    def close(self) -> None:
        """Ends the servers."""
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.kill()
            server.wait()

    def _is_agreed(self, slot: int, to: int) -> bool:
        """Whether every node that answers says the same of a slot, and of the epoch."""
        epochs = set[str]()
        for server, client in zip(self.servers, self.clients, strict=True):
            if server.poll() is not None:
                continue
            epochs.add(client.execute_command("CLUSTER INFO")["cluster_current_epoch"])
            owners = [
                told["node_id"]
                for told in client.execute_command("CLUSTER NODES").values()
                if any(int(span[0]) <= slot <= int(span[-1]) for span in told["slots"])
            ]
            if owners != [self.ids[to]]:
                return False
        return len(epochs) == 1

    def _is_whole(self) -> bool:
        told = [client.execute_command("CLUSTER INFO") for client in self.clients]
        return all(
            each["cluster_state"] == "ok" and int(each["cluster_known_nodes"]) == len(self.clients) for each in told
        )


@contextmanager
def started(folder: Path, *, nodes: int, owners: int) -> Iterator[Nodes]:
    """So many servers, of which the first ones have the slots."""
    numbers = _free_ports(2 * nodes)
    ports, buses = numbers[:nodes], numbers[nodes:]
    servers = [_server(folder / str(port), port, bus) for port, bus in zip(ports, buses, strict=True)]
    made = Nodes(servers, ports)
    try:
        made.join(owners, buses)
        yield made
    finally:
        made.close()


def _server(folder: Path, port: int, bus: int) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True)
    words = ["--port", str(port), "--cluster-port", str(bus), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    words += ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-allow-replica-migration", "no"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(["redis-server", *words], stdout=log, stderr=log)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _until(holds: Callable[[], object]) -> None:
    ends = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if holds():
                return
        except redis.ConnectionError:
            pass  # not up yet
        if time.monotonic() > ends:
            msg = f"the cluster did not start within {_PATIENCE_SECONDS} s"
            raise TimeoutError(msg)
        time.sleep(0.02)
