"""How connections get to the workers of `asof serve`: the process that starts the workers accepts, and deals each connection to the worker that has the fewest.

Left to itself the kernel deals by chance: of four connections one worker gets three or four as often as two.
"""

import logging
import os
import selectors
import signal
import socket
import threading
import time
from asyncio import AbstractEventLoop, BaseProtocol, Task
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop
from uvicorn import Config
from uvicorn.supervisors import Multiprocess

__all__ = ["Dealer", "Loop", "Place", "Supervisor"]

log = logging.getLogger("asof.serve")
_DEALT, _TAKEN, _ENDED = b"+", b"+", b"-"
"""What is said with each connection, and by a worker of one that it took or that ended."""
_WAITING = 2048
"""So many connections may wait for a worker."""
_PAUSE_SECONDS = 0.1
_Factory = Callable[[], BaseProtocol]


class _Worker:
    """What is known of a worker: how many connections it has, and those it was sent and has not taken."""

    def __init__(self) -> None:
        self.open = 0
        self.sent = deque[socket.socket]()


class Dealer:
    """Accepts connections in a thread of its own. Workers come by themselves and get connections until they hang up; what one was sent and had not taken then, another gets.

    Raises:
        OSError: nothing can listen on the address.
    """

    def __init__(self, host: str, port: int, folder: Path) -> None:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._listener = socket.socket(family, kind, proto)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._listener.setblocking(False)
        self.address: Any = self._listener.getsockname()
        self.place = Place(str(folder / "workers"))
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(self.place.path)
        self._told, self._tell = socket.socketpair()
        self._workers: dict[socket.socket, _Worker] = {}
        self._waiting = deque[socket.socket]()
        self._selector = selectors.DefaultSelector()
        self._accepting = self._is_over = False
        self._thread = threading.Thread(target=self._run, name="dealer", daemon=True)

    def __enter__(self) -> Self:
        self._listener.listen(_WAITING)
        self._door.listen()
        self._selector.register(self._door, selectors.EVENT_READ, self._admit)
        self._selector.register(self._told, selectors.EVENT_READ, self._hear)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell.close()
        self._thread.join()

    def stop(self) -> None:
        """Whoever connects from now on is refused; connections that were dealt are their workers'."""
        with suppress(OSError):
            self._tell.send(b".")

    def _run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select():
                key.data(key.fileobj)
        for one in (self._listener, self._door, self._told, *self._workers, *self._waiting):
            one.close()
        for worker in self._workers.values():
            for one in worker.sent:
                one.close()
        self._selector.close()

    def _hear(self, told: socket.socket) -> None:
        """Of this process: to stop, or that all is over."""
        self._is_over = not told.recv(1)
        self._accept_if(wanted=False)
        self._listener.close()
        while self._waiting:
            self._waiting.pop().close()

    def _admit(self, door: socket.socket) -> None:
        try:
            worker, _ = door.accept()
        except OSError as error:  # it waits, and is admitted later
            log.warning("A worker cannot be admitted: %s.", error)
            time.sleep(_PAUSE_SECONDS)
            return
        worker.setblocking(False)
        self._workers[worker] = _Worker()
        self._selector.register(worker, selectors.EVENT_READ, self._listen)
        self._deal()

    def _listen(self, worker: socket.socket) -> None:
        """To a worker."""
        try:
            said = worker.recv(4096)
        except ConnectionError:  # it went while connections were on their way to it
            said = b""
        known = self._workers[worker]
        for one in said:
            if one == ord(_TAKEN):
                known.sent.popleft().close()  # the worker's now
            else:
                known.open -= 1
        if not said:
            self._selector.unregister(worker)
            del self._workers[worker]
            worker.close()
            self._waiting += known.sent
        self._deal()

    def _accept(self, listener: socket.socket) -> None:
        if not self._accepting:  # as of just now
            return
        try:
            self._waiting.append(listener.accept()[0])
        except (BlockingIOError, ConnectionError):
            return  # it gave up
        except OSError as error:
            log.warning("No connection can be accepted: %s.", error)
            time.sleep(_PAUSE_SECONDS)
            return
        self._deal()

    def _deal(self) -> None:
        while self._waiting and self._is_sent(self._waiting[0]):
            self._waiting.popleft()
        # Those that nobody takes at present wait in the kernel.
        self._accept_if(wanted=bool(self._workers) and not self._waiting)

    def _is_sent(self, connection: socket.socket) -> bool:
        for worker in sorted(self._workers, key=lambda one: self._workers[one].open):
            try:
                socket.send_fds(worker, [_DEALT], [connection.fileno()])
            except OSError:
                continue  # it is busy or gone; of the latter its hanging up tells
            self._workers[worker].open += 1
            self._workers[worker].sent.append(connection)
            return True
        return False

    def _accept_if(self, *, wanted: bool) -> None:
        wanted = wanted and self._listener.fileno() >= 0
        if wanted and not self._accepting:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif self._accepting and not wanted:
            self._selector.unregister(self._listener)
        self._accepting = wanted


