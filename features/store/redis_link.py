"""A connection to Redis on which many commands go out together, and their answers come back as hiredis reads them."""

from typing import Any

import hiredis
import redis

from features.store.awake import Awake

__all__ = ["Link", "nonsense", "refusal"]

_ROOM = 1 << 18


def refusal(text: str) -> Exception:
    """A command that Redis refuses."""
    return redis.ResponseError(text)


def nonsense(text: str) -> Exception:
    """What is no answer."""
    return redis.ConnectionError(text)


class Link:
    """redis-py's connection, which finds the server, greets and encrypts, and is passed by from then on: it takes one command at a time, at ten times the cost.

    Raises:
        redis.RedisError: the server is not there, or refuses the connection.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's own hints know no keys of bytes
        connection.connect()
        self._connection, self._socket = connection, connection._sock  # noqa: SLF001 - see above
        self._reader = hiredis.Reader(replyError=refusal, protocolError=nonsense)
        self._room = memoryview(bytearray(_ROOM))
        self._awake = Awake(self._socket.fileno())

    def close(self) -> None:
        """Ends it."""
        self._connection.disconnect()

    def ask(self, packed: bytes, count: int, *, awake: bool = False) -> list[Any]:
        """The answers to packed commands that have so many; one that is refused is answered by a `redis.ResponseError`.

        Args:
            packed: see `features.store.resp`.
            count: of answers.
            awake: see `Awake`.

        Raises:
            redis.TimeoutError: no answer came; redis.ConnectionError: the connection broke. It is closed then.
        """
        found: list[Any] | None = None
        try:
            self._socket.sendall(packed)
            if awake:
                self._awake.comes()
            found = self._answers(count)
            return found  # noqa: TRY300 - the close below must know
        except TimeoutError as error:
            msg = f"no answer in time ({error})"
            raise redis.TimeoutError(msg) from error
        except OSError as error:
            msg = f"the connection broke ({error})"
            raise redis.ConnectionError(msg) from error
        except redis.ConnectionError as error:
            msg = f"it sent what is no answer ({error})"
            raise redis.ConnectionError(msg) from error
        finally:
            if found is None:
                self.close()  # what was not read must not be another's answer

    def _answers(self, count: int) -> list[Any]:
        found: list[Any] = []
        take = self._reader.gets
        while len(found) < count:
            one = take()
            if one is not False:
                found.append(one)
                continue
            size = self._socket.recv_into(self._room)
            if not size:
                msg = "it was closed"
                raise ConnectionResetError(msg)
            self._reader.feed(self._room, 0, size)  # type: ignore[arg-type]  # it takes any buffer
        return found