class Supervisor(Multiprocess):
    """uvicorn's, which starts and watches the workers; before it ends them, no new connection is accepted."""

    def __init__(self, config: Config, dealer: Dealer) -> None:
        super().__init__(config, sockets=[dealer.place])  # type: ignore[list-item]  # Loop knows what it is
        self._dealer = dealer

    def terminate_all(self) -> None:
        """See `Multiprocess`."""
        self._dealer.stop()
        super().terminate_all()


class Place:
    """What a worker has in the place of a listening socket: where the dealer is."""

    def __init__(self, path: str) -> None:
        self.path = path

    def close(self) -> None:
        """Nothing: `Taking` has all there is to close."""


class Loop(uvloop.Loop):
    """uvloop's, whose servers may have a `Place`."""

    async def create_server(self, protocol_factory: _Factory, *args: Any, sock: Any = None, **more: Any) -> Any:  # noqa: ANN401 - uvloop's
        """As asyncio's loops have it."""
        if isinstance(sock, Place):
            return Taking(self, sock.path, protocol_factory)
        return await super().create_server(protocol_factory, *args, sock=sock, **more)


class Taking:
    """Of a worker: takes the connections that it is dealt into its loop; else as a server of asyncio."""

    def __init__(self, loop: AbstractEventLoop, path: str, protocol: _Factory) -> None:
        self._loop, self._protocol = loop, protocol
        self._dealer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._dealer.connect(path)
        self._dealer.setblocking(False)
        self._tasks = set[Task[None]]()
        loop.add_reader(self._dealer, self._take)

    def close(self) -> None:
        """Takes no more."""
        if self._dealer.fileno() >= 0:
            self._loop.remove_reader(self._dealer)
            self._dealer.close()

    async def wait_closed(self) -> None:
        """At once."""

    def _take(self) -> None:
        try:
            said, found, *_ = socket.recv_fds(self._dealer, len(_DEALT), 1)
        except BlockingIOError:
            return
        except ConnectionError:
            said, found = b"", []
        if not said:  # nobody deals any more: the process that started this one was killed
            self.close()
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._say(_TAKEN)
        if not found:
            log.warning("A connection was refused: this process has as many open files as it may.")
            self._say(_ENDED)
            return
        task = self._loop.create_task(self._connect(_Dealt(found[0], lambda: self._say(_ENDED))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: "_Dealt") -> None:
        try:
            transport, _ = await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # whoever asked has gone
            connection.close()
            return
        if self._dealer.fileno() < 0:
            transport.close()

    def _say(self, what: bytes) -> None:
        with suppress(OSError):  # closed: the dealer knows
            self._dealer.send(what)


class _Dealt(socket.socket):
    """A connection that tells when it ends; uvloop then detaches what it was made of."""

    def __init__(self, descriptor: int, ended: Callable[[], None]) -> None:
        super().__init__(fileno=descriptor)
        self._ended = ended

    def detach(self) -> int:
        """See `socket.socket`."""
        self._ended()
        return super().detach()

    def close(self) -> None:
        """See `socket.socket`."""
        if self.fileno() >= 0:
            self._ended()
        super().close()
